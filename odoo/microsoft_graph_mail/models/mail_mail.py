"""Odoo's mail queue, for mails that leave through a Microsoft Graph server.

They leave after the commit of the transaction that made them, each in a transaction of its own. What was tried is committed before it
leaves (`microsoft_graph_try`), so a crash, a rollback or a lost answer ends in a question to Graph and not in a second copy.
"""

import logging
import random
from datetime import datetime, timedelta

import psycopg2
from odoo import SUPERUSER_ID, _, api, models, modules, tools
from odoo.addons.base.models.ir_mail_server import MailDeliveryException
from odoo.modules.registry import Registry

from mailroom_core.model import Deferred, Failed, Held, Reply, Sent, Unknown
from mailroom_core.policy import retry

from .microsoft_graph_try import Journal
from .session import GraphSession

_logger = logging.getLogger(__name__)

LIFETIME = timedelta(days=5)
"""How long a mail is tried that Graph puts off."""


class MailMail(models.Model):
    _inherit = "mail.mail"

    def _send(
        self, auto_commit=False, raise_exception=False, smtp_session=None, alias_domain_id=False, mail_server=False, post_send_callback=None
    ):
        if not isinstance(smtp_session, GraphSession):
            return super()._send(
                auto_commit=auto_commit,
                raise_exception=raise_exception,
                smtp_session=smtp_session,
                alias_domain_id=alias_domain_id,
                mail_server=mail_server,
                post_send_callback=post_send_callback,
            )
        if not auto_commit and not modules.module.current_test:
            self._microsoft_graph_after_commit(smtp_session, alias_domain_id)
            return True
        return self._microsoft_graph_send(smtp_session, alias_domain_id, commit=auto_commit, done=post_send_callback)

    def _microsoft_graph_after_commit(self, session, alias_domain_id):
        """Whatever the transaction ends in, what leaves is what it has committed. If this process dies first, the queue sends it."""
        ids, server_id, smtp_from = self.ids, session.server.id, session.smtp_from
        dbname, context = self.env.cr.dbname, dict(self.env.context)

        @self.env.cr.postcommit.add
        def send():
            try:
                with Registry(dbname).cursor() as cr:
                    env = api.Environment(cr, SUPERUSER_ID, context)
                    server = env["ir.mail_server"].browse(server_id)
                    again = GraphSession(server, smtp_from)
                    env["mail.mail"].browse(ids).exists()._microsoft_graph_send(again, alias_domain_id, commit=True)
            except Exception:
                _logger.exception("Microsoft Graph: mails %s stay in the queue, which sends them later", ids)

    def _microsoft_graph_send(self, session, alias_domain_id, *, commit, done=None):
        """Each mail in its own transaction, as far as `commit` allows."""
        if session.server.owner_user_id and not self._filter_mail_mail_servers(session.server):
            raise MailDeliveryException(_("Unauthorized server for some of the sending mails."))
        for mail in self:
            try:
                mail._microsoft_graph_send_one(session, alias_domain_id)
            except psycopg2.errors.TransactionRollbackError:
                # Somebody else has changed the mail or its notifications. The tries know what was sent.
                if not commit:
                    raise
                _logger.info("Microsoft Graph: mail %s is looked at again by the next run of the queue", mail.id)
                self.env.cr.rollback()
                continue
            if commit:
                if done:
                    done([mail.id])
                self.env.cr.commit()
        if done:
            done(self.ids)
        return True

    def _microsoft_graph_send_one(self, session, alias_domain_id):
        if not self.try_lock_for_update() or self.state != "outgoing":
            return
        with self.env.registry.cursor() as cr:
            journal = Journal(
                cr, mail=self, account=session.account, mailbox=session.server._microsoft_graph_address(), can_look=session.can_look
            )
            session.journal = journal
            try:
                copies = self._microsoft_graph_copies(session, alias_domain_id)
            finally:
                session.journal = None
            self._microsoft_graph_conclude(copies, journal)

    def _microsoft_graph_copies(self, session, alias_domain_id):
        """Send every copy. Pairs of what Odoo has prepared and what became of it."""
        copies = []
        try:
            unfollow = self.filtered(lambda mail: mail.body_html and "/mail/unfollow" in mail.body_html)
            followers = self.env["mail.followers"]._get_mail_doc_to_followers(unfollow.ids)
            prepared = self._prepare_outgoing_list(mail_server=session.server, doc_to_followers=followers)
        except (psycopg2.Error, MemoryError):
            raise
        except Exception as problem:
            _logger.exception("Microsoft Graph: mail %s can't be built", self.id)
            return [({}, Failed(Reply(0, tools.exception_to_unicode(problem))))]
        for email in prepared:
            copies.append((email, self._microsoft_graph_copy(session, email, alias_domain_id)))
        return copies

    def _microsoft_graph_copy(self, session, email, alias_domain_id):
        """Build one copy by Odoo's own hooks and send it: what became of it. Trouble with one never stops the others."""
        senders = tools.mail.email_split_and_format_normalize(self.email_from)
        server = self.env["ir.mail_server"].with_context(send_validated_to=email["email_to_normalized"])
        if alias_domain_id:
            domain = self.env["mail.alias.domain"].sudo().browse(alias_domain_id)
            server = server.with_context(
                domain_notifications_email=domain.default_from_email,
                domain_bounce_address=email["headers"].get("Return-Path") or domain.bounce_email,
            )
        names = ("email_to", "subject", "body", "body_alternative", "email_cc", "reply_to", "attachments", "message_id", "references",
                 "object_id", "headers")  # fmt: skip
        try:
            message = server._build_email__(
                email_from=senders[0] if senders else self.email_from,
                subtype="html",
                subtype_alternative="plain",
                **{name: email[name] for name in names},
            )
            session.outcome = None
            server.send_email(message, mail_server_id=session.server.id, smtp_session=session)
        except (psycopg2.Error, MemoryError):
            raise
        except AssertionError as problem:
            return _refused_by_odoo(server, problem, email)
        except Exception as problem:
            _logger.exception("Microsoft Graph: mail %s can't be sent", self.id)
            return Failed(Reply(0, tools.exception_to_unicode(problem)))
        return session.outcome

    # What became of it

    def _microsoft_graph_conclude(self, copies, journal):
        sent = [email for email, outcome in copies if isinstance(outcome, Sent)]
        waiting = [outcome for _email, outcome in copies if isinstance(outcome, (Deferred, Unknown))]
        failed = [outcome for _email, outcome in copies if isinstance(outcome, (Failed, Held))]
        partners = [email["partner_id"] for email in sent if email["partner_id"]]
        addresses = [address for email in sent if not email["partner_id"] for address in email["email_to"] or []]
        if waiting and not self._microsoft_graph_too_old():
            self._microsoft_graph_put_back(waiting, partners, addresses, journal.tries())
            return
        failed += [Failed(Reply(0, _reason(outcome))) for outcome in waiting]
        if not failed and sent:
            self.write({"state": "sent", "message_id": self.message_id, "failure_type": False, "failure_reason": False})
            self._postprocess_sent_message(success_pids=partners, success_emails=addresses)
            return
        reason = "\n".join(dict.fromkeys(_reason(outcome) for outcome in failed)) or self.env["ir.mail_server"].NO_VALID_RECIPIENT
        failure_type = _failure_type(failed[0]) if failed else "mail_email_missing"
        only_addresses = all(_failure_type(outcome) in ("mail_email_invalid", "mail_email_missing") for outcome in failed)
        state = "sent" if sent and only_addresses else "exception"
        self.write({"state": state, "failure_type": failure_type, "failure_reason": reason})
        journal.told()
        self._postprocess_sent_message(success_pids=partners, success_emails=addresses, failure_type=failure_type, failure_reason=reason)

    def _microsoft_graph_put_back(self, waiting, partners, addresses, tries):
        """Not failed: it waits for a date, and the queue is called for it."""
        waits = [retry.wait(tries, outcome.retry_after if isinstance(outcome, Deferred) else None, random.random()) for outcome in waiting]  # noqa: S311
        at = datetime.utcnow().replace(microsecond=0) + max(waits) + timedelta(seconds=1)
        reason = "\n".join(dict.fromkeys(_reason(outcome) for outcome in waiting))
        self.write({"state": "outgoing", "scheduled_date": at, "failure_type": False, "failure_reason": reason})
        self._microsoft_graph_notifications(partners, addresses).sudo().write(
            {"notification_status": "sent", "failure_type": "", "failure_reason": ""}
        )
        self.env.ref("mail.ir_cron_mail_scheduler_action").sudo()._trigger(at)

    def _microsoft_graph_notifications(self, partners, addresses):
        """Those of the recipients who have their copy."""
        domain = [
            ("notification_type", "=", "email"),
            ("mail_mail_id", "=", self.id),
            ("notification_status", "not in", ("sent", "canceled")),
        ]
        partner_ids = {partner.id for partner in partners}
        found = self.env["mail.notification"].sudo().search(domain)
        return found.filtered(lambda each: each.res_partner_id.id in partner_ids or each.mail_email_address in addresses)

    def _microsoft_graph_too_old(self):
        return self.create_date and datetime.utcnow() - self.create_date > LIFETIME


def _refused_by_odoo(server, problem, email):
    code = problem.args[0] if problem.args else ""
    if code == server.NO_VALID_RECIPIENT:
        name = "mail_email_invalid" if email["email_to"] else "mail_email_missing"
    else:
        name = {server.NO_VALID_FROM: "mail_from_invalid"}.get(code, "mail_from_missing")
    return Failed(Reply(0, str(problem.args[-1] if problem.args else problem), name=name), bad_address=name.startswith("mail_email"))


_TYPES = {"ErrorSendAsDenied": "mail_from_invalid"}


def _failure_type(outcome):
    """One of Odoo's own kinds of failure."""
    if outcome.reply.name.startswith("mail_"):
        return outcome.reply.name
    if isinstance(outcome, Failed) and outcome.bad_address:
        return "mail_email_invalid"
    if isinstance(outcome, Held) and outcome.lane:
        return "mail_smtp"
    return _TYPES.get(outcome.reply.name, "unknown")


def _reason(outcome):
    return outcome.why if isinstance(outcome, Unknown) else outcome.reply.text
