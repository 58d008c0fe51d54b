"""The report of the Exchange admin center, as it is exported and as people make it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.cutover.report import MOST_BYTES, MOST_CLIENTS, OAUTH, PASSWORD, Client, NoReport, Report, read, written

EAC = """Sender address,Domain,TLS 1.0,TLS 1.1,TLS 1.2,Messages sent
scanner@contoso.example,contoso.example,0,0,100,"1,204"
erp@contoso.example,contoso.example,12.5,0,87.5,88000
Alarm@Contoso.Example,contoso.example,100,0,0,3
"""
SCANNER = Client(address="scanner@contoso.example", mails=1204, tls=(("1.2", 100.0),))


def of(report: Report, address: str) -> Client:
    return next(each for each in report.clients if each.address == address)


def test_the_report_of_the_admin_center_is_read_with_most_mail_first() -> None:
    report = read(EAC.encode())
    assert [each.address for each in report.clients] == ["erp@contoso.example", "scanner@contoso.example", "alarm@contoso.example"]
    assert of(report, "scanner@contoso.example") == SCANNER
    assert of(report, "erp@contoso.example").tls_words == "1.0 12.5 %, 1.2 87.5 %"
    assert (report.skipped, report.left_out) == ((), 0)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + EAC.encode(),
        EAC.encode("utf-16"),
        EAC.encode("utf-16-le"),
        EAC.encode("utf-16-be"),
        EAC.replace("\n", "\r\n").encode(),
        EAC.replace('"1,204"', "1204").replace(",", ";").encode(),
        EAC.replace('"1,204"', "1204").replace(",", "\t").encode("utf-16"),
        ("sep=;\n" + EAC.replace('"1,204"', "1204").replace(",", ";")).encode(),
        ("SMTP AUTH clients report\n\n" + EAC).encode(),
    ],
    ids=["BOM", "UTF-16", "UTF-16-LE", "UTF-16-BE", "CRLF", "semicolons", "tabs", "sep", "title"],
)
def test_encodings_separators_and_titles_change_nothing(raw: bytes) -> None:
    assert read(raw).clients == read(EAC.encode()).clients


def test_the_report_of_the_former_center_has_number_and_percentage_in_a_cell() -> None:
    report = read(b"Sender address,TLS1.0%,TLS1.1%,TLS1.2%,Message count\nscanner@contoso.example,0% (0),0% (0),100% (1204),1204\n")
    assert report.clients == (SCANNER,)


def test_columns_in_another_language_are_found() -> None:
    text = "Indirizzo del mittente;Dominio;TLS 1.0 (percentuale);TLS 1.2 (percentuale);Messaggi inviati\n"
    (client,) = read((text + "scanner@contoso.example;contoso.example;0;100;1.204\n").encode("cp1252")).clients
    assert client == SCANNER
    (unnamed,) = read("Кто;Сколько\nscanner@contoso.example;7\n".encode()).clients
    assert (unnamed.address, unnamed.mails) == ("scanner@contoso.example", None)


def test_how_somebody_signs_in_is_read_from_either_form_of_column() -> None:
    report = read(
        b"Sender address,Authentication protocol,Messages sent\na@b.example,Basic Auth,1\nc@b.example,OAuth,2\n"
        b"d@b.example,Basic,1\nd@b.example,OAuth 2.0,4\ne@b.example,SMTP,1\nf@b.example,NTLM,1\n"
    )
    ways = {each.address[0]: each.protocols for each in report.clients}
    assert ways == {"a": (PASSWORD,), "c": (OAUTH,), "d": (OAUTH, PASSWORD), "e": (), "f": ("NTLM",)}
    assert of(report, "d@b.example").mails == 5
    assert [each.address[0] for each in report.clients if each.modern] == ["c"]
    counted = read(b"Sender address,Basic auth,OAuth\na@b.example,12,0\nc@b.example,0,3\n")
    assert {each.address[0]: each.protocols for each in counted.clients} == {"a": (PASSWORD,), "c": (OAUTH,)}


def test_one_column_may_name_the_version_of_tls() -> None:
    report = read(b'Sender,TLS version\na@b.example,TLS1_2\nc@b.example,"TLS 1.0, TLS 1.2"\nd@b.example,none\n')
    assert [each.tls_words for each in report.clients] == ["1.2", "1.0 50 %, 1.2 50 %", ""]


def test_lines_without_an_address_are_told_and_formulas_are_no_addresses() -> None:
    lines = [
        "Sender address,Messages sent",
        "good@b.example,1",
        "=HYPERLINK(1)@b.example(,1",
        "<>,5",
        *(f"nobody {n},1" for n in range(12)),
    ]
    report = read("\n".join(lines).encode())
    assert [each.address for each in report.clients] == ["good@b.example"]
    assert len(report.skipped) == 10
    assert report.skipped[:2] == ("line 3: =HYPERLINK(1)@b.example(", "line 4: <>")
    assert report.left_out == 4


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"a,b\n1,2\n", "no column with the addresses"),
        (b"Sender address\nnobody\n", "no column with the addresses"),
        (b"Sender address\n(@\n", "no line has an address"),
        (b"Sender address," + b"," * 70 + b"\na@b.example\n", "columns"),
        (b'Sender address\n"' + b"x" * 140_000 + b'@b.example"\n', "can't be read as CSV"),
        (b"x" * (MOST_BYTES + 1), "larger than"),
        (b"Sender address\n" + b"".join(b"n%d@b.example\n" % number for number in range(MOST_CLIENTS + 1)), "more than"),
    ],
)
def test_what_is_no_report_says_what_to_do(raw: bytes, why: str) -> None:
    with pytest.raises(NoReport, match=why):
        read(raw)


def test_what_a_form_sends_back_says_the_same() -> None:
    odd = Client(address='"a, b"@contoso.example', protocols=(OAUTH, PASSWORD))
    clients = (*read(EAC.encode()).clients, odd)
    assert read(written(clients).encode()).clients == clients


LIKE_ONE = st.text(max_size=400).map(lambda text: f"Sender address,TLS 1.2\n{text}@b.example".encode("utf-8", "replace"))


@given(st.one_of(st.binary(max_size=400), LIKE_ONE))
def test_any_bytes_give_a_report_or_our_own_error(raw: bytes) -> None:
    try:
        report = read(raw)
    except NoReport:
        return
    assert report.clients
    assert read(written(report.clients).encode()).clients == report.clients
