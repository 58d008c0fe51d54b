"""What may stay in a text, and what stands in the place of the rest."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.support.masking import SECRET, Masks

LONG = "p7q2x5n4k3m6j2h5g4f3d2s6a7"


def test_an_address_has_one_mask_wherever_and_however_it_stands() -> None:
    masks = Masks()
    masks.learn("mary@contoso.example")
    said = masks.text("Mary <MARY@Contoso.Example> to tom@contoso.example, mailto:mary@contoso.example (mary%40contoso.example)")
    mary = "address-1@domain-1.invalid"
    assert said == f"Mary <{mary}> to address-2@domain-1.invalid, mailto:{mary} ({mary})"
    assert masks.text("=?utf-8?b?" + base64.b64encode(b"mary@contoso.example").decode() + "?=") == "address-1@domain-1.invalid"
    assert masks.text("=?utf-8?q?mary=40contoso?= =?utf-8?q?=2Eexample?=") == "address-1@domain-1.invalid"
    assert masks.legend()["address-1"] == "mary@contoso.example"


@pytest.mark.parametrize(
    "spelled",
    [
        "bounces+17-ab2c-mary.canary=fabrikam.example@sendgrid.net",
        "bounce-mary.canary=gmail.com@list.example",
        "mary.canary=fabrikam.de@list.example",
        "canary.o'mary@contoso.example",
        "canary|mary@contoso.example",
        "canary-||mary@contoso.example",
        "canary`|`mary@contoso.example",
        "mary.canary\uff20contoso.example",
        "mary.canary\ufe6bcontoso.example",
        "mary.canary\\uff20contoso.example",
        "mary.canary%EF%BC%A0contoso.example",
        "mary.canary&#65312;contoso.example",
        "mary.canary&#64;contoso.example",
        "mary.canary&#x40;contoso.example",
        "mary.canary&commat;contoso.example",
        "mary.canary\\u0040contoso.example",
        "mary.canary=40contoso.example",
        "mary.canary%2540contoso.example",
        f"state={base64.b64encode(b'mary.canary@contoso.example').decode()}",
    ],
)
def test_an_address_is_found_in_what_others_make_of_it(spelled: str) -> None:
    masks = Masks(domains=["contoso.example"])
    masks.learn("tom@fabrikam.example")
    said = masks.text(f"for <{spelled}> and {spelled}, x")
    assert "canary" not in said
    assert base64.b64encode(b"mary").decode()[:4] not in said


def test_what_stands_around_an_address_in_a_table_stays() -> None:
    assert Masks().text("| to |mary@contoso.example| `mary@contoso.example` |") == (
        "| to |address-1@domain-1.invalid| `address-1@domain-1.invalid` |"
    )


def test_the_name_of_a_value_stays_before_an_address() -> None:
    masks = Masks()
    said = masks.text(
        "spf=pass smtp.mailfrom=mary.meier@contoso.example envelope-from=mary.meier@contoso.example; to=Mary.Meier@contoso.example"
    )
    mary = "address-1@domain-1.invalid"
    assert said == f"spf=pass smtp.mailfrom={mary} envelope-from={mary}; to={mary}"


def test_domains_that_were_seen_are_masked_without_an_address_too() -> None:
    masks = Masks(domains=["fabrikam.example"])
    masks.learn({"a": ["mary@contoso.example"]})
    said = masks.text("mx1.contoso.example gave up; CONTOSO.EXAMPLE and fabrikam.example, not xcontoso.example, store.sql or 5.7.139")
    assert said == "host-1.domain-1.invalid gave up; domain-1.invalid and domain-2.invalid, not xcontoso.example, store.sql or 5.7.139"
    assert masks.text("smtp.office365.com said anna@gmail.com") == "smtp.office365.com said address-1@gmail.com"


def test_of_an_address_of_a_program_only_the_site_stays() -> None:
    masks = Masks()
    assert masks.text("called https://hooks.example/services/T0/secret?x=1 twice") == "called https://hooks.example/... twice"
    known = "https://graph.microsoft.com/v1.0/me/sendMail?x=1"
    assert masks.text(known) == "https://graph.microsoft.com/v1.0/me/sendMail?(left out)"
    assert masks.text("http://me:pass@127.0.0.1:80/") == "http://(secret)@127.0.0.1:80/"


def test_names_stay_where_that_is_wanted() -> None:
    masks = Masks(keep_names=True)
    masks.learn("mary@contoso.example")
    assert (
        masks.text("mary@contoso.example at mx.contoso.example, 203.0.113.7")
        == "address-1@contoso.example at mx.contoso.example, 203.0.113.7"
    )


def test_public_network_addresses_are_masked_and_private_ones_stay() -> None:
    masks = Masks()
    said = masks.text("from 8.8.8.8, [2001:4860:4860::8888] and 8.8.8.8 by 192.168.1.20 and ::1 at 12:30:45 in 1.2.3")
    assert said == "from ip-1, [ip-2] and ip-1 by 192.168.1.20 and ::1 at 12:30:45 in 1.2.3"


@pytest.mark.parametrize(
    "text",
    [
        "password: {}",
        'password="{}"',
        "client_secret={}&x=1",
        "refresh_token: {}",
        "Authorization: Bearer {}",
        "AUTH PLAIN {}",
        "Cookie: session={}; b=c",
        "https://user:{}@host.example/path",
        "https://host.example/hook?sig={}",
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        'said "x-api-key: {}"',
        "user=mary pass={}",
    ],
)
@pytest.mark.parametrize("secret", ["hunter2", LONG])
def test_what_is_called_a_secret_is_none_afterwards(text: str, secret: str) -> None:
    assert secret not in Masks().text(text.format(secret))


def test_known_secrets_go_in_every_spelling() -> None:
    secret = "tiger & lion"
    masks = Masks([secret, "abc"])
    for form in (secret, "tiger%20%26%20lion", base64.b64encode(secret.encode()).decode(), "=?utf-8?q?tiger_=26_lion?="):
        assert "tiger" not in masks.text(f"x {form} y")
        assert "(secret)" in masks.text(f"x {form} y")
    assert masks.text("abc") == "abc", "what is shorter stands in texts by chance"
    assert "dGlnZXI" not in masks.text(f"x {base64.b64encode(b'me tiger & lion').decode()}")
    assert masks.text(f"x {base64.b64encode(b'm tiger & lion').decode()}") == "x word-1", "at another place of the base64"


def test_opaque_words_get_one_mask_and_words_that_mean_something_stay() -> None:
    masks = Masks()
    assert masks.text(f"{LONG} and mrt_{LONG} and {LONG}") == "word-1 and word-2 and word-1"
    assert masks.text(f"https://x.example said code={LONG}") == "https://x.example said code=word-1"
    for plain in (
        "ErrorExceededMessageLimit",
        "ErrorMessageSubmissionBlocked",
        "Content-Transfer-Encoding",
        "2026-11-21T18:24:38.123456+00:00",
        "account.needs_attention",
        "06xqfhxnc2400",
        "5.7.139 Authentication unsuccessful",
        "graph:office:sales",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ):
        assert masks.text(plain) == plain


def test_a_message_id_is_an_id_with_the_same_mask_everywhere() -> None:
    masks = Masks()
    one = masks.text("<0b9f2c3d4e5f60718293@erp.contoso.example>")
    assert one.startswith("<id-1@")
    assert masks.text("In reply to 0B9F2C3D4E5F60718293@erp.contoso.example").endswith(one.strip("<>"))


def test_fields_that_are_called_secrets_lose_their_value() -> None:
    masks = Masks()
    tree = {"smtp_password": "x", "token": "y", "key": "lane", "n": 3, "list": [{"refresh_token": "z", "a@b.example": True}], "secret": ""}
    assert masks.tree(tree) == {
        "smtp_password": SECRET,
        "token": SECRET,
        "key": "lane",
        "n": 3,
        "list": [{"refresh_token": SECRET, "address-1@domain-1.invalid": True}],
        "secret": "",
    }


def test_what_was_not_masked_is_noticed() -> None:
    masks = Masks(["the secret"])
    masks.text("mary@contoso.example")
    assert masks.leaks("so mary@contoso.example")
    assert masks.leaks("so =?utf-8?q?mary=40contoso=2Eexample?=")
    assert masks.leaks("the%20secret")
    assert not masks.leaks("address-1@domain-1.invalid")


PLACES = st.sampled_from(["{}", "<{}>", '"{}"', "a {} b", "({})", "to={}", "{}, x", "\n{}\n", "={}=", "%20{}", "smtp:{};", "[{}]", "\\{}"])


@given(st.lists(st.tuples(PLACES, st.text(max_size=12)), max_size=4))
def test_an_address_in_any_surroundings_is_gone(places: list[tuple[str, str]]) -> None:
    masks = Masks([LONG])
    text = "".join(place.format("mary.canary@contoso.example") + between + place.format(LONG) for place, between in places)
    said = masks.text(text)
    assert "canary" not in said
    assert LONG not in said


@pytest.mark.parametrize(
    "piece",
    [
        "a@",
        "a|",
        "a`|",
        "\uff20",
        "a.",
        "a=",
        "&#64;",
        "%20",
        "a",
        ":",
        "-",
        "=?utf-8?q?a?=",
        "password ",
        "-----BEGIN X KEY-----",
        'password: "',
        "srs0=",
        "QUFBQUFB",
        "http://",
        "x://:",
    ],
)
def test_a_text_that_is_made_to_be_slow_is_not(piece: str) -> None:
    """What takes the square of its length would take hours here, and meets the time limit of tests."""
    masks = Masks([LONG], ["contoso.example"])
    text = piece * (200_000 // len(piece))
    masks.learn(text)
    assert masks.text(text)
    masks.leaks(text)
