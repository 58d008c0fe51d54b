"""mime.params: parameters as mail programs write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.mime.params import parameters


@pytest.mark.parametrize(
    ("value", "main", "params"),
    [
        ("", "", {}),
        ("Text/HTML", "text/html", {}),
        ("text/html (a comment)", "text/html", {}),
        ('text/plain; Charset="UTF-8"', "text/plain", {"charset": "UTF-8"}),
        ("text/plain;charset = utf-8 ;format=flowed;", "text/plain", {"charset": "utf-8", "format": "flowed"}),
        ('attachment; filename="a; b \\"c\\".pdf"', "attachment", {"filename": 'a; b "c".pdf'}),
        ('attachment; filename="C:\\tmp\\a.pdf"', "attachment", {"filename": "C:\\tmp\\a.pdf"}),
        ("attachment; filename=Report (1).pdf", "attachment", {"filename": "Report (1).pdf"}),
        ('attachment; filename="never closed', "attachment", {"filename": "never closed"}),
        ("attachment; flag; ; filename=a", "attachment", {"filename": "a"}),
        ("attachment; filename=a; filename=b", "attachment", {"filename": "a"}),
        ('attachment; filename="=?utf-8?q?=C3=BC=2Epdf?="', "attachment", {"filename": "ü.pdf"}),
        ("attachment; filename*=utf-8'de'%C3%BC.pdf; filename=u.pdf", "attachment", {"filename": "ü.pdf"}),
        ("attachment; filename*=iso-8859-1''%FC.pdf", "attachment", {"filename": "ü.pdf"}),
        ("attachment; filename*=%C3%BC.pdf", "attachment", {"filename": "ü.pdf"}),
        ("attachment; filename*1=b.pdf; filename*0=a", "attachment", {"filename": "ab.pdf"}),
        ("attachment; filename*0*=utf-8''%C3; filename*1*=%BC; filename*2=' .pdf", "attachment", {"filename": "ü' .pdf"}),
        ("attachment; filename*=utf-8''a%0D%0Ab", "attachment", {"filename": "a b"}),
        ("attachment; *=x", "attachment", {"*": "x"}),
    ],
)
def test_parameters_are_read_as_they_are_meant(value: str, main: str, params: dict[str, str]) -> None:
    assert parameters(value) == (main, params)


@given(st.text() | st.lists(st.sampled_from([";", "=", '"', "*", "0", "'", "%C3", "a", "\\", " "])).map("".join))
def test_any_text_has_parameters_or_none(value: str) -> None:
    for name, text in parameters(value)[1].items():
        assert name
        text.encode("utf-8")


@pytest.mark.parametrize("crumb", [";", '"', ';a="', ';a="\\"', "*", "a*", ";a*0", "=", " "])
@pytest.mark.timeout(20)
def test_no_value_takes_longer_than_its_length_deserves(crumb: str) -> None:
    parameters("a;b" + crumb * 40_000)
