"""The page's API, spoken by hand: no client of ours hides what it answers."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request

ANSWER_WITHIN_S = 60


class Refused(Exception):
    """The API said no: the status and the words for a person."""

    def __init__(self, status, problem, headers=None):
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.detail = problem.get("detail", "")
        self.headers = headers or {}


class Api:
    """Calls of one server's API, with a token unless it is `None`; `certificate` is the file of one to trust."""

    def __init__(self, web, token, certificate=None):
        self.web = web
        self.token = token
        self.context = ssl.create_default_context(cafile=certificate) if certificate else None

    def get(self, path, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self._call("GET", path, None)

    def post(self, path, body=None):
        return self._call("POST", path, {} if body is None else body)

    def delete(self, path):
        return self._call("DELETE", path, None)

    def uploads(self, **query):
        """Every upload that matches, page after page, the newest first."""
        found, after = [], {}
        while True:
            page = self.get("/api/uploads", limit=1000, **query, **after)
            found += page["uploads"]
            if page["next"] is None:
                return found
            after = {"after": page["next"]}

    def upload(self, id):
        """Everything that is known of one upload."""
        return self.get(f"/api/uploads/{id}")

    def counts(self):
        """How many uploads are in each state."""
        return self.get("/api/uploads", limit=1)["counts"]

    def credentials(self, **wanted):
        """Credentials that may only put one file: a `key` or a `filename`."""
        return self.post("/api/credentials", wanted)

    def form(self, **wanted):
        """A form with which one file may be posted."""
        return self.post("/api/form", wanted)

    def put(self, body, size, **wanted):
        """Uploads through a signed URL as the page does; `body` is bytes or an open file, `wanted` is a `key` or a
        `filename`, and what else is known of it. Returns the key it went to."""
        grant = self.post("/api/signedurl", {"size": size, **wanted})
        self.send(grant, body, size)
        return grant["key"]

    def send(self, grant, body, size=None):
        """Sends a file with a permission to, and returns its version id; `size` is needed where `body` is an open file."""
        request = urllib.request.Request(grant["url"], data=body, method=grant["method"])
        for name, value in {**grant["headers"], "Content-Length": str(len(body) if size is None else size)}.items():
            request.add_header(name, value)
        try:
            with self._open(request) as answer:
                assert answer.status == 200
                return answer.headers["x-amz-version-id"]
        except urllib.error.HTTPError as refused:
            raise Refused(refused.code, {"detail": refused.read().decode(errors="replace")}) from None

    def _call(self, method, path, body):
        request = urllib.request.Request(self.web + path, method=method)
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with self._open(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            headers = {name.lower(): value for name, value in refused.headers.items()}
            raise Refused(refused.code, json.loads(refused.read()), headers) from None

    def _open(self, request):
        return urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S, context=self.context)
