"""Takes secrets out of texts, and puts the same mask wherever the same address stands."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from html import unescape
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, unquote

from mailroom_core.policy.addresses import normalize

SECRET = "(secret)"  # noqa: S105  # the word that stands for one
SHORTEST = 4
"""Characters of a secret that is looked for by its value; a shorter one stands in every text by chance."""
# Every repetition has an end or gives nothing back: a text may be hostile.
_HOST = r"(?:\[[0-9A-Za-z:.]{2,60}\]|[^\W_][\w-]{0,62}+(?:\.[\w-]{1,63}+){0,20}+)"
_TAGGED = r"(?:srs[01]|prvs|btv1)[=+-][^\s<>\"@]{1,200}+"
_INSIDE = r"(?<=[\w.!#$%&'*+/=?^`{|}~-])"
_LOCAL = rf"(?:{_TAGGED}|\"[^\"\n]{{1,64}}\"|(?:[^\s<>\"'(),;:\[\]\\|@`]|(?<=\w)'(?=\w)|{_INSIDE}[|`]){{1,128}}+)"
_ADDRESS = re.compile(rf"(?P<local>{_LOCAL})@(?P<host>{_HOST})", re.IGNORECASE)
_WORD = re.compile(r"=\?[^?\s]{1,40}\?[bBqQ]\?[^?]{0,400}\?=(?:\s+(?==\?))?")
_WORDS = re.compile(rf"(?:{_WORD.pattern}){{1,60}}")
_ESCAPED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,31});")
_AT = re.compile(r"[\uff20\ufe6b]|\\u(?:0040|ff20|fe6b)|(?<=[\w.+-])=40(?=[\w-]{1,63}\.[a-z])", re.IGNORECASE)
_LAYERS = 3
"""How often one spelling may be wrapped in another."""
_A_DOMAIN = re.compile(r"[\w-]+(?:\.[\w-]+)*\.(?:[a-z]{2}|com|net|org|info|biz|edu|gov)", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{3,60}-----.*?(?:-----END [A-Z0-9 ]{3,60}-----|\Z)", re.DOTALL)
_FIELD = re.compile(r"\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)\b(\"?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
_SCHEME = re.compile(r"\b(bearer|basic|xoauth2|auth\s+plain|auth\s+login)\s+([A-Za-z0-9+/._~=-]{4,})", re.IGNORECASE)
_PAIR = re.compile(
    r"(?i)\b((?:[a-z]{1,40}[_-])?(?:password|passwort|passwd|pwd|secret|passphrase|api[_-]?key|assertion|otp)|pass(?=\s*=)|[a-z]{1,40}_token|token(?=\s*=|\"?:\s))"
    r"(\"?\s*(?:[:=]|\bis\b)\s*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&\"']+)"
)
_URL = re.compile(r"(https?://)((?:[^\s/@\"'<>]{0,200}+@)?)([^\s/?#\"'<>:]+)(:\d+)?([/?#][^\s\"'<>]*)?", re.IGNORECASE)
_USER = re.compile(r"(\w://)[^/\s@]{1,200}+@")
_ENCODED = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{8,}={0,2}(?![A-Za-z0-9+/_=-])")
_OPAQUE = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}={0,2}(?![A-Za-z0-9+/_=-])")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d*")
_CAMEL = re.compile(r"[A-Z]?[a-z]{2,16}(?:[A-Z][a-z]{1,16})*")
_NETWORK = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:]|\.\d)")
_SECRET_KEYS = re.compile(r"(?i)(^|_)(password|secret|token|refresh|assertion|cookie|authorization|private_key|recovery|otp)$")
_KNOWN = frozenset(
    (
        *("gmail.com", "googlemail.com", "google.com", "outlook.com", "hotmail.com", "live.com", "microsoft.com", "office365.com"),
        *("office.com", "microsoftonline.com", "amazonaws.com", "amazonses.com", "mailjet.com", "brevo.com", "mailgun.org"),
        *("sendgrid.net", "postmarkapp.com", "odoo.com", "yahoo.com", "icloud.com", "gmx.de", "gmx.net", "web.de"),
    )
)
"""Of so many people that they tell nothing of anybody; a support person wants to see them."""


class Masks:
    """One per bundle. `keep_names`: domains, hosts and network addresses stay."""

    def __init__(self, secrets: Iterable[str] = (), domains: Iterable[str] = (), *, keep_names: bool = False) -> None:
        self._keep_names = keep_names
        self._masks: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._secrets = sorted({each for each in secrets if len(each) >= SHORTEST}, key=len, reverse=True)
        forms = {form for each in self._secrets for form in _forms(each)}
        self._secret = _any_of(forms)
        self._domains: set[str] = set()
        self._domain: re.Pattern[str] | None = None
        for each in domains:
            self._learn_domain(each)

    def learn(self, value: Any) -> None:
        """The domains of all addresses in there: they are masked elsewhere as well. Before the first mask."""
        match value:
            case str():
                for found in _ADDRESS.finditer(_decoded(value)):
                    self._learn_domain(found["host"])
            case Mapping():
                for key, each in value.items():
                    self.learn(key)
                    self.learn(each)
            case list() | tuple():
                for each in value:
                    self.learn(each)
            case _:
                pass

    def learn_hosts(self, hosts: Iterable[str]) -> None:
        """The same for names of servers."""
        for each in hosts:
            self._learn_domain(each)

    def tree(self, value: Any) -> Any:
        """The same of JSON, keys and values."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): SECRET if _is_secret(str(key), each) else self.tree(each) for key, each in value.items()}
            case list() | tuple():
                return [self.tree(each) for each in value]
            case _:
                return value

    def text(self, text: str) -> str:
        text = self._secret.sub(SECRET, text)
        text = self._secret.sub(SECRET, _decoded(text))
        text = _PEM.sub(SECRET, text)
        text = _FIELD.sub(rf"\1\2{SECRET}", text)
        text = _SCHEME.sub(rf"\1 {SECRET}", text)
        text = _PAIR.sub(rf"\1\2{SECRET}", text)
        text = _URL.sub(_site, text)
        text = _USER.sub(rf"\1{SECRET}@", text)  # of other schemes
        text = _ENCODED.sub(self._encoded, text)
        text = _ADDRESS.sub(self._address, text)
        if not self._keep_names:
            text = _NETWORK.sub(lambda found: self._network(found[0]), text)
            text = self._known_domains().sub(lambda found: self.host(found[0]), text)
        return _OPAQUE.sub(lambda found: self._word(found[0]) if _is_opaque(found[0]) else found[0], text)

    def address(self, address: str) -> str:
        local, _, host = str(normalize(address)).rpartition("@")
        kind = "id" if len(local) >= 12 and _is_random(local) else "address"
        return f"{self._mask(kind, f'{local}@{host}')}@{self.host(host)}"

    def host(self, host: str) -> str:
        """The same for a host of a known domain, whose own part gets a mask of its own."""
        host = host.lower().strip(".")
        if self._keep_names or "." not in host:
            return host
        if host.startswith("["):
            return f"[{self._network(host.strip('[]'))}]"
        parents = [host.split(".", count)[count] for count in range(host.count("."))]
        parent = next((each for each in parents if each in _KNOWN), "") or next((each for each in parents if each in self._domains), "")
        if parent in _KNOWN:
            return host
        if parent and parent != host:
            return f"{self._mask('host', host)}.{self.host(parent)}"
        return f"{self._mask('domain', host)}.invalid"

    def leaks(self, text: str) -> bool:
        """Whether something is in it that should have been masked: a look at the finished text, by values alone."""
        whole = _decoded(text)
        if self._secret.search(text) or self._secret.search(whole):
            return True
        known = [value for kind, value in self._masks if kind == "address"]
        return any(each in text.lower() or each in whole.lower() for each in known)

    def legend(self) -> dict[str, str]:
        """Mask -> what it stands for: for those who make the bundle, never in it."""
        return {mask: value for (kind, value), mask in self._masks.items() if kind != "word"}

    def _mask(self, kind: str, value: str) -> str:
        made = self._masks.get((kind, value))
        if made is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            made = self._masks[kind, value] = f"{kind}-{self._counts[kind]}"
        return made

    def _address(self, found: re.Match[str]) -> str:
        """What stands before a `=` is the name of a value, or a part of an address that has another one inside (VERP)."""
        name, equals, local = found["local"].rpartition("=")
        tagged = re.match(_TAGGED, found["local"], re.IGNORECASE)
        inside = local.lower() in self._domains or local.lower() in _KNOWN or _A_DOMAIN.fullmatch(local) or re.search(r"[+\d]", name)
        if not equals or not local or tagged or inside:
            return self.address(found[0])
        return f"{name}={self.address('@'.join((local, found['host'])))}"

    def _word(self, value: str) -> str:
        return self._mask("word", value)

    def _encoded(self, found: re.Match[str]) -> str:
        """Base64 of something that would be masked itself."""
        plain = _base64(found[0])
        return self._word(found[0]) if plain and ("@" in plain or "\0" in plain or self._secret.search(plain)) else found[0]

    def _network(self, text: str) -> str:
        """Private addresses stay: they tell how a house is wired, and nothing of anybody."""
        try:
            address = ip_address(text.removeprefix("IPv6:"))
        except ValueError:
            return text
        return text if address.is_private or address.is_unspecified else self._mask("ip", str(address))

    def _learn_domain(self, host: str) -> None:
        host = host.lower().strip(".")
        if "." in host and not host.startswith("[") and not re.fullmatch(r"[\d.]+", host) and not host.endswith(".invalid"):
            self._domains.add(host)
            self._domain = None

    def _known_domains(self) -> re.Pattern[str]:
        if self._domain is None:
            names = "|".join(re.escape(each) for each in sorted(self._domains - _KNOWN, key=len, reverse=True)) or r"(?!)"
            self._domain = re.compile(rf"(?<![\w-])(?:[\w-]{{1,63}}\.){{0,8}}?(?:{names})(?![\w-]|\.\w)", re.IGNORECASE)
        return self._domain


