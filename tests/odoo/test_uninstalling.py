"""The add-on goes: nothing is sent another way behind the administrator's back, nothing of it is left, and Odoo works."""

from __future__ import annotations

from demo.processes import Emulator
from tests.odoo.machine import Odoo, Refused
from tests.odoo.people import MAILBOX


def test_uninstalling_archives_the_servers_and_breaks_nothing(odoo: Odoo, emulator: Emulator) -> None:
    settings = {"external_email_server_default": True, "microsoft_graph_notifications": True}
    odoo.call("res.config.settings", "execute", [odoo.call("res.config.settings", "create", settings)])
    odoo.outgoing(MAILBOX, MAILBOX)
    incoming = odoo.incoming(MAILBOX, MAILBOX)
    odoo.fetch(incoming, lambda: emulator.ask("GET", "/subscriptions")["subscriptions"], "Microsoft tells of new mail")

    module = odoo.read("ir.module.module", [["name", "=", "microsoft_graph_mail"]], "id")[0]["id"]
    odoo.expected("SELECT FROM ir_cron FOR UPDATE NOWAIT")  # Odoo's own way to find out that a scheduled action is at work

    def uninstalled() -> bool:
        try:
            odoo.call("ir.module.module", "button_immediate_uninstall", [module])
        except Refused as problem:
            if "processing a scheduled action" not in problem.args[0]:
                raise
            return False
        return True

    odoo.eventually(uninstalled, "no scheduled action is at work", 150)
    odoo.web("/web/session/authenticate", db=odoo.database, login="admin", password="admin")

    assert odoo.sql("SELECT state FROM ir_module_module WHERE name = 'microsoft_graph_mail'") == [("uninstalled",)]
    assert odoo.sql("SELECT active, smtp_authentication FROM ir_mail_server") == [(False, "login")]
    assert odoo.sql("SELECT active, state, server_type FROM fetchmail_server") == [(False, "draft", "local")]
    assert odoo.sql("SELECT tablename FROM pg_tables WHERE starts_with(tablename, 'microsoft_graph')") == []
    assert odoo.sql("SELECT column_name FROM information_schema.columns WHERE starts_with(column_name, 'microsoft_graph')") == []
    assert odoo.sql("SELECT key FROM ir_config_parameter WHERE starts_with(key, 'microsoft_graph_mail')") == []
    assert emulator.ask("GET", "/subscriptions")["subscriptions"] == []
    for model in ("ir.mail_server", "fetchmail.server", "res.config.settings", "res.users"):
        assert odoo.call(model, "get_views", [[False, "form"]])["views"]["form"]
    assert odoo.complaints() == []
