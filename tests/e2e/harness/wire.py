"""HTTP as it is on the wire: exactly the headers given, and requests that no client would send."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.etree import ElementTree

WITHIN_S = 30


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def code(self):
        """The code of an S3 or STS error."""
        if not self.body.lstrip().startswith(b"<"):
            return None
        for element in ElementTree.fromstring(self.body).iter():
            if element.tag.rpartition("}")[2] == "Code":
                return element.text
        return None

    @property
    def is_refusal(self):
        """A 4xx; or 501 where S3 says so itself, of a header or an operation that it has no meaning for."""
        return 400 <= self.status < 500 or (self.status, self.code) == (501, "NotImplemented")

    def __str__(self):
        return f"{self.status} {self.body[:600]!r}"


def send(method, url, headers=None, body=b"", within_s=WITHIN_S, verify=None):
    """Sends one request with these headers and no others but `Host` and `Content-Length`, which given ones replace.

    `verify` is the file of a certificate to trust."""
    at = urlsplit(url)
    if at.scheme == "https":
        connection = http.client.HTTPSConnection(
            at.netloc, timeout=within_s, context=ssl.create_default_context(cafile=verify)
        )
    else:
        connection = http.client.HTTPConnection(at.netloc, timeout=within_s)
    sent = {name.lower(): str(value) for name, value in (headers or {}).items()}
    sent = {"host": at.netloc} | sent
    if body or method in ("PUT", "POST"):
        sent = {"content-length": str(len(body))} | sent
    try:
        connection.putrequest(
            method, at.path + (f"?{at.query}" if at.query else ""), skip_host=True, skip_accept_encoding=True
        )
        for name, value in sent.items():
            connection.putheader(name, value.encode("utf-8"))
        connection.endheaders()
        try:
            connection.send(body)
        except OSError:
            pass  # a server may answer and close before it read everything; what it said is still there to read
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def exchange(url, request, within_s=WITHIN_S, and_close=True):
    """Sends raw bytes, says that no more will come, and returns the status of each answer until the server closes.

    `request` is bytes or an iterable of them. Not closing in time is a `TimeoutError`: the hang that a test looks for.
    """
    at = urlsplit(url)
    pieces = [request] if isinstance(request, bytes) else request
    received = b""
    with socket.create_connection((at.hostname, at.port), timeout=within_s) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if and_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was closed before all was sent; what was said is still there to read
        try:
            while piece := connection.recv(1 << 16):
                received += piece
        except ConnectionResetError:
            pass
    return [int(line.split(b" ", 2)[1]) for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def form_body(fields, file=None, boundary="two-buckets-test-boundary", filename="file.bin", file_type=None):
    """A `multipart/form-data` body and its content type; `fields` is a dict or a list of pairs, the file comes last."""
    pairs = fields.items() if isinstance(fields, dict) else fields
    lines = []
    for name, value in pairs:
        lines.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    if file is not None:
        kind = f"Content-Type: {file_type}\r\n" if file_type else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n{kind}\r\n'
        lines.append(head.encode() + file + b"\r\n")
    return b"".join(lines) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def post_form(url, fields, file=None, **how):
    body, content_type = form_body(fields, file, **how)
    return send("POST", url, {"content-type": content_type}, body)
