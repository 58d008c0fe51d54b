"""What of Google a sign-in and an SMTP session meet: authorize page, token, userinfo and revoke endpoints, and what tokens are worth.

    with GoogleStandIn() as google:
        ... `mailroom connect NAME --google --login-url google.url` ...
        google.sign_in(url)

People: whoever `login_hint` names. Like the real one, it gives a refresh token only for `access_type=offline` and `prompt=consent`,
checks PKCE, never rotates refresh tokens, takes a code once, and wants the client's secret.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import threading
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

CLIENT, SECRET = "4711.apps.googleusercontent.example", "GOCSPX-stand-in"
MAIL = "https://mail.google.com/"
Fields = dict[str, str]


class _Refused(Exception):
    """What the token endpoint says instead of a token."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.body = {"error": error, "error_description": description}


@dataclass
class Code:
    person: str
    asked: Fields


class GoogleStandIn(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.codes: dict[str, Code] = {}
        self.refresh_tokens: dict[str, str] = {}
        """Token -> person."""
        self.access_tokens: dict[str, str] = {}
        self.scope = f"openid https://www.googleapis.com/auth/userinfo.email {MAIL}"
        """What a person agrees to."""
        self.testing = False
        """The app is External and in Testing: grants end after seven days."""
        self._thread = threading.Thread(target=self.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def sign_in(self, url: str) -> None:
        """What a person does in the browser."""
        with httpx2.Client(follow_redirects=True, timeout=30, trust_env=False) as browser:
            browser.get(url).raise_for_status()

    def change_password(self, person: str) -> None:
        """Ends every grant of who has mail among its scopes, and their tokens."""
        self.refresh_tokens = {token: owner for token, owner in self.refresh_tokens.items() if owner != person}
        self.access_tokens = {token: owner for token, owner in self.access_tokens.items() if owner != person}

    def may_send(self, user: str, token: str) -> str:
        """For smtp.gmail.com: why not; empty if this user may."""
        if self.access_tokens.get(token) != user:
            return "the token is nobody's" if token not in self.access_tokens else "the token is somebody else's"
        return ""

    # -- what the four addresses answer

    def authorize(self, asked: Fields) -> str:
        """Where the browser goes next."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert MAIL in asked["scope"].split()
        code = f"4/{secrets.token_urlsafe(16)}"
        self.codes[code] = Code(asked["login_hint"], asked)
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'scope': self.scope, 'state': asked['state']})}"

    def token(self, form: Fields) -> dict[str, object]:
        if form.get("client_id") != CLIENT or form.get("client_secret") != SECRET:
            raise _Refused("invalid_client", "The provided client secret is invalid.")
        if form["grant_type"] == "refresh_token":
            person = self.refresh_tokens.get(form["refresh_token"])
            if person is None:
                raise _Refused("invalid_grant", "Token has been expired or revoked.")
            return self._access(person)
        code = self.codes.pop(form["code"], None)
        if code is None or form["redirect_uri"] != code.asked["redirect_uri"] or not _proves(form["code_verifier"], code):
            raise _Refused("invalid_grant", "Bad Request")
        given = self._access(code.person)
        if code.asked.get("access_type") == "offline" and code.asked.get("prompt") == "consent":
            given["refresh_token"] = f"1//{secrets.token_urlsafe(24)}"
            self.refresh_tokens[str(given["refresh_token"])] = code.person
        if self.testing:
            given["refresh_token_expires_in"] = 604799
        return given

    def _access(self, person: str) -> dict[str, object]:
        token = f"ya29.{secrets.token_urlsafe(32)}"
        self.access_tokens[token] = person
        return {"access_token": token, "expires_in": 3599, "scope": self.scope, "token_type": "Bearer"}

    def revoke(self, form: Fields) -> dict[str, object]:
        person = self.refresh_tokens.get(form["token"]) or self.access_tokens.get(form["token"])
        if person is None:
            raise _Refused("invalid_token", "Token expired or revoked")
        self.change_password(person)
        return {}


def _proves(verifier: str, code: Code) -> bool:
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return code.asked["code_challenge_method"] == "S256" and digest == code.asked["code_challenge"]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: GoogleStandIn

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/o/oauth2/v2/auth":
            self.send_response(302)
            self.send_header("Location", self.server.authorize(dict(parse_qsl(url.query))))
            self.end_headers()
            return
        assert url.path == "/v1/userinfo"
        person = self.server.access_tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if person is None:
            self._say(401, {"error": "invalid_request"})
        else:
            self._say(200, {"sub": "1", "email": person, "email_verified": True})

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        try:
            self._say(200, self.server.token(form) if self.path == "/token" else self.server.revoke(form))
        except _Refused as refused:
            self._say(400, refused.body)

    def _say(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests say what matters."""
