"""Conversations with Microsoft's login, fed by hand."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest

from mailroom_core.flow import Flow, Request, Response
from mailroom_core.oauth.grants import with_query
from mailroom_core.oauth.microsoft import (
    CHINA,
    CLOUDS,
    DOD,
    GLOBAL,
    USGOV,
    App,
    Assertion,
    Grant,
    Identity,
    Secret,
    admin_consent_url,
    assertion_claims,
    authorize_url,
    client_credentials,
    redeem_code,
    refresh,
    who_am_i,
)
from mailroom_core.oauth.problems import ProblemKind, TokenProblem
from mailroom_core.oauth.scopes import Resource, Tier, application_scopes, delegated_scopes, granted, outlook_scopes, tier_of
from tests.unit.scripted import answer, body_of, lost, play

VERIFIER = "v" * 43
BACK = "https://gateway.example/oauth/callback"
PUBLIC = App("app-1")
SCOPES = delegated_scopes(GLOBAL.resource, Tier.READ_WRITE)
TOKEN = "POST /common/oauth2/v2.0/token"
GOOD = {"token_type": "Bearer", "access_token": "at", "expires_in": 3599, "refresh_token": "rt", "scope": "Mail.Send"}


def form_of(request: Request) -> dict[str, str]:
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert not request.auth
    return {name: values[0] for name, values in parse_qs(body_of(request).decode(), strict_parsing=True).items()}


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def redeem(app: App = PUBLIC) -> Flow[Grant | TokenProblem]:
    return redeem_code(app, code="the-code", redirect_uri=BACK, verifier=VERIFIER, scopes=SCOPES)


# ---- addresses


def test_the_browser_is_sent_with_pkce_and_state() -> None:
    url = authorize_url(PUBLIC, redirect_uri=BACK, scopes=SCOPES, state="st&te", verifier=VERIFIER, login_hint="mary@lab.example")
    assert url.startswith("https://login.microsoftonline.com/common/oauth2/v2.0/authorize?")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    assert query_of(url) == {
        "client_id": "app-1",
        "response_type": "code",
        "response_mode": "query",
        "redirect_uri": BACK,
        "scope": " ".join(SCOPES),
        "state": "st&te",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "prompt": "select_account",
        "login_hint": "mary@lab.example",
    }
    assert VERIFIER not in url


def test_without_a_hint_no_hint_is_sent() -> None:
    url = authorize_url(PUBLIC, redirect_uri=BACK, scopes=SCOPES, state="s", verifier=VERIFIER)
    assert "login_hint" not in query_of(url)


@pytest.mark.parametrize("verifier", ["", "v" * 42, "v" * 129, "v" * 42 + "+", "v" * 42 + "é"])
def test_a_verifier_that_the_rfc_forbids_is_refused(verifier: str) -> None:
    with pytest.raises(ValueError, match="RFC 7636"):
        authorize_url(PUBLIC, redirect_uri=BACK, scopes=SCOPES, state="s", verifier=verifier)


@pytest.mark.parametrize(("tenant", "organisation"), [("contoso.example", "contoso.example"), ("common", "organizations")])
def test_an_administrator_consents_for_the_whole_organisation(tenant: str, organisation: str) -> None:
    url = admin_consent_url(App("app 1", tenant))
    assert url == f"https://login.microsoftonline.com/{organisation}/adminconsent?client_id=app+1"
    assert admin_consent_url(App("app 1", tenant), redirect_uri=BACK, state="s 1") == with_query(
        url, {"redirect_uri": BACK, "state": "s 1"}
    )


def test_an_emulator_takes_the_place_of_both_hosts_and_scopes_keep_their_names() -> None:
    local = replace(GLOBAL, login="http://127.0.0.1:8025/", graph="http://127.0.0.1:8025")
    app = App("app-1", "a tenant/../x", cloud=local)
    assert app.token_url == "http://127.0.0.1:8025/a%20tenant%2F..%2Fx/oauth2/v2.0/token"
    assert authorize_url(app, redirect_uri=BACK, scopes=SCOPES, state="s", verifier=VERIFIER).startswith("http://127.0.0.1:8025/a%20tenant")
    assert application_scopes(local.resource) == ("https://graph.microsoft.com/.default",)
    played = play(who_am_i(local), ("GET /v1.0/me?$select=id,displayName,mail,userPrincipalName", answer(401)))
    assert played.requests[0].url.startswith("http://127.0.0.1:8025/v1.0/me?")


def test_every_cloud_has_hosts_of_its_own() -> None:
    assert {"global": GLOBAL, "usgov": USGOV, "dod": DOD, "china": CHINA} == CLOUDS
    assert {(cloud.login, cloud.graph) for cloud in CLOUDS.values()} == {
        ("https://login.microsoftonline.com", "https://graph.microsoft.com"),
        ("https://login.microsoftonline.us", "https://graph.microsoft.us"),
        ("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
        ("https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"),
    }


def test_app_only_asks_for_exchange_online_under_its_other_name() -> None:
    app = App("a", "t", Secret("s"))
    played = play(client_credentials(app, Resource.SMTP), ("POST /t/oauth2/v2.0/token", answer(200, GOOD)))
    assert form_of(played.requests[0])["scope"] == "https://outlook.office365.com/.default"


# ---- scopes


def test_smtp_is_asked_for_apart_from_graph() -> None:
    assert outlook_scopes(GLOBAL.outlook, Resource.SMTP) == ("offline_access", "openid", "https://outlook.office.com/SMTP.Send")


def test_each_tier_asks_for_no_more_than_it_needs() -> None:
    g = "https://graph.microsoft.com"
    sign_in = ("offline_access", "openid", f"{g}/User.Read")
    assert delegated_scopes(g, Tier.SEND) == (*sign_in, f"{g}/Mail.Send")
    assert delegated_scopes(g, Tier.READ_WRITE) == (*sign_in, f"{g}/Mail.Send", f"{g}/Mail.ReadWrite")
    assert delegated_scopes(g, Tier.SEND, read=True) == (*sign_in, f"{g}/Mail.Send", f"{g}/Mail.Read")
    assert delegated_scopes(g, Tier.READ_WRITE, read=True) == delegated_scopes(g, Tier.READ_WRITE)
    assert delegated_scopes(g, Tier.SEND, shared=True) == (*sign_in, f"{g}/Mail.Send", f"{g}/Mail.Send.Shared")
    assert delegated_scopes(g, Tier.READ_WRITE, shared=True)[-2:] == (f"{g}/Mail.Send.Shared", f"{g}/Mail.ReadWrite.Shared")


@pytest.mark.parametrize(
    ("scope", "tier"),
    [
        ("openid https://graph.microsoft.com/Mail.Send https://graph.microsoft.com/Mail.ReadWrite", Tier.READ_WRITE),
        ("Mail.ReadWrite mail.send", Tier.READ_WRITE),
        ("User.Read Mail.Send", Tier.SEND),
        ("Mail.Send.Shared Mail.ReadWrite", None),
        ("https://graph.microsoft.com/.default", None),
        ("", None),
    ],
)
def test_the_tier_is_read_from_what_was_granted(scope: str, tier: Tier | None) -> None:
    assert tier_of(scope) is tier


def test_granted_permissions_lose_resource_and_letter_case() -> None:
    assert granted("openid https://graph.microsoft.com/Mail.Send.Shared") == {"openid", "mail.send.shared"}


# ---- grants


def test_a_code_becomes_a_grant() -> None:
    played = play(redeem(), (TOKEN, answer(200, GOOD)))
    assert played.result == Grant("at", timedelta(seconds=3599), "rt", "Mail.Send")
    assert form_of(played.requests[0]) == {
        "grant_type": "authorization_code",
        "client_id": "app-1",
        "code": "the-code",
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
        "scope": " ".join(SCOPES),
    }


def test_a_refresh_token_is_exchanged() -> None:
    app = App("app-1", proof=Secret("s&cret+"))
    played = play(refresh(app, refresh_token="rt-1", scopes=SCOPES), (TOKEN, answer(200, GOOD | {"refresh_token": "rt-2"})))
    assert isinstance(played.result, Grant)
    assert played.result.refresh_token == "rt-2"
    assert form_of(played.requests[0]) == {
        "grant_type": "refresh_token",
        "client_id": "app-1",
        "client_secret": "s&cret+",
        "refresh_token": "rt-1",
        "scope": " ".join(SCOPES),
    }


def test_an_app_signs_in_with_an_assertion_that_is_fresh_each_time() -> None:
    jwts = iter(["one", "two"])
    app = App("app-1", "tenant", Assertion(lambda: next(jwts)))
    no_refresh = {"access_token": "at", "expires_in": "3599"}
    for jwt in ("one", "two"):
        played = play(client_credentials(app), ("POST /tenant/oauth2/v2.0/token", answer(200, no_refresh)))
        assert played.result == Grant("at", timedelta(seconds=3599))
        assert form_of(played.requests[0]) == {
            "grant_type": "client_credentials",
            "client_id": "app-1",
            "scope": "https://graph.microsoft.com/.default",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt,
        }


def test_an_assertion_may_be_given_ready_made() -> None:
    played = play(client_credentials(App("a", "t", Assertion("jwt"))), ("POST /t/oauth2/v2.0/token", answer(200, GOOD)))
    assert form_of(played.requests[0])["client_assertion"] == "jwt"


def test_the_claims_of_an_assertion_are_those_of_the_vendor() -> None:
    now = datetime(2026, 11, 20, 12, 0, 0, 999_999, tzinfo=timezone.utc)
    header, claims = assertion_claims(App("app-1", "tenant"), thumbprint=b"\xff" * 32, now=now, unique="uuid")
    assert header == {"alg": "PS256", "typ": "JWT", "x5t#S256": "_" * 42 + "8"}
    assert claims == {
        "aud": "https://login.microsoftonline.com/tenant/oauth2/v2.0/token",
        "iss": "app-1",
        "sub": "app-1",
        "jti": "uuid",
        "nbf": 1795176000,
        "iat": 1795176000,
        "exp": 1795176300,
    }


@pytest.mark.parametrize("expires_in", [None, "soon", 10**40])
def test_a_lifetime_that_can_not_be_read_is_none(expires_in: object) -> None:
    result = play(redeem(), (TOKEN, answer(200, GOOD | {"expires_in": expires_in}))).result
    assert isinstance(result, Grant)
    assert result.expires_in == timedelta()


@pytest.mark.parametrize("response", [answer(200, {"access_token": ""}), answer(200, {"access_token": 5}), Response(200, {}, b"<html>")])
def test_an_answer_without_a_token_is_no_grant(response: Response) -> None:
    result = play(redeem(), (TOKEN, response)).result
    assert isinstance(result, TokenProblem)
    assert (result.kind, result.unmapped) == (ProblemKind.TRANSIENT, True)


@pytest.mark.parametrize("sent", [True, False])
def test_a_login_that_gives_no_answer_is_asked_again_later(sent: bool) -> None:
    result = play(redeem(), (TOKEN, lost(sent=sent))).result
    assert isinstance(result, TokenProblem)
    assert (result.kind, result.code) == (ProblemKind.TRANSIENT, "no_response")
    assert "connection lost" in str(result)


def test_no_secret_shows_when_a_value_is_printed() -> None:
    shown = repr((App("a", "t", Secret("canary")), App("a", "t", Assertion("canary")), Grant("canary", timedelta(1), "canary")))
    assert "canary" not in shown


# ---- who am I

ME = "GET /v1.0/me?$select=id,displayName,mail,userPrincipalName"


def test_who_signed_in_is_told_with_all_addresses() -> None:
    me = {"id": "7", "displayName": "Mary", "mail": "Mary@Lab.example", "userPrincipalName": "mary@lab.onmicrosoft.example"}
    played = play(who_am_i(GLOBAL), (ME, answer(200, me)))
    assert played.result == Identity("7", "Mary", ("mary@lab.example", "mary@lab.onmicrosoft.example"))
    assert played.requests[0].auth


def test_an_account_without_a_mail_address_is_known_by_its_sign_in_name() -> None:
    me = {"id": "7", "displayName": None, "mail": None, "userPrincipalName": "mary@lab.example"}
    assert play(who_am_i(GLOBAL), (ME, answer(200, me))).result == Identity("7", "", ("mary@lab.example",))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(401), ProblemKind.RECONNECT),
        (answer(403), ProblemKind.CONFIG),
        (answer(404), ProblemKind.CONFIG),
        (answer(503), ProblemKind.TRANSIENT),
        (answer(200, {"id": None}), ProblemKind.TRANSIENT),
        (lost(sent=True), ProblemKind.TRANSIENT),
    ],
)
def test_when_nobody_tells_who_signed_in_somebody_can_help(reply: Response, kind: ProblemKind) -> None:
    result = play(who_am_i(GLOBAL), (ME, reply)).result
    assert isinstance(result, TokenProblem)
    assert result.kind is kind
    assert result.what_to_do
