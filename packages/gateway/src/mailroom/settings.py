"""Process settings: `mailroom.toml` and the environment. What people configure (servers, accounts, ...) lies in the store.

Every setting of the file can be given as `MAILROOM_<SECTION>_<NAME>`, for example `MAILROOM_WEB_PORT=8080`. All mistakes are
reported at once, each with its line or its variable.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from mailroom.doctor.sending import BLOCKLISTS
from mailroom.objects import Role
from mailroom.units import Network, Networks, Size, Span, Spans, Words, provider, several, site
from mailroom_core.errors import ConfigError

PREFIX = "MAILROOM_"
ELSEWHERE = frozenset({"MAILROOM_CONFIG", "MAILROOM_VAULT_KEY", "MAILROOM_URL", "MAILROOM_TOKEN_FILE", "MAILROOM_DOMAIN"})
"""Variables of ours that are no settings: options of commands, and the vault's key."""
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)[_=]|_PORT_\d+_(TCP|UDP|SCTP)[_=]|_PORT=(tcp|udp|sctp)://")
"""What Kubernetes sets by itself in every container beside a service called mailroom."""
_LISTENER = "can only be set in the settings file, with a section [[listener]] for each port"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListenerSettings(_Section):
    """One port that takes mail."""

    host: str = "127.0.0.1"
    port: int = Field(default=2525, ge=0, le=65535)
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    legacy: bool = False
    """For old devices: no TLS, no credential, only the networks named here."""
    networks: tuple[Network, ...] = ()


class SmtpSettings(_Section):
    hostname: str = ""
    """What we call ourselves; empty: the machine's name."""
    max_size: Size = 150 * 1024**2
    max_recipients: int = Field(default=1000, ge=1)
    max_sessions: int = Field(default=500, ge=1)
    max_sessions_per_client: int = Field(default=100, ge=1)
    idle: Span = timedelta(minutes=5)
    clear_text_login_on_loopback: bool = False


class TlsSettings(_Section):
    certificate: Path | None = None
    """Empty: a self-signed one is made at first start."""
    key: Path | None = None
    client_authorities: Path | None = None
    """Certificates, or their issuers, that clients may identify themselves with; the application names the fingerprint."""


class WebSettings(_Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8020, ge=0, le=65535)
    trusted_proxies: Networks = ()
    """What these say of the client's address and of TLS (X-Forwarded-For, X-Forwarded-Proto) is believed."""
    max_connections: int = Field(default=300, ge=1)


def role_table(value: object) -> object:
    """`"Mail admins=admin, Helpdesk=operator"`, as the environment has it, as a table."""
    if not isinstance(value, str):
        return value
    pairs = [item.rpartition("=") for item in value.split(",") if item.strip()]
    return {group.strip(): role.strip() for group, _, role in pairs}


class SigninSettings(_Section):
    """People in the console, and the identity provider (OpenID Connect) that may vouch for them."""

    idle: Span = timedelta(hours=8)
    """A session that nobody uses for so long ends."""
    lifetime: Span = timedelta(days=7)
    """So does every session after this time."""
    issuer: Annotated[str, BeforeValidator(provider)] = ""
    """Exactly as the provider calls itself."""
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    client_secret_file: Path | None = None
    name: str = "your organisation"
    """On the button: Sign in with ..."""
    address_claim: str = ""
    """Empty: `email`, if the provider has verified it."""
    groups_claim: str = "groups"
    domains: Words = ()
    """Of people whom nobody has invited; empty: any."""
    roles: Annotated[dict[str, Role], BeforeValidator(role_table)] = {}
    """By group."""
    everybody: Role | None = None
    """For those in no such group."""

    @model_validator(mode="after")
    def _known_there(self) -> Self:
        if self.issuer and not self.client_id:
            raise ValueError("with an issuer, client_id is needed as well: what the provider calls Mailroom")
        return self


class QueueSettings(_Section):
    lifetime: Span = timedelta(days=5)
    time_limit: Span = timedelta(minutes=5)
    """The hard deadline of one attempt."""
    looks: Spans = ()
    """Waits before each look at an unanswered attempt; empty: 12 minutes in eight looks."""
    keep_raw: Span = timedelta(days=7)
    keep_rows: Span = timedelta(days=90)
    keep_audit: Span = timedelta(days=365)
    time_scale: float = Field(default=1.0, gt=0)
    """For measuring with an emulator whose limits pass so many times faster; anything but 1 breaks Microsoft's limits."""


class WebhooksSettings(_Section):
    private_networks: Annotated[tuple[Network, ...], BeforeValidator(several)] = ()
    """Private, loopback and link-local addresses that webhooks may be sent to, also by http."""
    keep: Span = timedelta(days=30)
    """How long what a webhook was told stays, with each try."""


