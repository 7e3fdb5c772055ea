"""A receiver of webhooks that behaves as it is told, and remembers what it was sent."""

import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def is_from(secret, signature, body, now=None, within_s=300):
    """Whether a webhook's body is the server's own, and recent; docs/notifications.md has this as a recipe."""
    fields = dict(field.split("=", 1) for field in signature.split(","))
    expected = hmac.new(secret, fields["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    is_recent = abs((now or time.time()) - int(fields["t"])) <= within_s
    return is_recent and hmac.compare_digest(expected, fields["v1"])


class Hook:
    """Answers by `answer(attempt, message)`: a status, or a status and headers; `None` cuts the connection. Only what was
    answered 2xx is `accepted`."""

    def __init__(self, answer=lambda attempt, message: 204):
        self.answer = answer
        self.attempts = 0
        self.requests = []
        self.accepted = []
        self.lock = threading.Lock()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                message = json.loads(body)
                with hook.lock:
                    hook.attempts += 1
                    attempt = hook.attempts
                    hook.requests.append((self.path, dict(self.headers.items()), body))
                answer = hook.answer(attempt, message)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                if 200 <= status < 300:
                    with hook.lock:
                        hook.accepted.append(message)
                words = b"" if status == 204 else b"no, thank you"
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if words:
                    self.send_header("content-length", str(len(words)))
                self.end_headers()
                self.wfile.write(words)

            def log_message(self, *_):
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A server that is killed breaks its connections off."""

        self.listener = Listener(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.server_port}"

    def records(self):
        """The records of all messages that were accepted, in the order they were."""
        with self.lock:
            return [record for message in self.accepted for record in message.get("Records", [])]

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()
