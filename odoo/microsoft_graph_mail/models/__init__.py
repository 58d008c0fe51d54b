from . import app, inbound_key, microsoft_graph_account, microsoft_graph_server, microsoft_graph_signin, microsoft_graph_try
from . import fetchmail_server, ir_attachment, ir_mail_server, mail_mail, mail_thread, microsoft_graph_incoming, microsoft_graph_pushed
from . import res_config_settings, res_users, microsoft_graph_registration
