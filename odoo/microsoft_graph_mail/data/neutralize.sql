-- A copy of the database can neither send nor read anybody's mail, nor spend the refresh tokens of the original.
UPDATE microsoft_graph_account
   SET refresh_token = NULL, access_token = NULL, expires_at = NULL, state = 'new';
DELETE FROM microsoft_graph_signin;
DELETE FROM microsoft_graph_subscription;
DELETE FROM ir_config_parameter
 WHERE key IN ('microsoft_graph_mail.secret', 'microsoft_graph_mail.certificate', 'microsoft_graph_mail.inbound_key',
               'microsoft_graph_mail.notifications');
UPDATE ir_mail_server SET active = false WHERE smtp_authentication = 'microsoft_graph';
UPDATE fetchmail_server SET active = false, state = 'draft' WHERE server_type = 'microsoft_graph';
