"""Secrets and addresses are planted everywhere, and searched for in the whole bundle, decoded."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import platform
import quopri
import re
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from mailroom.audit import Wanted as Changes
from mailroom.cli import main
from mailroom.doctor.findings import Check, Look, Verdict
from mailroom.doctor.health.desk import Busy, HealthDesk
from mailroom.doctor.health.looking import Examined, Subject
from mailroom.objects import (
    Account,
    Alias,
    AliasDomain,
    Application,
    Destination,
    ForwardTarget,
    OdooTarget,
    OutgoingServer,
    Scope,
    SmarthostRoute,
    Suppression,
    Token,
    Webhook,
)
from mailroom.ports import Event, NewMessage
from mailroom.settings import Settings, SigninSettings
from mailroom.support import bundle as bundles
from mailroom.support.bundle import Bundle, Case, Wanted, make
from mailroom.support.desk import Busy as TooMany
from mailroom.support.desk import SupportDesk
from mailroom.support.mail import MOST, learn, masked
from mailroom.support.masking import Masks
from mailroom.wiring.parts import Parts, open_parts, utc_now
from mailroom.wiring.support import looked, make_bundle
from mailroom_core.errors import ConfigError
from mailroom_core.mime.source import InMemory
from mailroom_core.model import show_id
from tests.contract.store.makers import Maker

PERSON = "mary.canary@secretive.example"
STRANGER = "anna.canary@stranger.example"
SECRETS = {
    "smarthost": "canary sword fish",
    "client": "canary~Client8Secret",
    "refresh": "0.canary-refresh-token-AAAA1111bbbb2222",
    "access": "eyJcanary0eXAiOiJKV1QiLCJub25jZSI6Ik.eyJhdWQiOiJodHRwcz.c2lnbmF0dXJl",
    "credential": "canary2a3b4c5d6e7f2g3h4i5j",
    "token": "mrt_canary7x6c5v4b3n2m7a6s5d4f3g",
    "database": "canary-db-pass",
    "provider": "canary_provider_secret",
    "cookie": "canary1f2e3d4c5b6a79887766554433221100",
}
NEVER = ("canary", "secretive", "stranger")


def planted(text: str) -> str:
    return (
        f"{text} {PERSON} password={SECRETS['smarthost'].split()[0]} Bearer {SECRETS['access']} {SECRETS['refresh']} "
        f"token={SECRETS['token']} "
        f"{base64.b64encode(PERSON.encode()).decode()} {base64.b64encode(SECRETS['smarthost'].encode()).decode()} "
        f"=?utf-8?q?{quopri.encodestring(STRANGER.encode(), header=True).decode().replace('@', '=40')}?= Cookie: {SECRETS['cookie']} "
        f"https://x.example/hook?sig={SECRETS['credential']} {SECRETS['smarthost']} AUTH PLAIN "
        f"{base64.b64encode(chr(0).join(('', PERSON, SECRETS['credential'])).encode()).decode()}"
    )


def mail() -> bytes:
    made = EmailMessage()
    made["From"] = f"Mary Canary <{PERSON}>"
    made["To"] = f"=?utf-8?q?Anna_Canary?= <{STRANGER}>"
    made["Subject"] = f"The offer for {STRANGER}"
    made["Message-ID"] = "<0123456789abcdef0123@erp.secretive.example>"
    made["Received"] = f"from mx.stranger.example ([8.8.4.4]) by mail.secretive.example for <{PERSON}>"
    made["X-Api-Key"] = SECRETS["token"]
    made["X-Odoo-Note"] = planted("note")
    made["Authorization"] = f"Bearer {SECRETS['access']}"
    made.set_content(planted("Dear Anna"))
    made.add_alternative(f"<p>{planted('html')}</p>", subtype="html", cte="base64")
    made.add_attachment(planted("file").encode(), maintype="application", subtype="octet-stream", filename="Anna Canary.pdf")
    inner = EmailMessage()
    inner["From"], inner["Subject"] = STRANGER, "inside"
    inner.set_content(planted("inner"))
    made.add_attachment(inner)
    return made.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


UNWELL = {"findings": [planted("unwell")]}
"""Stands for a look at the installation."""


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    signin = SigninSettings(client_secret=SecretStr(SECRETS["provider"]))
    settings = Settings(data=tmp_path / "data", public_url="https://mail.secretive.example", signin=signin)
    made = open_parts(settings)
    database = f"postgresql://mailroom:{SECRETS['database']}@db.secretive.example/mail"
    made = replace(made, settings=settings.model_copy(update={"database": database}))
    made.vault.seal("server:relay", {"password": SECRETS["smarthost"]})
    made.vault.seal("app:office", {"secret": SECRETS["client"]})
    made.vault.seal("account:office", {"refresh_token": SECRETS["refresh"], "access_token": SECRETS["access"], "scope": "Mail.Send"})
    made.vault.seal("consent:x", {"proof": json.dumps({"secret": SECRETS["client"]}), "account": "{}"})
    made.store.apply(
        [
            Account(name="office", mailbox=PERSON, client_id="11111111-2222-3333-4444-555555555555"),
            AliasDomain(name="secretive.example", default_from=PERSON),
            OutgoingServer(name="relay", from_filter=(PERSON,), route=SmarthostRoute(host="smtp.secretive.example", user=PERSON)),
            Application(name="erp", key="c" * 64, senders=("secretive.example", PERSON)),
            Destination(name="friends", target=ForwardTarget(to=(STRANGER,))),
            Destination(name="odoo", target=OdooTarget(url="https://odoo.secretive.example", database="prod", user=PERSON)),
            Alias(name=f"sales@{PERSON.partition('@')[2]}", destination="friends"),
            Suppression(address=STRANGER, reason=planted("why")),
            Token(name="program", key="d" * 64, scopes=(Scope.READ,)),
            Webhook(name="hook", url=f"https://hooks.stranger.example/services/canary/{SECRETS['credential']}"),
        ],
        [],
        by=f"user:{PERSON}",
    )
    made.store.audit(by=f"user:{PERSON}", what="change", kind="server", name="relay", before=planted("old"), after=planted("new"))
    yield made
    made.close()


def stored(parts: Parts, raw: bytes) -> NewMessage:
    now = utc_now()
    message = replace(
        Maker(utc_now).message(STRANGER, sender=PERSON, subject="The offer for you", application="erp", raw=raw, lane="smarthost:relay"),
        header_from=PERSON,
        events=(Event(at=now, name="deferred", text=planted("said"), data={"reply": planted("550"), PERSON: "x"}),),
        tags=("canary-tag-1a2b3c4d5e6f",),
    )
    parts.store.put([message])
    return message


def decodings(text: str) -> Iterator[str]:
    """The text, and what is hidden in it."""
    yield text
    yield quopri.decodestring(text.encode()).decode("utf-8", "replace")
    for found in re.findall(r"=\?[^?\s]+\?[bBqQ]\?[^?]*\?=", text):
        yield str(make_header(decode_header(found)))
    for word in re.findall(r"[A-Za-z0-9+/_-]{6,}={0,2}", text):
        for start in range(4):
            plain = word[start:].rstrip("=").replace("-", "+").replace("_", "/")
            try:
                yield base64.b64decode(plain[: len(plain) - len(plain) % 4]).decode("utf-8", "ignore")
            except ValueError:
                continue


def texts_of(bundle: Bundle) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(io.BytesIO(bundle.zip())) as archive:
        for name in archive.namelist():
            raw = archive.read(name)
            yield name, name
            yield name, raw.decode("utf-8")
            if name.endswith(".eml"):
                for part in message_from_bytes(raw).walk():
                    payload = part.get_payload(decode=True)
                    yield name, payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def assert_clean(bundle: Bundle) -> None:
    for name, text in texts_of(bundle):
        assert "could not be masked" not in text, name
        for decoded in decodings(text):
            for word in NEVER:
                place = decoded.lower().find(word)
                assert place < 0, f"{name}: {decoded[max(place - 60, 0) : place + 60]!r}"


@pytest.mark.parametrize("content", [False, True], ids=["without content", "with content"])
def test_nothing_that_was_planted_is_in_the_bundle(parts: Parts, content: bool) -> None:
    message = stored(parts, mail())
    bundle = make_bundle(parts, Wanted(mails=(show_id(message.id),), content=content), by="cli:anna", health=UNWELL)
    assert {"README.txt", "versions.json", "settings.json", "objects.json", "status.json", "audit.json"} <= {
        each.name for each in bundle.files
    }
    assert "unwell" in bundle.shown()
    assert_clean(bundle)


def test_the_same_address_has_the_same_mask_in_story_objects_and_mail(parts: Parts) -> None:
    message = stored(parts, mail())
    bundle = make_bundle(parts, Wanted(mails=(show_id(message.id),)), by="cli:anna", health=UNWELL)
    files = {each.name: each.text for each in bundle.files}
    mask = next(mask for mask, value in bundle.legend.items() if value == PERSON)
    folder = f"mails/{show_id(message.id)}"
    story = json.loads(files[f"{folder}/story.json"])
    assert story["events"][0]["name"] == "deferred"
    whole = story["message"]["sender"]
    assert whole.startswith(f"{mask}@domain-")
    assert story["message"]["subject"] == "(17 characters, left out)"
    assert whole in files["objects.json"]
    assert whole in files["audit.json"]
    assert f"From: {whole}\n" in files[f"{folder}/mail.eml"]
    assert "left out" in files[f"{folder}/mail.eml"]
    assert all(mask not in each.text for each in bundle.files for mask in ("Mary", "Anna"))


def test_content_is_there_when_it_is_asked_for_and_files_never_are(parts: Parts) -> None:
    message = stored(parts, mail())
    bundle = make_bundle(parts, Wanted(mails=(show_id(message.id),), content=True), by="cli:anna", health=UNWELL)
    eml = next(each.text for each in bundle.files if each.name.endswith(".eml"))
    assert "Dear Anna" in eml
    assert 'filename="file.pdf"' in eml
    assert "application/octet-stream" in eml
    assert "no text" in eml
    told, _ = parts.store.audited(Changes(kind="support bundle"), limit=5)
    assert "content: True" in told[0].after


def test_a_large_mail_is_cut_with_a_note_and_a_forgotten_one_is_told(parts: Parts) -> None:
    large = stored(parts, b"From: a@b.example\r\nSubject: x\r\n\r\n" + b"word\r\n" * (MOST // 5))
    bundle = make_bundle(parts, Wanted(mails=(show_id(large.id),), content=True), by="cli:anna", health=UNWELL)
    eml = next(each.text for each in bundle.files if each.name.endswith(".eml"))
    assert "X-Mailroom-Cut: only the first" in eml
    assert "(cut:" in eml
    assert len(eml) < 100_000
    gone = replace(stored(parts, b"x"), blob="gone.eml", raw=None)
    parts.store.put([replace(gone, id=Maker(utc_now, 3).message().id, deliveries=())])
    assert len(bundle.zip()) < 200_000


@pytest.mark.parametrize(
    "field",
    [
        "Content-Description: Canary offer.pdf",
        "Content-Location: Canary.html",
        "Content-Disposition: Canary",
        "Content-Disposition: attachment.Canary; filename=Canary.pdf",
        "List-Id: Customers of Canary <list.canary.example>",
    ],
)
def test_no_field_of_a_part_says_what_a_file_or_a_list_is_called(field: str) -> None:
    made = masked(InMemory(f"From: a@b.example\r\n{field}\r\nContent-Type: application/pdf\r\n\r\nx".encode()), Masks(), content=False)
    assert b"anary" not in made
    assert field.partition(":")[0].encode() in made


def test_servers_on_the_way_of_a_mail_are_masked_though_nobody_there_is_named() -> None:
    raw = (
        b"Received: from srv1.canary-intern.example (helo=pc7.canary-intern.example) by mx.canary-gate.example\r\n"
        b"\twith ESMTPS; x\r\nReceived: from mail-ed1.google.com by mx.canary-gate.example; y\r\nFrom: a@b.example\r\n\r\nx"
    )
    masks = Masks()
    learn(InMemory(raw), masks)
    made = masked(InMemory(raw), masks, content=False).decode()
    assert "canary" not in made
    assert "mail-ed1.google.com" in made
    one, two = re.findall(r"by (\S+)", made)
    assert one == two.rstrip(";")


def test_of_a_mail_that_is_nested_without_end_the_head_is_shown() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (number, number) for number in range(1500))
    raw = b"From: mary@contoso.example\r\n" + deep
    for content in (False, True):
        made = masked(InMemory(raw), Masks(), content=content)
        assert b"From: address-1@domain-1.invalid" in made
        assert b"mary" not in made


def test_a_bundle_is_bounded_and_leaves_out_what_could_not_be_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "FILE", 10_000)
    monkeypatch.setattr(bundles, "MOST", 50_000)

    class Nothing:
        def __enter__(self) -> InMemory:
            return InMemory(b"Subject: x\r\n\r\n")

        def __exit__(self, *_: object) -> None: ...

    masks = Masks()
    made = make({"long": ["word word"] * 2_000, "more": {"x": "y" * 10}}, (), Wanted(), masks)
    assert "(cut: " in made.files[1].text
    masks.text("mary@contoso.example")
    slipped = make({"versions": {"as it is": "mary@contoso.example"}}, (), Wanted(), masks)
    assert "could not be masked" in slipped.files[1].text
    full = make({str(number): ["word " * 1_900] for number in range(12)}, (), Wanted(), Masks())
    assert "the bundle is full" in full.files[-1].text
    cases = [Case(id=str(number), story={}, opened=Nothing()) for number in range(21)]
    with pytest.raises(ConfigError, match="20 mails at most"):
        make({}, cases, Wanted(), masks)


def test_versions_are_told_as_they_are(parts: Parts) -> None:
    told = json.loads(
        next(each.text for each in make_bundle(parts, Wanted(), by="cli:anna", health=UNWELL).files if each.name == "versions.json")
    )
    assert told["packages"]["argon2-cffi-bindings"]
    assert told["platform"] == platform.platform()


def test_domains_stay_where_that_is_wanted(parts: Parts) -> None:
    bundle = make_bundle(parts, Wanted(keep_names=True), by="cli:anna", health=UNWELL)
    assert "@secretive.example" in bundle.shown()
    assert PERSON not in bundle.shown()


def test_the_command_shows_and_saves(tmp_path: Path) -> None:
    data, file = ["--data", str(tmp_path / "data")], tmp_path / "support.zip"
    shown = CliRunner().invoke(main, [*data, "doctor", "bundle", "--show"], catch_exceptions=False)
    assert "==== versions.json" in shown.stdout
    saved = CliRunner().invoke(main, [*data, "doctor", "bundle", str(file)], catch_exceptions=False)
    assert "settings.json" in saved.output
    assert "mailroom-support/versions.json" in zipfile.ZipFile(file).namelist()
    assert file.stat().st_mode & 0o077 == 0
    again = CliRunner().invoke(main, [*data, "doctor", "bundle", str(file)])
    assert (again.exit_code, "is there already" in again.output) == (1, True)
    assert CliRunner().invoke(main, [*data, "doctor", "bundle"]).exit_code == 1
    unknown = CliRunner().invoke(main, [*data, "doctor", "bundle", "--show", "--mail", "0000000000000"])
    assert "there is no mail" in unknown.output


def test_a_look_that_does_not_end_in_time_leaves_what_was_seen_and_says_that_it_was_cut_off() -> None:
    seen = Examined(subject=Subject("server", "relay"), look=Look(Check("server relay", Verdict.GOOD, "lets us in")))

    class Desk:
        async def look(self) -> AsyncIterator[Examined]:
            yield seen
            await asyncio.Event().wait()

    told = asyncio.run(looked(cast(HealthDesk, Desk()), timedelta(milliseconds=50)))
    assert [each["name"] for each in told["objects"]] == ["relay"]
    assert "cut off after 0.05 s" in told["cut"]


def test_a_busy_doctor_keeps_nobody_from_a_bundle() -> None:
    class Desk:
        def __init__(self, *objects: Examined) -> None:
            self.objects = objects

        async def look(self) -> AsyncIterator[Examined]:
            for each in self.objects:
                yield each
            raise Busy("2 looks are under way")

    assert asyncio.run(looked(cast(HealthDesk, Desk()))) == {"cut": "2 looks are under way"}


def test_a_few_bundles_are_made_at_once_and_no_more() -> None:
    async def run() -> None:
        going, gate = asyncio.Event(), asyncio.Event()

        async def made(wanted: Wanted, by: str) -> Bundle:
            going.set()
            await gate.wait()
            return Bundle((), {})

        desk = SupportDesk(made=made)
        under_way = [asyncio.create_task(desk.make(Wanted(), by="x")) for _ in range(2)]
        await going.wait()
        with pytest.raises(TooMany, match="try again in half a minute"):
            await desk.make(Wanted(), by="x")
        gate.set()
        await asyncio.gather(*under_way)
        await desk.make(Wanted(), by="x")

    asyncio.run(run())
