"""A test of the MX listener: does it answer, with which certificate, does it relay, and does mail for our domains come here?"""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from secrets import token_hex

from cryptography import x509

from mailroom.authenticity.names import Ask, Names, Unanswered
from mailroom.doctor.trial import Step
from mailroom.settings import Settings
from mailroom.wiring.parts import Parts, hostname, utc_now

_PATIENCE = 10.0
_NOT_BOUND = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # where to ask instead


async def mx_trial(parts: Parts) -> AsyncIterator[Step]:
    """The steps as they happen; no mail is handed over."""
    given = parts.settings.mx
    if not given.enabled:
        yield Step("listener", "it is off: set enabled = true below [mx] in mailroom.toml, and restart", ok=False)
        return
    if given.port == 0:
        yield Step("listener", "it has any free port (mx.port = 0), which nobody can find; name one", ok=False)
        return
    domains = sorted(parts.directory().alias_domains)
    for step in await asyncio.to_thread(_session, parts.settings, domains):
        yield step
        if step.name == "listener" and not step.ok:
            return
    if not domains:
        yield Step("addresses", "there is no alias domain, so every address is refused; mailroom domain add DOMAIN", ok=False)
        return
    ask = Names(given.resolver or parts.settings.doctor.resolver).asking(timedelta(seconds=20))
    found = [await asyncio.to_thread(_domain, ask, each, hostname(parts.settings)) for each in domains]
    for _, step in found:
        yield step
    if not any(here for here, _ in found) and all(step.ok for _, step in found) and not given.redirectors:
        yield Step("mail", "no domain's mail comes here by DNS, and no server redirects any (mx.redirectors)", ok=False)


def _session(settings: Settings, domains: list[str]) -> list[Step]:
    """What a client on this machine sees. Blocking."""
    given = settings.mx
    host = _NOT_BOUND.get(given.host, given.host)
    steps = []
    try:
        with smtplib.SMTP(host, given.port, local_hostname=hostname(settings), timeout=_PATIENCE) as smtp:
            steps.append(Step("listener", f"{host} port {given.port} answers"))
            if given.tls == "starttls":
                steps.append(_certificate(smtp, hostname(settings)))
            smtp.ehlo_or_helo_if_needed()
            smtp.mail("")
            steps.append(_relay(smtp))
            if domains:
                steps.append(_unknown(smtp, domains[0], destination=given.destination))
    except (OSError, smtplib.SMTPException) as problem:
        why = f"{host} port {given.port} gives no answer ({problem}); see that the gateway runs, and was started since mx.enabled was set"
        steps.append(Step("listener", why, ok=False))
    return steps


def _certificate(smtp: smtplib.SMTP, name: str) -> Step:
    """Other servers take any; those that insist on a good one (MTA-STS, DANE) don't."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    smtp.starttls(context=context)
    assert isinstance(smtp.sock, ssl.SSLSocket), "TLS is in use"
    shown = x509.load_der_x509_certificate(smtp.sock.getpeercert(binary_form=True) or b"")
    names: list[str] = []
    with suppress(x509.ExtensionNotFound):
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    until = shown.not_valid_after_utc
    if until < utc_now():
        return Step("certificate", f"it ended on {until:%Y-%m-%d}; renew it (tls.certificate)", ok=False)
    if shown.issuer == shown.subject:
        return Step("certificate", "self-signed: other servers take it, but not those that insist on a good one (MTA-STS, DANE)")
    if name not in names:
        return Step("certificate", f"it is for {', '.join(names) or 'no name'}, and we call ourselves {name} (smtp.hostname)", ok=False)
    return Step("certificate", f"for {name}, good until {until:%Y-%m-%d}")


def _relay(smtp: smtplib.SMTP) -> Step:
    code, said = smtp.rcpt(f"{token_hex(8)}@relay.invalid")
    words = f"{code} {said.decode('ascii', 'replace')}"
    return Step("relay", f"refused, as it must be: {words}") if code >= 500 else Step("relay", f"it must refuse this: {words}", ok=False)


def _unknown(smtp: smtplib.SMTP, domain: str, *, destination: str) -> Step:
    code, said = smtp.rcpt(f"{token_hex(8)}@{domain}")
    words = f"{code} {said.decode('ascii', 'replace')}"
    if destination and code < 300:
        return Step("unknown address", f"taken, for {destination} (mx.destination): {words}")
    return Step("unknown address", f"refused, as it must be: {words}" if code >= 500 else words, ok=code >= 500)


def _domain(ask: Ask, domain: str, name: str) -> tuple[bool, Step]:
    """Whether mail for the domain comes to us. Blocking."""
    step = f"MX of {domain}"
    try:
        records = ask(domain, "MX").records
        hosts = [each.exchange.to_text(omit_final_dot=True).lower() for each in sorted(records, key=lambda each: each.preference)]
        if not hosts:
            advice = f"add at your DNS: {domain}. MX 10 {name}."
            return False, Step(step, f"there is none, so that nobody can write to it; {advice}", ok=False)
        if name.lower() in hosts or _addresses(ask, hosts[0]) & _own():
            return True, Step(step, f"{', '.join(hosts)}: here")
        if not any(_addresses(ask, each) for each in hosts):
            return False, Step(step, f"{', '.join(hosts)} has no address; add an A record for it at your DNS", ok=False)
    except Unanswered as problem:
        return False, Step(step, f"unchecked: the name server did not answer ({problem})")
    return False, Step(
        step, f"{', '.join(hosts)}: elsewhere. That is right if its mail is fetched or redirected; else it has to name {name}"
    )


def _addresses(ask: Ask, host: str) -> set[str]:
    return {each.address for kind in ("A", "AAAA") for each in ask(host, kind).records}


def _own() -> set[str]:
    """Addresses of this machine, as far as it knows them: behind NAT it does not."""
    with suppress(OSError):
        return {str(each[4][0]) for each in socket.getaddrinfo(socket.gethostname(), None)}
    return set()
