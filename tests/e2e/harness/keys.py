"""Key pairs, with or without a session token, and signatures of version 4 made by hand.

By hand because a test must be able to sign what no client would: at another time, for another host, with a header left
out. It follows "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

REGION = "us-east-1"
UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class Key:
    """Who signs."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def of_grant(cls, grant):
        """The credentials that `POST /api/credentials` gave."""
        return cls(grant["access_key"], grant["secret_key"], grant["session_token"])

    @classmethod
    def of_sts(cls, answer):
        """The credentials that STS or `GET /api/s3/sts` gave."""
        given = answer.get("Credentials") or answer["credentials"]
        return cls(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    def for_boto3(self):
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "aws_session_token": self.session_token,
        }

    def for_environment(self):
        named = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }
        return {name: value for name, value in named.items() if value}


def now():
    return datetime.now(UTC)


def _stamp(at):
    return at.strftime("%Y%m%dT%H%M%SZ")


def _scope(at, service):
    return f"{at:%Y%m%d}/{REGION}/{service}/aws4_request"


def _signature(key, at, service, text):
    secret = f"AWS4{key.secret_access_key}".encode()
    for step in (f"{at:%Y%m%d}", REGION, service, "aws4_request"):
        secret = hmac.new(secret, step.encode(), hashlib.sha256).digest()
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def _encoded(pairs):
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs))


def _string_to_sign(method, at, path, query, headers, payload, service):
    names = ";".join(sorted(headers))
    canonical = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
    request = "\n".join([method, path, query, canonical, names, payload])
    digest = hashlib.sha256(request.encode()).hexdigest()
    return "\n".join(["AWS4-HMAC-SHA256", _stamp(at), _scope(at, service), digest])


def signed_headers(key, method, url, headers=None, payload=UNSIGNED, at=None, service="s3", host=None):
    """All headers to send: those given, and what signs them."""
    at, url = at or now(), urlsplit(url)
    sent = {name.lower(): value for name, value in (headers or {}).items()}
    sent |= {"host": host or url.netloc, "x-amz-date": _stamp(at), "x-amz-content-sha256": payload}
    if key.session_token:
        sent["x-amz-security-token"] = key.session_token
    query = _encoded(parse_qsl(url.query, keep_blank_values=True))
    text = _string_to_sign(method, at, url.path or "/", query, sent, payload, service)
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.access_key_id}/{_scope(at, service)}, "
        f"SignedHeaders={';'.join(sorted(sent))}, Signature={_signature(key, at, service, text)}"
    )
    return sent


def presigned(key, method, url, headers=None, life_s=300, at=None, service="s3"):
    """The URL with its signature in the query; whoever uses it must send `headers` as they are."""
    at, parts = at or now(), urlsplit(url)
    signed = {name.lower(): value for name, value in (headers or {}).items()} | {"host": parts.netloc}
    pairs = parse_qsl(parts.query, keep_blank_values=True) + [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", f"{key.access_key_id}/{_scope(at, service)}"),
        ("X-Amz-Date", _stamp(at)),
        ("X-Amz-Expires", str(life_s)),
        ("X-Amz-SignedHeaders", ";".join(sorted(signed))),
    ]
    if key.session_token:
        pairs.append(("X-Amz-Security-Token", key.session_token))
    query = _encoded(pairs)
    text = _string_to_sign(method, at, parts.path, query, signed, UNSIGNED, service)
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{query}&X-Amz-Signature={_signature(key, at, service, text)}"


def form_fields(key, bucket, conditions, fields, life_s=300, at=None, expires_at=None):
    """The fields of a POST form, its policy and signature among them."""
    at = at or now()
    expires_at = expires_at or at + timedelta(seconds=life_s)
    fields = fields | {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{key.access_key_id}/{_scope(at, 's3')}",
        "x-amz-date": _stamp(at),
    }
    if key.session_token:
        fields["x-amz-security-token"] = key.session_token
    signing = [{name: value} for name, value in fields.items() if name.startswith("x-amz-")]
    policy = {
        "expiration": expires_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "conditions": [{"bucket": bucket}, *signing, *conditions],
    }
    encoded = base64.b64encode(json.dumps(policy).encode()).decode()
    return fields | {"policy": encoded, "x-amz-signature": _signature(key, at, "s3", encoded)}
