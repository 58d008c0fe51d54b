"""A mail made ready for Graph: small as MIME, large as a draft, files from where they lie."""

from __future__ import annotations

import json
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from driver.letter import File, Stored, send

from mailroom_core.flow import Note, Request, Response, Streamed, run
from mailroom_core.model import Held, Outcome, Sent
from mailroom_core.oauth.scopes import Tier
from mailroom_core.providers.graph.mailbox import Mailbox

MAILBOX = Mailbox.of("https://graph.example", "a@contoso.example")
STAND_IN = b"microsoft_graph_mail 0123456789abcdef"


def mail(*attachments: tuple[str, bytes]) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = "a@contoso.example", "b@customer.example, c@customer.example", "Plans"
    message.set_content("Here they are")
    for name, content in attachments:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


class Graph:
    """Says yes to everything, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []

    def __call__(self, request: Request) -> Response:
        body = b"".join(request.body.chunks()) if isinstance(request.body, Streamed) else request.body
        self.got.append((f"{request.method} {request.url.partition('example')[2].partition('example')[2]}", body))
        if request.url.endswith("createUploadSession"):
            return Response(201, body=b'{"uploadUrl": "https://upload.example/1"}')
        if request.method == "PUT":
            span, _, size = request.headers["content-range"].removeprefix("bytes ").partition("/")
            return Response(201 if int(span.partition("-")[2]) + 1 == int(size) else 202)
        return Response(202 if request.url.endswith("/send") else 201, body=b'{"id": "D1", "internetMessageId": "<x@y>"}')


def sent(raw: bytes, graph: Graph, *, tier: Tier = Tier.READ_WRITE, files: dict[bytes, File] | None = None) -> Outcome:
    notes: list[Note] = []
    return run(send(MAILBOX, raw, "a@contoso.example", ["b@customer.example"], tier=tier, marker="m1", files=files), graph, notes.append)


def test_a_file_is_uploaded_from_where_it_lies_and_nothing_of_what_stood_for_it(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "plan").write_bytes(content)
    graph = Graph()
    raw = mail(("plan.bin", STAND_IN), ("small.bin", b"small"))
    assert isinstance(sent(raw, graph, files={STAND_IN: File(str(tmp_path / "plan"), len(content))}), Sent)
    draft = json.loads(graph.got[0][1])
    assert [each["name"] for each in draft["attachments"]] == ["small.bin"]
    assert [each["emailAddress"]["address"] for each in draft["toRecipients"]] == ["b@customer.example"]
    assert b"".join(body for what, body in graph.got if what.startswith("PUT")) == content
    assert all(STAND_IN not in body for _, body in graph.got)


def test_a_small_mail_goes_as_mime_to_the_envelope_alone() -> None:
    graph = Graph()
    assert isinstance(sent(mail(), graph, tier=Tier.SEND), Sent)
    assert [what.rpartition("/")[2] for what, _ in graph.got] == ["sendMail"]


def test_a_large_mail_without_the_permission_is_held_and_says_what_to_do() -> None:
    graph = Graph()
    outcome = sent(mail(("large.bin", b"x" * 3_000_000)), graph, tier=Tier.SEND)
    assert isinstance(outcome, Held)
    assert "Mail.ReadWrite" in outcome.reply.text
    assert graph.got == []


def test_a_file_that_was_cut_is_never_sent_as_if_it_were_whole(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"half")
    with pytest.raises(OSError, match="shorter"):
        Stored("plan.bin", "application/pdf", False, "", File(str(tmp_path / "plan"), 8)).read(0, 8)
