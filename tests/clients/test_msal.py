"""Microsoft's own sign-in library, `msal`, unmodified: each grant, and the refusals as it reports them."""

from __future__ import annotations

from typing import Any

import msal
import pytest
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from tests.clients.conftest import CERTIFICATE_VARIABLES
from tests.clients.person import MARY, Person, query_of
from tests.emulator.client import BACK, CONFIDENTIAL, PUBLIC, SECRET, TENANT_ID, Tenant
from tests.emulator.test_sign_in import Certificate

LOGIN = "https://login.microsoftonline.com"
SCOPES = ["User.Read", "Mail.Send", "Mail.ReadWrite"]
APP_SCOPES = ["https://graph.microsoft.com/.default"]
PAT = "pat@outlook.example"
NINETY_ONE_DAYS = 91 * 24 * 3600
Result = dict[str, Any]

pytestmark = [
    pytest.mark.filterwarnings("ignore:response_mode='form_post' is recommended"),
    pytest.mark.filterwarnings("ignore:Attempted too soon"),
    pytest.mark.filterwarnings("ignore:Using /common or /organizations authority"),
]


def public(tenant: str = "common") -> Any:
    return msal.PublicClientApplication(PUBLIC, authority=f"{LOGIN}/{tenant}")


def confidential(credential: Any = SECRET) -> Any:
    return msal.ConfidentialClientApplication(CONFIDENTIAL, client_credential=credential, authority=f"{LOGIN}/{TENANT_ID}")


def sign_in(app: Any, person: Person, who: str = MARY, decision: str = "Accept") -> Result:
    """The authorization code grant as a web application has it."""
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=BACK)
    url = person.sign_in(flow["auth_uri"], who, decision)
    return dict(app.acquire_token_by_auth_code_flow(flow, query_of(url)))


def silently(app: Any) -> Result:
    """New tokens by the refresh token that msal keeps."""
    return dict(app.acquire_token_silent_with_error(SCOPES, app.get_accounts()[0], force_refresh=True))


def refresh_token(app: Any) -> str:
    kind = msal.TokenCache.CredentialType.REFRESH_TOKEN
    return str(next(iter(app.token_cache.search(kind)))["secret"])


def whoami(result: Result, path: str = "me") -> str:
    """Who the token is for, says Graph."""
    assert "access_token" in result, result
    headers = {"Authorization": f"Bearer {result['access_token']}"}
    answer = requests.get(f"https://graph.microsoft.com/v1.0/{path}", headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["userPrincipalName"])


def can_read(result: Result, mailbox: str) -> bool:
    headers = {"Authorization": f"Bearer {result['access_token']}"}
    return requests.get(f"https://graph.microsoft.com/v1.0/users/{mailbox}/messages", headers=headers, timeout=10).ok


def private_key(certificate: Certificate) -> str:
    return certificate.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# A person signs in


def test_a_public_client_signs_in_with_a_code_and_pkce(person: Person) -> None:
    result = sign_in(public(), person)
    assert result["token_type"] == "Bearer"
    assert set(SCOPES) <= set(result["scope"].split())
    assert result["id_token_claims"]["preferred_username"] == MARY  # msal has compared nonce, audience and time
    assert whoami(result) == MARY


def test_the_code_may_come_back_as_a_form(person: Person) -> None:
    app = public()
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=BACK, response_mode="form_post")
    assert whoami(app.acquire_token_by_auth_code_flow(flow, person.sign_in_by_form(flow["auth_uri"], MARY))) == MARY


def test_a_program_on_a_desktop_signs_in_and_waits_on_a_port_of_its_own(desktop: None) -> None:
    assert whoami(public().acquire_token_interactive(SCOPES, timeout=20)) == MARY


def test_a_confidential_client_signs_in_with_a_code_pkce_and_its_secret(person: Person) -> None:
    assert whoami(sign_in(confidential(), person)) == MARY


def test_a_confidential_client_signs_in_with_a_code_pkce_and_its_certificate(registered: Certificate, person: Person) -> None:
    credential = {"private_key": private_key(registered), "public_certificate": registered.pem.decode()}
    assert whoami(sign_in(confidential(credential), person)) == MARY


@pytest.mark.parametrize("authority", ["common", "consumers"])
def test_a_personal_account_signs_in(person: Person, authority: str) -> None:
    result = sign_in(public(authority), person, PAT)
    assert whoami(result) == PAT
    assert result["id_token_claims"]["tid"] == "9188040d-6c67-4c5b-b112-36a304b66dad"


def test_a_device_signs_in_by_a_code_that_somebody_enters_elsewhere(person: Person) -> None:
    app = public("organizations")
    flow = app.initiate_device_flow(SCOPES)
    early = app.acquire_token_by_device_flow(flow, exit_condition=lambda _: True)
    assert early["error"] == "authorization_pending"
    person.sign_in_for_a_device(flow["verification_uri"], flow["user_code"], MARY)
    assert whoami(app.acquire_token_by_device_flow(flow)) == MARY


# Refreshing


def test_each_refresh_brings_another_refresh_token(person: Person) -> None:
    app = public()
    tokens = [sign_in(app, person)["access_token"]]
    kept = [refresh_token(app)]
    for _ in range(2):
        tokens.append(silently(app)["access_token"])
        kept.append(refresh_token(app))
    assert len(set(kept)) == 3
    assert len(set(tokens)) == 3
    assert whoami({"access_token": tokens[-1]}) == MARY


