"""sendMail and /send: who gets it, what they see, who may."""

import base64
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from tests.emulator.client import GRAPH, IMMUTABLE, Tenant, code_of, mime, recipients

MARY = "mary@contoso.example"
SALES = "sales@contoso.example"


def test_a_json_mail_reaches_everyone_once_and_nobody_sees_the_bcc(tenant: Tenant) -> None:
    answer = tenant.user().send_mail(
        toRecipients=recipients("a@outside.example", "tom@contoso.example"),
        ccRecipients=recipients("A@outside.example"),
        bccRecipients=recipients("secret@outside.example"),
    )
    assert (answer.status_code, answer.content) == (202, b"")
    assert [m["to"] for m in tenant.outside()] == ["a@outside.example", "secret@outside.example"]
    assert all(b"secret" not in tenant.raw(m) for m in tenant.outside())
    inbox = tenant.folder("tom@contoso.example", "inbox")
    assert [(m["subject"], m["bcc"]) for m in inbox] == [("Hello", [])]
    assert tenant.folder(MARY, "sentitems")[0]["bcc"] == ["secret@outside.example"]


def test_a_mime_mail_keeps_its_message_id_headers_and_body(tenant: Tenant) -> None:
    raw = mime("text", headers=("X-Foo: bar", "In-Reply-To: <a@b>", "Auto-Submitted: auto-replied", "Bcc: z@outside.example"))
    assert tenant.user().send_mime(raw).status_code == 202
    assert [m["to"] for m in tenant.outside()] == ["x@outside.example", "z@outside.example"]
    seen = message_from_bytes(tenant.raw(tenant.outside()[0]), policy=default)
    assert seen["Message-ID"] == "<one@odoo.example>"
    assert seen["X-Foo"] == "bar"
    assert seen["In-Reply-To"] == "<a@b>"
    assert seen["Auto-Submitted"] is None
    assert seen["Bcc"] is None
    assert seen.get_content() == "text\r\n"


def test_a_html_mail_with_an_inline_image_and_an_attachment(tenant: Tenant) -> None:
    pdf = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "Grüße.pdf",
        "contentType": "application/pdf",
        "contentBytes": base64.b64encode(b"%PDF").decode(),
    }
    image = {**pdf, "name": "i.png", "contentType": "image/png", "isInline": True, "contentId": "img1"}
    answer = tenant.user().send_mail(
        body={"contentType": "HTML", "content": '<p>Hé</p><img src="cid:img1">'},
        toRecipients=recipients("x@outside.example"),
        attachments=[pdf, image],
        internetMessageHeaders=[{"name": "X-Odoo", "value": "1"}],
        singleValueExtendedProperties=[{"id": "String 0x1042", "value": "<parent@b>"}],
    )
    assert answer.status_code == 202, answer.text
    seen = message_from_bytes(tenant.raw(tenant.outside()[0]), policy=default)
    assert seen["X-Odoo"] == "1"
    assert seen["In-Reply-To"] == "<parent@b>"
    html, text = seen.get_body(("html",)), seen.get_body(("plain",))
    assert html is not None
    assert "<p>Hé</p>" in html.get_content()
    assert text is not None
    assert "Hé" in text.get_content()
    assert [p.get_filename() for p in seen.iter_attachments()] == ["Grüße.pdf"]
    ids = [p["Content-ID"] for p in seen.walk() if p["Content-ID"]]
    assert ids == ["<img1>"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"toRecipients": []}, "ErrorInvalidRecipients"),
        ({"toRecipients": recipients("nobody")}, "ErrorInvalidRecipients"),
        ({"internetMessageHeaders": [{"name": "List-Id", "value": "x"}]}, "InvalidInternetMessageHeader"),
        ({"internetMessageHeaders": [{"name": f"x-{i}", "value": "x"} for i in range(6)]}, "InvalidInternetMessageHeaderCollection"),
        ({"tpRecipients": []}, "RequestBodyRead"),
        ({"toRecipients": "x@y"}, "UnableToDeserializePostBody"),
        ({"from": {"emailAddress": {"address": "boss@contoso.example"}}}, "ErrorSendAsDenied"),
        ({"from": {"emailAddress": {"address": "tom@contoso.example"}}}, "ErrorSendAsDenied"),
    ],
)
def test_what_graph_refuses_is_refused_as_a_whole(tenant: Tenant, message: dict[str, Any], code: str) -> None:
    answer = tenant.user().send_mail(**{"toRecipients": recipients("x@outside.example"), **message})
    assert code_of(answer) == code
    assert answer.status_code == (403 if code == "ErrorSendAsDenied" else 400)
    assert tenant.outside() == []
    assert tenant.folder(MARY, "sentitems") == []


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (mime(to="undisclosed-recipients:;"), "ErrorInvalidRecipients"),
        (mime(to="undisclosed-recipients:;", headers=("Bcc: x@outside.example",)), "ErrorInvalidRecipients"),
    ],
)
def test_undisclosed_recipients_are_refused(tenant: Tenant, raw: bytes, code: str) -> None:
    assert code_of(tenant.user().send_mime(raw)) == code


