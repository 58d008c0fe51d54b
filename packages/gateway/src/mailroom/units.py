"""Settings as people write them: spans of time, sizes, networks, addresses of sites, and lists of them."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated

from pydantic import BeforeValidator

_SPANS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


def span(value: object) -> object:
    """`"4h"`, `"90s"`, `"5d"` as a timedelta."""
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)\s*", str(value))
    if not found:
        raise ValueError(f'{value!r} is no span of time; write for example "30s", "10m", "4h" or "5d"')
    return timedelta(seconds=float(found[1]) * _SPANS[found[2]])


def size(value: object) -> object:
    """`"35MiB"`, `"256KiB"` as a number of bytes."""
    if isinstance(value, int):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|kB|MB|GB)\s*", str(value))
    if not found:
        raise ValueError(f'{value!r} is no size; write for example "256KiB" or "35MiB"')
    return int(float(found[1]) * _SIZES[found[2]])


def network(value: object) -> object:
    """An address or a network in CIDR form."""
    try:
        return str(ip_network(str(value), strict=False))
    except ValueError:
        raise ValueError(f'{value!r} is no network; write for example "192.168.1.0/24" or "10.0.0.7"') from None


def site(value: object) -> object:
    """`https://mail.example.com`, without a slash at the end."""
    if value and not re.fullmatch(r"https?://[^/\s?#@]+/?", str(value)):
        raise ValueError(f'{value!r} is no address of a site; write for example "https://mail.example.com", without a path')
    return str(value).rstrip("/")


def provider(value: object) -> object:
    """Only by TLS, or on this machine."""
    if value and not re.fullmatch(r"https://\S+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/\S*)?", str(value)):
        raise ValueError(f"{value!r} is no address of a provider; write https://..., exactly as the provider calls itself")
    return value


def several(value: object) -> object:
    """`"5s, 10s, 1m"`, as the environment has it, as a list."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


Span = Annotated[timedelta, BeforeValidator(span)]
Spans = Annotated[tuple[Span, ...], BeforeValidator(several)]
Words = Annotated[tuple[str, ...], BeforeValidator(several)]
Size = Annotated[int, BeforeValidator(size)]
Network = Annotated[str, BeforeValidator(network)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(several)]
