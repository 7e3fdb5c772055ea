"""What API Gateway's HTTP APIs and Lambda's function URLs call a function with (payload format 2.0), and such a function.

What each does to a path is from events that others published: an HTTP API decodes it, a function URL does not."""

import base64
import contextlib
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import unquote, urlencode, urlsplit

from harness.api import Api, Refused
from harness.programs import function
from harness.runtime_api import RuntimeApi
from harness.wire import Answer

ACCOUNT = "123456789012"
# The most that Lambda carries in an answer.
ANSWER_BYTES_MAX = 6 << 20


def by_token(**claims):
    """A caller whose token a JWT authorizer found good. It passes every claim on as a text, lists as `[one two]`."""
    claims = {"iss": "https://login.example.com", "aud": "two-buckets", "exp": "1795434650"} | claims
    return {"jwt": {"claims": claims, "scopes": None}}


def by_iam(arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/operators/ada"):
    """A caller whose AWS credentials signed the call."""
    return {
        "iam": {
            "accessKey": "ASIAEXAMPLE",
            "accountId": ACCOUNT,
            "callerId": "AROAEXAMPLE:ada",
            "cognitoIdentity": None,
            "principalOrgId": "aws:PrincipalOrgID",
            "userArn": arn,
            "userId": "AROAEXAMPLE:ada",
        }
    }


def http_api(method, url, headers=None, body=None, caller=None, stage="$default"):
    """The event of an HTTP API for a request as a client writes it; `body` is bytes."""
    at = urlsplit(url)
    path = unquote(at.path)
    if stage != "$default":
        path = f"/{stage}{path}"
    headers = {name.lower(): value for name, value in (headers or {}).items()}
    cookies = headers.pop("cookie", None)
    domain = "abcdef1234.execute-api.eu-central-1.amazonaws.com"
    event = {
        "version": "2.0",
        "routeKey": "ANY /api/{proxy+}" if path.startswith("/api/") else f"GET {path}",
        "rawPath": path,
        "rawQueryString": at.query,
        "headers": {"host": domain, "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"} | headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "abcdef1234",
            "domainName": domain,
            "domainPrefix": "abcdef1234",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": headers.get("user-agent", "tests"),
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "ANY /api/{proxy+}",
            "stage": stage,
            "time": "26/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1795694400000,
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    if caller:
        event["requestContext"]["authorizer"] = caller
    if body is not None:
        is_text = headers.get("content-type", "").startswith(("application/json", "text/"))
        event["isBase64Encoded"] = not is_text
        event["body"] = body.decode() if is_text else base64.b64encode(body).decode()
    return event


def function_url(method, url, headers=None, body=None, caller=None):
    """The event of a function URL for the same."""
    event = http_api(method, url, headers, body, caller)
    domain = "abcdefghijklmnop.lambda-url.eu-central-1.on.aws"
    event["routeKey"] = "$default"
    event["headers"]["host"] = domain
    event["rawPath"] = event["requestContext"]["http"]["path"] = urlsplit(url).path
    event["requestContext"] |= {"apiId": "abcdefghijklmnop", "domainName": domain, "routeKey": "$default"}
    if body is not None:
        # It encodes every body but those of a few types.
        event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode(), True
    return event


class Function:
    """A function in its environment, with what it says on standard output and standard error in files; the upload
    function unless told."""

    def __init__(self, folder, variables, program=None):
        self.folder = Path(folder)
        self.folder.mkdir()
        self.runtime = RuntimeApi()
        lambdas = {
            "AWS_LAMBDA_RUNTIME_API": self.runtime.address,
            "AWS_LAMBDA_FUNCTION_NAME": self.folder.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/26/[$LATEST]0123456789abcdef",
        }
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
                [program or function("uploads")], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=variables | lambdas
            )

    def said(self):
        return "".join((self.folder / name).read_text() for name in ("stdout", "stderr"))

    def invoke(self, event):
        """The answer to one call, as the gateway reads it."""
        kind, answer = self.runtime.invoke(event, deadline_s=29)
        assert kind == "response", answer
        assert len(json.dumps(answer, ensure_ascii=False).encode()) <= ANSWER_BYTES_MAX
        assert set(answer) == {"statusCode", "headers", "cookies", "body", "isBase64Encoded"}, answer
        assert all(isinstance(value, str) for value in answer["headers"].values())
        body = answer["body"]
        body = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
        return Answer(answer["statusCode"], answer["headers"], body)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.runtime.close()


class FunctionApi(Api):
    """The API behind a gateway, for one caller; `event` makes what the gateway sends."""

    def __init__(self, function, caller, event=http_api):
        super().__init__(None, None)
        self.function = function
        self.caller = caller
        self.event = event

    def ask(self, method, url, headers=None, body=None):
        """The answer as it is."""
        return self.function.invoke(self.event(method, url, headers, body, self.caller))

    def get_as_it_is(self, path, **query):
        return self.ask("GET", path + (f"?{urlencode(query)}" if query else ""))

    def _call(self, method, path, body):
        headers = {}
        if body is not None:
            headers, body = {"content-type": "application/json"}, json.dumps(body).encode()
        answer = self.ask(method, path, headers, body)
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            raise Refused(answer.status, json.loads(answer.body), answer.headers)
        return json.loads(answer.body)


@contextlib.contextmanager
def serving(function, caller_of):
    """An HTTP API in front of a function, one call at a time, for as long as it lasts; gives the URL. `caller_of` is given the
    headers and says who calls, as an authorizer does, or None."""

    class Gateway(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0)) or None
            headers = dict(self.headers.items())
            answer = function.invoke(http_api(self.command, self.path, headers, body, caller_of(self.headers)))
            self.send_response(answer.status)
            for name, value in (answer.headers | {"content-length": str(len(answer.body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_DELETE = do_GET

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
