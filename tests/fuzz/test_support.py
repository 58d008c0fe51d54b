"""Whatever a mail is made of, a bundle shows it without breaking, and without what was planted in it."""

from __future__ import annotations

from email import message_from_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.support.mail import learn, masked
from mailroom.support.masking import Masks
from mailroom_core.mime.source import InMemory

PERSON = b"mary.canary@contoso.example"
SECRET = "a canary of a secret"
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"From: ",
            b"\r\nTo: ",
            b"\r\nSubject: ",
            b"\r\nReceived: from ",
            b"\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
            b"\r\n--x--\r\n",
            b"\r\nContent-Type: message/rfc822\r\n\r\n",
            b"\r\nContent-Type: text/html; charset=utf-7\r\n",
            b"\r\nContent-Type: text/plain; charset=no-such\r\n",
            b"\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            b"\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n#0V%T\r\nend",
            b"\r\nContent-Disposition: attachment; filename*0=",
            b"=?utf-8?b?bWFyeS5jYW5hcnlAY29udG9zby5leGFtcGxl?=",
            b"=?utf-8?q?mary=2Ecanary=40contoso=2Eexample?=",
            b" " + PERSON + b" ",
            b"<" + PERSON + b">",
            SECRET.encode(),
            b"\r\n\r\n",
            b"\r\n",
            b"\xff\xfe",
        ]
    ),
)


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=14), st.booleans())
def test_any_mail_can_be_shown_and_hides_what_it_should(pieces: list[bytes], content: bool) -> None:
    masks = Masks([SECRET])
    source = InMemory(b"".join(pieces))
    learn(source, masks)
    made = masked(source, masks, content=content)
    read = message_from_bytes(made)
    texts = [made.decode("utf-8", "replace"), *(str(part.get_payload(decode=True)) for part in read.walk() if not part.is_multipart())]
    assert not any("canary" in text for text in texts)
