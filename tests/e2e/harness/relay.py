"""A relay in front of a service, which counts the bytes that go through it."""

import contextlib
import socket
import socketserver
import threading
from urllib.parse import urlsplit

PIECE_BYTES = 1 << 16


class Relay:
    """What went through so far, in bytes of HTTP with its heads, and where it listens."""

    def __init__(self, url):
        self.url, self.sent, self.received = url, 0, 0
        self._lock = threading.Lock()

    def _counted(self, sent, received):
        with self._lock:
            self.sent += sent
            self.received += received

    @property
    def bytes(self):
        with self._lock:
            return self.sent + self.received


@contextlib.contextmanager
def before(url):
    """Relays to the service at `url` for as long as it lasts."""
    at = urlsplit(url)

    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.create_connection((at.hostname, at.port)) as service:
                back = threading.Thread(target=pump, args=(service, self.request, lambda size: relay._counted(0, size)))
                back.start()
                pump(self.request, service, lambda size: relay._counted(size, 0))
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Connection) as server:
        relay = Relay(f"http://127.0.0.1:{server.server_address[1]}")
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield relay
        finally:
            server.shutdown()
            serving.join()


def pump(source, target, counted):
    """Passes on what comes until no more does; then says so to the other side."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            counted(len(piece))
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