def name_server(value: object) -> object:
    """An IP address, perhaps with a port."""
    text = str(value)
    host, _, port = text[1:].partition("]") if text.startswith("[") else text.partition(":") if text.count(":") == 1 else (text, "", "")
    try:
        ip_address(host)
        if not 0 < int(port.lstrip(":") or 53) < 65536:
            raise ValueError
    except ValueError:
        raise ValueError(f'{text!r} is no address of a name server; write for example "10.0.0.1" or "10.0.0.1:5353"') from None
    return text


def public_address(value: object) -> object:
    """An IP address."""
    try:
        return str(ip_address(str(value)))
    except ValueError:
        raise ValueError(f'{value!r} is no address; write for example "203.0.113.7"') from None


NameServers = Annotated[tuple[Annotated[str, BeforeValidator(name_server)], ...], BeforeValidator(several)]


def key_name(value: object) -> object:
    """The whole name of a DKIM key."""
    name = str(value).strip().rstrip(".").lower()
    selector, _, domain = name.partition("._domainkey.")
    if not selector or "." not in domain:
        raise ValueError(f'{value!r} is no name of a DKIM key; write for example "abc123._domainkey.example.com"')
    return name


KeyNames = Annotated[tuple[Annotated[str, BeforeValidator(key_name)], ...], BeforeValidator(several)]
Addresses = Annotated[tuple[Annotated[str, BeforeValidator(public_address)], ...], BeforeValidator(several)]


class DoctorSettings(_Section):
    """What the doctor asks, and what it can't find out by itself."""

    resolver: NameServers = ()
    """Name servers; empty: those of this machine."""
    addresses: Addresses = ()
    """Public addresses that smarthosts of our own send from."""
    blocklists: Words = BLOCKLISTS
    """Asked about these addresses."""
    selectors: KeyNames = ()
    """DKIM keys of services that give everybody's keys other names."""
    every: Span = timedelta(days=1)
    """How often the alias domains and the installation are looked at; 0s: never by itself."""
    keep_reports: Span = timedelta(days=365)
    """How long DMARC reports of others stay."""


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    json_lines: bool | None = None
    """Empty: JSON unless standard error is a terminal."""


class MxSettings(_Section):
    """The port where other servers bring mail for our addresses."""

    enabled: bool = False
    host: str = "0.0.0.0"  # noqa: S104  # off by default, and useless on loopback
    port: int = Field(default=25, ge=0, le=65535)
    tls: Literal["none", "starttls"] = "starttls"
    max_size: Size = 50 * 1024**2
    max_recipients: int = Field(default=200, ge=1)
    max_sessions: int = Field(default=200, ge=1)
    max_sessions_per_client: int = Field(default=20, ge=1)
    messages_per_minute: int = Field(default=300, ge=0)
    """Of one client address; 0 is no limit."""
    idle: Span = timedelta(minutes=5)
    greet_pause: Span = timedelta(0)
    tarpit: Span = timedelta(seconds=1)
    """Before the answer to a recipient that there is not."""
    dmarc: Literal["record", "quarantine", "reject"] = "quarantine"
    """What becomes of mail whose sender's domain wants it quarantined or refused."""
    authserv_id: str = ""
    """As whom we write Authentication-Results; empty: the host name."""
    trusted_sealers: Words = ()
    """Domains whose word about mail that they have passed on (ARC) is believed."""
    redirectors: Networks = ()
    """Servers of ours that pass on mail of others."""
    destination: str = ""
    """Takes what no alias wants, at any address of our domains."""
    resolver: NameServers = ()
    """Empty: those of `doctor.resolver`."""
    check_time: Span = timedelta(seconds=20)
    """For all questions about one mail."""


class RoutingSettings(_Section):
    """The limit against loops: how much of one sender opens something in a destination, or is added to one conversation."""

    loop_mails: int = Field(default=20, ge=1)
    loop_window: Span = timedelta(hours=2)
    loop_exempt: Words = ()
    """Senders without that limit: addresses, domains, or `*` for everybody."""


class SuppressionSettings(_Section):
    """When an address gets nothing more from here. 0 switches a rule off."""

    hard: int = Field(default=1, ge=0)
    """Bounces that say for good that the address is dead."""
    soft: int = Field(default=5, ge=0)
    """Bounces of any kind that blame the address or its mailbox."""
    window: Span = timedelta(weeks=13)
    """Older bounces don't count."""
    span: Span = timedelta(weeks=1)
    """The soft ones must be further apart than this, first to last."""