def test_msal_uses_its_cache_as_long_as_the_token_lives(tenant: Tenant, person: Person) -> None:
    app = public()
    first = sign_in(app, person)
    asked = tenant.control("GET", "/counters")
    again = app.acquire_token_silent(SCOPES, app.get_accounts(MARY)[0])
    assert again["access_token"] == first["access_token"]
    assert tenant.control("GET", "/counters") == asked


# An application by itself


def test_an_application_gets_a_token_by_its_secret(tenant: Tenant) -> None:
    result = confidential().acquire_token_for_client(APP_SCOPES)
    assert "refresh_token" not in result
    assert can_read(result, "sales@contoso.example")


def test_an_application_gets_a_token_by_a_pfx_file(registered: Certificate, tmp_path: Any) -> None:
    """msal takes the SHA-256 thumbprint from the file and signs with PS256."""
    file = tmp_path / "app.pfx"
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"app", registered.key, registered.certificate, None, NoEncryption()))
    result = confidential({"private_key_pfx_path": str(file)}).acquire_token_for_client(APP_SCOPES)
    assert can_read(result, "sales@contoso.example")


def test_an_application_gets_a_token_by_a_key_and_the_old_thumbprint(registered: Certificate) -> None:
    """msal signs with RS256 when it is given a SHA-1 thumbprint."""
    thumbprint = registered.certificate.fingerprint(hashes.SHA1()).hex()
    credential = {"private_key": private_key(registered), "thumbprint": thumbprint}
    assert can_read(confidential(credential).acquire_token_for_client(APP_SCOPES), "sales@contoso.example")


# Refusals


def refused(result: Result) -> tuple[str, int]:
    """Error and AADSTS number, as msal passes them on."""
    assert "access_token" not in result
    return result["error"], result["error_codes"][0]


def test_a_wrong_secret_is_refused(tenant: Tenant) -> None:
    assert refused(confidential("wrong").acquire_token_for_client(APP_SCOPES)) == ("invalid_client", 7000215)


def test_an_expired_secret_is_refused(tenant: Tenant) -> None:
    tenant.control("PATCH", f"/apps/{CONFIDENTIAL}", {"expire_secrets": True})
    assert refused(confidential().acquire_token_for_client(APP_SCOPES)) == ("invalid_client", 7000222)


def test_a_certificate_that_nobody_registered_is_refused(tenant: Tenant, certificate: Certificate) -> None:
    credential = {"private_key": private_key(certificate), "public_certificate": certificate.pem.decode()}
    assert refused(confidential(credential).acquire_token_for_client(APP_SCOPES)) == ("invalid_client", 700027)


def test_a_code_of_one_browser_is_worth_nothing_in_another(person: Person) -> None:
    """PKCE: the thief has the code, but not the verifier of the flow that asked for it."""
    app = public()
    robbed, own = (app.initiate_auth_code_flow(SCOPES, redirect_uri=BACK) for _ in range(2))
    stolen = query_of(person.sign_in(robbed["auth_uri"], MARY)) | {"state": own["state"]}
    assert refused(app.acquire_token_by_auth_code_flow(own, stolen)) == ("invalid_grant", 501481)


def test_a_code_is_worth_nothing_the_second_time(person: Person) -> None:
    app = public()
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=BACK)
    query = query_of(person.sign_in(flow["auth_uri"], MARY))
    assert whoami(app.acquire_token_by_auth_code_flow(flow, query)) == MARY
    assert refused(app.acquire_token_by_auth_code_flow(flow, query)) == ("invalid_grant", 54005)


def test_who_declines_the_consent_gives_no_token(person: Person) -> None:
    result = sign_in(public(), person, decision="Cancel")
    assert result["error"] == "access_denied"
    assert result["error_description"].startswith("AADSTS65004")


def test_a_revoked_grant_is_refused(tenant: Tenant, person: Person) -> None:
    app = public()
    sign_in(app, person)
    tenant.control("POST", f"/accounts/{MARY}/revoke", {})
    assert refused(silently(app)) == ("invalid_grant", 50173)


def test_a_grant_that_nobody_used_for_ninety_days_is_refused(tenant: Tenant, person: Person) -> None:
    app = public()
    sign_in(app, person)
    tenant.control("POST", "/clock", {"advance": NINETY_ONE_DAYS})
    assert refused(silently(app)) == ("invalid_grant", 700082)


def test_an_application_of_one_tenant_is_not_let_in_by_the_common_door(tenant: Tenant) -> None:
    app = msal.ConfidentialClientApplication(CONFIDENTIAL, client_credential=SECRET, authority=f"{LOGIN}/common")
    assert refused(app.acquire_token_for_client(APP_SCOPES))[1] == 50194


def test_an_unknown_tenant_is_told_at_once(tenant: Tenant) -> None:
    with pytest.raises(ValueError, match="double check your tenant name"):
        public("nobody.example")


def test_nothing_is_said_to_a_host_whose_authority_is_not_trusted(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CERTIFICATE_VARIABLES:
        monkeypatch.delenv(name)
    with pytest.raises(requests.exceptions.SSLError):
        public()
    assert tenant.control("GET", "/requests") == []
