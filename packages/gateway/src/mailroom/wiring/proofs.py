"""What proves app registrations: the secret or certificate of each account, and certificates that were made and wait for their account.

A certificate that is made here lies sealed under its own fingerprint until an account is connected with it; its key never leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from mailroom.console.accounts_desk import Prepared, Proof
from mailroom.vault.certificates import make_certificate, shown
from mailroom.wiring.parts import Parts, utc_now
from mailroom_core.errors import VaultError

_PREPARED = "certificate:"


class Proofs:
    """Implements `console.accounts_desk.ProofDesk`."""

    def __init__(self, parts: Parts) -> None:
        self._vault = parts.vault
        self._store = parts.store

    def of(self, account: str) -> Proof | None:
        kept = self._vault.open(f"app:{account}") or {}
        if kept.get("certificate"):
            found = shown(kept["certificate"])
            return Proof(certificate=found, until=found.until) if found else None
        if kept.get("secret"):
            on = kept.get("expires_on")
            return Proof(certificate=None, until=datetime.fromisoformat(on).replace(tzinfo=UTC) if on else None)
        return None

    def make(self, name: str, *, by: str) -> Prepared:
        now = utc_now()
        pem = make_certificate(name, now=now)
        found = shown(pem)
        assert found is not None
        self._vault.seal(_PREPARED + found.sha256, {"certificate": pem, "name": name, "made_at": now.isoformat()})
        self._store.audit(by=by, what="new certificate", kind="account", name=name)
        return Prepared(name=name, made_at=now, certificate=found)

    def prepared(self) -> list[Prepared]:
        found = []
        for each in self._store.secrets():
            if each.startswith(_PREPARED) and (kept := self._vault.open(each)) and (certificate := shown(kept["certificate"])):
                found.append(Prepared(name=kept["name"], made_at=datetime.fromisoformat(kept["made_at"]), certificate=certificate))
        return sorted(found, key=lambda each: each.made_at, reverse=True)

    def take(self, sha256: str) -> str:
        kept = self._vault.open(_PREPARED + sha256) if sha256.isalnum() else None
        if kept is None:
            raise VaultError("this certificate is not kept here any more; make a new one, and upload that at Microsoft")
        return kept["certificate"]

    def drop(self, sha256: str, *, by: str) -> None:
        self.take(sha256)
        self._vault.seal(_PREPARED + sha256, None)

    def used(self, proof: Mapping[str, str] | None) -> None:
        """It lies with its account now. Blocking."""
        found = shown((proof or {}).get("certificate", ""))
        if found is not None and _PREPARED + found.sha256 in self._store.secrets():
            self._vault.seal(_PREPARED + found.sha256, None)
