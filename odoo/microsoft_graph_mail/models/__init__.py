from . import app, microsoft_graph_account, microsoft_graph_server, microsoft_graph_signin, microsoft_graph_try
from . import fetchmail_server, ir_attachment, ir_mail_server, mail_mail, mail_thread, microsoft_graph_incoming, res_config_settings
