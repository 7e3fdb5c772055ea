"""The Runtime API of Lambda (2018-06-01), as much of it as one function with one environment needs."""

import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/2018-06-01/runtime/"


class RuntimeApi:
    """Hands out what `invoke` is given and returns what the function answers."""

    def __init__(self):
        self.waiting = queue.Queue()
        self.answers = queue.Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                assert self.path == PREFIX + "invocation/next", self.path
                number, event, deadline_s = api.waiting.get()
                headers = {
                    "lambda-runtime-aws-request-id": f"request-{number}",
                    "lambda-runtime-deadline-ms": str(int((time.time() + deadline_s) * 1000)),
                    "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:123456789012:function:processor",
                    "content-type": "application/json",
                }
                self.answer(200, json.dumps(event).encode(), headers)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("transfer-encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                api.answers.put((self.path.rsplit("/", 1)[-1], json.loads(body)))
                self.answer(202, b"{}", {})

            def answer(self, status, body, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.count = 0
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.server.server_port}"

    def invoke(self, event, deadline_s=60):
        """Gives `("response", answer)` or `("error", what is said of it)`."""
        self.count += 1
        self.waiting.put((self.count, event, deadline_s))
        return self.answers.get(timeout=deadline_s + 30)

    def close(self):
        self.server.shutdown()
