"""The way in: who may hand in mail, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING

from mailroom import accept, way_out
from mailroom.accept import Accept, House, Submission
from mailroom.batching import GroupCommit
from mailroom.listen.door import Client
from mailroom.listen.listener import Network
from mailroom.objects import Application
from mailroom.ports import NewMessage
from mailroom.vault import credentials
from mailroom.wiring.parts import Parts, credential_key, hostname, utc_now
from mailroom_core.errors import Refused
from mailroom_core.model import MessageId, show_id

if TYPE_CHECKING:
    pass


def make_accept(parts: Parts, notify: Callable[[], None]) -> tuple[Accept, GroupCommit[NewMessage, Mapping[MessageId, MessageId]]]:
    commit: GroupCommit[NewMessage, Mapping[MessageId, MessageId]] = GroupCommit("put", partial(accept.write, parts.store))
    made = Accept(
        blobs=parts.blobs,
        directory=parts.directory,
        ids=parts.ids,
        clock=utc_now,
        commit=commit,
        notify=notify,
        house=House(hostname=hostname(parts.settings), lifetime=parts.settings.queue.lifetime),
    )
    return made, commit


class FrontDoor:
    """The listeners' door: who may come in, by what the directory says now."""

    def __init__(self, parts: Parts, made: Accept) -> None:
        self._directory = parts.directory
        self._max_size = parts.settings.smtp.max_size
        self._key = credential_key(parts)
        self._version = -1
        self._networks: list[tuple[Network, Application]] = []
        self._accept = made

    def by_credential(self, user: str, secret: str) -> Application | None:
        application = self._directory().applications.get(user)
        if application and application.active and credentials.matches(self._key, secret, application.key):
            return application
        return None

    def by_network(self, client: Client) -> Application | None:
        mapped = getattr(client, "ipv4_mapped", None) or client
        for network, application in self._trusted():
            if mapped in network:
                return application
        return None

    def _trusted(self) -> list[tuple[Network, Application]]:
        """Networks of active applications, parsed once for every version of the directory."""
        directory = self._directory()
        if directory.version != self._version:
            active = (each for each in directory.applications.values() if each.active)
            self._networks = [(ip_network(network, strict=False), each) for each in active for network in each.networks]
            self._version = directory.version
        return self._networks

    def by_certificate(self, sha256_hex: str) -> Application | None:
        for application in self._directory().applications.values():
            if application.active and sha256_hex.lower() in (known.lower().replace(":", "") for known in application.certificates):
                return application
        return None

    def check_sender(self, application: Application, sender: str | None) -> None:
        today = self._today(application)
        if sender:
            way_out.check_sender(today, sender)

    def max_size(self, application: Application) -> int:
        return min(application.max_size, self._max_size)

    async def accept(self, submission: Submission) -> str:
        today = self._today(submission.application)
        return f"queued as {show_id(await self._accept(replace(submission, application=today)))}"

    def _today(self, application: Application) -> Application:
        """A session may outlive the rights that it began with. Raises Refused."""
        today = self._directory().applications.get(application.name)
        if today is None or not today.active:
            raise Refused(554, "5.7.1", f"{application.name} may not send any more; ask the administrator")
        return today
