"""What it means that a connection could not be had: the words of the operating system, of OpenSSL and of the name resolution."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    text: str
    """A regular expression somewhere in the text, letter case does not count."""
    means: str
    todo: str
    source: str


_ERRNO = "errno(3)"
_NAMES = "getaddrinfo(3)"
_OPENSSL = "OpenSSL, X509_STORE_CTX_get_error(3)"
_LIBRARY = "OpenSSL, the reasons of its library ssl (include/openssl/sslerr.h)"
_PORTS = "security is starttls on port 587 or 25, and tls on port 465 (RFC 8314 3.3)"

ROWS: tuple[Row, ...] = (
    # -- certificates
    Row(
        "certificate has expired|certificate_expired|CERTIFICATE_VERIFY_FAILED.*expired",
        "The certificate of the other side has expired",
        "its administrator renews it; if the certificate is good, this machine's clock is wrong (timedatectl)",
        _OPENSSL,
    ),
    Row(
        "certificate is not yet valid",
        "The certificate of the other side is not valid yet",
        "check this machine's clock (timedatectl); else its administrator enters another one",
        _OPENSSL,
    ),
    Row(
        r"self[- ]signed certificate|unable to get (local )?issuer certificate|unable to verify the first certificate",
        "This machine does not know who has signed the certificate of the other side",
        "put its CA certificate into ca_file of the server; a public server has forgotten the certificates in between",
        _OPENSSL,
    ),
    Row(
        "hostname mismatch|doesn't match|not valid for|IP address mismatch",
        "The certificate of the other side is for another name than the one that was called",
        "write the name that stands in the certificate as host",
        _OPENSSL,
    ),
    Row(
        "certificate verify failed|is not trusted",
        "The certificate of the other side is not trusted",
        "the text in brackets says why; put its CA certificate into ca_file, or write the name in the certificate as host",
        _OPENSSL,
    ),
    Row(
        "alert[_ ](unknown[_ ]ca|bad[_ ]certificate|certificate[_ ](required|unknown|expired|revoked))|takes? (not|no) our certificate",
        "The other side does not take our certificate",
        "check client_certificate and client_key of the server, and whether the other side knows its CA",
        "RFC 8446 6.2",
    ),
    # -- TLS itself
    Row(
        r"wrong[_ ]version[_ ]number|http request|record layer failure|packet length too long|UNKNOWN_PROTOCOL",
        "One side speaks TLS at once and the other one expects clear text first",
        _PORTS,
        _LIBRARY,
    ),
    Row(
        r"unsupported[_ ]protocol|no[_ ]protocols[_ ]available|alert protocol version|VERSION_TOO_LOW",
        "Both sides have no version of TLS in common; one of them is very old",
        "update the old one. A device that can't be updated may use a legacy listener within your own network",
        "RFC 8446 6.2",
    ),
    Row(
        r"handshake[_ ]failure|no[_ ]shared[_ ]cipher|dh[_ ]key[_ ]too[_ ]small|NO_CIPHERS",
        "Both sides have no cipher in common; one of them is very old",
        "update the old one. A device that can't be updated may use a legacy listener within your own network",
        _LIBRARY,
    ),
    Row(
        "offers no STARTTLS|STARTTLS (is )?not (supported|offered)|must issue a STARTTLS",
        "TLS was wanted and not offered, or demanded and not begun",
        f"{_PORTS}; a firewall that looks into SMTP may remove it",
        "RFC 3207 4 and 6",
    ),
    Row(
        r"unexpected[_ ]eof|EOF occurred in violation",
        "The connection ended in the middle of the TLS handshake",
        f"look for a firewall in between, and at the port: {_PORTS}",
        _LIBRARY,
    ),
    # -- names
    Row(
        "name or service not known|nodename nor servname|no address associated|getaddrinfo failed|Could not resolve host|NXDOMAIN",
        "The name of the other side does not exist in the DNS",
        "check the host for a typing error; if it is right, check the name server of this machine (/etc/resolv.conf)",
        _NAMES,
    ),
    Row(
        "temporary failure in name resolution",
        "The name server of this machine does not answer",
        "check its network and its name server (/etc/resolv.conf); it is tried again by itself",
        _NAMES,
    ),
    # -- the way there
    Row(
        "connection refused|ECONNREFUSED|Errno 111",
        "Nothing listens at this address and port, or a firewall says no",
        "check host and port, and whether the service runs; for Mailroom itself: mailroom status, and the listeners in mailroom.toml",
        _ERRNO,
    ),
    Row(
        "connection reset|ECONNRESET|Errno 104|broken pipe|EPIPE|Errno 32",
        "The other side, or something in between, has cut the connection",
        "it is tried again; if it lasts, look for a firewall that closes idle or long connections, and into the log of the other side",
        _ERRNO,
    ),
    Row(
        "no route to host|EHOSTUNREACH|Errno 113|network is unreachable|ENETUNREACH|Errno 101",
        "There is no way to this address from here",
        "check network and gateway of this machine; an IPv6 address without IPv6 network looks like this too",
        _ERRNO,
    ),
    Row(
        "timed? ?out|ETIMEDOUT|Errno 110|did not answer in time",
        "Nothing answered in time: mostly a firewall drops the packets",
        "check host and port, and the firewall in between; many networks and clouds block port 25",
        _ERRNO,
    ),
    Row(
        r"(proxy|tunnel).{0,40}(40[37]|authentication required|refused)",
        "The proxy of this network does not let us through",
        "check HTTPS_PROXY, and let the proxy allow the provider's hosts",
        "RFC 9110 9.3.6 and 15.5.8",
    ),
    Row(
        "address already in use|EADDRINUSE|Errno 98",
        "Another program listens at this port already",
        "stop it, or choose another port for the listener in mailroom.toml",
        _ERRNO,
    ),
    Row(
        "no space left on device|ENOSPC|database or disk is full",
        "The disk is full",
        "make room; mailroom takes mail again by itself",
        _ERRNO,
    ),
)
