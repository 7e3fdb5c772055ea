"""An issuer of signed tokens (OIDC), as a company has one: it publishes its keys, and signs whatever it is asked to."""

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value):
    return _b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer:
    """A running issuer with one RSA and one elliptic key, and another RSA key that it never published."""

    AUDIENCE = "two-buckets-tests"

    def __init__(self):
        self.keys = {
            "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ec": ec.generate_private_key(ec.SECP256R1()),
            "foreign": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        }
        issuer = self

        class Documents(BaseHTTPRequestHandler):
            def do_GET(self):
                answer = issuer.documents().get(self.path)
                self.send_response(200 if answer else 404)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer or {}).encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Documents)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def documents(self):
        return {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": [self._rsa_jwk(), self._ec_jwk()]},
        }

    def _rsa_jwk(self):
        numbers = self.keys["rsa"].public_key().public_numbers()
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa", "n": _number(numbers.n), "e": _number(numbers.e)}

    def _ec_jwk(self):
        numbers = self.keys["ec"].public_key().public_numbers()
        coordinates = {name: _b64(value.to_bytes(32, "big")) for name, value in (("x", numbers.x), ("y", numbers.y))}
        return {"kty": "EC", "use": "sig", "alg": "ES256", "kid": "ec", "crv": "P-256", **coordinates}

    def claims(self, **changes):
        """What a good token says; a change to `None` takes a claim out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": self.AUDIENCE, "sub": "somebody", "iat": now, "nbf": now - 5, "exp": now + 600}
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(self, claims=None, header=None, signed_by="rsa"):
        """A token of these claims. `header` changes its head, `signed_by` names a key, or says how else it is signed."""
        claims = self.claims() if claims is None else claims
        head = {"typ": "JWT", "alg": "ES256" if signed_by == "ec" else "RS256", "kid": "ec" if signed_by == "ec" else "rsa"}
        head = {name: value for name, value in (head | (header or {})).items() if value is not None}
        text = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(claims).encode())}"
        return f"{text}.{_b64(self._signature(text.encode(), signed_by))}"

    def _signature(self, text, signed_by):
        if signed_by == "nobody":
            return b""
        if signed_by == "the-public-key":
            # The old trick: the published key as the secret of a symmetric signature.
            public = self.keys["rsa"].public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return hmac.new(public, text, hashlib.sha256).digest()
        if signed_by == "ec":
            r, s = decode_dss_signature(self.keys["ec"].sign(text, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self.keys[signed_by].sign(text, padding.PKCS1v15(), hashes.SHA256())

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
