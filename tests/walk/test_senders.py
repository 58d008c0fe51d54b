"""`mailbox = sender`, app-only: every sender has their own Sent Items, and who has no mailbox uses the notification mailbox."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT
from mailroom_core.model import State
from tests.walk.conftest import MakeWorld
from tests.walk.world import ANNA, MARY, NOTIFICATIONS, SALES, TOM, World, mail, unique

OBJECTS = """
[alias_domain."contoso.example"]
default_from = "notifications"

[server."everybody"]
from_filter = ["contoso.example"]
graph = { account = "office", mailbox = "sender" }

[server."old"]
from_filter = ["sales@contoso.example"]
smarthost = { host = "127.0.0.1", port = 9, security = "none" }
"""
PRINTER = "printer@contoso.example"


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    world = make_world()
    urls = ["--login-url", world.emulator.url, "--graph-url", world.emulator.url]
    app = ["--app-only", "--secret", "--client-id", CONFIDENTIAL_CLIENT, "--tenant", TENANT, "--no-server"]
    world.gateway.run("connect", "office", *app, *urls, stdin=f"{CONFIDENTIAL_SECRET}\n")
    file = world.folder / "objects.toml"
    file.write_text(world.gateway.run("export") + OBJECTS)
    world.gateway.run("apply", str(file))
    world.add_application("erp", "contoso.example")
    world.gateway.start()
    return world


@pytest.mark.parametrize("sender", [MARY, TOM])
def test_each_sender_has_their_own_sent_items(world: World, sender: str) -> None:
    subject = unique("From my own mailbox")
    world.submit(mail(subject, sender=sender), ANNA, sender=sender)
    world.wait_until_sent(subject)
    (copy,) = world.copies(subject)
    assert message_from_bytes(copy, policy=default)["From"].addresses[0].addr_spec == sender
    assert len(world.sent_items(sender, subject)) == 1


def test_a_sender_without_a_mailbox_goes_through_the_notification_mailbox_and_keeps_the_name(world: World) -> None:
    subject = unique("Out of paper")
    world.submit(mail(subject, sender=f"The printer <{PRINTER}>"), ANNA, sender=PRINTER)
    world.wait_until_sent(subject)
    (copy,) = world.copies(subject)
    arrived = message_from_bytes(copy, policy=default)
    assert (arrived["From"].addresses[0].display_name, arrived["From"].addresses[0].addr_spec) == ("The printer", NOTIFICATIONS)
    assert arrived["Reply-To"].addresses[0].addr_spec == PRINTER
    assert len(world.sent_items(NOTIFICATIONS, subject)) == 1
    assert f"through {NOTIFICATIONS}" in world.story(subject)


def test_mail_of_a_server_that_was_removed_goes_by_another_one_and_once(world: World) -> None:
    """A person moves it while it waits; what has left stays where it is."""
    subject = unique("By another way")
    world.submit(mail(subject, sender=SALES), ANNA, sender=SALES)
    (waiting,) = world.wait_for(subject, State.QUEUED)
    assert waiting.server == "old"
    world.gateway.run("server", "remove", "old")
    assert world.gateway.run("queue", "move", subject, "--to", "everybody").startswith("1 delivery moved to everybody")
    world.wait_until_sent(subject)
    assert len(world.sent_items(SALES, subject)) == 1
    assert "Moved from old to everybody by" in world.story(subject)
    assert world.gateway.run("queue", "move", subject, "--to", "everybody").startswith("0 deliveries")
    assert len(world.copies(subject)) == 1
