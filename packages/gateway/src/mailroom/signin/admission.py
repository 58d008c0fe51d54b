"""Whom the identity provider's word lets in, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mailroom.objects import Role
from mailroom.signin.provider import Identity
from mailroom.signin.reception import Refusal, SignInRefused
from mailroom.signin.record import Record
from mailroom.users import User, Users
from mailroom_core.errors import ConfigError
from mailroom_core.policy.addresses import domain_of, is_deliverable


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Without a role for everybody and without groups, only people whom an administrator has invited are let in."""

    domains: frozenset[str] = frozenset()
    """Of people whom nobody has invited; empty: any."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """By group."""
    everybody: Role | None = None
    """For those in no such group."""

    def role_of(self, identity: Identity) -> Role | None:
        """The highest that a group gives."""
        given = [role for group, role in self.roles.items() if group in identity.groups]
        return max(given, key=list(Role).index) if given else self.everybody


class Admission:
    """Blocking."""

    def __init__(self, rules: Rules, users: Users, record: Record) -> None:
        self._rules = rules
        self._users = users
        self._record = record

    def admit(self, identity: Identity, address: str) -> User:
        """The user of an identity, made at the first sign-in if the rules allow that; `address` is the client's. Raises SignInRefused."""
        user = self._users.by_subject(identity.subject) or self._invited(identity)
        try:
            admitted = self._update(user, identity) if user else self._made(identity)
        except ConfigError as problem:  # the last administrator, or two first sign-ins at once
            self._record.sign_in_failed(user.name if user else "", address, str(problem))
            raise SignInRefused(Refusal.NO_RIGHT) from None
        if admitted is None or not admitted.active:
            why = f"the identity provider vouches for {identity.address[:100]!r}, who has no right here"
            self._record.sign_in_failed(user.name if user else "", address, why)
            raise SignInRefused(Refusal.NO_RIGHT)
        return admitted

    def _invited(self, identity: Identity) -> User | None:
        """Somebody whom an administrator has added by address, at the first sign-in through the provider."""
        user = self._users.user(identity.address) if identity.address else None
        if user is None or user.subject or not user.active:
            return None
        self._record.changed(user.name, "signs in through the identity provider from now on", by=user.name)
        changed = self._users.change(user.name, lambda old: replace(old, subject=old.subject or identity.subject))
        return changed if changed.subject == identity.subject else None

    def _update(self, user: User, identity: Identity) -> User | None:
        """Where the provider decides about the role, it decides at every sign-in."""
        if not user.managed:
            return user
        role = self._rules.role_of(identity)
        if role is None or role is user.role:
            return user if role else None
        changed = self._users.change(user.name, lambda old: replace(old, role=role))
        self._record.changed(user.name, f"role: {user.role.value} -> {role.value}, by the identity provider", by=user.name)
        return changed

    def _made(self, identity: Identity) -> User | None:
        role = self._rules.role_of(identity)
        allowed = not self._rules.domains or domain_of(identity.address) in self._rules.domains
        if role is None or not allowed or not is_deliverable(identity.address):
            return None
        user = User(name=identity.address, role=role, subject=identity.subject, managed=True)
        self._users.add(user)
        self._record.changed(user.name, f"added as {role.value}, by the identity provider", by=user.name)
        return user
