"""What each step of the registration comes to: asked of Microsoft, told in words."""

from dataclasses import dataclass

from odoo import _
from odoo.addons.microsoft_graph_mail.driver import certificate
from odoo.addons.microsoft_graph_mail.driver.http import Http

from mailroom_core.errors import VaultError
from mailroom_core.flow import run
from mailroom_core.oauth import microsoft
from mailroom_core.oauth.problems import ProblemKind, TokenProblem
from mailroom_core.oauth.registration import check_registration, is_about_redirect, roles_of
from mailroom_core.oauth.scopes import SIGN_IN, Tier, granted
from mailroom_core.providers.graph import receiving

from .app import is_safe

OK, WRONG, UNCLEAR = "ok", "wrong", "unclear"
NO_TENANT = frozenset({"common", "organizations", "consumers"})
"""What may stand in the place of a tenant, but is none."""


@dataclass(frozen=True)
class Finding:
    """`state` is OK, WRONG or UNCLEAR; `text` what a person reads, one line for each thing."""

    state: str
    text: str


def app(page) -> Finding:
    """Does the tenant know the client id?"""
    if not page.client_id:
        return Finding(WRONG, _("Enter the Application (client) ID first."))
    if page.way == "app" and page.tenant in NO_TENANT:
        return Finding(
            WRONG, _("The app itself signs in to one organisation: enter its Directory (tenant) ID instead of “%s”.", page.tenant)
        )
    problem = _registration(page)
    if problem is None or is_about_redirect(problem):
        return Finding(OK, _("Microsoft knows the app in this tenant."))
    return _told(problem)


def redirect(page) -> Finding:
    """Is the redirect address registered, and one that Microsoft takes?"""
    if not is_safe(page.redirect_uri):
        return Finding(
            WRONG,
            _("Microsoft takes addresses with https alone, and this one begins with http. Serve Odoo by https, and set the system parameter"
              " web.base.url to the address that people use."),
        )  # fmt: skip
    if not page.client_id:
        return Finding(WRONG, _("Enter the Application (client) ID first."))
    problem = _registration(page)
    if problem is None:
        return Finding(OK, _("Microsoft sends people back to this address."))
    return _told(problem)


def proof(page) -> Finding:
    """Does Microsoft take the secret or the certificate?"""
    if page.way == "public":
        if page.has_secret or page.has_certificate:
            return Finding(
                WRONG, _("A public client has neither, and Microsoft refuses what is kept here. Press “Forget secret and certificate”.")
            )
        return Finding(
            UNCLEAR, _("Nothing secret is kept. That the app is registered as a public client shows when somebody signs in: next step.")
        )
    if not page.has_secret and not page.has_certificate:
        return Finding(WRONG, _("Enter a secret or a certificate first."))
    try:
        registered = page.env["microsoft.graph.app"]._app()
        which = _certificate_told(page) if page.has_certificate else _("The secret is accepted.")
        if registered is None:
            return Finding(WRONG, _("Enter the Application (client) ID first."))
        if registered.tenant in NO_TENANT:
            return Finding(UNCLEAR, _("With “%s” as the tenant it can't be tried alone: the next step shows it.", registered.tenant))
        grant = run(microsoft.client_credentials(registered), Http(), _forget)
    except VaultError as problem:
        return Finding(WRONG, str(problem))
    return _told(grant) if isinstance(grant, TokenProblem) else Finding(OK, which)


def roles(page) -> Finding:
    """Which application permissions has an administrator given? For an app that signs in by itself."""
    try:
        registered = page.env["microsoft.graph.app"]._app()
        if registered is None:
            return Finding(WRONG, _("Enter the Application (client) ID first."))
        grant = run(microsoft.client_credentials(registered), Http(), _forget)
    except VaultError as problem:
        return Finding(WRONG, str(problem))
    if isinstance(grant, TokenProblem):
        return _told(grant)
    found = roles_of(grant.access_token)
    if found is None:
        return Finding(UNCLEAR, _("Microsoft gives the app a token; what it may do shows in the next step."))
    wanted = {"mail.send": "Mail.Send"} | ({"mail.readwrite": "Mail.ReadWrite"} if page.tier == Tier.READ_WRITE.value else {})
    missing = [name for key, name in wanted.items() if key not in found]
    if not missing:
        return Finding(OK, _("Given, and agreed to by an administrator: %s.", ", ".join(wanted.values())))
    return Finding(
        UNCLEAR if page.mailbox else WRONG,
        _("The app has not been given: %s. Add it under API permissions, Application permissions, and press Grant admin consent; it takes"
          " some minutes to count.\nOnly if Exchange gives the rights instead (RBAC for Applications), leave it so: the next step shows"
          " whether it does.", ", ".join(missing)),
    )  # fmt: skip