def test_mime_must_be_base64(tenant: Tenant) -> None:
    mary = tenant.user()
    plain = {"Content-Type": "text/plain"}
    assert code_of(mary("POST", "/sendMail", headers=plain, content=mime())) == "ErrorMimeContentInvalidBase64String"
    assert mary("POST", "/sendMail", headers=plain, content=base64.encodebytes(mime())).status_code == 202


def test_a_request_above_4_mb_is_refused(tenant: Tenant) -> None:
    big = mime("x" * 3_200_000)
    assert tenant.user().send_mime(big).status_code == 413
    tenant.switch(oversize_status="400")
    assert code_of(tenant.user().send_mime(big)) == "BadRequest"
    assert tenant.user().send_mime(mime("x" * 3_000_000)).status_code == 202


def test_a_mailbox_has_limits_of_its_own(tenant: Tenant) -> None:
    tenant.control("PATCH", f"/accounts/{MARY}", {"recipient_limit": 2, "max_message_size": 20_000})
    three = recipients("a@o.example", "b@o.example", "c@o.example")
    assert code_of(tenant.user().send_mail(toRecipients=three)) == "ErrorInvalidRecipients"
    answer = tenant.user().send_mime(mime("x" * 30_000))
    assert (answer.status_code, code_of(answer)) == (413, "ErrorMessageSizeExceeded")


def test_save_to_sent_items_false_leaves_no_copy(tenant: Tenant) -> None:
    body = {"message": {"subject": "s", "toRecipients": recipients("x@outside.example")}, "saveToSentItems": False}
    assert tenant.user()("POST", "/sendMail", json=body).status_code == 202
    assert len(tenant.outside()) == 1
    assert tenant.folder(MARY, "sentitems") == []


def test_a_shared_mailbox_with_send_as(tenant: Tenant) -> None:
    assert tenant.user().at(SALES).send_mail(toRecipients=recipients("x@outside.example")).status_code == 202
    seen = message_from_bytes(tenant.raw(tenant.outside()[0]), policy=default)
    assert seen["From"] == f"Contoso Sales <{SALES}>"
    assert seen["Sender"] is None
    assert len(tenant.folder(SALES, "sentitems")) == 1
    assert tenant.folder(MARY, "sentitems") == []


def test_from_a_shared_mailbox_through_me_is_saved_with_the_user(tenant: Tenant) -> None:
    sender = {"emailAddress": {"address": SALES}}
    assert tenant.user().send_mail(**{"from": sender}, toRecipients=recipients("x@outside.example")).status_code == 202
    assert tenant.outside()[0]["envelope_from"] == SALES
    assert len(tenant.folder(MARY, "sentitems")) == 1
    assert tenant.folder(SALES, "sentitems") == []


def test_on_behalf_shows_both(tenant: Tenant) -> None:
    tom = tenant.user("tom@contoso.example")
    sender = {"emailAddress": {"address": SALES}}
    assert tom.send_mail(**{"from": sender}, toRecipients=recipients("x@outside.example")).status_code == 202
    seen = message_from_bytes(tenant.raw(tenant.outside()[0]), policy=default)
    assert SALES in seen["From"]
    assert "tom@contoso.example" in seen["Sender"]


