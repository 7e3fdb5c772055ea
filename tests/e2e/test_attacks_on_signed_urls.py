"""Attacks on a signed URL: whatever is changed about the request it was made for, the request is refused and keeps nothing."""

import base64
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest

from harness import kept
from harness.content import sha256, some_bytes
from harness.keys import UNSIGNED, Key, now, presigned, signed_headers
from harness.wire import exchange, send

SIZE = 2_000
TYPE = "application/x-two-buckets"


@dataclass(frozen=True)
class Put:
    """A request as it was granted, to be changed in one way."""

    url: str
    headers: dict
    body: bytes
    method: str = "PUT"

    def send(self):
        return send(self.method, self.url, self.headers, self.body)

    def with_query(self, change):
        at = urlsplit(self.url)
        pairs = change(parse_qsl(at.query, keep_blank_values=True))
        return replace(self, url=urlunsplit(at._replace(query=urlencode(pairs))))

    def with_parameter(self, name, value):
        """The parameter with another value, or a new one."""

        def change(pairs):
            kept_pairs = [(n, v) for n, v in pairs if n.lower() != name.lower()]
            changed = [(n, value) for n, _ in pairs if n.lower() == name.lower()] or [(name, value)]
            return kept_pairs + changed

        return self.with_query(change)

    def without_parameter(self, name):
        return self.with_query(lambda pairs: [(n, v) for n, v in pairs if n.lower() != name.lower()])

    def parameter(self, name):
        return next(v for n, v in parse_qsl(urlsplit(self.url).query) if n.lower() == name.lower())

    def with_header(self, name, value):
        rest = {n: v for n, v in self.headers.items() if n.lower() != name.lower()}
        return replace(self, headers=rest if value is None else rest | {name: value})

    def with_path(self, change):
        at = urlsplit(self.url)
        return replace(self, url=urlunsplit(at._replace(path=change(at.path))))


def granted(server, key=None, **wanted):
    """A grant for one file of `SIZE` bytes, everything about it said; `key` or, without one, a minted key."""
    body = some_bytes(SIZE, key or "minted")
    known = {"type": TYPE, "size": SIZE, "sha256": sha256(body)}
    grant = server.api.post("/api/signedurl", known | ({"key": key} if key else {"filename": "a b+c.bin"}) | wanted)
    assert grant["method"] == "PUT"
    return Put(grant["url"], grant["headers"], body), grant["key"]


@pytest.mark.parametrize("of", ["a-key", "a-minted-key"])
def test_the_request_as_granted_is_taken(shared_server, prefix, of):
    put, key = granted(shared_server, f"{prefix}a b+c.bin" if of == "a-key" else None)
    answer = put.send()
    assert answer.status == 200, answer
    kept.archived_bytes_are(shared_server, {key: sha256(put.body)}, key)


def test_everything_that_was_said_of_the_file_is_signed(shared_server, prefix):
    put, _ = granted(shared_server, f"{prefix}a")
    signed = set(put.parameter("X-Amz-SignedHeaders").split(";"))
    assert {"host", "content-length", "content-type"} <= signed
    assert any(name.startswith("x-amz-checksum-sha256") for name in signed) or "x-amz-content-sha256" in signed
    put, _ = granted(shared_server)
    assert "if-none-match" in put.parameter("X-Amz-SignedHeaders").split(";")
    assert 0 < int(put.parameter("X-Amz-Expires")) <= 3600