def granted_scopes(account) -> Finding:
    """What a person has agreed to, beside what was asked for."""
    asked = {scope.rpartition("/")[2].lower(): scope.rpartition("/")[2] for scope in account._scopes() if scope not in SIGN_IN}
    have = granted(account.scope or "")
    missing = [name for key, name in asked.items() if key not in have]
    who = _("Signed in as %s.", account.addresses)
    if not missing:
        return Finding(OK, f"{who}\n" + _("Agreed to: %s.", ", ".join(asked.values())))
    lacks = _("Not agreed to: %s. Add it under API permissions, Delegated permissions, press Grant admin consent, and sign in again.",
              ", ".join(missing))  # fmt: skip
    if all(name.endswith(".Shared") for name in missing):
        lacks += "\n" + _("Shared mailboxes can't be used without; everything else works. Personal accounts never have it.")
        return Finding(UNCLEAR, f"{who}\n{lacks}")
    return Finding(WRONG, f"{who}\n{lacks}")


def mailbox(page):
    """Can the mailbox be reached, sent from and read? The finding, and the account that it was found out with."""
    address = page._microsoft_graph_address()
    if not address:
        return Finding(WRONG, _("Enter the address of a mailbox first.")), None
    if page.way == "app":
        account = page.env["microsoft.graph.account"]._for(address, app_only=True)
    elif not (account := page.microsoft_graph_account_id):
        return Finding(WRONG, _("Sign in first: the step before this one.")), None
    try:
        if page.way == "app":
            account._token(fresh=True)
        there = account._run(receiving.look_into(account._mailbox(address), "inbox"))
        rights = account._find_out(address)
    except VaultError as problem:
        return Finding(WRONG, str(problem)), None
    reads = isinstance(there, receiving.Folder)
    lines = [
        _("✓ May read: %(folder)s has %(total)s messages, %(unread)s of them unread.",
          folder=there.name, total=there.total, unread=there.unread) if reads
        else _("✗ May not read. %s", _why(there)),
        _("✗ May not send. %s", _why(rights.trouble)) if rights.tier is None else _("✓ May send."),
        _("✓ May write: large mail goes, and nothing is sent twice.") if rights.tier is Tier.READ_WRITE
        else _("✗ May not write: mail above 2.9 MB can't be sent, and what became of a mail can't be asked. %s", _why(rights.trouble)),
    ]  # fmt: skip
    whole = reads and rights.tier is Tier.READ_WRITE
    enough = whole or (page.tier == Tier.SEND.value and rights.tier is not None)
    return Finding(OK if enough else WRONG, "\n".join(line.strip() for line in lines)), account if enough else None


def _registration(page):
    registered = microsoft.App(page.client_id, page.tenant or "common", cloud=page.env["microsoft.graph.app"]._cloud())
    return run(check_registration(registered, redirect_uri=page.redirect_uri), Http(), _forget)


def _certificate_told(page):
    """Raises VaultError if it can't be read."""
    found = certificate.describe(page.env["microsoft.graph.app"]._sealed("certificate"))
    return _("The certificate %(thumbprint)s is accepted. It ends on %(end)s.", thumbprint=found.thumbprint, end=found.until.date())


def _told(problem: TokenProblem) -> Finding:
    state = UNCLEAR if problem.kind is ProblemKind.TRANSIENT else WRONG
    return Finding(state, f"{problem.text}. {problem.what_to_do}. ({problem.code})")


def _why(trouble):
    return trouble.reply.text if hasattr(trouble, "reply") else ""


def _forget(note):
    raise AssertionError("this conversation has nothing to commit")
