{
    "name": "Microsoft Graph Mail",
    "version": "19.0.1.0.0",
    "summary": "Send and receive mail through Microsoft 365 and Outlook.com, without SMTP and IMAP",
    "category": "Productivity/Discuss",
    "author": "The Mailroom project",
    "license": "LGPL-3",
    "depends": ["mail"],
    "external_dependencies": {"python": ["mailroom-core"]},
    "data": [
        "security/ir.model.access.csv",
        "views/microsoft_graph_account_views.xml",
        "views/ir_mail_server_views.xml",
        "views/fetchmail_server_views.xml",
        "views/res_config_settings_views.xml",
        "views/templates.xml",
    ],
    "uninstall_hook": "uninstall_hook",
}
