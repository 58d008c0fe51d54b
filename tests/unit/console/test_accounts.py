"""Connecting, testing and disconnecting accounts over the web: the emulator and the stand-in for Google are the providers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import httpx2
import pytest

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT
from mailroom.audit import Wanted
from mailroom.console.app import make_console
from mailroom.console.exporting import Exports
from mailroom.console.house import House
from mailroom.objects import Account, SmarthostRoute
from mailroom.settings import Settings
from mailroom.support.desk import SupportDesk
from mailroom.vault.certificates import make_certificate, shown
from mailroom.wiring import accounts as wired
from mailroom.wiring.accounts import Accounts
from mailroom.wiring.parts import Parts, object_desk, open_parts, utc_now
from mailroom.wiring.ways import servers_of
from mailroom_core.errors import VaultError
from mailroom_emulator.server import Options, Running, in_thread
from tests.contract.store.makers import FakeClock, Maker
from tests.google_stand_in import CLIENT, SECRET, GoogleStandIn
from tests.unit.console.conftest import Pages
from tests.unit.console.desks import ENTRANCE, cutover_of, desk_of, doctor_of, door_of, supported, way_in_of

MARY, TOM, ANNA = "mary@contoso.example", "tom@contoso.example", "anna@customer.example"
BACK = "http://testserver/signin/callback"


@pytest.fixture(scope="module")
def microsoft() -> Iterator[Running]:
    with in_thread(Options()) as emulator:
        app = {"redirect_uris": ["http://localhost", BACK]}
        httpx2.patch(f"{emulator.url}/_emulator/apps/{CONFIDENTIAL_CLIENT}", json=app, trust_env=False).raise_for_status()
        yield emulator


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = open_parts(Settings(data=tmp_path))
    yield parts
    parts.close()


@pytest.fixture
def office(parts: Parts) -> Pages:
    """A console whose accounts are real ones."""
    clock = FakeClock()
    store = parts.store
    house = House(
        store=store,
        blobs=parts.blobs,
        directory=parts.directory,
        look=parts.directory.look,
        servers_of=lambda lane: servers_of(parts.directory(), lane),
        notify=lambda: None,
        webhooks=desk_of(store, clock),  # type: ignore[arg-type]  # the real store is one of the right kind
        objects=object_desk(parts),
        doctor=doctor_of(store, clock),
        cutover=cutover_of(store, clock),
        support=SupportDesk(made=supported),
        entrance=ENTRANCE,
        exports=Exports(parts.settings.data / "exports", clock),
        way_in=way_in_of(store, parts.blobs, clock, parts.settings.data / "spool"),
        accounts=Accounts(parts),
        clock=utc_now,
    )
    pages = Pages(make_console(house, door_of(store, clock)), store, parts.blobs, clock, Maker(clock))
    pages.client.cookies.set("mailroom-session", "marys-session")
    return pages


def post(pages: Pages, path: str, form: dict[str, str], status: int = 200) -> str:
    answer = pages.client.post(path, data=form)
    assert answer.status_code == status, answer.text
    return answer.text


def begun(text: str) -> str:
    """Where the page sends the browser."""
    found = re.search(r'id="continue" href="([^"]+)"', text)
    assert found, text
    return unescape(found[1])


def signed_in(url: str) -> str:
    """The path that the provider sends the browser back to."""
    answer = httpx2.get(url, headers={"x-emulator-auto": "1"}, trust_env=False, follow_redirects=False)
    assert answer.status_code == 302, answer.text
    back = answer.headers["location"]
    assert back.startswith(f"{BACK}?")
    return back.removeprefix("http://testserver")


def microsoft_form(microsoft: Running, **more: str) -> dict[str, str]:
    urls = {"login_url": microsoft.url, "graph_url": microsoft.url}
    return {
        "name": "office",
        "mailbox": MARY,
        "client_id": CONFIDENTIAL_CLIENT,
        "tenant": TENANT,
        "secret": CONFIDENTIAL_SECRET,
        **urls,
        **more,
    }


def test_a_house_without_accounts_says_how_to_get_one(office: Pages) -> None:
    text = office.get("/accounts")
    assert "No account yet" in text
    assert 'href="/accounts/connect/microsoft"' in text


def test_a_mailbox_may_be_read_without_the_right_to_change_it(office: Pages, parts: Parts, microsoft: Running) -> None:
    form = microsoft_form(microsoft, send_only="true", read="true")
    url = begun(post(office, "/accounts/connect/microsoft", form))
    assert re.findall(r"Mail\.[A-Z]\w*\b(?!\.)", unquote(url)) == ["Mail.Send", "Mail.Read"]
    office.get(signed_in(url))
    account = parts.store.directory().accounts["office"]
    assert (account.read_write, account.read) == (False, True)
    text = office.get("/accounts/of/office")
    assert "its mail can be fetched" in text
    assert re.findall(r'type="checkbox" name="(\w+)"[^>]* checked', text) == ["send_only", "read"]
    again = begun(post(office, "/accounts/reconnect", {"changed": "true", **form, "send_only": "true", "read": ""}))
    assert "Mail.Read" not in unquote(again).replace("Mail.ReadWrite", "")


@pytest.mark.parametrize(("provider", "word"), [("microsoft", "AADSTS50011"), ("google", "redirect_uri_mismatch")])
def test_the_steps_at_the_provider_are_told_with_what_to_copy_and_its_usual_errors(office: Pages, provider: str, word: str) -> None:
    text = office.get(f"/accounts/connect/{provider}")
    assert f'value="{BACK}" readonly' in text
    assert word in text
    for field in re.findall(r'<(?:input|select)[^>]* id="([^"]+)"', text):
        assert f'for="{field}"' in text, f"{field} has no label"
    office.get("/accounts/connect/yahoo", 422)


def test_no_permission_is_asked_for_that_nobody_has_ticked(office: Pages, parts: Parts) -> None:
    ticked = r'type="checkbox"[^>]* checked'
    assert not re.search(ticked, office.get("/accounts/connect/microsoft"))
    parts.store.apply([Account(name="office", mailbox=MARY)], [], by="test")
    assert not re.search(ticked, office.get("/accounts/of/office"))
    parts.store.apply([Account(name="office", mailbox=MARY, pop=True)], [], by="test")
    assert re.findall(r'name="(\w+)"[^>]* checked', re.sub(r'type="radio"[^>]*', "", office.get("/accounts/of/office"))) == ["pop"]


def test_microsoft_is_connected_tested_and_disconnected(office: Pages, parts: Parts, microsoft: Running) -> None:
    text = post(office, "/accounts/connect/microsoft", microsoft_form(microsoft, secret_expires="2027-05-01"))
    text = office.get(signed_in(begun(text)))
    assert "office is connected" in text
    assert "look before a mail is sent again" in text
    assert "The outgoing server office is there" in text
    shown = office.get("/accounts")
    assert "Token valid until" in shown
    assert "connected</span>" in shown
    assert parts.vault.open("app:office") == {"secret": CONFIDENTIAL_SECRET, "expires_on": "2027-05-01"}
    assert CONFIDENTIAL_SECRET not in shown

    steps = post(office, "/accounts/test", {"server": "office", "to": ANNA})
    assert re.findall(r"<li><strong>(\w+)</strong>", steps) == ["token", "rights", "draft", "send"]
    assert steps.rstrip().endswith("</html>")

    told = post(office, "/accounts/disconnect", {"name": "office"})
    assert "myapps.microsoft.com" in told
    assert parts.vault.open("account:office") is None
    assert "not connected" in office.get("/accounts")
    text = office.get(signed_in(begun(post(office, "/accounts/reconnect", {"name": "office"}))))
    assert "office is connected" in text
    assert parts.vault.open("account:office") is not None


def test_an_answer_counts_once_in_its_own_session_and_for_a_quarter_of_an_hour(
    office: Pages, parts: Parts, microsoft: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def back() -> str:
        return signed_in(begun(post(office, "/accounts/connect/microsoft", microsoft_form(microsoft))))

    mine = back()
    state = parse_qs(urlsplit(mine).query)["state"][0]
    assert "belongs to no sign-in" in office.get(mine.replace(state, state[:-1] + "x"), 422)
    assert "belongs to no sign-in" in office.get("/signin/callback", 422)
    office.client.cookies.set("mailroom-session", "another")
    assert "belongs to no sign-in" in office.get(mine, 422)
    office.client.cookies.set("mailroom-session", "marys-session")
    late = back()
    assert "office is connected" in office.get(mine)
    assert "belongs to no sign-in" in office.get(mine, 422)
    with monkeypatch.context() as patched:
        patched.setattr(wired, "utc_now", lambda: utc_now() + timedelta(minutes=16))
        assert "longer than 15 minutes" in office.get(late, 422)
    assert [name for name in parts.store.secrets() if name.startswith("signin:")] == []


def test_what_waits_for_its_answer_is_sealed(office: Pages, parts: Parts, microsoft: Running, tmp_path: Path) -> None:
    url = begun(post(office, "/accounts/connect/microsoft", microsoft_form(microsoft)))
    state = parse_qs(urlsplit(url).query)["state"][0]
    assert len([name for name in parts.store.secrets() if name.startswith("signin:")]) == 1
    for file in tmp_path.glob("mailroom.db*"):
        for canary in (state, CONFIDENTIAL_SECRET):
            assert canary.encode() not in file.read_bytes()


def test_what_the_provider_refuses_is_explained_and_nothing_is_kept(office: Pages, parts: Parts, microsoft: Running) -> None:
    back = signed_in(begun(post(office, "/accounts/connect/microsoft", microsoft_form(microsoft, secret="the-id-of-the-secret"))))
    text = office.get(back, 422)
    assert "AADSTS7000215" in text
    assert "Nothing was changed" in text
    assert parts.vault.open("account:office") is None
    other = signed_in(begun(post(office, "/accounts/connect/microsoft", microsoft_form(microsoft, mailbox=TOM))))
    assert "office is connected" in office.get(other)


def test_app_only_is_connected_at_once(office: Pages, microsoft: Running) -> None:
    text = post(office, "/accounts/connect/microsoft", microsoft_form(microsoft, name="robot", mailbox=TOM, grant="application"))
    assert "robot is connected" in text
    assert "app-only" in office.get("/accounts")
    assert "there is an account" in post(office, "/accounts/connect/microsoft", microsoft_form(microsoft, name="robot"), 422)


def test_a_disconnected_app_gets_no_token_not_even_for_a_lane_that_comes_later(office: Pages, parts: Parts, microsoft: Running) -> None:
    post(office, "/accounts/connect/microsoft", microsoft_form(microsoft, name="robot", mailbox=TOM, grant="application"))
    assert asyncio.run(parts.vault.token("robot"))
    assert parts.store.lanes() == []
    post(office, "/accounts/disconnect", {"name": "robot"})
    assert [name for name in parts.store.secrets() if name.endswith(":robot")] == []
    with pytest.raises(VaultError, match="mailroom connect robot --secret") as refused:
        asyncio.run(parts.vault.token("robot"))
    assert not refused.value.transient
    assert "mailroom connect robot --secret" in post(office, "/accounts/reconnect", {"name": "robot"}, 422)


def made_here(office: Pages, microsoft: Running, name: str) -> str:
    """Made in the console, and uploaded at Microsoft by its administrator; its fingerprint."""
    text = post(office, "/accounts/certificates/make", {"name": name})
    path = re.findall(r'href="(/accounts/certificates/([0-9a-f]{64})[.]crt)"', text)[0]
    public = office.get(path[0])
    assert public.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in public + text
    uploaded = f"{microsoft.url}/_emulator/apps/{CONFIDENTIAL_CLIENT}/certificates"
    httpx2.post(uploaded, content=public.encode(), trust_env=False).raise_for_status()
    return str(path[1])


def test_an_app_is_connected_with_a_certificate_that_was_made_here(office: Pages, parts: Parts, microsoft: Running) -> None:
    sha256 = made_here(office, microsoft, "robot")
    assert sha256 in office.get("/accounts/connect/microsoft"), "it waits until the upload is done, also for days"
    form = microsoft_form(microsoft, name="robot", mailbox=TOM, grant="application", secret="", proof="made", made=sha256)
    assert "robot is connected" in post(office, "/accounts/connect/microsoft", form)
    assert [name for name in parts.store.secrets() if name.startswith("certificate:")] == []
    shown = office.get("/accounts/of/robot")
    assert sha256 in shown
    assert "valid until" in shown
    assert asyncio.run(parts.vault.token("robot", refused="x"))
    assert [change.what for change in parts.store.audited(Wanted(), limit=50)[0]].count("new certificate") == 1


def test_a_disconnected_app_comes_back_with_a_new_secret_or_certificate(office: Pages, parts: Parts, microsoft: Running) -> None:
    post(office, "/accounts/connect/microsoft", microsoft_form(microsoft, name="robot", mailbox=TOM, grant="application"))
    post(office, "/accounts/disconnect", {"name": "robot"})
    again = {"name": "robot", "changed": "true", "mailbox": TOM, "client_id": CONFIDENTIAL_CLIENT, "tenant": TENANT}
    assert "enter its value" in post(office, "/accounts/reconnect", {**again, "proof": "secret"}, 422)
    assert "AADSTS7000215" in post(office, "/accounts/reconnect", {**again, "proof": "secret", "secret": "wrong"}, 422)
    assert parts.vault.open("app:robot") is None
    fresh = {**again, "proof": "secret", "secret": CONFIDENTIAL_SECRET, "secret_expires": "2027-05-01"}
    assert "robot is connected" in post(office, "/accounts/reconnect", fresh)
    assert "01 May" in office.get("/accounts/of/robot") or "2027-05-01" in office.get("/accounts/of/robot")
    sha256 = made_here(office, microsoft, "robot")
    assert "robot is connected" in post(office, "/accounts/reconnect", {**again, "proof": "made", "made": sha256})
    kept = parts.vault.open("app:robot")
    assert kept is not None
    assert list(kept) == ["certificate"]
    assert "robot is connected" in post(office, "/accounts/reconnect", {**again, "proof": "keep"})
    other = {**again, "client_id": "aaaaaaaa-0000-0000-0000-000000000009", "proof": "keep"}
    assert "its own secret" in post(office, "/accounts/reconnect", other, 422)


def test_a_certificate_of_ones_own_is_read_from_its_file(office: Pages, parts: Parts, microsoft: Running) -> None:
    pem = make_certificate("own", now=utc_now())
    found = shown(pem)
    assert found is not None
    uploaded = f"{microsoft.url}/_emulator/apps/{CONFIDENTIAL_CLIENT}/certificates"
    httpx2.post(uploaded, content=found.public, trust_env=False).raise_for_status()
    form = microsoft_form(microsoft, name="robot", mailbox=TOM, grant="application", secret="", proof="file")

    def sent(raw: bytes, status: int) -> str:
        answer = office.client.post("/accounts/connect/microsoft", data=form, files={"file": ("app.pem", raw)})
        assert answer.status_code == status, answer.text
        return answer.text

    assert "choose the file" in sent(b"", 422)
    assert "too large" in sent(b"x" * 70_000, 422)
    assert "its key is missing" in sent(found.public, 422)
    assert "robot is connected" in sent(pem.encode(), 200)
    assert parts.vault.open("app:robot") == {"certificate": pem}


def test_a_certificate_that_nobody_uses_can_be_forgotten(office: Pages, parts: Parts) -> None:
    post(office, "/accounts/certificates/make", {"name": "robot"})
    (kept,) = (name for name in parts.store.secrets() if name.startswith("certificate:"))
    post(office, "/accounts/certificates/drop", {"sha256": kept.removeprefix("certificate:")})
    assert kept not in parts.store.secrets()
    office.get(f"/accounts/certificates/{kept.removeprefix('certificate:')}.crt", 404)


def test_the_limit_of_the_tenant_is_set_and_an_account_is_removed(office: Pages, parts: Parts, microsoft: Running) -> None:
    post(office, "/accounts/connect/microsoft", microsoft_form(microsoft, name="robot", mailbox=TOM, grant="application"))
    assert "digits alone" in post(office, "/accounts/limit", {"name": "robot", "external_recipients_per_day": "many"}, 422)
    post(office, "/accounts/limit", {"name": "robot", "external_recipients_per_day": "9500"}, 303)
    assert parts.directory().accounts["robot"].external_recipients_per_day == 9500
    assert parts.vault.open("app:robot"), "its secret stays"
    assert "still needed" in post(office, "/accounts/remove", {"name": "robot"}, 409)
    parts.store.apply([], [("server", "robot")], by="test")
    post(office, "/accounts/remove", {"name": "robot"}, 303)
    assert "There is no account" in office.get("/accounts/of/robot", 404)
    assert [name for name in parts.store.secrets() if name.endswith(":robot")] == []


def test_google_is_connected_and_disconnecting_ends_its_permission(office: Pages, parts: Parts) -> None:
    with GoogleStandIn() as google:
        form = {"name": "mail", "mailbox": "jane@fabrikam.example", "client_id": CLIENT, "secret": SECRET, "login_url": google.url}
        text = office.get(signed_in(begun(post(office, "/accounts/connect/google", form))))
        assert "mail is connected" in text
        route = parts.directory().servers["mail"].route
        assert isinstance(route, SmarthostRoute)
        assert (route.host, route.account) == ("smtp.gmail.com", "mail")
        assert google.refresh_tokens
        post(office, "/accounts/disconnect", {"name": "mail"})
        assert google.refresh_tokens == {}


@pytest.mark.parametrize("wrong", [{"name": ""}, {"client_id": ""}, {"secret_expires": "soon"}, {"mailbox": "a\r\nb"}])
def test_mistakes_in_the_form_are_told_and_what_was_entered_stays(office: Pages, microsoft: Running, wrong: dict[str, str]) -> None:
    text = post(office, "/accounts/connect/microsoft", microsoft_form(microsoft, **wrong), 422)
    assert 'role="alert"' in text
    assert CONFIDENTIAL_CLIENT in text or "client_id" in wrong
    assert CONFIDENTIAL_SECRET not in text


def test_what_can_not_be_tested_is_said(office: Pages) -> None:
    assert "there is no outgoing server" in post(office, "/accounts/test", {"server": "x", "to": ANNA}, 422)
    assert "There is no account" in post(office, "/accounts/disconnect", {"name": "x"}, 404)


def test_a_sign_in_that_a_program_began_is_finished_by_any_administrator(office: Pages, parts: Parts, microsoft: Running) -> None:
    form = microsoft_form(microsoft)
    office.get(signed_in(begun(post(office, "/accounts/connect/microsoft", form))))
    asked = Accounts(replace(parts, settings=Settings(data=parts.settings.data, public_url="http://testserver")))
    url = asyncio.run(asked.for_program(parts.directory().accounts["office"]))
    assert "office is connected" in office.get(signed_in(url))


# ---- mail services


def test_a_mail_service_is_added_with_what_it_demands(office: Pages, parts: Parts) -> None:
    assert 'href="/presets/ses"' in office.get("/presets")
    text = office.get("/presets/ses")
    assert "verified at Amazon SES" in text
    assert "no AWS access key" in text
    form = {"name": "mail", "user": "AKIA", "password": "canary-4711", "region": "eu-west-1", "from_filter": "example.com, a@b.example"}
    done = post(office, "/presets/ses", form)
    assert "email-smtp.eu-west-1.amazonaws.com" in done
    assert "canary-4711" not in done
    server = parts.directory().servers["mail"]
    assert isinstance(server.route, SmarthostRoute)
    assert (server.route.user, server.from_filter) == ("AKIA", ("example.com", "a@b.example"))
    assert parts.vault.open("server:mail") == {"password": "canary-4711"}
    again = post(office, "/presets/ses", form, 422)
    assert "already" in again
    assert "canary-4711" not in again


def test_one_token_is_user_and_password_and_any_server_may_need_none(office: Pages, parts: Parts) -> None:
    post(office, "/presets/postmark", {"name": "post", "password": "token-1"})
    post(office, "/presets/smtp", {"name": "own", "host": "relay.example", "port": "25", "security": "none"})
    post_route, own_route = parts.directory().servers["post"].route, parts.directory().servers["own"].route
    assert isinstance(post_route, SmarthostRoute)
    assert isinstance(own_route, SmarthostRoute)
    assert (post_route.user, own_route.host, own_route.port, own_route.user) == ("token-1", "relay.example", 25, "")


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("mailjet", {"name": "x", "user": "k"}),
        ("mailgun", {"name": "x", "user": "u", "password": "p", "region": "evil.example/"}),
        ("smtp", {"name": "x", "host": ""}),
        ("smtp", {"name": "x", "host": "h", "port": "many"}),
        ("smtp", {"name": "x", "host": "h", "security": "some"}),
        ("smtp", {"name": "x", "host": "h", "user": "u"}),
        ("brevo", {"name": "", "user": "u", "password": "p"}),
    ],
)
def test_a_service_that_can_not_work_is_not_added(office: Pages, parts: Parts, key: str, form: dict[str, str]) -> None:
    assert 'role="alert"' in post(office, f"/presets/{key}", form, 422)
    assert parts.directory().servers == {}
