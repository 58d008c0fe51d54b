"""The sign-in pages that people see."""

from html import escape
from urllib.parse import urlencode

from mailroom_emulator.entra.clients import Form
from mailroom_emulator.tenant import Account, App

_STYLE = """
body{font:16px/1.5 "Segoe UI",system-ui,sans-serif;background:#eef1f5;margin:0;display:grid;min-height:100vh;
place-items:center;color:#1b1b1b}
main{background:#fff;padding:2.5rem;width:26rem;max-width:90vw;box-shadow:0 2px 12px #0002;box-sizing:border-box}
h1{font-size:1.4rem;margin:0 0 .25rem} p{margin:.25rem 0 1rem} small{color:#5a5a5a}
a.row{display:block;padding:.7rem .5rem;border-top:1px solid #ddd;text-decoration:none;color:inherit}
a.row:hover,a.row:focus{background:#f2f6fb} a.go{background:#0f5fb5;color:#fff;padding:.5rem 1.5rem;
text-decoration:none;margin-right:.5rem;display:inline-block} a.no{background:#e4e4e4;color:#1b1b1b}
"""


def choose_account(app: App, accounts: list[Account], query: Form) -> str:
    rows = "".join(
        f'<a class="row" href="?{_with(query, emulator_user=a.upn)}">{escape(a.name)}<br><small>{escape(a.upn)}</small></a>'
        for a in accounts
    )
    return _page("Pick an account", f"<p>to continue to <b>{escape(app.name)}</b></p>{rows}")


def ask_consent(app: App, account: Account, permissions: list[str], query: Form) -> str:
    items = "".join(f"<li>{escape(p)}</li>" for p in permissions)
    chosen = {**query, "emulator_user": account.upn}
    return _page(
        "Permissions requested",
        f"<p><small>{escape(account.upn)}</small></p><p><b>{escape(app.name)}</b> would like to:</p><ul>{items}</ul>"
        f'<a class="go" href="?{_with(chosen, emulator_consent="yes")}">Accept</a>'
        f'<a class="go no" href="?{_with(chosen, emulator_consent="no")}">Cancel</a>',
    )


def ask_administrator(app: App, account: Account, query: Form) -> str:
    chosen = {**query, "emulator_user": account.upn}
    return _page(
        "Need admin approval",
        f"<p><small>{escape(account.upn)}</small></p><p><b>{escape(app.name)}</b> needs permission to access resources in your organisation"
        " that only an admin can grant. Please ask an admin to grant permission to this app before you can use it.</p>"
        f'<a class="go no" href="?{_with(chosen, emulator_consent="no")}">Return to the application without granting consent</a>',
    )


def admin_consent(app: App, roles: list[str], query: Form) -> str:
    items = "".join(f"<li>{escape(p)}</li>" for p in roles) or "<li>no permissions</li>"
    return _page(
        "Permissions requested: review for your organisation",
        f"<p><b>{escape(app.name)}</b> would like to, for everyone:</p><ul>{items}</ul>"
        f'<a class="go" href="?{_with(query, emulator_consent="yes")}">Accept</a>'
        f'<a class="go no" href="?{_with(query, emulator_consent="no")}">Cancel</a>',
    )


def device(user_code: str, accounts: list[Account]) -> str:
    rows = "".join(
        f'<a class="row" href="?{_with({"user_code": user_code}, emulator_user=a.upn)}">{escape(a.name)}'
        f"<br><small>{escape(a.upn)}</small></a>"
        for a in accounts
    )
    return _page("Sign in on another device", f"<p>Code <b>{escape(user_code)}</b></p>{rows}")


def sorry(text: str) -> str:
    return _page("Sorry, but we're having trouble signing you in.", f"<p>{escape(text)}</p>")


def done(text: str) -> str:
    return _page(text, "<p>You may close this window.</p>")


def _with(query: Form, **more: str) -> str:
    return escape(urlencode({**query, **more}))


def _page(title: str, inside: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><main><h1>{escape(title)}</h1>{inside}</main></html>"
    )