def test_without_full_access_the_mailbox_of_the_path_is_closed(tenant: Tenant) -> None:
    tom = tenant.user("tom@contoso.example").at(SALES)
    answer = tom.send_mail(toRecipients=recipients("x@outside.example"))
    assert (answer.status_code, code_of(answer)) == (403, "ErrorAccessDenied")


def test_without_the_shared_scope_another_mailbox_is_closed(tenant: Tenant) -> None:
    mary = tenant.user(scope=f"{GRAPH}/Mail.Send {GRAPH}/Mail.ReadWrite")
    assert code_of(mary.at(SALES).send_mail(toRecipients=recipients("x@outside.example"))) == "ErrorAccessDenied"
    answer = mary.send_mail(**{"from": recipients(SALES)[0]}, toRecipients=recipients("x@outside.example"))
    assert answer.status_code == 403


def test_mail_send_alone_may_send_but_not_draft(tenant: Tenant) -> None:
    mary = tenant.user(scope=f"{GRAPH}/Mail.Send")
    assert mary.send_mime(mime()).status_code == 202
    assert code_of(mary("POST", "/messages", json={})) == "ErrorAccessDenied"
    assert code_of(mary("GET", "/mailFolders/sentitems/messages")) == "ErrorAccessDenied"


def test_an_application_sends_from_the_mailbox_of_the_path_only(tenant: Tenant) -> None:
    app = tenant.app()
    assert app.send_mime(mime(sender=SALES)).status_code == 202
    assert code_of(app.send_mime(mime(sender=MARY))) == "ErrorSendAsDenied"
    assert code_of(app.send_mime(mime(sender="x@elsewhere.example"))) == "ErrorSendAsDenied"
    assert app.at(MARY).send_mime(mime(sender=MARY)).status_code == 202


def test_an_application_can_be_limited_to_some_mailboxes(tenant: Tenant) -> None:
    app = tenant.app()
    tenant.control("PATCH", f"/apps/{'aaaaaaaa-0000-0000-0000-000000000002'}", {"only_mailboxes": [SALES]})
    assert app.send_mime(mime(sender=SALES)).status_code == 202
    answer = app.at(MARY).send_mime(mime(sender=MARY))
    assert (code_of(answer), answer.json()["error"]["message"]) == ("ErrorAccessDenied", "Access to OData is disabled.")


def test_an_alias_becomes_the_primary_address_unless_switched(tenant: Tenant) -> None:
    tenant.control("PATCH", f"/accounts/{MARY}", {"add_aliases": ["m.major@contoso.example"]})
    raw = mime(sender="Mary M <m.major@contoso.example>")
    assert tenant.user().send_mime(raw).status_code == 202
    tenant.switch(alias_from=True)
    assert tenant.user().send_mime(raw).status_code == 202
    assert [m["envelope_from"] for m in tenant.outside()] == [MARY, "m.major@contoso.example"]


def test_a_personal_account_replaces_the_message_id(tenant: Tenant) -> None:
    pat = tenant.user("pat@outlook.example", f"{GRAPH}/Mail.Send")
    assert pat.send_mime(mime(sender="pat@outlook.example")).status_code == 202
    seen = message_from_bytes(tenant.raw(tenant.outside()[0]), policy=default)
    assert seen["Message-ID"].strip().endswith("@outlook.com>")
    assert seen["X-Microsoft-Original-Message-ID"] == "<one@odoo.example>"


@pytest.mark.parametrize("how", ["replaced_at_creation", "replaced_on_send"])
def test_the_message_id_can_be_replaced(tenant: Tenant, how: str) -> None:
    tenant.switch(message_id=how)
    mary = tenant.user()
    draft = mary.draft(mime())
    assert (draft["internetMessageId"] == "<one@odoo.example>") == (how == "replaced_on_send")
    assert mary("POST", f"/messages/{draft['id']}/send").status_code == 202
    assert tenant.outside()[0]["message_id"] != "<one@odoo.example>"