class Settings(_Section):
    """All of it."""

    data: Path = Path("mailroom-data")
    """The database, large messages, keys and certificates lie here."""
    database: str = ""
    """`postgresql://...`; empty: SQLite in the data directory."""
    key_file: Path | None = None
    """The vault's key; empty: `vault.key` in the data directory, made at first start."""
    public_url: Annotated[str, BeforeValidator(site)] = ""
    """Where people find the web address."""
    smtp: SmtpSettings = SmtpSettings()
    mx: MxSettings = MxSettings()
    routing: RoutingSettings = RoutingSettings()
    suppression: SuppressionSettings = SuppressionSettings()
    tls: TlsSettings = TlsSettings()
    web: WebSettings = WebSettings()
    signin: SigninSettings = SigninSettings()
    queue: QueueSettings = QueueSettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    doctor: DoctorSettings = DoctorSettings()
    log: LogSettings = LogSettings()
    listener: tuple[ListenerSettings, ...] = (ListenerSettings(),)

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data.absolute() / 'mailroom.db'}"

    @property
    def vault_key_file(self) -> Path:
        return self.key_file or self.data / "vault.key"


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the file (if there is one) and the environment over it. Raises ConfigError with every mistake in it."""
    text = ""
    if path is not None:
        try:
            text = path.read_text("utf-8")
        except OSError as problem:
            raise ConfigError(f"{path}: can't be read ({problem.strerror}); name another file with --config") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{path}: not valid TOML: {problem}") from None
    given = _overlay(document, environment)
    unknown = _unknown(environment)
    try:
        settings = Settings.model_validate(document)
    except ValidationError as problem:
        raise ConfigError("\n".join([*(_mistake(path, text, given, error) for error in problem.errors()), *unknown])) from None
    if unknown:
        raise ConfigError("\n".join(unknown))
    return settings


def _variables() -> dict[str, tuple[str, ...]]:
    """Variable -> where its setting lies; also whole sections, which can't be set by one."""
    places: list[tuple[str, ...]] = []
    for name, field in Settings.model_fields.items():
        places.append((name,))
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section):
            places += [(name, inner) for inner in field.annotation.model_fields]
    return {f"{PREFIX}{'_'.join(place).upper()}": place for place in places}


def _overlay(document: dict[str, Any], environment: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Puts the environment over the document; returns which variable has set what."""
    given: dict[tuple[str, ...], str] = {}
    for variable, place in _variables().items():
        if variable not in environment:
            continue
        *section, name = place
        target = document.setdefault(section[0], {}) if section else document
        if isinstance(target, dict):
            target[name], given[place] = environment[variable], variable
    return given


def _unknown(environment: Mapping[str, str]) -> list[str]:
    """The variables that look like ours and set nothing, each with what was probably meant."""
    known = {*_variables(), *ELSEWHERE}
    named = [name for name, value in environment.items() if name.startswith(PREFIX) and not _SERVICE_LINK.search(f"{name}={value}")]
    return [f"{name}: {_meant(name, known)}" for name in named if name not in known]


def _meant(variable: str, known: Collection[str]) -> str:
    if variable.startswith(f"{PREFIX}LISTENER_"):
        return _LISTENER
    near = difflib.get_close_matches(variable.removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in known], n=1)
    right = f"perhaps {PREFIX}{near[0]} is meant" if near else "see docs/settings.md for its right name"
    return f"there is no such setting; {right}, else remove the variable"


def _mistake(path: Path | None, text: str, given: Mapping[tuple[str, ...], str], error: Any) -> str:
    location = error["loc"]
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "there is no such setting; remove it, or see docs/settings.md for its right name"
    if error["type"] == "model_type":
        single = f"MAILROOM_{location[0].upper()}_NAME"
        message = f"is a section; set what is in it, below [{location[0]}] in the settings file or by variables such as {single}"
    if location[0] == "listener" and error["type"] in {"tuple_type", "model_type"}:
        message = _LISTENER
    if variable := given.get(location[:1]) or given.get(location[:2]):
        return f"{variable}: {message}"
    line = line_of(text, location)
    place = f"{path}:{line}: " if path and line else ""
    return f"{place}{'.'.join(map(str, location))}: {message}"


def line_of(text: str, location: tuple[Any, ...]) -> int | None:
    """The line of a TOML file that a path such as `("listener", 0, "port")` points at; None if it is not found."""
    keys = [part for part in location if isinstance(part, str)]
    index = next((part for part in location if isinstance(part, int)), 0)
    section: str | None = None
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([\w.\-\"]+)\s*\]\]?", line):
            section = header[1].replace('"', "")
            seen[section] = seen.get(section, -1) + 1
            if [section] == keys:
                return number
        elif pair := re.match(r"\s*([\w\-]+)\s*=", line):
            path = ([*section.split(".")] if section else []) + [pair[1]]
            if path == keys[: len(path)] and (section is None or seen[section] == index or "[[" not in text):
                return number
    return None
