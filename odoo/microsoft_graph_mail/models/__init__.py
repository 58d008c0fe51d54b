from . import (
    app,
    fetchmail_server,
    ir_mail_server,
    mail_mail,
    microsoft_graph_account,
    microsoft_graph_incoming,
    microsoft_graph_server,
    microsoft_graph_signin,
    microsoft_graph_try,
    res_config_settings,
)
