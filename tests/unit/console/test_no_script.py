"""A script in every field that somebody can write, and every page that one can get to: it stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import timedelta
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any, get_type_hints
from urllib.parse import urldefrag, urljoin, urlsplit

from starlette.testclient import TestClient

from mailroom.console.headers import POLICY
from mailroom.conversations import Entry, EntryKind
from mailroom.notices import NewNotice, NoticeId, NoticeState, Tried, Try
from mailroom.objects import (
    Account,
    Alias,
    AliasDomain,
    Application,
    Destination,
    ForwardTarget,
    GraphInbox,
    GraphRoute,
    ImapInbox,
    InboxTarget,
    IncomingServer,
    Object,
    OdooTarget,
    OutgoingServer,
    Scope,
    SinkRoute,
    SmarthostRoute,
    Suppression,
    Token,
    Webhook,
    WebhookEvent,
    WebhookTarget,
)
from mailroom_core.model import MessageId, Reply, State
from tests.contract.store.makers import Maker, claim_one
from tests.unit.console.site import Site

CANARY = "'\"></a></title></textarea><script data-canary>alert(1)</script><img data-canary src=x onerror=alert(1)>{{7919*1931}}"
NOT_FREE = {"networks", "certificates", "kind", "scopes", "events", "cloud", "tenant", "login_url", "graph_url"}
"""Of these the program takes no free text."""
MOST = 400


def written(of: type[Any], name: str, **given: Any) -> Any:
    """An object with the canary in every field of text."""
    types = get_type_hints(of)
    values: dict[str, Any] = {}
    for each in fields(of):
        if each.name in NOT_FREE or each.name in given:
            continue
        if types[each.name] is str:
            values[each.name] = {"url": f"https://x.example/{CANARY}", "name": f"{name}{CANARY}"}.get(each.name, CANARY)
        elif types[each.name] == tuple[str, ...]:
            values[each.name] = (CANARY,)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise AssertionError(f"{of.__name__}.{each.name} is not given")
    return of(**values, **given)


def objects() -> Iterator[Object]:
    """One of each kind, in each of its forms."""
    yield written(Account, "a")
    for number, route in enumerate((written(GraphRoute, ""), written(SmarthostRoute, ""), written(SinkRoute, ""))):
        yield written(OutgoingServer, f"s{number}", route=route)
    yield written(AliasDomain, "d")
    yield written(Application, "app")
    for number, target in enumerate(written(each, "") for each in (InboxTarget, OdooTarget, WebhookTarget, ForwardTarget)):
        yield written(Destination, f"t{number}", target=target)
    yield written(Alias, "alias")
    for number, source in enumerate((written(GraphInbox, ""), written(ImapInbox, ""))):
        yield written(IncomingServer, f"i{number}", source=source)
    yield written(Token, "token", scopes=(Scope.READ,))
    yield written(Webhook, "w", events=(WebhookEvent.SENT,))
    yield Suppression(address=f"x@{CANARY}", reason=CANARY)


def plant(site: Site) -> None:
    store, make = site.store, Maker(site.clock)
    store.apply(list(objects()), [], by=CANARY)
    mail = EmailMessage()
    mail["Subject"], mail["From"] = CANARY, "sales@example.com"
    mail.set_content(CANARY)
    mail.add_alternative(f"<p>{CANARY}</p><a href='javascript:alert(1)'>x</a>", subtype="html")
    mail.add_attachment(b"x", maintype="text", subtype="html", filename=CANARY)
    for state in set(State) - {State.SENDING, State.UNSURE}:
        made = make.message(f"x{CANARY}@customer.example", state=state, sender=f"{CANARY}@x.example", subject=CANARY, application=CANARY)
        store.put([made])
    made = make.message(f"x{CANARY}@customer.example", subject=CANARY, raw=mail.as_bytes(), lane=f"graph:{CANARY}:{CANARY}")
    store.put([made])
    lane = claim_one(store)
    (attempt,) = make.begun(store, lane, store.due(lane, limit=1))
    store.settle([make.settled(attempt, State.FAILED, reply=Reply(550, CANARY, "5.1.1", CANARY))])
    store.hold_lane(lane.name, CANARY)
    happened = store.happenings(limit=1)
    assert happened
    notice = NewNotice(id=NoticeId(make.ids()), webhook=f"w{CANARY}", event="sent", message_id=None, body=CANARY)
    assert store.enqueue(happened, [notice])
    answered = Try(site.clock(), timedelta(seconds=2), 500, CANARY)
    end = Tried(notice_id=notice.id, webhook=notice.webhook, tried=answered, state=NoticeState.GIVEN_UP, due_at=None)
    store.record_tries([end], give_up=site.clock() - timedelta(days=4))
    entry = Entry(kind=EntryKind.MAIL_IN, at=site.clock(), author=CANARY, text=CANARY, message_id=MessageId(make.ids()))
    store.conversations.add(CANARY, entry, subject=CANARY, customer=CANARY, to=None)
    site.clock.go_on(seconds=1)


class Page(HTMLParser):
    """What a browser would make of a page, as far as it matters here."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "data-canary" in given or any(name.startswith("on") for name in given) or (tag == "script" and not given.get("src")):
            self.wrong.append(f"<{tag} {given}>")
        for name in ("href", "src", "action", "formaction", "hx-get", "hx-post"):
            address = given.get(name) or ""
            if re.match(r"\s*(javascript|data|vbscript):", address, re.IGNORECASE) and tag != "img":
                self.wrong.append(f"<{tag} {name}={address}>")
            if name in ("href", "src", "hx-get"):
                self.links.append(address)


def walk(browser: TestClient) -> dict[str, str]:
    """All pages that lead from one to the other: what is wrong there, by address."""
    start = str(browser.base_url)
    waiting, known, wrong = ["/"], {"/"}, dict[str, str]()
    while waiting and len(known) < MOST:
        path = waiting.pop(0)
        answer = browser.get(path)
        assert answer.status_code < 500, path
        if not answer.headers.get("content-type", "").startswith("text/html"):
            assert "attachment" in answer.headers.get("content-disposition", "attachment") or path.startswith("/static/"), path
            continue
        policy = answer.headers["content-security-policy"]
        page = Page()
        page.feed(answer.text)
        if page.wrong or (policy != POLICY and "sandbox" not in policy) or "15291589" in answer.text:
            wrong[path] = f"{policy} {page.wrong}"
        for link in page.links:
            to = urlsplit(urldefrag(urljoin(f"{start}{path}", link))[0])
            address = to.path + (f"?{to.query}" if to.query else "")
            if to.netloc == urlsplit(start).netloc and address not in known and not to.path.startswith("/static/"):
                known.add(address)
                waiting.append(address)
    assert len(known) > 100, known
    return wrong


def test_a_script_would_be_found() -> None:
    for html in (CANARY, "<p onclick=x>", "<script>x</script>", "<a href=' JavaScript:x'>", "<form action='data:text/html,x'>"):
        page = Page()
        page.feed(html)
        assert page.wrong, html


def test_no_page_lets_a_script_in(site: Site) -> None:
    plant(site)
    assert walk(site.signed_in()) == {}
