"""What all mailboxes of a tenant may do together."""

from __future__ import annotations

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT
from mailroom_core.model import State
from tests.walk.conftest import MakeWorld
from tests.walk.world import ANNA, MARY, TOM, eventually, mail, unique

SERVER = """
[server."everybody"]
from_filter = ["contoso.example"]
graph = { account = "office", mailbox = "sender" }
"""


def test_mailboxes_of_a_tenant_send_no_more_to_others_together_than_its_limit_and_go_on_when_it_is_raised(make_world: MakeWorld) -> None:
    world = make_world()
    urls = ["--login-url", world.emulator.url, "--graph-url", world.emulator.url]
    app = ["--app-only", "--secret", "--client-id", CONFIDENTIAL_CLIENT, "--tenant", TENANT, "--no-server"]
    world.gateway.run("connect", "office", *app, *urls, stdin=f"{CONFIDENTIAL_SECRET}\n")
    file = world.folder / "objects.toml"
    objects = world.gateway.run("export") + SERVER + '[alias_domain."contoso.example"]\n'
    table = "[account.office]\n" if "[account.office]\n" in objects else '[account."office"]\n'

    def limited(limit: int) -> None:
        file.write_text(objects.replace(table, f"{table}external_recipients_per_day = {limit}\n"))
        world.gateway.run("apply", str(file))

    limited(3)
    world.add_application("erp", "contoso.example")
    objects = world.gateway.run("export").replace("external_recipients_per_day = 3\n", "")
    world.gateway.start()
    subject = unique("To the world")
    for sender in (MARY, TOM, MARY, TOM, MARY):
        world.submit(mail(subject, sender=sender), ANNA, sender=sender)
    name = f"tenant:{TENANT.lower()}"
    said = eventually(lambda: f"{name}: 3 of 3 a day are taken; mail to others waits" in world.gateway.run("status"))
    assert said, world.gateway.run("status")
    three_sent = ["queued", "queued", "sent", "sent", "sent"]
    assert eventually(lambda: sorted(each.state.value for each in world.deliveries(subject)) == three_sent), world.story(subject)
    assert len(world.arrived(subject)) == 3
    limited(20)
    world.wait_for(subject, State.SENT)
    assert len(world.arrived(subject)) == 5
