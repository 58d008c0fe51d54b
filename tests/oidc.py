"""A small OpenID Connect provider with real keys, which can also lie. It knows nothing of the code that asks it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT, SECRET = "mailroom-console", "the provider's secret"
Claims = dict[str, Any]
Forge = Callable[["Oidc", Claims], object]
"""Makes the ID token of a lie."""


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Key:
    """An RSA key under a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = rsa.generate_private_key(65537, 2048)

    @property
    def public(self) -> Mapping[str, str]:
        numbers = self._key.public_key().public_numbers()
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.name, "n": number(numbers.n), "e": number(numbers.e)}

    def sign(self, claims: Claims, **header: str) -> str:
        text = unsigned(claims, **{"alg": "RS256", "kid": self.name, **header})
        return f"{text}.{b64(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def unsigned(claims: Claims, **header: str) -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"


def with_secret(claims: Claims, secret: bytes, **header: str) -> str:
    text = unsigned(claims, alg="HS256", **header)
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


@dataclass
class Oidc:
    """One provider at one address."""

    url: str
    key: Key = field(default_factory=lambda: Key("one"))
    published: list[Key] = field(default_factory=list)
    person: Claims = field(default_factory=lambda: {"sub": "7", "email": "anna@example.com", "email_verified": True})
    forge: Forge | None = None
    metadata: Claims = field(default_factory=dict)
    """What differs from the truth."""
    token_answer: tuple[int, bytes] | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    now: Callable[[], float] = time.time

    def answer(self, address: str, **more: str) -> dict[str, str]:
        """What the browser brings back after a sign-in at the address that it was sent to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{self.url}/authorize?")
        assert (query["client_id"], query["response_type"], query["code_challenge_method"]) == (CLIENT, "code", "S256")
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        return {"code": code, "state": query["state"], **more}

    def back(self, address: str) -> str:
        """The same as the address that the browser is sent to."""
        query = parse_qs(urlsplit(address).query)
        return f"{query['redirect_uri'][0]}?{urlencode(self.answer(address))}"

    def claims(self, query: Mapping[str, str]) -> Claims:
        now = int(self.now())
        return {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": query["nonce"], **self.person}

    def token(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        query = self.codes.pop(form.get("code", ""), None)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if query is None or query["code_challenge"] != challenge or query["redirect_uri"] != form.get("redirect_uri"):
            return 400, b'{"error": "invalid_grant", "error_description": "no such code"}'
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return 401, b'{"error": "invalid_client", "error_description": "wrong secret"}'
        if self.token_answer:
            return self.token_answer
        claims = self.claims(query)
        token = self.forge(self, claims) if self.forge else self.key.sign(claims)
        body = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": token}
        return 200, json.dumps({name: value for name, value in body.items() if value is not None}).encode()

    def document(self, path: str) -> bytes | None:
        if path == "/.well-known/openid-configuration":
            known = {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            }
            return json.dumps(known | self.metadata).encode()
        if path == "/keys":
            return json.dumps({"keys": [key.public for key in self.published or [self.key]]}).encode()
        return None


@contextmanager
def provider() -> Iterator[Oidc]:
    """Listens on loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            oidc.asked.append(self.path)
            body = oidc.document(urlsplit(self.path).path)
            self._send(404 if body is None else 200, body or b"{}")

        def do_POST(self) -> None:
            oidc.asked.append(self.path)
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            self._send(*oidc.token({name: values[0] for name, values in form.items()}))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    oidc = Oidc(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield oidc
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
