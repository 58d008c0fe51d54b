"""What every process of the gateway has."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailroom.blobs.files import FileBlobs
from mailroom.changing import ObjectDesk, only_one
from mailroom.ids import Ids
from mailroom.machine import machine
from mailroom.notices import Notices
from mailroom.objects import Account, Directory
from mailroom.ports import Store
from mailroom.settings import Settings
from mailroom.store.open import open_store
from mailroom.transports.guarded import Caller, Policy
from mailroom.transports.http import Http, client
from mailroom.vault.keys import KeyRing
from mailroom.vault.vault import SealedVault
from mailroom.webhooks.desk import WebhookDesk
from mailroom_core.errors import ConfigError, StoreError, VaultError

if TYPE_CHECKING:
    pass


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every process of the gateway has."""

    settings: Settings
    store: Store
    notices: Notices
    blobs: FileBlobs
    vault: SealedVault
    ids: Ids
    directory: CachedDirectory
    machine: str
    owner: str
    """This process; begins with the machine."""

    def close(self) -> None:
        self.store.close()


def open_parts(settings: Settings) -> Parts:
    """Open the database, the blobs and the vault; makes them at first start. Raises ConfigError, StoreError, VaultError."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise ConfigError(f"the data directory {settings.data} can't be made ({problem.strerror}); set another one with --data") from None
    here = machine(settings.data)
    store = open_store(settings.database_url, clock=utc_now)
    try:
        keys = KeyRing(settings.vault_key_file, first=not store.secrets())
    except VaultError:
        store.close()
        raise
    directory = CachedDirectory(store)
    owner = f"{here}{os.getpid()}"
    vault = SealedVault(keys, store, directory.account, Http(client()), utc_now, owner)
    directory.before_change = vault.forget
    ids = Ids(store.node, utc_now)
    return Parts(settings, store, store, FileBlobs(settings.data / "blobs"), vault, ids, directory, here, owner)


class CachedDirectory:
    """The objects, read again when their version has grown; looked at once a second, and never in the middle of a session."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept = store.directory()
        self.before_change: Callable[[], None] = lambda: None
        """What must be forgotten before anybody sees other objects."""

    def __call__(self) -> Directory:
        return self._kept

    def look(self) -> bool:
        """Blocking. Whether something changed."""
        try:
            if self._store.directory_version() == self._kept.version:
                return False
            fresh = self._store.directory()
        except StoreError:
            return False  # the database is in trouble: go on with what is known
        self.before_change()
        self._kept = fresh
        return True

    def account(self, name: str) -> Account:
        """Raises ConfigError."""
        self.look()
        found = self._kept.accounts.get(name)
        if found is None:
            raise ConfigError(f"there is no account {name!r}; see: mailroom connect --help")
        return found


def hostname(settings: Settings) -> str:
    full = socket.getfqdn()
    return settings.smtp.hostname or (full if "." in full else socket.gethostname())


def credential_key(parts: Parts) -> bytes:
    """The key of the stored hashes of credentials; made once, sealed in the vault, so that a new vault key changes no hash."""
    name = "credential-key"
    kept = parts.vault.open(name)
    if kept is None:
        trouble = "another gateway over this database has been making the key of the credentials for long; start this one again"
        with only_one(parts.store, name, trouble):
            kept = parts.vault.open(name) or {"key": os.urandom(32).hex()}
            parts.vault.seal(name, kept)
    return bytes.fromhex(kept["key"])


def object_desk(parts: Parts) -> ObjectDesk:
    return ObjectDesk(
        store=parts.store, directory=parts.directory, look=parts.directory.look, seal=parts.vault.seal, key=credential_key(parts)
    )


def webhook_desk(parts: Parts) -> WebhookDesk:
    return WebhookDesk(
        notices=parts.notices,
        store=parts.store,
        seal=parts.vault.seal,
        unseal=parts.vault.open,
        caller=Caller(Policy(parts.settings.webhooks.private_networks)),
        ids=parts.ids,
        clock=utc_now,
    )
