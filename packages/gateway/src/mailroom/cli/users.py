"""People in the console: `mailroom user`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from mailroom.cli.context import Context, by, counted, json_option, show

if TYPE_CHECKING:
    from mailroom.signin.staff import Staff
    from mailroom.users import Session, User
    from mailroom.wiring.parts import Parts

ROLES = ("viewer", "operator", "admin")


@click.group()
def user() -> None:
    """People: who may use the console, and for what."""


@contextmanager
def _staff(context: Context) -> Iterator[tuple[Parts, Staff]]:
    from mailroom.wiring.signin import make_staff

    with context.parts() as parts:
        yield parts, make_staff(parts)


def _show_link(parts: Parts, token: str, good_for: str) -> None:
    from mailroom.signin.links import PASSWORD
    from mailroom.wiring.signin import address

    click.echo(f"{address(parts.settings)}{PASSWORD}{token}")
    click.echo(f"Whoever opens this link chooses the password. It works once, for {good_for}; give it to that person alone.", err=True)


@user.command("add")
@click.argument("name")
@click.option("--role", default="viewer", show_default=True, type=click.Choice(ROLES), help="What the person may do.")
@click.pass_obj
def add_user(context: Context, name: str, role: str) -> None:
    """Add a person by e-mail address, and show the link by which they choose a password."""
    from mailroom.objects import Role

    with _staff(context) as (parts, staff):
        _show_link(parts, staff.invite(name, Role(role), by=by()), "7 days")


@user.command("list")
@json_option
@click.pass_obj
def list_users(context: Context, as_json: bool) -> None:
    """Everybody."""
    with context.parts() as parts:
        found = parts.store.users.all()
        signin = parts.settings.signin
        sessions = parts.store.users.sessions(idle=signin.idle, absolute=signin.lifetime)
    rows = [_row(each, sessions) for each in found]
    show(rows, as_json=as_json, empty="Nobody yet. Start `mailroom serve` and open the link in the file setup-link of the data directory.")


def _row(each: User, sessions: list[Session]) -> dict[str, object]:
    ways = [way for way, there in (("password", each.password), ("provider", each.subject)) if there]
    return {
        "name": each.name,
        "role": each.role.value,
        "state": "active" if each.active and ways else "invited" if each.active else "may not sign in",
        "signs_in_by": ways,
        "second_factor": "yes" if each.second_factor else "no",
        "seen": max((session.seen_at for session in sessions if session.user == each.name), default=None),
    }


@user.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(ROLES))
@click.pass_obj
def set_role(context: Context, name: str, role: str) -> None:
    """Give a person another role. Their sessions end."""
    from mailroom.objects import Role

    with _staff(context) as (_, staff):
        staff.set_role(name, Role(role), by=by())
    click.echo(f"{name} is {role} now.")


@user.command("remove")
@click.argument("name")
@click.pass_obj
def remove_user(context: Context, name: str) -> None:
    """Remove a person. Their sessions end at once."""
    with _staff(context) as (_, staff):
        staff.remove(name, by=by())
    click.echo(f"{name} is gone.")


@user.command("reset")
@click.argument("name")
@click.option("--second-factor", is_flag=True, help="Also drop the second factor, for somebody who has lost phone and recovery codes.")
@click.pass_obj
def reset_user(context: Context, name: str, second_factor: bool) -> None:
    """Show a link for another password. The one of before stays until the link is used."""
    with _staff(context) as (parts, staff):
        _show_link(parts, staff.reset(name, by=by(), second_factor=second_factor), "24 hours")


@user.command("sessions")
@click.argument("name", default="")
@click.option("--end", is_flag=True, help="End all sessions of this person.")
@json_option
@click.pass_obj
def sessions_of(context: Context, name: str, end: bool, as_json: bool) -> None:
    """Who is signed in, from where; of one person or of everybody."""
    if end and not name:
        raise click.ClickException("say whose sessions are to end: mailroom user sessions NAME --end")
    with _staff(context) as (parts, staff):
        if end:
            ended = staff.end_sessions(name, by=by())
            click.echo(f"{counted(ended, 'session has', 'sessions have')} ended.")
            return
        signin = parts.settings.signin
        found = parts.store.users.sessions(name.strip().casefold(), idle=signin.idle, absolute=signin.lifetime)
    rows: list[dict[str, object]] = [
        {"name": each.user, "began": each.created_at, "seen": each.seen_at, "address": each.address, "browser": each.agent}
        for each in found
    ]
    show(rows, as_json=as_json, empty="Nobody is signed in.", spare=("browser",))


@user.command("setup-link")
@click.pass_obj
def setup_link(context: Context) -> None:
    """Write another link for the first administrator, if there is none yet."""
    from mailroom.signin.links import write_set_up_link
    from mailroom.wiring.signin import address

    with _staff(context) as (parts, staff):
        file = write_set_up_link(staff, parts.settings.data, address(parts.settings))
    click.echo(f"Open the link in {file.absolute()} in a browser. It works once, for 24 hours.")


COMMANDS = (user,)