def _forms(secret: str) -> Iterable[str]:
    """As it may stand in a text."""
    raw = secret.encode("utf-8", "surrogateescape")
    yield from (secret, quote(secret, safe=""), quote(secret), secret.replace("\n", "\\n"))
    yield from (base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("="))
    yield from (line for line in secret.splitlines() if len(line) >= 20 and not line.startswith("-----"))


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(each) for each in sorted(texts, key=len, reverse=True)) or r"(?!)")


def _is_secret(key: str, value: Any) -> bool:
    return bool(_SECRET_KEYS.search(key)) and isinstance(value, str) and value != ""


def _decoded(text: str) -> str:
    """Words of RFC 2047, percent signs, entities of HTML and other spellings of an @ as what they mean, also within each other."""
    for _ in range(_LAYERS):
        plain = _ESCAPED.sub(lambda found: unquote(found[0], errors="replace"), _WORDS.sub(_word_2047, text))
        plain = _AT.sub("@", _ENTITY.sub(lambda found: unescape(found[0]), plain))
        if plain == text:
            break
        text = plain
    return text


def _word_2047(found: re.Match[str]) -> str:
    try:
        return str(make_header(decode_header(found[0])))
    except (HeaderParseError, LookupError, UnicodeError, ValueError, binascii.Error):
        return "(unreadable)"


