"""What to enter in a program, so that it hands its mail in here."""

from __future__ import annotations

from dataclasses import dataclass

_TLS = {"starttls": "STARTTLS", "implicit": "TLS (SSL)", "none": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Where programs reach us."""

    host: str
    port: int
    tls: str
    """`starttls`, `implicit` or `none`."""


@dataclass(frozen=True, slots=True)
class Recipe:
    title: str
    where: str
    """Where to enter it."""
    text: str


def recipes(at: Entrance, user: str, password: str) -> tuple[Recipe, ...]:
    odoo = {"starttls": "TLS (STARTTLS)", "implicit": "SSL/TLS", "none": "None"}[at.tls]
    common = f"Server: {at.host}\nPort: {at.port}\nEncryption: {_TLS[at.tls]}\nUser: {user}\nPassword: {password}"
    msmtp = {"starttls": "tls on\ntls_starttls on", "implicit": "tls on\ntls_starttls off", "none": "tls off"}[at.tls]
    secure = {"starttls": "tls", "implicit": "ssl", "none": ""}[at.tls]
    return (
        Recipe(
            "Odoo",
            "Settings, Technical, Outgoing Mail Servers, New",
            f"SMTP Server: {at.host}\nSMTP Port: {at.port}\nConnection Encryption: {odoo}\nUsername: {user}\nPassword: {password}",
        ),
        Recipe("Printer or scanner", "Its settings for e-mail or SMTP; the sender must be one that this application may use", common),
        Recipe(
            "PHP",
            "With PHPMailer, which most programs in PHP have inside",
            f"$mail->isSMTP();\n$mail->Host = '{at.host}';\n$mail->Port = {at.port};\n$mail->SMTPSecure = '{secure}';\n"
            f"$mail->SMTPAuth = true;\n$mail->Username = '{_quoted(user)}';\n$mail->Password = '{password}';",
        ),
        Recipe(
            "cron and other programs on a server",
            "As ~/.msmtprc (mode 0600) of the user that they run as, with the package msmtp-mta",
            f"account default\nhost {at.host}\nport {at.port}\n{msmtp}\nauth on\nuser {user}\npassword {password}",
        ),
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
