"""Odoo: mail is handed over by `mail.thread.message_process`, or to the add-on `microsoft_graph_mail` where that is installed.

`login` says where and who, `wire` makes requests and reads answers of both of its interfaces (JSON-2 since 19, XML-RPC since 14),
`problems` is the table of what it answers, `handing` and `checking` are the conversations, `pushing` those with the add-on. Odoo
recognises a mail that it has by its Message-ID, so a mail that may have been handed over is handed over again.
"""
