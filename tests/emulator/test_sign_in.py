"""Entra ID: authorize, token, refresh, client credentials."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.emulator.client import BACK, CONFIDENTIAL, GRAPH, MAIL_SCOPES, PUBLIC, SECRET, TENANT_ID, Tenant, back, code_of, pkce


def aadsts(answer: httpx2.Response) -> int:
    body = answer.json()
    code = int(body["error_codes"][0])
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert set(body) >= {"error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id"}
    return code


def redeem(tenant: Tenant, code: str, **form: str) -> httpx2.Response:
    values = {"client_id": PUBLIC, "grant_type": "authorization_code", "code": code, "redirect_uri": BACK} | form
    return tenant.token(**values)


def refresh(tenant: Tenant, token: str, **form: str) -> httpx2.Response:
    return tenant.token(**({"client_id": PUBLIC, "grant_type": "refresh_token", "refresh_token": token} | form))


def test_a_person_picks_an_account_and_consents(tenant: Tenant) -> None:
    page = tenant.authorize(emulator_auto="")
    assert page.status_code == 200
    link = next(u for u in re.findall(r'href="(\?[^"]+)"', page.text) if "mary" in u).replace("&amp;", "&")
    url = f"{tenant.url}/common/oauth2/v2.0/authorize"
    consent = tenant.http.get(url + link)
    assert "Mail.Send" in consent.text
    accept = next(u for u in re.findall(r'href="(\?[^"]+)"', consent.text) if "consent=yes" in u).replace("&amp;", "&")
    assert back(tenant.http.get(url + accept))["state"] == "s1"
    again = tenant.http.get(url + link)  # the consent is remembered
    assert again.status_code == 302


def test_a_code_gives_tokens_with_pkce(tenant: Tenant) -> None:
    proof = pkce()
    code = tenant.code(code_challenge=proof.challenge, code_challenge_method="S256")
    answer = redeem(tenant, code, code_verifier=proof.verifier)
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3599
    assert f"{GRAPH}/Mail.Send" in body["scope"].split()
    assert {"access_token", "refresh_token", "id_token"} <= set(body)


def test_a_wrong_verifier_is_refused_and_does_not_use_up_the_code(tenant: Tenant) -> None:
    proof = pkce()
    code = tenant.code(code_challenge=proof.challenge, code_challenge_method="S256")
    assert aadsts(redeem(tenant, code, code_verifier="wrong")) == 501481
    assert aadsts(redeem(tenant, code)) == 501481
    assert redeem(tenant, code, code_verifier=proof.verifier).status_code == 200


def test_a_code_works_once_and_for_ten_minutes(tenant: Tenant) -> None:
    code = tenant.code()
    assert redeem(tenant, code).status_code == 200
    assert aadsts(redeem(tenant, code)) == 54005
    late = tenant.code()
    tenant.control("POST", "/clock", {"advance": 601})
    assert aadsts(redeem(tenant, late)) == 70008


def test_no_refresh_token_without_offline_access_and_no_id_token_without_openid(tenant: Tenant) -> None:
    body = redeem(tenant, tenant.code(scope=f"{GRAPH}/Mail.Send")).json()
    assert "refresh_token" not in body
    assert "id_token" not in body


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"redirect_uri": "https://evil.example/"}, 50011),
        ({"redirect_uri": "http://localhost:1/other"}, 50011),
        ({"client_id": "bbbbbbbb-0000-0000-0000-000000000000"}, 700016),
        ({"tenant": "fabrikam.example"}, 90002),
        ({"client_id": CONFIDENTIAL}, 50194),
    ],
)
def test_what_can_not_be_redirected_is_a_page(tenant: Tenant, query: dict[str, str], code: int) -> None:
    answer = tenant.authorize(**query)
    assert answer.status_code == 400
    assert f"AADSTS{code}:" in answer.text


@pytest.mark.parametrize("uri", ["http://localhost", "http://localhost:1", "http://localhost:65000", "http://127.0.0.1:8400"])
def test_the_port_of_a_loopback_redirect_does_not_count(tenant: Tenant, uri: str) -> None:
    assert tenant.authorize(redirect_uri=uri).headers["location"].startswith(uri)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_console_of_a_gateway_on_this_machine_gets_its_answer(tenant: Tenant, host: str) -> None:
    uri = f"http://{host}:8020/signin/callback"
    assert tenant.authorize(client_id=CONFIDENTIAL, tenant=TENANT_ID, redirect_uri=uri).headers["location"].startswith(uri)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"emulator_auto": "deny"}, "access_denied"),
        ({"emulator_auto": "", "prompt": "none", "login_hint": ""}, "login_required"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "Mail.Sned"}, "invalid_scope"),
        ({"login_hint": "nobody@contoso.example"}, "invalid_grant"),
    ],
)
def test_other_refusals_go_back_to_the_application(tenant: Tenant, query: dict[str, str], error: str) -> None:
    answer = back(tenant.authorize(**query))
    assert answer["error"] == error
    assert answer["state"] == "s1"


def test_personal_accounts_sign_in_at_common_and_consumers_but_not_at_organizations(tenant: Tenant) -> None:
    pat = {"login_hint": "pat@outlook.example"}
    assert "code" in back(tenant.authorize(tenant="consumers", **pat))
    assert "code" in back(tenant.authorize(**pat))
    assert "error" in back(tenant.authorize(tenant="organizations", **pat))


def test_refreshing_gives_a_new_refresh_token_and_leaves_the_old_one_alive(tenant: Tenant) -> None:
    first = tenant.grant()["refresh_token"]
    second = refresh(tenant, first, scope=MAIL_SCOPES).json()["refresh_token"]
    assert second != first
    assert refresh(tenant, first, scope=MAIL_SCOPES).status_code == 200


def test_by_a_switch_a_refresh_token_is_good_for_one_refresh(tenant: Tenant) -> None:
    tenant.switch(refresh_tokens="used_once")
    first = tenant.grant()["refresh_token"]
    second = refresh(tenant, first, scope=MAIL_SCOPES).json()["refresh_token"]
    assert aadsts(refresh(tenant, first, scope=MAIL_SCOPES)) == 70000
    assert refresh(tenant, second, scope=MAIL_SCOPES).status_code == 200


def test_one_refresh_token_serves_graph_and_outlook_but_not_in_one_request(tenant: Tenant) -> None:
    outlook = "https://outlook.office.com/SMTP.Send"
    token = tenant.grant(scope=f"offline_access {GRAPH}/Mail.Send {outlook}")["refresh_token"]
    assert refresh(tenant, token, scope=outlook).status_code == 200
    assert aadsts(refresh(tenant, token, scope=f"{GRAPH}/Mail.Send {outlook}")) == 700022


def test_a_scope_that_nobody_consented_to_is_refused(tenant: Tenant) -> None:
    token = tenant.grant(scope=f"offline_access {GRAPH}/Mail.Send")["refresh_token"]
    answer = refresh(tenant, token, scope=f"{GRAPH}/Mail.ReadWrite")
    assert aadsts(answer) == 65001
    assert answer.json()["suberror"] == "consent_required"


def test_a_refresh_token_dies_after_90_days_and_by_revocation(tenant: Tenant) -> None:
    token = tenant.grant()["refresh_token"]
    other = tenant.grant("tom@contoso.example")["refresh_token"]
    tenant.control("POST", "/accounts/mary@contoso.example/revoke")
    answer = refresh(tenant, token)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    assert aadsts(answer) == 50173
    assert refresh(tenant, other).status_code == 200
    tenant.control("POST", "/clock", {"advance": 91 * 86400})
    assert aadsts(refresh(tenant, other)) == 700082


def test_a_consent_that_was_withdrawn_kills_the_refresh_token(tenant: Tenant) -> None:
    token = tenant.grant()["refresh_token"]
    tenant.control("POST", "/accounts/mary@contoso.example/revoke", {"code": 65001})
    answer = refresh(tenant, token)
    assert (aadsts(answer), answer.json()["suberror"]) == (65001, "consent_required")
    assert "has not consented" in answer.json()["error_description"]


def test_garbage_is_not_a_refresh_token(tenant: Tenant) -> None:
    assert aadsts(refresh(tenant, "garbage")) == 9002313
    assert aadsts(tenant.token(client_id=PUBLIC)) == 900144


def test_a_disabled_user_gets_no_token(tenant: Tenant) -> None:
    token = tenant.grant()["refresh_token"]
    tenant.control("PATCH", "/accounts/mary@contoso.example", {"enabled": False})
    assert aadsts(refresh(tenant, token)) == 50057


def credentials(tenant: Tenant, **form: str) -> httpx2.Response:
    values = {"client_id": CONFIDENTIAL, "grant_type": "client_credentials", "scope": f"{GRAPH}/.default"} | form
    return tenant.token(values.pop("realm", TENANT_ID), **values)


def test_client_secrets_are_checked(tenant: Tenant) -> None:
    assert credentials(tenant, client_secret=SECRET).status_code == 200
    missing = credentials(tenant)
    assert (missing.status_code, missing.json()["error"], aadsts(missing)) == (401, "invalid_client", 7000218)
    assert aadsts(credentials(tenant, client_secret="wrong")) == 7000215
    assert aadsts(credentials(tenant, client_secret=SECRET, realm="common")) == 50194
    tenant.control("PATCH", f"/apps/{CONFIDENTIAL}", {"expire_secrets": True})
    assert aadsts(credentials(tenant, client_secret=SECRET)) == 7000222


def test_a_public_client_must_not_send_a_secret(tenant: Tenant) -> None:
    assert aadsts(redeem(tenant, tenant.code(), client_secret=SECRET)) == 700025


def test_a_confidential_client_needs_its_secret_for_codes_too(tenant: Tenant) -> None:
    code = tenant.code(client_id=CONFIDENTIAL, tenant=TENANT_ID)
    form = {"client_id": CONFIDENTIAL, "grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    assert aadsts(tenant.token(TENANT_ID, **form)) == 7000218
    assert tenant.token(TENANT_ID, **form, client_secret=SECRET).status_code == 200


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Certificate:
    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
        builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def assertion(self, algorithm: str, **claims: Any) -> str:
        thumbprint = (
            {"x5t#S256": b64(self.certificate.fingerprint(hashes.SHA256()))}
            if algorithm == "PS256"
            else {"x5t": b64(self.certificate.fingerprint(hashes.SHA1()))}
        )
        now = int(datetime.now(UTC).timestamp())
        body = {
            "aud": f"https://login.microsoftonline.com/{TENANT_ID}/oauth2/v2.0/token",
            "iss": CONFIDENTIAL,
            "sub": CONFIDENTIAL,
            "jti": "1",
            "nbf": now,
            "exp": now + 300,
        } | claims
        head = {"alg": algorithm, "typ": "JWT", **thumbprint}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(body).encode())}"
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        scheme = pss if algorithm == "PS256" else padding.PKCS1v15()
        return f"{text}.{b64(self.key.sign(text.encode(), scheme, hashes.SHA256()))}"


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return Certificate()


def assert_with(tenant: Tenant, assertion: str) -> httpx2.Response:
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return credentials(tenant, client_assertion=assertion, client_assertion_type=kind)


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_a_certificate_stands_in_for_the_secret(tenant: Tenant, certificate: Certificate, algorithm: str) -> None:
    assert aadsts(assert_with(tenant, certificate.assertion(algorithm))) == 700027
    tenant.control("POST", f"/apps/{CONFIDENTIAL}/certificates", content=certificate.pem)
    assert assert_with(tenant, certificate.assertion(algorithm)).status_code == 200


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": 1}, 700024),
        ({"aud": "https://login.microsoftonline.com/other/oauth2/v2.0/token"}, 700023),
        ({"iss": "someone"}, 700021),
    ],
)
def test_an_assertion_must_say_the_right_things(tenant: Tenant, certificate: Certificate, claims: dict[str, Any], code: int) -> None:
    tenant.control("POST", f"/apps/{CONFIDENTIAL}/certificates", content=certificate.pem)
    assert aadsts(assert_with(tenant, certificate.assertion("PS256", **claims))) == code


def test_an_assertion_signed_by_another_key_is_refused(tenant: Tenant, certificate: Certificate) -> None:
    tenant.control("POST", f"/apps/{CONFIDENTIAL}/certificates", content=certificate.pem)
    forged = certificate.assertion("PS256").rpartition(".")[0] + "." + b64(b"x" * 256)
    assert aadsts(assert_with(tenant, forged)) == 700027


def test_admin_consent_grants_the_roles_that_an_application_asks_for(tenant: Tenant) -> None:
    tenant.control("PATCH", f"/apps/{CONFIDENTIAL}", {"roles": [], "requested_roles": ["Mail.Send"]})
    assert code_of(tenant.app()("POST", "/sendMail", json={})) == "ErrorAccessDenied"
    query = {"client_id": CONFIDENTIAL, "redirect_uri": BACK, "state": "x", "emulator_auto": "1"}
    answer = back(tenant.http.get(f"{tenant.url}/{TENANT_ID}/v2.0/adminconsent", params=query))
    assert (answer["admin_consent"], answer["tenant"], answer["state"]) == ("True", TENANT_ID, "x")
    assert code_of(tenant.app()("POST", "/sendMail", json={})) == "ErrorInvalidRequest"


def test_a_device_code_is_pending_until_somebody_signs_in(tenant: Tenant) -> None:
    url = f"{tenant.url}/common/oauth2/v2.0/devicecode"
    device = tenant.http.post(url, data={"client_id": PUBLIC, "scope": MAIL_SCOPES}).json()
    form = {
        "client_id": PUBLIC,
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": device["device_code"],
    }
    assert tenant.token(**form).json()["error"] == "authorization_pending"
    query = {"user_code": device["user_code"], "emulator_user": "mary@contoso.example"}
    assert tenant.http.get(device["verification_uri"], params=query).status_code == 200
    assert "access_token" in tenant.token(**form).json()


def test_the_metadata_names_the_endpoints(tenant: Tenant) -> None:
    body = tenant.http.get(f"{tenant.url}/{TENANT_ID}/v2.0/.well-known/openid-configuration").json()
    assert body["token_endpoint"] == f"{tenant.url}/{TENANT_ID}/oauth2/v2.0/token"
    assert tenant.http.get(body["jwks_uri"]).json()["keys"][0]["kty"] == "RSA"