def _base64(text: str) -> str:
    """What it says if it is base64 of a text; else nothing."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        made = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
    return made if all(each.isprintable() or each in "\0\r\n\t\1" for each in made) else ""


def _site(found: re.Match[str]) -> str:
    """Some programs are called by an address with a secret in its path; that of a large provider says what was asked for."""
    scheme, user, host, port, rest = found.groups("")
    known = any(host.lower() == each or host.lower().endswith(f".{each}") for each in _KNOWN)
    path = rest.partition("?")[0].partition("#")[0] if known else "/..." if rest.strip("/") else rest
    return f"{scheme}{f'{SECRET}@' if user else ''}{host}{port}{path}{'?(left out)' if known and '?' in rest else ''}"


def _is_opaque(word: str) -> bool:
    return not _TIME.match(word) and _is_random(word)


def _is_random(word: str) -> bool:
    """Letters and digits mixed, or letters that make no words."""
    if re.search(r"[0-9]", word) and re.search(r"[A-Za-z]", word):
        return not re.fullmatch(r"(?:[a-z]+[-_])*[a-z]+[-_.]?\d{1,3}", word)
    if word.isdigit():
        return False
    return any(len(piece) >= 20 and not _CAMEL.fullmatch(piece) for piece in re.split(r"[-_/+=]", word))
