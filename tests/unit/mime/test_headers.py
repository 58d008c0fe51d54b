"""mime.headers: fields out of any head, addresses out of any field, fields that nobody can break out of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.errors import MimeError
from mailroom_core.mime.headers import Fields, address_key, addresses, field, format_address

HEAD = (
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_aus_M=C3=BCnchen?=\r\n"
    b"received: one\r\n"
    b"Received : two\r\n\tand on\r\n"
    b"From: Mary <mary@example.com>\r\n"
    b"\r\n"
    b"Received: in the body\r\n"
)


def test_a_field_is_found_by_any_spelling_of_its_name() -> None:
    fields = Fields(HEAD)
    assert fields.get("SUBJECT") == "Grüße aus München"
    assert fields.all("Received") == ["one", "two and on"]
    assert fields.get("To") is None
    assert fields.raw("To") is None
    assert fields.unfolded("To") is None
    assert "from" in fields
    assert "to" not in fields
    assert (fields.count("RECEIVED"), fields.count("to")) == (2, 0)


def test_every_byte_of_the_head_is_kept() -> None:
    fields = Fields(HEAD)
    assert b"".join(f.raw for f in fields) + b"\r\n" == HEAD[: fields.body_start]
    assert [f.name for f in fields] == ["Subject", "received", "Received", "From"]
    assert fields.raw("received") == b" one"
    assert next(iter(fields)).value == b" =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_aus_M=C3=BCnchen?="
    assert fields.unfolded("subject") == "=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?q?_aus_M=C3=BCnchen?="
    assert HEAD[fields.body_start :] == b"Received: in the body\r\n"


@pytest.mark.parametrize(
    ("raw", "end", "body_start"),
    [
        (b"", 0, 0),
        (b"\r\nbody", 0, 2),
        (b"A: b\r\n", 6, 6),
        (b"A: b", 4, 4),
        (b"A: b\n\nbody", 5, 6),
        (b"A: b\r\n \r\n\r\nbody", 9, 11),
    ],
)
def test_the_head_ends_at_the_empty_line(raw: bytes, end: int, body_start: int) -> None:
    fields = Fields(raw)
    assert (fields.end, fields.body_start, fields.defect) == (end, body_start, "")


def test_the_head_ends_at_a_line_that_is_no_field_and_says_so() -> None:
    fields = Fields(b"A: b\r\nno field here\r\nFrom: eve@example.org\r\n\r\n")
    assert "From" not in fields
    assert fields.body_start == 6
    assert fields.defect.startswith("line 2 of the head is no header field")


def test_a_from_line_of_an_mbox_file_is_skipped() -> None:
    assert Fields(b"From mary@example.com Fri Nov 20 10:00:00 2026\r\nA: b\r\n\r\n").get("A") == "b"
    assert Fields(b">From mary").body_start == 10
    assert Fields(b"From : mary@example.com\r\n\r\n").addresses("From") == [("", "mary@example.com")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"Gr\xc3\xbc\xc3\x9fe", "Grüße"),
        (b"Gr\xfc\xdfe", "Grüße"),
        (b"=?iso-8859-1?Q?Gr=FC=DFe?= x", "Grüße x"),
        (b"=?utf-8*de?b?R3LDvMOfZQ==?=", "Grüße"),
        (b"=?utf-8?b?R3LDvMOfZQ?=", "Grüße"),
        (b"=?utf-8?b?w?= =?utf-8?q?x?=", "=?utf-8?b?w?= x"),
        (b"=?utf-8?q?M=C3?= =?UTF-8?q?=BCnchen?=", "München"),
        (b"=?utf-8?q?a?= =?iso-8859-1?q?=FC?= b", "aü b"),
        (b"=?nonsense?q?=FC?=", "ü"),
        (b"=?utf-8?q?two_words?= =?utf-8?q?_and?= more", "two words and more"),
        (b"=?utf-8?q?line=0D=0Aend?=", "line end"),
        (b"=?utf-8?q?\xc3\xbc?=", "=?utf-8?q?ü?="),
        (b"=?utf-7?q?+2AA-?=", "?"),
        (b"=?idna?q?abc?=", "abc"),
        (b"=?rot13?q?abc?=", "abc"),
        (b"=?undefined?q?abc?=", "abc"),
        (b"plain =? text", "plain =? text"),
    ],
)
def test_text_is_decoded_tolerantly(value: bytes, text: str) -> None:
    assert Fields(b"S: " + value + b"\r\n\r\n").get("s") == text


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", []),
        ("mary@example.com", [("", "mary@example.com")]),
        ("<mary@example.com>", [("", "mary@example.com")]),
        ("Mary Jones <mary@example.com>,", [("Mary Jones", "mary@example.com")]),
        ('"Jones, Mary" <mary@example.com>, bob@example.com', [("Jones, Mary", "mary@example.com"), ("", "bob@example.com")]),
        ('"Mary \\"M\\" Jones" <mary@example.com>', [('Mary "M" Jones', "mary@example.com")]),
        ("undisclosed-recipients:;", []),
        ("Team: mary@example.com, Bob <bob@example.com>;, x@y.z", [("", "mary@example.com"), ("Bob", "bob@example.com"), ("", "x@y.z")]),
        ("mary@example.com; bob@example.com", [("", "mary@example.com"), ("", "bob@example.com")]),
        ("mary@example.com (Mary (M) Jones)", [("Mary (M) Jones", "mary@example.com")]),
        ("(note) Mary <mary@example.com> (again)", [("Mary", "mary@example.com")]),
        ("mary@example.com (never closed, bob@example.com", [("never closed", "mary@example.com"), ("", "bob@example.com")]),
        ("a@b.c and d@e.f", [("", "a@b.c"), ("", "d@e.f")]),
        ("Mary mary@example.com", [("Mary", "mary@example.com")]),
        ("mary@example.com bob@example.com", [("", "mary@example.com"), ("", "bob@example.com")]),
        ("mary @ example.com", [("", "mary@example.com")]),
        ("<mary . jones @ example . com>", [("", "mary.jones@example.com")]),
        ('"ma @ ry"@example.com', [("", '"ma @ ry"@example.com')]),
        ('"Mary <mary@example.com>, bob@example.com', [("Mary", "mary@example.com"), ("", "bob@example.com")]),
        ("Mary <mary@example.com", [("Mary", "mary@example.com")]),
        ("Mary <mary@example.com, bob@example.com", [("Mary", "mary@example.com"), ("", "bob@example.com")]),
        ("<mary@example.com> Mary", [("Mary", "mary@example.com")]),
        ("a <mary@example.com> b <bob@example.com>", [("a b", "mary@example.com"), ("", "bob@example.com")]),
        ("<<mary@example.com>>", [("", "mary@example.com")]),
        ("<@relay.example,@b.example:mary@example.com>", [("", "mary@example.com")]),
        ("x@[IPv6:2001:db8::1], Bob", [("", "x@[IPv6:2001:db8::1]")]),
        ("=?utf-8?q?Doe=2C_J=C3=B6rg?= <j@example.com>", [("Doe, Jörg", "j@example.com")]),
        ("=?utf-8?q?eve=40example=2Eorg=2C?= <j@example.com>", [("eve@example.org,", "j@example.com")]),
        ('"=?utf-8?b?SsO2cmc=?=" <j@example.com>', [("Jörg", "j@example.com")]),
        ("=?utf-8?q?all_of_it_=3Cj=40example=2Ecom=3E?=", []),
        ("Mary, Bob", []),
        ("Mary <mary>, @example.com, mary@", []),
        ("[odd <a@b.c>", [("[odd", "a@b.c")]),
    ],
)
def test_addresses_are_read_as_people_write_them(value: str, found: list[tuple[str, str]]) -> None:
    assert addresses(value) == found


def test_the_addresses_of_all_fields_of_a_name_are_one_list() -> None:
    fields = Fields(b"To: a@x.y\r\nCc: c@x.y\r\nTO: B\xfc <b@x.y>\r\n\r\n")
    assert fields.addresses("to") == [("", "a@x.y"), ("Bü", "b@x.y")]


@given(st.text(alphabet=st.sampled_from('ab@.<>()[]:;,"\\ =?\t\r\n\0é\U0001f600')) | st.text())
def test_any_text_has_addresses_or_none(value: str) -> None:
    for name, address in addresses(value):
        assert not {"\r", "\n", "\0"} & set(name + address)
        assert "@" in address


_CRUMBS = [b"A", b":", b" ", b"\r\n", b"\n", b"\t", b"=?utf-8?b?", b"?=", b"\xff", b"From "]


@given(st.binary() | st.lists(st.sampled_from(_CRUMBS)).map(b"".join))
def test_any_bytes_have_fields(raw: bytes) -> None:
    fields = Fields(raw)
    assert all(":" not in f.name for f in fields)
    for f in fields:
        assert fields.get(f.name) is not None
        fields.addresses(f.name)
    assert 0 <= fields.end <= fields.body_start <= len(raw)


@pytest.mark.parametrize("evil", [*(crumb * 40_000 for crumb in ('"', "(", "<", " ", "[", '\\"', "a", "=?")), '"a ' + " " * 40_000 + '"x'])
@pytest.mark.timeout(20)
def test_no_value_takes_longer_than_its_length_deserves(evil: str) -> None:
    assert addresses(evil + "@") in ([], [("", evil + "@")])
    Fields(b"A: " + evil.encode() + b"\r\n").get("A")


@given(st.text(max_size=300))
def test_a_name_comes_back_from_the_field_that_carries_it(name: str) -> None:
    try:
        raw = field("To", format_address(name, "mary@example.com"))
    except MimeError:
        assert set(name) & {"\r", "\n", "\0"}
        return
    fields = Fields(raw + b"\r\n")
    assert fields.end == len(raw)
    [(read, address)] = fields.addresses("To")
    assert address == "mary@example.com"
    visible = name.encode("utf-8", "replace").decode("utf-8")
    assert read.split() == "".join(" " if c < " " or "\x7f" <= c <= "\x9f" else c for c in visible).split()


@pytest.mark.parametrize(
    ("name", "address", "written"),
    [
        ("", "mary@example.com", "mary@example.com"),
        ("Mary", "mary@example.com", '"Mary" <mary@example.com>'),
        ('M "x" \\', "mary@example.com", '"M \\"x\\" \\\\" <mary@example.com>'),
        ("Jörg", "j@example.com", "=?utf-8?b?SsO2cmc=?= <j@example.com>"),
        ("=?utf-8?q?x?=", "j@example.com", "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <j@example.com>"),
        ("", "j@münchen.example", "j@xn--mnchen-3ya.example"),
        ("", '"a b"@example.com', '"a b"@example.com'),
        ("", "x@[192.0.2.1]", "x@[192.0.2.1]"),
    ],
)
def test_an_address_is_written_so_that_everybody_reads_it_alike(name: str, address: str, written: str) -> None:
    assert format_address(name, address) == written


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("a\r\nBcc: eve@example.org", "mary@example.com"),
        ("a\nb", "mary@example.com"),
        ("a\0b", "mary@example.com"),
        ("", "mary@example.com\r\nBcc: eve@example.org"),
        ("", "mary@example.com, eve@example.org"),
        ("", "mary"),
        ("", "ma ry@example.com"),
        ("", "a<b@example.com"),
        ("", "a@" + "ü" * 80 + ".example"),
        ("", "\udc80@example.com"),
    ],
)
def test_what_would_break_out_of_its_field_is_refused(name: str, address: str) -> None:
    with pytest.raises(MimeError):
        format_address(name, address)


def test_a_long_name_becomes_several_words_of_75_characters() -> None:
    written = format_address("Donaudampfschifffahrtsgesellschaftskapitänsmütze " * 3, "kapitän@example.com")
    assert all(len(word) <= 75 for word in written.split())
    assert addresses(written) == [(" ".join(["Donaudampfschifffahrtsgesellschaftskapitänsmütze"] * 3), "kapitän@example.com")]


def test_long_fields_are_folded_at_spaces_and_unfold_to_the_same() -> None:
    value = ", ".join(format_address(f"Person Number {n}", f"person{n}@example.com") for n in range(30))
    raw = field("To", value)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
    assert Fields(raw).unfolded("To") == value
    long_word = "x" * 200
    assert field("X-Long", f"{long_word} {long_word}") == f"X-Long: {long_word}\r\n {long_word}\r\n".encode()
    quoted = format_address("", '"a b"@example.com')
    assert quoted.encode() in field("To", f"{'x' * 60}@example.com, {quoted}")
    with pytest.raises(MimeError, match="line end"):
        field("X", "a\r\nBcc: eve@example.org")


def test_addresses_are_compared_without_the_case_of_ascii() -> None:
    assert address_key("Mary@Example.COM") == address_key("mary@example.com")
    assert address_key("Ü@example.com") != address_key("ü@example.com")
    assert address_key("Üa@EXAMPLE.com") == address_key("Üa@example.com")
    assert address_key("mary") != address_key("mary@example.com")


@pytest.mark.parametrize("subject", ["hi \x9b31m", "hi \x1b[31m", "=?utf-8?q?hi_=C2=9B31m?=", "hi =?utf-8?b?wpsxMw==?= m"])
def test_what_others_write_commands_no_terminal(subject: str) -> None:
    """One character, U+009B, is as good as ESC and a bracket."""
    found = Fields(f"Subject: {subject}\r\n\r\n".encode()).get("Subject")
    assert found is not None
    assert found.startswith("hi ")
    assert found.isprintable()