def test_x_headers_are_lost_until_json_has_used_them(tenant: Tenant) -> None:
    tenant.switch(x_headers="lost_until_primed")
    mary = tenant.user()
    raw = mime(headers=("X-Odoo: 1",))
    mary.send_mime(raw)
    header = [{"name": "X-Odoo", "value": "1"}]
    mary.send_mail(toRecipients=recipients("x@outside.example"), internetMessageHeaders=header)
    mary.send_mime(raw)
    assert [b"X-Odoo" in tenant.raw(m) for m in tenant.outside()] == [False, True, True]


QUOTED = (
    "MIME-Version: 1.0",
    'Content-Type: multipart/mixed; boundary="b"',
    "",
    "--b",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: quoted-printable",
    "",
    "a long=",
    " line",
    "--b",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
    "",
    "caf\u00e9",
    "--b--",
)


def test_bare_lf_and_8bit_are_damaged_unless_switched_off(tenant: Tenant) -> None:
    head = mime().partition(b"\r\n\r\n")[0] + b"\r\n"
    raw = (head + "\r\n".join(QUOTED).encode()).replace(b"\r\n", b"\n")
    tenant.user().send_mime(raw)
    tenant.switch(corrupt_bad_mime=False)
    tenant.user().send_mime(raw)
    damaged, whole = (tenant.raw(m) for m in tenant.outside())
    assert b"a long=3D\r\n line" in damaged
    assert "caf\u00c3\u00a9".encode() in damaged
    assert b"a long=\n line" in whole
    assert "caf\u00e9".encode() in whole


def test_good_mime_passes_byte_for_byte(tenant: Tenant) -> None:
    body = "\r\n".join(QUOTED[2:]).replace("caf\u00e9", "cafe")
    raw = mime().partition(b"\r\n\r\n")[0] + b"\r\n" + "\r\n".join(QUOTED[:2]).encode() + b"\r\n" + body.encode()
    tenant.user().send_mime(raw)
    assert tenant.raw(tenant.outside()[0]).partition(b"\r\n\r\n")[2] == raw.partition(b"\r\n\r\n")[2]


def test_a_draft_keeps_its_immutable_id_and_loses_its_default_one(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft(mime(), headers=IMMUTABLE)
    default_id = mary("GET", f"/messages/{draft['id']}").json()["id"]
    assert default_id != draft["id"]
    assert draft["id"].endswith("=")
    answer = mary("POST", f"/messages/{draft['id']}/send")
    assert (answer.status_code, answer.content) == (202, b"")
    sent = mary("GET", f"/messages/{draft['id']}", headers=IMMUTABLE).json()
    assert (sent["id"], sent["isDraft"]) == (draft["id"], False)
    gone = mary("GET", f"/messages/{default_id}")
    assert (gone.status_code, code_of(gone)) == (404, "ErrorItemNotFound")
    assert mary("GET", f"/messages/{draft['id'].swapcase()}").status_code == 404


def test_send_needs_a_content_length(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft(mime())
    request = tenant.http.build_request(
        "POST", f"{tenant.url}/v1.0/me/messages/{draft['id']}/send", headers={"Authorization": f"Bearer {mary.token}"}
    )
    del request.headers["content-length"]
    assert tenant.http.send(request).status_code == 411


def test_a_sent_mail_can_not_be_sent_again(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft(mime(), headers=IMMUTABLE)
    assert mary("POST", f"/messages/{draft['id']}/send").status_code == 202
    assert mary("POST", f"/messages/{draft['id']}/send").status_code == 400
    assert len(tenant.outside()) == 1


def test_the_message_id_of_a_draft_can_be_patched(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft()
    patched = mary("PATCH", f"/messages/{draft['id']}", json={"internetMessageId": "<mine@odoo.example>"})
    assert patched.json()["internetMessageId"] == "<mine@odoo.example>"
    mary("POST", f"/messages/{draft['id']}/send")
    assert tenant.outside()[0]["message_id"] == "<mine@odoo.example>"
