"""Odoo's mail queue, for mails that leave through a Microsoft Graph server.

They leave after the commit of the transaction that made them, each in a transaction of its own. What was tried is committed before it
leaves (`microsoft_graph_try`), so a crash, a rollback or a lost answer ends in a question to Graph and not in a second copy.
"""

import logging
import random
import time
from datetime import datetime, timedelta

import psycopg2
from odoo import SUPERUSER_ID, _, api, models, modules, tools
from odoo.addons.microsoft_graph_mail.driver.turn import turn
from odoo.exceptions import UserError
from odoo.modules.registry import Registry
from psycopg2.extensions import TransactionRollbackError

from mailroom_core.model import Deferred, Failed, Held, Reply, Sent, Unknown
from mailroom_core.policy import retry

from .failures import CONNECTION, OF_AN_ADDRESS, failure_type, reason
from .ir_attachment import MEMORY, StandIns
from .microsoft_graph_try import Journal
from .own_transaction import own_transaction
from .session import GraphSession

_logger = logging.getLogger(__name__)

LIFETIME = timedelta(days=5)
"""How long a mail is tried that Graph puts off."""
AGAIN = timedelta(seconds=5)
"""When the queue is called for a mail that others have changed meanwhile."""
BUDGET = 60.0
"""Seconds in which mails leave one after the other. At twice as many Odoo kills a worker, unless it is told otherwise."""
OF_A_JOB = 10.0
"""Seconds that Odoo gives each of its jobs, by `cron_end_time`; the queue takes `BUDGET`, as stock's would take what it needs."""
PATIENCE = timedelta(seconds=10)
"""How long the queue itself waits for a mailbox; nobody sits before it."""
_LEAVING = "microsoft_graph_mail.leaving"
"""Under this name a transaction keeps the mails that leave after its commit."""
_NO_TURN = Deferred(Reply(0, "Others are sending from this mailbox; it goes on by itself"), retry_after=timedelta(seconds=5))
_FULL_DAY = Deferred(Reply(0, "The mailbox has used up its recipients of a day; it goes on by itself"), retry_after=timedelta(hours=1))


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
        if not self._filter_mail_mail_servers(smtp_session.server):
            raise UserError(_("Unauthorized server for some of the sending mails."))
        if auto_commit or modules.module.current_test or self._microsoft_graph_is_test():
            self._microsoft_graph_send(smtp_session, alias_domain_id, commit=auto_commit, done=post_send_callback)
        else:
            self._microsoft_graph_after_commit(smtp_session, alias_domain_id)
        return True

    def _microsoft_graph_after_commit(self, session, alias_domain_id):
        """Whatever the transaction ends in, what leaves is what it has committed. If this process dies first, the queue sends it."""
        ids, server_id, smtp_from = self.ids, session.server.id, session.smtp_from
        dbname, context = self.env.cr.dbname, dict(self.env.context)
        self.env.cr.postcommit.data.setdefault(_LEAVING, set()).update(ids)

        @self.env.cr.postcommit.add
        def send():
            try:
                with Registry(dbname).cursor() as cr:
                    env = api.Environment(cr, SUPERUSER_ID, context)
                    again = GraphSession(env["ir.mail_server"].browse(server_id), smtp_from)
                    env["mail.mail"].browse(ids).exists()._microsoft_graph_send(again, alias_domain_id, commit=True)
            except Exception:
                _logger.exception("Microsoft Graph: mails %s stay in the queue, which sends them later", ids)

    def unlink(self):
        """Who sends a mail and deletes it at once, in one transaction, has it sent all the same: it goes when it has left."""
        leaving = self.filtered(lambda mail: mail.id in self.env.cr.postcommit.data.get(_LEAVING, ()))
        leaving.write({"auto_delete": True})
        return super(MailMail, self - leaving).unlink()

    def _microsoft_graph_is_test(self):
        """Somebody tries a mailing: its wizard tells at once what became of it, and deletes it."""
        return bool(self.env.context.get("mailing_test_mail"))

    @api.model
    def _microsoft_graph_again(self, account):
        """An account is connected again: what failed because it was not is sent now."""
        told = [("account_id", "=", account.id), ("state", "=", "told"), ("failure_type", "=", CONNECTION)]
        ids = self.env["microsoft.graph.try"].sudo().search(told).mapped("mail_id")
        mails = self.search([("id", "in", ids), ("state", "=", "exception"), ("failure_type", "=", CONNECTION)])
        if mails:
            mails.mark_outgoing()
            self.env.ref("mail.ir_cron_mail_scheduler_action").sudo()._trigger()

    def _microsoft_graph_send(self, session, alias_domain_id, *, commit, done=None):
        """Each mail in a transaction of its own, as far as `commit` allows. What there is no time for stays in the queue."""
        end = self.env.context.get("cron_end_time", time.monotonic() + OF_A_JOB) - OF_A_JOB + BUDGET
        for number, mail in enumerate(map(self.browse, self.ids)):  # each alone: after a commit Odoo would read all of them anew
            if until := session.server._microsoft_graph_waits_until():
                if not self.env.context.get("cron_id") or until - datetime.utcnow() > PATIENCE:
                    self[number:]._microsoft_graph_wait(until)
                    break
                time.sleep(max((until - datetime.utcnow()).total_seconds(), 0))
            try:
                mail._microsoft_graph_send_one(session, alias_domain_id)
            except TransactionRollbackError:
                # Somebody else has changed the mail or its notifications meanwhile. The tries know what was sent.
                if not commit:
                    raise
                _logger.info("Microsoft Graph: mail %s is looked at again by the next run of the queue", mail.id)
                self.env.cr.rollback()
                self._microsoft_graph_call_queue(datetime.utcnow() + AGAIN)
                self.env.cr.commit()
                continue
            if commit:
                if done:
                    done([mail.id])
                self.env.cr.commit()
                if time.monotonic() >= end and number + 1 < len(self):
                    self._microsoft_graph_call_queue(datetime.utcnow())
                    self.env.cr.commit()
                    break
        if done:
            done(self.ids)

    def _microsoft_graph_wait(self, until):
        """Put back what has not been tried: its mailbox must wait."""
        if self._microsoft_graph_is_test():
            why = _("The mailbox has to wait: try it again later")
            self.write({"state": "exception", "failure_type": "unknown", "failure_reason": why})
            return
        at = until.replace(microsecond=0) + timedelta(seconds=1)
        self.try_lock_for_update().filtered(lambda mail: mail.state == "outgoing").write({"scheduled_date": at})
        self._microsoft_graph_call_queue(at)

    def _microsoft_graph_send_one(self, session, alias_domain_id):
        if not self.try_lock_for_update() or self.state != "outgoing":
            return
        mailbox = session.server._microsoft_graph_address()
        with own_transaction(self.env) as cr, turn(cr, mailbox) as has_turn:
            journal = Journal(cr, mail=self, account=session.account, mailbox=mailbox, can_look=session.can_look)
            if not has_turn:
                self._microsoft_graph_conclude([({}, _NO_TURN)], journal)
            elif journal.day_is_full():
                session.server._microsoft_graph_pause(_FULL_DAY)
                self._microsoft_graph_conclude([({}, _FULL_DAY)], journal)
            else:
                session.journal = journal
                try:
                    copies = self._microsoft_graph_copies(session, alias_domain_id)
                finally:
                    session.journal, session.files = None, {}
                self._microsoft_graph_conclude(copies, journal)

    # Building and sending

    def _microsoft_graph_copies(self, session, alias_domain_id):
        """Send every copy. Pairs of what Odoo has prepared and what became of it."""
        try:
            prepared = self._microsoft_graph_prepared(session)
        except (psycopg2.Error, MemoryError):
            raise
        except Exception as problem:
            _logger.exception("Microsoft Graph: mail %s can't be built", self.id)
            return [({}, Failed(Reply(0, tools.exception_to_unicode(problem))))]
        copies = []
        for email in prepared:
            outcome = self._microsoft_graph_copy(session, email, alias_domain_id)
            copies.append((email, outcome))
            if isinstance(outcome, Deferred) and outcome.lane:
                session.server._microsoft_graph_pause(outcome)
                break
        return copies

    def _microsoft_graph_prepared(self, session):
        """What Odoo makes of the mail, one for each copy; large attachments stay in the filestore."""
        stand_ins = StandIns()
        attachments = self.attachment_ids.sudo()
        large = session.can_look and sum(attachments.mapped("file_size")) > MEMORY
        mail = self.with_context(microsoft_graph_stand_ins=stand_ins) if large else self
        attachments.invalidate_recordset(["raw", "datas"])
        try:
            unfollow = self.filtered(lambda mail: mail.body_html and "/mail/unfollow" in mail.body_html)
            followers = self.env["mail.followers"]._get_mail_doc_to_followers(unfollow.ids)
            prepared = mail._prepare_outgoing_list(mail_server=session.server, doc_to_followers=followers)
        finally:
            attachments.invalidate_recordset(["raw", "datas"])
        session.files = stand_ins.files
        return prepared

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
            session.outcome = session.problem = None
            server.send_email(message, mail_server_id=session.server.id, smtp_session=session)
        except (psycopg2.Error, MemoryError):
            raise
        except AssertionError as problem:
            return _refused_by_odoo(server, problem, email)
        except Exception as problem:
            if isinstance(session.problem, (psycopg2.Error, MemoryError)):
                raise session.problem from None
            _logger.exception("Microsoft Graph: mail %s can't be sent", self.id)
            return Failed(Reply(0, tools.exception_to_unicode(problem)))
        return session.outcome or Failed(Reply(0, _("Another add-on has kept the mail from being sent.")))

    # What became of it

    def _microsoft_graph_conclude(self, copies, journal):
        sent = [email for email, outcome in copies if isinstance(outcome, Sent)]
        waiting = [outcome for _email, outcome in copies if isinstance(outcome, (Deferred, Unknown))]
        failed = [outcome for _email, outcome in copies if isinstance(outcome, (Failed, Held))]
        partners = [email["partner_id"] for email in sent if email["partner_id"]]
        addresses = [address for email in sent if not email["partner_id"] for address in email["email_to"] or []]
        if waiting and datetime.utcnow() - self.create_date < LIFETIME and not self._microsoft_graph_is_test():
            self._microsoft_graph_put_back(waiting, partners, addresses, journal.tries())
            return
        failed += waiting
        if sent and not failed:
            self.write({"state": "sent", "failure_type": False, "failure_reason": False})
            self._postprocess_sent_message(success_pids=partners, success_emails=addresses)
            return
        why = "\n".join(dict.fromkeys(map(reason, failed))) or self.env["ir.mail_server"].NO_VALID_RECIPIENT
        kinds = [failure_type(outcome) for outcome in failed] or ["mail_email_missing"]
        kind = next((kind for kind in kinds if kind not in OF_AN_ADDRESS), kinds[0])
        if sent and kind in OF_AN_ADDRESS:
            self.write({"state": "sent", "failure_type": False, "failure_reason": False})
        else:
            self.write({"state": "exception", "failure_type": kind, "failure_reason": why})
        journal.told()
        self._postprocess_sent_message(success_pids=partners, success_emails=addresses, failure_type=kind, failure_reason=why)

    def _microsoft_graph_put_back(self, waiting, partners, addresses, tries):
        """Not failed: it waits for a date, and the queue is called for it."""
        waits = [retry.wait(tries, outcome.retry_after if isinstance(outcome, Deferred) else None, random.random()) for outcome in waiting]  # noqa: S311
        at = datetime.utcnow().replace(microsecond=0) + max(waits) + timedelta(seconds=1)
        why = "\n".join(dict.fromkeys(map(reason, waiting)))
        self.write({"state": "outgoing", "scheduled_date": at, "failure_type": False, "failure_reason": why})
        done = {"notification_status": "sent", "failure_type": "", "failure_reason": ""}
        self._microsoft_graph_notifications(partners, addresses).write(done)
        self._microsoft_graph_call_queue(at)

    def _microsoft_graph_call_queue(self, at):
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


def _refused_by_odoo(server, problem, email):
    """Odoo's own checks of addresses raise these; the last argument tells the most."""
    code = problem.args[0] if problem.args else ""
    if code == server.NO_VALID_RECIPIENT:
        name = "mail_email_invalid" if email["email_to"] else "mail_email_missing"
    else:
        name = "mail_from_invalid" if code == server.NO_VALID_FROM else "mail_from_missing"
    return Failed(Reply(0, str(problem.args[-1] if problem.args else problem), name=name))
