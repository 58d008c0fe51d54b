"""A small client of the emulator: plain HTTP, so that every byte of an answer can be looked at."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx2

TENANT_ID = "11111111-1111-1111-1111-111111111111"
PUBLIC = "aaaaaaaa-0000-0000-0000-000000000001"
CONFIDENTIAL = "aaaaaaaa-0000-0000-0000-000000000002"
SECRET = "emulator-secret"
GRAPH = "https://graph.microsoft.com"
BACK = "http://localhost:9999"
MAIL_SCOPES = (
    f"openid offline_access User.Read {GRAPH}/Mail.Send {GRAPH}/Mail.ReadWrite {GRAPH}/Mail.Send.Shared {GRAPH}/Mail.ReadWrite.Shared"
)
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


@dataclass(frozen=True)
class Pkce:
    verifier: str
    challenge: str


def pkce() -> Pkce:
    verifier = secrets.token_urlsafe(40)
    digest = hashlib.sha256(verifier.encode()).digest()
    return Pkce(verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode())


def mime(
    text: str = "body",
    *,
    to: str = "x@outside.example",
    sender: str = "mary@contoso.example",
    subject: str = "Hello",
    message_id: str = "<one@odoo.example>",
    headers: tuple[str, ...] = (),
) -> bytes:
    lines = [f"From: {sender}", f"To: {to}", f"Subject: {subject}", f"Message-ID: {message_id}", *headers, "", text, ""]
    return "\r\n".join(lines).encode()


def recipients(*addresses: str) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": a}} for a in addresses]


class Tenant:
    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def control(self, method: str, path: str, json: Any = None, **more: Any) -> Any:
        answer = self.http.request(method, f"{self.url}/_emulator{path}", json=json, **more)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def authorize(self, **query: str) -> httpx2.Response:
        values = {
            "client_id": PUBLIC,
            "response_type": "code",
            "redirect_uri": BACK,
            "scope": MAIL_SCOPES,
            "state": "s1",
            "emulator_auto": "1",
            "login_hint": "mary@contoso.example",
        } | query
        tenant = values.pop("tenant", "common")
        return self.http.get(f"{self.url}/{tenant}/oauth2/v2.0/authorize", params=values)

    def code(self, **query: str) -> str:
        return back(self.authorize(**query))["code"]

    def token(self, tenant: str = "common", **form: str) -> httpx2.Response:
        return self.http.post(f"{self.url}/{tenant}/oauth2/v2.0/token", data=form)

    def grant(self, who: str = "mary@contoso.example", scope: str = MAIL_SCOPES) -> dict[str, Any]:
        code = self.code(login_hint=who, scope=scope)
        answer = self.token(client_id=PUBLIC, grant_type="authorization_code", code=code, redirect_uri=BACK)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def user(self, who: str = "mary@contoso.example", scope: str = MAIL_SCOPES) -> "Graph":
        return Graph(self, self.grant(who, scope)["access_token"], "/me")

    def app(self, mailbox: str = "sales@contoso.example") -> "Graph":
        answer = self.token(
            TENANT_ID,
            client_id=CONFIDENTIAL,
            client_secret=SECRET,
            grant_type="client_credentials",
            scope=f"{GRAPH}/.default",
        )
        assert answer.status_code == 200, answer.text
        return Graph(self, answer.json()["access_token"], f"/users/{mailbox}")

    def fault(self, action: dict[str, Any], **rest: Any) -> None:
        self.control("POST", "/faults", {"action": action, **rest})

    def switch(self, **values: Any) -> None:
        self.control("POST", "/switches", values)

    def outside(self, to: str | None = None) -> list[dict[str, Any]]:
        query = {"to": to} if to else {}
        return list(self.control("GET", "/outside", params=query)["messages"])

    def raw(self, copy: dict[str, Any]) -> bytes:
        return self.http.get(f"{self.url}/_emulator/outside/{copy['id']}/raw").content

    def folder(self, who: str, name: str) -> list[dict[str, Any]]:
        return list(self.control("GET", f"/accounts/{who}/folders/{name}")["messages"])


class Graph:
    """Graph with one token; paths are relative to the mailbox."""

    def __init__(self, tenant: Tenant, token: str, mailbox: str) -> None:
        self.tenant = tenant
        self.token = token
        self.mailbox = mailbox

    def at(self, mailbox: str) -> "Graph":
        return Graph(self.tenant, self.token, f"/users/{mailbox}")

    def __call__(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx2.Response:
        url = f"{self.tenant.url}/v1.0{self.mailbox}{path}"
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        return self.tenant.http.request(method, url, headers=sent, **more)

    def send_mail(self, **message: Any) -> httpx2.Response:
        body = {"subject": "Hello", "body": {"contentType": "Text", "content": "body"}, **message}
        return self("POST", "/sendMail", json={"message": body})

    def send_mime(self, raw: bytes) -> httpx2.Response:
        return self("POST", "/sendMail", headers={"Content-Type": "text/plain"}, content=base64.b64encode(raw))

    def draft(self, raw: bytes | None = None, *, headers: dict[str, str] | None = None, **message: Any) -> dict[str, Any]:
        if raw is not None:
            sent = {"Content-Type": "text/plain", **(headers or {})}
            answer = self("POST", "/messages", headers=sent, content=base64.b64encode(raw))
        else:
            body = {"subject": "Hello", "toRecipients": recipients("x@outside.example"), **message}
            answer = self("POST", "/messages", headers=headers, json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


def back(answer: httpx2.Response) -> dict[str, str]:
    """The query of the redirect that an answer is."""
    assert answer.status_code == 302, answer.text
    query = urlsplit(answer.headers["location"]).query
    return {name: values[0] for name, values in parse_qs(query).items()}


def code_of(answer: httpx2.Response) -> str:
    """Graph's error code."""
    return str(answer.json()["error"]["code"])


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Poll a real process with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
