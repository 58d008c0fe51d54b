"""What happens when the add-on goes."""


def uninstall_hook(env):
    """Archive our servers: nothing is sent another way behind the administrator's back, and nothing breaks."""
    env["microsoft.graph.subscription"].search([])._forget()
    outgoing = env["ir.mail_server"].with_context(active_test=False).search([("smtp_authentication", "=", "microsoft_graph")])
    outgoing._microsoft_graph_retire()
    incoming = env["fetchmail.server"].with_context(active_test=False).search([("server_type", "=", "microsoft_graph")])
    incoming._microsoft_graph_retire()
    env["ir.config_parameter"].search([("key", "=like", "microsoft_graph_mail.%")]).unlink()
