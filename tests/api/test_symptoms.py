"""The ten symptoms, each produced in a running gateway, and what a healthy one is told."""

from __future__ import annotations

import base64
import smtplib
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from mailroom.doctor.symptoms.questions import QUESTIONS
from mailroom.objects import (
    Alias,
    AliasDomain,
    Application,
    Destination,
    ImapInbox,
    InboxTarget,
    IncomingServer,
    Object,
    OutgoingServer,
    Scope,
    Security,
    SmarthostRoute,
    Suppression,
    Token,
)
from mailroom.settings import Settings
from mailroom.vault import credentials
from mailroom.wiring.parts import credential_key, object_desk, open_parts
from mailroom_core.mime.dsn import Report, dsn
from mailroom_core.model import Reply
from tests.api.conftest import ANNA, Api, eventually, problem
from tests.api.test_inbound import hand_over, mail
from tests.contract.smtp_server import OFFERED, Script
from tests.dns.world import healthy, microsoft, txt
from tests.dns_server import dns_server
from tests.walk.sink import smtp_sink

MARY = "mary@desk.example"
DOMAINS = ("desk.example", "refusing.example", "locked.example", "limited.example", "closed.example")
REFUSALS = Script(
    {
        "RCPT TO:<gone@": b"550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found\r\n",
        "RCPT TO:<later@": b"451 4.7.1 Greylisting in action, please come back later\r\n",
    }
)
LOCKED = Script(
    {"AUTH": b"535 5.7.139 Authentication unsuccessful, basic authentication is disabled.\r\n"}, offered=(*OFFERED, "AUTH PLAIN LOGIN")
)
LIMITED = Script({".": b"554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; quota exceeded\r\n"})


class House(Api):
    """A gateway with one good way out; more come while it runs."""

    port = 0

    def _set_up(self) -> None:
        parts = open_parts(Settings(data=self.gateway.data))
        key = credential_key(parts)
        objects: list[Object] = [
            _server("good", self.port, "desk.example"),
            AliasDomain(name="desk.example"),
            Destination(name="desk", target=InboxTarget()),
            Alias(name="sales@desk.example", destination="desk"),
            Application(name="erp", senders=DOMAINS, alias_domain="desk.example", answers="desk"),
        ]
        scopes = {
            "erp": (Scope.SEND, Scope.READ, Scope.ACT),
            "inbound": (Scope.INBOUND_WRITE,),
            "objects": (Scope.OBJECTS_READ, Scope.OBJECTS_WRITE),
        }
        for name, may in scopes.items():
            self.tokens[name] = credentials.TOKEN + credentials.generate()
            application = name if Scope.SEND in may else ""
            objects.append(Token(name=name, key=credentials.digest(key, self.tokens[name]), scopes=may, application=application))
        parts.store.apply(objects, [], by="test")
        parts.close()

    def add(self, *objects: Object, password: str = "") -> None:
        """While it runs; it sees them within a second."""
        parts = open_parts(Settings(data=self.gateway.data))
        parts.store.apply(objects, [], by="test")
        if password:
            (server,) = objects
            assert isinstance(server, OutgoingServer)
            object_desk(parts).set_password(server, password, by="test")
        parts.close()

    def ask(self, question: str, **about: str) -> dict[str, Any]:
        answer = self["objects"].post("/doctor/questions", json={"question": question, **about}, timeout=60)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        assert all(each["evidence"] for each in found["findings"]), found
        assert all(each["todo"] for each in found["findings"]), found
        return found

    def cause(self, question: str, **about: str) -> dict[str, Any]:
        """The first finding."""
        found = self.ask(question, **about)
        assert found["findings"], found
        assert found["verdict"] == found["findings"][0]["title"]
        first: dict[str, Any] = found["findings"][0]
        return first

    def sent_as(self, sender: str, to: str = ANNA, *, state: str, server: str) -> str:
        """A mail by this server, once it has got into this state."""

        def by_it() -> bool:
            answer = self["objects"].get("/explain", params={"address": sender, "application": "erp"})
            return answer.status_code == 200 and answer.json()["server"] == server

        assert eventually(by_it), f"{server} is not known"
        number = self.send(sender=sender, to=[to])

        def there() -> bool:
            delivery = self["erp"].get(f"/messages/{number}").json()["deliveries"][0]
            return bool(delivery["state"] == state and (state != "queued" or delivery["reply"]))

        assert eventually(there), self["erp"].get(f"/messages/{number}").text
        return number


def _server(name: str, port: int, domain: str, user: str = "") -> OutgoingServer:
    route = SmarthostRoute(host="127.0.0.1", port=port, security=Security.NONE, user=user)
    return OutgoingServer(name=name, from_filter=(domain,), route=route)


