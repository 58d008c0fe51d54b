"""Signed JSON tokens: what Entra issues (RS256), and what clients assert with a certificate (PS256, RS256)."""

import base64
import binascii
import hashlib
import json
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailroom_emulator.tenant import Certificate

Json = dict[str, Any]


class BadToken(Exception):
    """Not a token, or not signed as it says."""


class Signer:
    """An RSA key that signs the tenant's tokens and recognises them again."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key
        numbers = key.public_key().public_numbers()
        self.jwk: Json = {"kty": "RSA", "use": "sig", "n": _int64(numbers.n), "e": _int64(numbers.e)}
        self.kid = b64(hashlib.sha256(self.jwk["n"].encode()).digest()[:20])
        self.jwk["kid"] = self.jwk["x5t"] = self.kid

    def sign(self, claims: Json) -> str:
        head = {"typ": "JWT", "alg": "RS256", "kid": self.kid, "x5t": self.kid}
        text = f"{b64(_compact(head))}.{b64(_compact(claims))}"
        return f"{text}.{b64(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def read(self, token: str) -> Json:
        _, claims, text, signature = take_apart(token)
        verify(self._key.public_key(), "RS256", text, signature)
        return claims


@lru_cache(maxsize=1)
def shared_signer() -> Signer:
    """One key per process: making one takes a tenth of a second."""
    return Signer(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def take_apart(token: str) -> tuple[Json, Json, bytes, bytes]:
    """(header, claims, signed text, signature) of a compact JWS; raises BadToken."""
    try:
        head, claims, signature = token.split(".")
        parsed = json.loads(unb64(head)), json.loads(unb64(claims))
        return *parsed, f"{head}.{claims}".encode(), unb64(signature)
    except (ValueError, binascii.Error) as error:
        raise BadToken("not a compact JWS of JSON") from error


def verify(key: rsa.RSAPublicKey, algorithm: str, text: bytes, signature: bytes) -> None:
    """Raises BadToken unless the signature is right."""
    try:
        if algorithm == "RS256":
            key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        elif algorithm == "PS256":
            salt = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
            key.verify(signature, text, salt, hashes.SHA256())
        else:
            raise BadToken(f"the algorithm {algorithm!r} is not one of RS256, PS256")
    except InvalidSignature as error:
        raise BadToken("the signature is wrong") from error


def read_certificate(pem: bytes) -> Certificate:
    """A certificate to register with an application; raises ValueError if it is not one with an RSA key."""
    certificate = x509.load_pem_x509_certificate(pem)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the certificate must have an RSA key")
    return Certificate(
        sha1=b64(certificate.fingerprint(hashes.SHA1())),  # noqa: S303 - x5t is defined by SHA-1 (RFC 7515 4.1.7)
        sha256=b64(certificate.fingerprint(hashes.SHA256())),
        public_key_pem=key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def public_key(certificate: Certificate) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(certificate.public_key_pem)
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _compact(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _int64(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))