CHANGES = {
    # Another place.
    "key": lambda put: put.with_path(lambda path: path + "x"),
    "key-shorter": lambda put: put.with_path(lambda path: path[:-1]),
    "key-case": lambda put: put.with_path(lambda path: path[:-1] + path[-1].swapcase()),
    "sub-key": lambda put: put.with_path(lambda path: path + "/x"),
    "parent": lambda put: put.with_path(lambda path: path + "/../y"),
    "double-slash": lambda put: put.with_path(lambda path: path.replace("/staging/", "/staging//")),
    "bucket": lambda put: put.with_path(lambda path: path.replace("/staging/", "/archive/")),
    "no-key": lambda put: put.with_path(lambda path: "/staging"),
    "no-bucket": lambda put: put.with_path(lambda path: "/"),
    "host": lambda put: put.with_header("host", "localhost:1"),
    "host-name": lambda put: put.with_header("host", urlsplit(put.url).netloc.replace("127.0.0.1", "localhost")),
    "bucket-by-host": lambda put: put.with_header("host", "archive." + urlsplit(put.url).netloc),
    # Another act.
    "get": lambda put: replace(put, method="GET", body=b""),
    "head": lambda put: replace(put, method="HEAD", body=b""),
    "delete": lambda put: replace(put, method="DELETE", body=b""),
    "post": lambda put: replace(put, method="POST"),
    "options": lambda put: replace(put, method="OPTIONS"),
    "patch": lambda put: replace(put, method="PATCH"),
    "lower-case-method": lambda put: replace(put, method="put"),
    "method-override": lambda put: replace(put, method="POST").with_header("x-http-method-override", "PUT"),
    # Another file.
    "type": lambda put: put.with_header("content-type", "text/html"),
    "type-with-a-parameter": lambda put: put.with_header("content-type", f"{TYPE}; charset=utf-8"),
    "no-type": lambda put: put.with_header("content-type", None),
    "smaller": lambda put: replace(put, body=put.body[:-1]),
    "larger": lambda put: replace(put, body=put.body + b"x"),
    "empty": lambda put: replace(put, body=b""),
    "other-bytes": lambda put: replace(put, body=b"\0" * SIZE),
    "one-bit": lambda put: replace(put, body=bytes([put.body[0] ^ 1]) + put.body[1:]),
    # Other headers.
    **{
        f"no-{name}": lambda put, name=name: put.with_header(name, None)
        for name in ("x-amz-checksum-sha256", "if-none-match")
    },
    "other-checksum": lambda put: replace(
        put.with_header("x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(b"\1" * SIZE).digest()).decode()),
        body=b"\1" * SIZE,
    ),
    "if-match-instead": lambda put: put.with_header("if-none-match", None).with_header("if-match", "*"),
    "if-none-match-of-a-tag": lambda put: put.with_header("if-none-match", '"x"'),
    **{
        f"with-{name}": lambda put, name=name, value=value: put.with_header(name, value)
        for name, value in {
            "x-amz-acl": "public-read",
            "x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"',
            "x-amz-meta-who": "me",
            "x-amz-tagging": "a=b",
            "x-amz-copy-source": "/archive/x",
            "x-amz-storage-class": "GLACIER",
            "x-amz-website-redirect-location": "https://example.com/",
            "x-amz-server-side-encryption": "AES256",
            "x-amz-object-lock-mode": "COMPLIANCE",
            "x-amz-date": "20200101T000000Z",
            "x-amz-security-token": "x",
            "x-amz-checksum-crc32": "AAAAAA==",
            "x-amz-write-offset-bytes": "0",
        }.items()
    },
    "with-a-signature-of-nobody": lambda put: put.with_header("authorization", "AWS4-HMAC-SHA256 Credential=x"),
    "with-basic-authorization": lambda put: put.with_header("authorization", "Basic YTpi"),
    # Another signature.
    "expires-later": lambda put: put.with_parameter("X-Amz-Expires", "604800"),
    "expires-much-later": lambda put: put.with_parameter("X-Amz-Expires", "99999999999999999999"),
    "expires-negative": lambda put: put.with_parameter("X-Amz-Expires", "-1"),
    "expires-no-number": lambda put: put.with_parameter("X-Amz-Expires", "soon"),
    "expires-never": lambda put: put.without_parameter("X-Amz-Expires"),
    "another-date": lambda put: put.with_parameter(
        "X-Amz-Date", (now() + timedelta(seconds=60)).strftime("%Y%m%dT%H%M%SZ")
    ),
    "no-date": lambda put: put.without_parameter("X-Amz-Date"),
    "bad-date": lambda put: put.with_parameter("X-Amz-Date", "20261301T256161Z"),
    "date-not-ascii": lambda put: put.with_parameter("X-Amz-Date", "２０２６0101T000000Z"),
    "another-region": lambda put: put.with_parameter(
        "X-Amz-Credential", put.parameter("X-Amz-Credential").replace("us-east-1", "eu-west-1")
    ),
    "another-service": lambda put: put.with_parameter(
        "X-Amz-Credential", put.parameter("X-Amz-Credential").replace("/s3/", "/sts/")
    ),
    "credential-of-nobody": lambda put: put.with_parameter("X-Amz-Credential", "AKIA/20260101/us-east-1/s3/aws4_request"),
    "credential-nonsense": lambda put: put.with_parameter("X-Amz-Credential", "////////"),
    "no-credential": lambda put: put.without_parameter("X-Amz-Credential"),
    "another-algorithm": lambda put: put.with_parameter("X-Amz-Algorithm", "AWS4-HMAC-MD5"),
    "no-algorithm-at-all": lambda put: put.with_parameter("X-Amz-Algorithm", "none"),
    "no-algorithm": lambda put: put.without_parameter("X-Amz-Algorithm"),
    "asymmetric-algorithm": lambda put: put.with_parameter("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
    "signature-changed": lambda put: put.with_parameter("X-Amz-Signature", "0" * 64),
    "signature-shorter": lambda put: put.with_parameter("X-Amz-Signature", put.parameter("X-Amz-Signature")[:-1]),
    "signature-longer": lambda put: put.with_parameter("X-Amz-Signature", put.parameter("X-Amz-Signature") + "0"),
    "signature-empty": lambda put: put.with_parameter("X-Amz-Signature", ""),
    "no-signature": lambda put: put.without_parameter("X-Amz-Signature"),
    "fewer-signed-headers": lambda put: put.with_parameter("X-Amz-SignedHeaders", "host"),
    "no-signed-headers": lambda put: put.without_parameter("X-Amz-SignedHeaders"),
    "signed-headers-empty": lambda put: put.with_parameter("X-Amz-SignedHeaders", ""),
    "host-not-signed": lambda put: put.with_parameter(
        "X-Amz-SignedHeaders", put.parameter("X-Amz-SignedHeaders").replace("host", "accept")
    ),
    "signed-twice": lambda put: put.with_query(
        lambda pairs: pairs + [pair for pair in pairs if pair[0] == "X-Amz-Signature"]
    ),
    "expires-twice": lambda put: put.with_query(lambda pairs: pairs + [("X-Amz-Expires", "604800")]),
    "expires-twice-in-two-cases": lambda put: put.with_query(lambda pairs: pairs + [("x-amz-expires", "604800")]),
    # Another operation, by what stands in the query.
    **{
        f"query-{name}": lambda put, name=name, value=value: put.with_query(lambda pairs: pairs + [(name, value)])
        for name, value in {
            "acl": "",
            "tagging": "",
            "uploads": "",
            "versionId": "null",
            "retention": "",
            "partNumber": "1",
            "x-amz-acl": "public-read",
            "x-amz-meta-who": "me",
            "X-Amz-Copy-Source": "/archive/x",
            "response-content-type": "text/html",
            "anything": "else",
            "": "",
        }.items()
    },
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_request_is_refused_and_keeps_nothing(shared_server, prefix, change):
    for key in (f"{prefix}a b+c.bin", None):
        put, key = granted(shared_server, key)
        changed = change(put)
        if changed == put:
            continue  # nothing of the kind in this grant to change
        answer = changed.send()
        assert answer.is_refusal, answer
        s3 = shared_server.s3()
        below = key.rsplit("/", 1)[0]
        assert kept.keys(s3, "archive", below) == [] and kept.versions(s3, "staging", below) == []
        # The grant itself is not used up by it.
        assert put.send().status == 200
        kept.archived_bytes_are(shared_server, {key: sha256(put.body)}, key)


def test_headers_that_mean_nothing_to_s3_may_be_there(shared_server, prefix):
    put, key = granted(shared_server, f"{prefix}a")
    for name, value in {"accept": "*/*", "origin": shared_server.web, "user-agent": "x", "referer": "y"}.items():
        put = put.with_header(name, value)
    assert put.send().status == 200
    kept.archived_bytes_are(shared_server, {key: sha256(put.body)}, key)


@pytest.mark.parametrize("of", ["a-key", "a-minted-key"])
def test_the_body_may_not_come_in_chunks_of_which_nobody_signed_the_length(shared_server, prefix, of):
    put, key = granted(shared_server, f"{prefix}a" if of == "a-key" else None)
    at = urlsplit(put.url)
    lines = [f"PUT {at.path}?{at.query} HTTP/1.1", f"Host: {at.netloc}", "Transfer-Encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in put.headers.items() if name.lower() != "content-length"]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    answers = exchange(put.url, head + b"%x\r\n" % SIZE + put.body + b"\r\n0\r\n\r\n")
    assert len(answers) == 1 and 400 <= answers[0] < 500, answers
    assert kept.keys(shared_server.s3(), "archive", key) == []


@pytest.fixture(scope="module", params=["root", "one-file"])
def signer(request, shared_server):
    """Who signs by hand, for the key `attacks-on-signed-urls`."""
    if request.param == "root":
        return shared_server.root
    return Key.of_grant(shared_server.api.credentials(key="attacks-on-signed-urls"))


SIGNED_AT = {
    # (seconds from now, life, whether it may pass). S3 lets clocks differ by 15 minutes.
    "now": (0, 60, True),
    "a-minute-ago": (-60, 120, True),
    "just-ended": (-120, 60, False),
    "ended-long-ago": (-86_400, 60, False),
    "a-week-and-a-day-ago-for-a-week": (-8 * 86_400, 604_800, False),
    "in-an-hour": (3_600, 60, False),
    "in-a-day": (86_400, 604_800, False),
    "longer-than-a-week": (0, 604_801, False),
    "for-ever": (0, 10**18, False),
    "no-time-at-all": (-2, 0, False),
}


@pytest.mark.parametrize(("from_now_s", "life_s", "passes"), SIGNED_AT.values(), ids=SIGNED_AT.keys())
def test_a_signed_url_holds_only_within_its_time(shared_server, signer, from_now_s, life_s, passes):
    url = f"{shared_server.endpoint}/staging/attacks-on-signed-urls"
    link = presigned(signer, "PUT", url, life_s=life_s, at=now() + timedelta(seconds=from_now_s))
    answer = send("PUT", link, body=b"x")
    if passes:
        assert answer.status == 200, answer
    else:
        assert answer.status in (400, 403), answer
        assert answer.code in ("AccessDenied", "AuthorizationQueryParametersError", "RequestTimeTooSkewed"), answer


@pytest.mark.parametrize(
    ("from_now_s", "passes"), [(0, True), (-600, True), (600, True), (-960, False), (960, False), (-86_400, False)]
)
def test_a_signed_header_holds_for_a_quarter_of_an_hour(shared_server, signer, from_now_s, passes):
    url = f"{shared_server.endpoint}/staging/attacks-on-signed-urls"
    at = now() + timedelta(seconds=from_now_s)
    answer = send("PUT", url, signed_headers(signer, "PUT", url, at=at), b"x")
    if passes:
        assert answer.status == 200, answer
    else:
        assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed"), answer


AUTHORIZATIONS = {
    "empty": lambda good: "",
    "scheme-alone": lambda good: "AWS4-HMAC-SHA256",
    "another-scheme": lambda good: good.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
    "version-2": lambda good: "AWS AKIA:c2ln",
    "anonymous-asymmetric": lambda good: good.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
    "no-credential": lambda good: re.sub(r"Credential=[^,]+, ", "", good),
    "no-signature": lambda good: re.sub(r", Signature=.*", "", good),
    "no-signed-headers": lambda good: re.sub(r"SignedHeaders=[^,]+, ", "", good),
    "twice": lambda good: good + ", " + good.split(" ", 1)[1],
    "host-unsigned": lambda good: good.replace("host;", ""),
    "date-unsigned": lambda good: good.replace(";x-amz-date", ""),
    "other-signature": lambda good: good[:-1] + ("0" if good[-1] != "0" else "1"),
    "upper-case-signature": lambda good: good[:-64] + good[-64:].upper(),
    "another-day": lambda good: re.sub(r"/\d{8}/", "/20200101/", good),
    "another-service": lambda good: good.replace("/s3/", "/iam/"),
    "commas": lambda good: "AWS4-HMAC-SHA256 ,,,,,,",
    "equals": lambda good: "AWS4-HMAC-SHA256 =,=,=",
    "giant": lambda good: good + ", x=" + "y" * 6_000,
    "bytes": lambda good: good + "\u00ff\u00fe",
}


@pytest.mark.parametrize("change", AUTHORIZATIONS.values(), ids=AUTHORIZATIONS.keys())
def test_an_authorization_that_is_not_right_in_every_part_is_refused(shared_server, signer, change):
    url = f"{shared_server.endpoint}/staging/attacks-on-signed-urls"
    headers = signed_headers(signer, "PUT", url)
    answer = send("PUT", url, headers | {"authorization": change(headers["authorization"])}, b"x")
    assert answer.status in (400, 403), answer


@pytest.mark.parametrize("payload", ["0" * 64, "", "x", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", UNSIGNED.lower()])
def test_a_body_other_than_the_one_signed_is_refused(shared_server, signer, payload):
    url = f"{shared_server.endpoint}/staging/attacks-on-signed-urls"
    answer = send("PUT", url, signed_headers(signer, "PUT", url, payload=payload), b"body")
    assert 400 <= answer.status < 500, answer
