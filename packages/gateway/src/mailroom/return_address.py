"""Where bounces of what leaves go: an address of ours for each delivery (VERP), where bounces to it are read here.

An envelope sender of another one than the application gave makes sense only if somebody reads what comes to it. So by default it is used
where an incoming server reads the bounce address of the sender's alias domain itself, and what it reads is passed on.
"""

from __future__ import annotations

from collections.abc import Callable

from mailroom.mailboxes import address_of
from mailroom.objects import AliasDomain, Directory, GraphInbox, SmarthostRoute, Verp
from mailroom.ports import Message
from mailroom_core.model import DeliveryId, read_id, show_id
from mailroom_core.policy import verp
from mailroom_core.policy.addresses import domain_of, normalize

FORWARDED = ("SRS0", "SRS1")
"""What an envelope sender begins with that leads back to another one: it stays."""


def bounce_address(domain: AliasDomain) -> str:
    """The full one; empty if it has none."""
    return domain.bounce if "@" in domain.bounce or not domain.bounce else f"{domain.bounce}@{domain.name}"


def return_address(
    directory: Callable[[], Directory], route: SmarthostRoute, mac: verp.Mac
) -> Callable[[Message, DeliveryId], str | None] | None:
    """The envelope sender of one delivery; None where it stays what it is, and for routes that never change it."""
    if route.verp is Verp.NEVER:
        return None

    def made(message: Message, delivery: DeliveryId) -> str | None:
        now, sender = directory(), message.sender or ""
        domain = None if sender.upper().startswith(FORWARDED) else now.alias_domains.get(domain_of(sender))
        if domain is None or not domain.bounce or not (route.verp is Verp.ALWAYS or is_read(now, domain)):
            return None
        return verp.make(bounce_address(domain), show_id(delivery), mac)

    return made


def is_read(directory: Directory, domain: AliasDomain) -> bool:
    """Whether an incoming server reads the mailbox of the bounce address at Exchange Online, which takes plus addresses; others may not."""
    wanted = normalize(bounce_address(domain))
    servers = (each for each in directory.incoming.values() if each.active and isinstance(each.source, GraphInbox))
    return wanted in (normalize(address_of(directory, each)) for each in servers)


def delivery_of(directory: Directory, address: str, mac: verp.Mac) -> DeliveryId | None:
    """The delivery whose envelope sender this is; None for any other address."""
    name = verp.read(address, (bounce_address(each) for each in directory.alias_domains.values() if each.bounce), mac)
    try:
        return DeliveryId(read_id(name)) if name else None
    except ValueError:
        return None
