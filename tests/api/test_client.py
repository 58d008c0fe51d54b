"""The client, against the running gateway."""

from __future__ import annotations

import io
import subprocess
import sys
import uuid
import zipfile
from collections.abc import AsyncIterator

import pytest

from mailroom_client import (
    AsyncMailroom,
    Attachment,
    Changed,
    Mailroom,
    Problem,
    act,
    act_on_all,
    doctor,
    move,
    raw,
    search,
    send,
    send_mime,
    story,
)
from tests.api.conftest import ANNA, MARY, Api, eventually

PLAIN = b"From: mary@contoso.example\r\nSubject: from a client\r\n\r\nx\r\n"


def test_a_mail_is_sent_found_and_followed(api: Api) -> None:
    subject = f"client {uuid.uuid4().hex}"
    with Mailroom(api.gateway.web, api.tokens["erp"]) as mailroom:
        number = mailroom.do(
            send(
                sender=MARY,
                to=[ANNA, "bob@partner.example"],
                subject=subject,
                text="x",
                attachments=[Attachment("a.bin", b"\0\1")],
                tags=["t1"],
            )
        )
        api.arrived(number)
        told = mailroom.do(story(number))
        assert {each.recipient for each in told.deliveries} == {ANNA, "bob@partner.example"}
        assert told.message.accepted_at.tzinfo is not None
        assert told.message.tags == ("t1",)
        assert told.events[0].name == "accepted"
        found = list(mailroom.all(search(text=subject, limit=1)))
        assert [each.delivery.recipient for each in found] == ["bob@partner.example", ANNA]
        assert b"a.bin" in mailroom.do(raw(number))
        assert mailroom.do(move("sink", text=subject)) == Changed(changed=0, done=True)
        assert mailroom.do(act_on_all("cancel", text=subject)).done


@pytest.mark.anyio
async def test_the_async_client_takes_the_same_calls(api: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield PLAIN[:20]
        yield PLAIN[20:]

    async with AsyncMailroom(api.gateway.web, api.tokens["erp"]) as mailroom:
        number = await mailroom.do(send_mime(pieces(), sender=None, recipients=[ANNA], idempotency_key=uuid.uuid4().hex))
        assert (await mailroom.do(story(number))).message.sender is None
        found = [each.message.id async for each in mailroom.all(search(text="from a client", limit=1))]
        assert found[0] == number


def test_a_refusal_says_what_to_do(api: Api) -> None:
    with Mailroom(api.gateway.web, "mrt_wrong") as mailroom, pytest.raises(Problem, match="mailroom token add") as refused:
        mailroom.do(act("0" * 13, "retry"))
    assert (refused.value.status, refused.value.temporary) == (401, False)
    with Mailroom(api.gateway.web, api.tokens["erp"]) as mailroom, pytest.raises(Problem, match=r"to\.0: .*no address|not one address"):
        mailroom.do(send(sender=MARY, to=["nobody"], text="x"))


def test_a_gateway_that_is_down_is_a_problem_for_later() -> None:
    with Mailroom("http://127.0.0.1:9", "x") as mailroom, pytest.raises(Problem, match="see that it runs") as refused:
        mailroom.do(story("x"))
    assert refused.value.temporary


def test_the_client_needs_nothing_of_the_gateway() -> None:
    names = (
        "import mailroom_client, sys; print(sorted(n for n in sys.modules if n.split('.')[0] in ('mailroom', 'mailroom_core', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_doctor_is_asked_and_answers_with_values(api: Api) -> None:
    with Mailroom(api.gateway.web, api.tokens["objects"]) as mailroom:
        health = mailroom.do(doctor.installation())
        assert {each.kind for each in health.objects} >= {"installation", "server", "application"}
        assert health.at.tzinfo is not None
        last = mailroom.do(doctor.last_looks()).installation
        assert last is not None
        assert last.objects
        may = mailroom.do(doctor.send_as(MARY, application="erp"))
        assert (may.server, may.applications) == ("sink", ("erp",))
        asked = mailroom.do(doctor.ask("not-sent", address=MARY))
        assert [each.code for each in asked.findings][:1] == ["sink"]
        assert asked.findings[0].repairs[0].page == "/servers"
        with pytest.raises(Problem, match="no question 'why'"):
            mailroom.do(doctor.ask("why"))
        report = mailroom.do(doctor.look("example.com"))
        assert report.unchecked, "no name server answers here"


def test_a_support_bundle_holds_the_mail_in_question_and_no_address(api: Api) -> None:
    number = api.send(subject="Canary")
    api.arrived(number)
    with Mailroom(api.gateway.web, api.tokens["objects"]) as mailroom, pytest.raises(Problem, match="messages:read"):
        mailroom.do(doctor.support_bundle(mails=[number]))
    with Mailroom(api.gateway.web, api.add_token("helper", "objects:read", "messages:read")) as mailroom:
        eventually(lambda: api["helper"].get("/status").status_code == 200)
        with pytest.raises(Problem, match="there is no mail '0000000000000'"):
            mailroom.do(doctor.support_bundle(mails=["0000000000000"]))
        bundle = mailroom.do(doctor.support_bundle(mails=[number], legend=True))
        assert bundle.legend is not None
        assert {MARY, ANNA} <= set(bundle.legend.values())
        texts = {each.name: each.text for each in bundle.files}
        assert {"health.json", "versions.json", f"mails/{number}/mail.eml", f"mails/{number}/story.json"} <= texts.keys()
        assert not any(word in text for text in texts.values() for word in (MARY, ANNA, "Canary"))
        assert '"objects": [' in texts["health.json"]
        assert mailroom.do(doctor.support_bundle()).legend is None
    saved = api["helper"].post("/support/bundle", json={"mails": [number]}, headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(saved.content)) as archive:
        assert f"mailroom-support/mails/{number}/mail.eml" in archive.namelist()
    made = api["objects"].get("/audit", params={"by": "token:helper", "kind": "support bundle"}).json()["items"]
    assert len(made) == 3
