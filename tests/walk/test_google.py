"""A Google mailbox: signed in by code flow, sending by SMTP with its token, and connected again when its grant has died."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from mailroom_core.model import State
from tests.contract.transports.certificates import Authority
from tests.google_stand_in import CLIENT, SECRET, GoogleStandIn
from tests.walk.conftest import MakeWorld
from tests.walk.world import ANNA, World, eventually, mail, unique
from tests.xoauth2_server import GOOGLE, Xoauth2Server

JANE = "jane@fabrikam.example"


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleStandIn]:
    with GoogleStandIn() as google:
        yield google


@pytest.fixture(scope="module")
def gmail(make_world: MakeWorld, google: GoogleStandIn) -> Iterator[tuple[World, Xoauth2Server]]:
    """smtp.gmail.com, and a gateway that sends through it as Jane."""
    world = make_world()
    authority = Authority.make(world.folder / "authority")
    with Xoauth2Server(google.may_send, says_no=GOOGLE, tls=authority.server_context()) as server:
        connect(world, google, "jane", "--mailbox", JANE, "--no-server")
        route = f'account = "jane", host = "127.0.0.1", port = {server.port}, ca_file = "{authority.file}"'
        world.apply(f"[server.gmail]\nsmarthost = {{ {route} }}\n")
        world.add_application("erp", "*")
        world.gateway.start()
        yield world, server


def connect(world: World, google: GoogleStandIn, name: str, *options: str, secret: str = SECRET) -> str:
    """`mailroom connect --google` with a browser that signs in; what it says."""
    words = ["connect", name, "--google", "--client-id", CLIENT, "--secret", "--login-url", google.url, "--no-browser", *options]
    environment = {**os.environ, **world.gateway.environment, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*world.gateway.words, *words], stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment
    ) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        command.stdin.write(f"{secret}\n")
        command.stdin.close()
        said = ""
        for line in command.stdout:
            said += line
            if line.strip().startswith(google.url):
                google.sign_in(line.strip())
    if command.returncode:
        raise subprocess.CalledProcessError(command.returncode, words, said)
    return said


def test_a_mail_leaves_by_googles_smtp_with_the_token_of_who_signed_in(gmail: tuple[World, Xoauth2Server]) -> None:
    world, server = gmail
    subject = unique("gmail")
    world.submit(mail(subject, sender=JANE), sender=JANE)
    world.wait_until_sent(subject)
    (taken,) = server.mails
    assert (taken.signed_in, taken.sender, taken.recipients) == (JANE, JANE, [ANNA])
    assert server.refused == []


def test_a_changed_password_holds_the_lane_until_the_account_is_connected_again(
    gmail: tuple[World, Xoauth2Server], google: GoogleStandIn
) -> None:
    world, server = gmail
    google.change_password(JANE)
    world.gateway.run("server", "add-sink", "elsewhere", "--from-filter", "else.example")  # so that connections are opened anew
    subject = unique("password changed")

    def held() -> str:
        with world.store() as store:
            return next((lane.held for lane in store.lanes() if lane.name == "smarthost:gmail"), "")

    def submitted() -> str:
        world.submit(mail(subject, sender=JANE), sender=JANE)
        return eventually(held, patience=3)

    reason = eventually(submitted)
    assert "the password was changed" in reason
    assert reason.endswith("run: mailroom connect jane")
    assert "jane is connected" in connect(world, google, "jane")
    world.wait_for(subject, State.SENT)
    assert {taken.signed_in for taken in server.mails} == {JANE}


def test_the_first_google_account_gets_a_way_out_through_gmail(make_world: MakeWorld, google: GoogleStandIn) -> None:
    world = make_world()
    said = connect(world, google, "mail", "--mailbox", JANE)
    assert "The outgoing server mail is there; it serves every sender." in said
    assert "smtp.gmail.com:465 (tls)" in world.gateway.run("server", "list")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"secret": "mistyped"}, "Copy client ID and client secret again"), ({"scope": "openid"}, "tick the box")],
    ids=["wrong secret", "mail not ticked"],
)
def test_what_goes_wrong_at_google_is_explained(make_world: MakeWorld, google: GoogleStandIn, wrong: dict[str, str], told: str) -> None:
    world, scope = make_world(), google.scope
    google.scope = wrong.get("scope", scope)
    try:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            connect(world, google, "jane", "--mailbox", JANE, secret=wrong.get("secret", SECRET))
    finally:
        google.scope = scope
    assert told in refused.value.output
