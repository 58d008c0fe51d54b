from . import app, inbound_key, microsoft_graph_account, microsoft_graph_lane, microsoft_graph_server, microsoft_graph_signin
from . import fetchmail_server, ir_attachment, ir_mail_server, mail_mail, mail_thread, microsoft_graph_incoming, microsoft_graph_pushed
from . import microsoft_graph_registration, microsoft_graph_subscription, microsoft_graph_try, res_config_settings, res_users
