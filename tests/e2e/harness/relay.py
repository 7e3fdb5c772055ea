"""A relay in front of a service, which counts the bytes that go through it."""

import contextlib
import socket
import socketserver
import threading
from urllib.parse import urlsplit

PIECE_BYTES = 1 << 16


class Relay:
    """Where it listens, and what went through so far in both directions, in bytes of HTTP with its heads."""

    def __init__(self, url):
        self.url, self.bytes = url, 0
        self._lock = threading.Lock()

    def count(self, size):
        with self._lock:
            self.bytes += size


@contextlib.contextmanager
def before(url):
    """Relays to the service at `url` for as long as it lasts."""
    at = urlsplit(url)

    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.create_connection((at.hostname, at.port)) as service:
                back = threading.Thread(target=pump, args=(service, self.request, relay.count))
                back.start()
                pump(self.request, service, relay.count)
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
