"""What to enter in a program, so that it hands its mail in here."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote

_TLS = {"starttls": "STARTTLS", "implicit": "TLS (SSL)", "none": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OldDoor:
    """A listener for devices that know neither TLS nor passwords."""

    host: str
    port: int
    networks: tuple[str, ...] = ()
    """Who may come in there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Where programs reach us."""

    host: str
    port: int
    tls: str
    """`starttls`, `implicit` or `none`."""
    own_certificate: str = ""
    """The file on this machine that a program has to trust; empty if the certificate is one that everybody trusts, or there is none."""
    outside: bool = True
    """Whether programs on other machines reach it, too."""
    old: OldDoor | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    title: str
    where: str
    """Where to enter it."""
    text: str


def opening(at: Entrance) -> str:
    """The lines of the settings that let programs on other machines in."""
    return f'[[listener]]\nhost = "0.0.0.0"\nport = {at.port}' + (f'\ntls = "{at.tls}"' if at.tls != "starttls" else "")


def _printer(at: Entrance, user: str, password: str, networks: tuple[str, ...]) -> Recipe:
    title, enter = "Printer or scanner", "Its settings for e-mail or SMTP; the sender must be one that this application may use"
    if networks and at.old:
        text = f"Server: {at.old.host}\nPort: {at.old.port}\nEncryption: none\nAuthentication: none"
        return Recipe(title, f"{enter}. It is known by its network", text)
    if at.outside:
        return Recipe(title, enter, _common(at, user, password))
    where = "No port is open to it yet. In mailroom.toml, in the place of a listener on this machine alone, then start the gateway anew"
    return Recipe(title, where, opening(at))


def _old(at: Entrance, networks: tuple[str, ...]) -> tuple[Recipe, ...]:
    """For an application that is known by its network, while no listener takes it without TLS."""
    if not networks or at.old:
        return ()
    names = ", ".join(f'"{each}"' for each in networks)
    text = f'[[listener]]\nhost = "0.0.0.0"\nport = {at.port + 1}\nlegacy = true\nnetworks = [{names}]'
    where = "One that knows neither TLS nor passwords needs a port of its own. Add to mailroom.toml, then start the gateway anew"
    return (Recipe("An old device", where, text),)


def _common(at: Entrance, user: str, password: str) -> str:
    return f"Server: {at.host}\nPort: {at.port}\nEncryption: {_TLS[at.tls]}\nUser: {user}\nPassword: {password}"


def recipes(at: Entrance, user: str, password: str, senders: tuple[str, ...] = (), networks: tuple[str, ...] = ()) -> tuple[Recipe, ...]:
    """`senders` are what it may send as, addresses and domains; the first one is the example. `networks` need no password."""
    sender = _example(senders)
    checks = "encryption only" if at.own_certificate else "encryption and validation"
    odoo = {"starttls": f"TLS (STARTTLS), {checks}", "implicit": f"SSL/TLS, {checks}", "none": "None"}[at.tls]
    msmtp = {"starttls": "tls on\ntls_starttls on", "implicit": "tls on\ntls_starttls off", "none": "tls off"}[at.tls]
    secure = {"starttls": "tls", "implicit": "ssl", "none": ""}[at.tls]
    swaks = {"starttls": " -tls", "implicit": " -tlsc", "none": ""}[at.tls]
    trusted_by_php = f"\n$mail->SMTPOptions = ['ssl' => ['cafile' => '{_quoted(at.own_certificate)}']];" if at.own_certificate else ""
    trusted_by_msmtp = f"\ntls_trust_file {at.own_certificate}" if at.own_certificate else ""
    return (
        Recipe(
            "Odoo",
            "Settings, Technical, Outgoing Mail Servers, New",
            f"SMTP Server: {at.host}\nSMTP Port: {at.port}\nConnection Encryption: {odoo}\nUsername: {user}\nPassword: {password}",
        ),
        _printer(at, user, password, networks),
        *_old(at, networks),
        Recipe(
            "PHP",
            "With PHPMailer, which most programs in PHP have inside",
            f"$mail->isSMTP();\n$mail->Host = '{at.host}';\n$mail->Port = {at.port};\n$mail->SMTPSecure = '{secure}';\n"
            f"$mail->SMTPAuth = true;\n$mail->Username = '{_quoted(user)}';\n$mail->Password = '{password}';{trusted_by_php}",
        ),
        Recipe(
            "cron and other programs on a server",
            "As ~/.msmtprc (mode 0600) of the user that they run as, with the package msmtp-mta",
            f"account default\nhost {at.host}\nport {at.port}\n{msmtp}{trusted_by_msmtp}\nauth on\nuser {user}\npassword {password}\n"
            f"from {sender}\nset_from_header on",
        ),
        Recipe(
            "Try it now",
            "In a terminal, with the package swaks; put your own address in the place of you@elsewhere.example, and look into Messages",
            f"swaks --server {at.host}:{at.port}{swaks} --auth-user {quote(user)} --auth-password {password} "
            f"--from {sender} --to you@elsewhere.example",
        ),
    )


def _example(senders: tuple[str, ...]) -> str:
    first = next((sender for sender in senders if sender != "*"), "your-domain.example")
    return first if "@" in first.strip("@") else f"mail@{first.lstrip('@')}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
