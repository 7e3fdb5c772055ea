"""Lambda's Invoke, for a function in Python: as much of the service as a caller of `RequestResponse` sees of it."""

import base64
import contextlib
import http.server
import json
import re
import threading
import types
import urllib.parse

PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


@contextlib.contextmanager
def serving(arn, handler):
    """Serves this handler under this ARN for as long as it lasts, and gives the URL. What it raises is an answer of the
    function's, as Lambda says it (Lambda API, "Invoke")."""

    class Service(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked = PATH.fullmatch(urllib.parse.urlsplit(self.path).path)
            if not asked or urllib.parse.unquote(asked[1]) != arn:
                return self.answer(404, {"Type": "User", "Message": "Function not found"}, error="ResourceNotFoundException")
            given = self.headers.get("x-amz-client-context")
            custom = json.loads(base64.b64decode(given))["custom"] if given else {}
            context = types.SimpleNamespace(client_context=types.SimpleNamespace(custom=custom))
            try:
                said, headers = handler(event, context), {}
            except Exception as error:
                said = {"errorType": type(error).__name__, "errorMessage": str(error)}
                headers = {"x-amz-function-error": "Unhandled"}
            return self.answer(200, said, **headers)

        def answer(self, status, said, error=None, **headers):
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            if error:
                self.send_header("x-amzn-errortype", error)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            # Who asked may have been killed meanwhile.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