def closed() -> int:
    """A port where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    zone = [*microsoft(), *healthy(), *healthy("desk.example"), "bad.test. MX 10 mx.healthy.test.", txt("bad.test", "v=spf1 +all")]
    with ExitStack() as stack:
        names = stack.enter_context(dns_server(Path(tmp_path_factory.mktemp("dns")), "\n".join(zone)))
        House.port = stack.enter_context(smtp_sink()).port
        made = House(tmp_path_factory.mktemp("symptoms"), names.address, {"MAILROOM_DOCTOR_EVERY": "0s"})
        stack.callback(made.stop)
        yield made


def test_a_healthy_installation_is_told_that_nothing_was_found_and_what_was_looked_at(house: House) -> None:
    number = house.sent_as(MARY, state="sent", server="good")
    about = {"spam": {"address": "healthy.test"}, "not-received": {"address": "sales@desk.example"}, "not-sent": {"address": MARY}}
    for question in QUESTIONS:
        for subject in (about.get(question.slug, {}), {} if question.slug == "spam" else {"message": number}):
            found = house.ask(question.slug, **subject)
            assert found["findings"] == [], (question.slug, subject, found["findings"])
            assert found["verdict"].startswith("Nothing was found")
            assert found["checks"]


def test_mail_that_is_not_sent(house: House, smtp: dict[str, int]) -> None:
    number = house.sent_as("a@refusing.example", "gone@customer.example", state="failed", server="refusing")
    cause = house.cause("not-sent", message=number)
    assert (cause["code"], cause["title"]) == ("mail-failed", "1 mail has failed: There is no such mailbox")
    assert "5.1.10" in cause["evidence"][0]["said"]
    assert house.cause("not-sent", address="gone@customer.example")["code"] in ("mail-failed", "suppressed")
    house.add(Suppression(address="dead@customer.example", reason="three bounces"))
    assert eventually(lambda: house.cause("not-sent", address="dead@customer.example"))["code"] == "suppressed"


@pytest.fixture(scope="module")
def smtp(house: House) -> Iterator[dict[str, int]]:
    """More ways out, each with a trouble of its own."""
    with smtp_sink(REFUSALS) as refusing, smtp_sink(LIMITED) as limited:
        house.add(_server("refusing", refusing.port, "refusing.example"), _server("limited", limited.port, "limited.example"))
        yield {"refusing": refusing.port, "limited": limited.port}


def test_mail_that_lands_in_spam(house: House) -> None:
    assert house.cause("spam", address="bad.test")["code"] == "spf-all-pass"
    forged = base64.b64encode(mail("no proof").replace(b"anna@customer.example", b"anna@healthy.test")).decode()
    assert house.cause("spam", mail=forged)["code"] == "mail-not-proven"
    came = hand_over(house, mail("came in")).json()["id"]
    assert "mail-no-dmarc" in {each["code"] for each in house.ask("spam", message=came)["findings"]}


def test_a_connection_that_is_refused(house: House, smtp: dict[str, int]) -> None:
    house.add(_server("closed", closed(), "closed.example"))
    number = house.sent_as("a@closed.example", state="queued", server="closed")
    cause = house.cause("connection-refused", message=number)
    assert (cause["code"], "can't be reached" in cause["title"]) == ("unreachable", True)


def test_a_sign_in_that_fails_in_both_directions(house: House, smtp: dict[str, int]) -> None:
    with smtplib.SMTP(house.gateway.host, house.gateway.port, timeout=20) as client:
        client.starttls()
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("erp", "wrong")
    cause = house.cause("authentication-failed", address="erp")
    assert (cause["code"], cause["repairs"][0]["command"]) == ("sign-in-failed", "mailroom app renew erp")
    with smtp_sink(LOCKED) as locked:
        house.add(_server("locked", locked.port, "locked.example", user="mary"), password="secret")
        number = house.sent_as("a@locked.example", state="queued", server="locked")
        found = house.ask("authentication-failed", message=number)
    assert {each["code"] for each in found["findings"]} <= {"sign-in-refused", "lane-held"}, found["findings"]
    assert any("basic authentication is disabled" in each["said"] for each in found["findings"][0]["evidence"]), found["findings"][0]


def test_an_answer_that_does_not_thread(house: House) -> None:
    lost = hand_over(house, mail("Re: your offer", more="In-Reply-To: <1@elsewhere.example>\r\n")).json()["id"]
    assert house.cause("replies-dont-thread", message=lost)["code"] == "answer-names-others"
    bare = hand_over(house, mail("Re: your offer")).json()["id"]
    assert house.cause("replies-dont-thread", message=bare)["code"] == "answer-names-nothing"
    number = house.sent_as(MARY, state="sent", server="good")
    ours = house["erp"].get(f"/messages/{number}").json()["message"]["message_id"]
    good = hand_over(house, mail("Re: your offer", more=f"In-Reply-To: {ours}\r\n")).json()["id"]
    assert house.ask("replies-dont-thread", message=good)["findings"] == []


def test_a_mail_that_comes_twice(house: House) -> None:
    first, second = (house.send(sender=MARY, headers={"Message-ID": "<twice@erp.example>"}) for _ in range(2))
    cause = house.cause("duplicates", message=second)
    assert cause["code"] == "submitted-twice"
    assert [each["asked"] for each in cause["evidence"]] == [f"mail {first}", f"mail {second}"]
    assert house.cause("duplicates")["code"] == "submitted-twice"


def test_mail_that_is_queued_and_not_sent(house: House, smtp: dict[str, int]) -> None:
    number = house.sent_as("a@refusing.example", "later@customer.example", state="queued", server="refusing")
    cause = house.cause("queued", message=number)
    assert (cause["code"], "first try" in cause["title"]) == ("mail-waits", True)
    assert house["erp"].post(f"/messages/{number}/cancel").status_code == 200
    assert house.cause("not-sent", message=number)["code"] == "mail-cancelled"
    later = house.send(sender=MARY, send_at=(datetime.now(timezone.utc) + timedelta(hours=5)).isoformat())
    cause = house.cause("queued", message=later)
    assert (cause["code"], cause["repairs"][0]["command"]) == ("scheduled", f"mailroom queue send-now {later}")


def test_a_daily_limit_that_is_reached(house: House, smtp: dict[str, int]) -> None:
    number = house.sent_as("a@limited.example", state="queued", server="limited")
    for subject in ({"message": number}, {}):
        cause = house.cause("daily-limit", **subject)
        assert (cause["code"], "in a day" in cause["title"]) == ("daily-limit", True)


def test_mail_that_does_not_come_in(house: House) -> None:
    assert house.cause("not-received", address="nobody@desk.example")["code"] == "no-alias"
    source = ImapInbox(host="127.0.0.1", port=closed(), security=Security.NONE, user="info")
    lost = hand_over(house, mail("for nobody", to="nobody@desk.example"), "nobody@desk.example").json()["id"]
    for about in ({"message": lost}, {"address": "nobody@desk.example"}):
        assert house.cause("not-received", **about)["code"] == "in-quarantine"
    house.add(IncomingServer(name="info", source=source, destination="desk"))

    def broken() -> list[str]:
        return [each["title"] for each in house.ask("not-received", address="sales@desk.example")["findings"]]

    assert any("info" in each for each in eventually(broken))


def test_a_bounce_is_explained(house: House) -> None:
    number = house.sent_as(MARY, "full@customer.example", state="sent", server="good")
    original = house["erp"].get(f"/messages/{number}/raw").content
    now = datetime.now(timezone.utc)
    reply = Reply(550, "Sender not authenticated for group", "5.7.133")
    report = dsn(
        reports=[Report("full@customer.example", reply)], original=original, arrived=now, reporting_mta="mx.customer.example",
        from_address="mailer-daemon@customer.example", to="bounce@desk.example", message_id="<dsn@customer.example>", now=now,
    )  # fmt: skip
    assert hand_over(house, report, "bounce@desk.example", sender="").status_code == 202
    assert eventually(lambda: house["erp"].get(f"/messages/{number}").json()["deliveries"][0]["state"] == "bounced")
    cause = house.cause("bounces", message=number)
    assert (cause["code"], "own organisation alone" in cause["title"]) == ("mail-bounced", True)


def test_what_can_not_be_asked_says_why_and_the_command_asks_the_same(house: House) -> None:
    objects = house["objects"]
    assert {each["name"] for each in objects.get("/doctor/questions").json()} == {each.slug for each in QUESTIONS}
    assert "no question 'why'" in problem(objects.post("/doctor/questions", json={"question": "why"}), 422)
    assert "no mail 'x'" in problem(objects.post("/doctor/questions", json={"question": "queued", "message": "x"}), 422)
    assert "objects:read" in problem(house["erp"].post("/doctor/questions", json={"question": "queued"}), 403)
    assert "Mail isn't sent" in house.gateway.run("doctor", "ask")
    said = house.gateway.run("doctor", "ask", "duplicates", "--address", "nobody@healthy.test")
    assert said.startswith("Mail comes twice: ")
