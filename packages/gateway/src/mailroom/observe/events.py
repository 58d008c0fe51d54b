"""Every event of the gateway, one typed function each.

Each writes one structured line and counts one. Where it belongs to a message's timeline as well, the store keeps a row of the
same name (`ports.Event`). Never logged: tokens, secrets, bodies, subjects.
"""

from __future__ import annotations

from functools import cache

from prometheus_client import Counter

from mailroom.observe.logs import log
from mailroom.observe.recent import remember
from mailroom_core.model import show_id

EVENTS = Counter("mailroom_events_total", "What happened, by name", ["event"])


_counter = cache(EVENTS.labels)


def _emit(level: str, event: str, **fields: object) -> None:
    _counter(event).inc()
    log(level, event, **fields)


def attempt_broke(message: int, why: str) -> None:
    """An attempt ended by an error of our own; its outcome is unknown until the provider was asked."""
    _emit("error", "attempt_broke", message=show_id(message), why=why)


def settled(message: int, lane: str, text: str) -> None:
    """An attempt, or a look at one, has ended."""
    _emit("info", "settled", message=show_id(message), lane=lane, outcome=text)


def lane_held(lane: str, reason: str) -> None:
    """Nothing of this lane leaves until a person acts."""
    _emit("error", "lane_held", lane=lane, reason=reason)


def lane_deferred(lane: str, until: str, reason: str) -> None:
    """The provider wants a pause."""
    _emit("warning", "lane_deferred", lane=lane, until=until, reason=reason)


def lane_lost(lane: str) -> None:
    """Our lease ended before we renewed it; another worker may own the lane now."""
    _emit("warning", "lane_lost", lane=lane)


def worker_broke(lane: str, why: str) -> None:
    """A lane can't be served; it is held with this reason."""
    _emit("error", "worker_broke", lane=lane, why=why)


def store_trouble(why: str) -> None:
    """The database did not do what was asked; it is tried again."""
    _emit("error", "store_trouble", why=why)


def token_refreshed(account: str) -> None:
    """An account has a new access token."""
    _emit("info", "token_refreshed", account=account)


def token_refused(account: str, why: str) -> None:
    """The provider gives no token."""
    _emit("error", "token_refused", account=account, why=why)


def expires_soon(owner: str, what: str, at: str, advice: str) -> None:
    """Something of an account or a server ends within 30 days; told once a day."""
    _emit("warning", "expires_soon", owner=owner, what=what, at=at, advice=advice)


def accepted(message: int, application: str, size: int, recipients: int, server: str) -> None:
    """A mail is committed; it is ours now."""
    _emit("info", "accepted", message=show_id(message), application=application, size=size, recipients=recipients, server=server)


def settle_left_out(attempt: int, lane: str, why: str) -> None:
    """The end of an attempt came from who may not write it any more."""
    _emit("warning", "settle_left_out", attempt=show_id(attempt), lane=lane, why=why)


def fetched(server: str, count: int) -> None:
    """An incoming server was looked at; so many mails are safe here."""
    _emit("info", "fetched", server=server, count=count)


def fetch_failed(server: str, why: str) -> None:
    """A look at an incoming server ended before its end; the mailbox keeps what was not stored."""
    _emit("error", "fetch_failed", server=server, why=why)


def not_told(server: str, why: str) -> None:
    """The provider does not tell us of new mail; it is found at the next look."""
    _emit("warning", "not_told", server=server, why=why)


def notified(servers: int) -> None:
    """A provider says that there is new mail."""
    _emit("info", "notified", servers=servers)


def notification_ignored(count: int) -> None:
    """Notifications that prove nothing."""
    _emit("warning", "notification_ignored", count=count)


def fetch_broke(server: str, why: str) -> None:
    """A mail could not be taken by an error of our own; it stays in the mailbox, and is tried at the next look."""
    _emit("error", "fetch_broke", server=server, why=why)


def routed(message: int, server: str, verdict: str, why: str) -> None:
    """A mail that came in is committed, with what was decided about it."""
    _emit("info", "routed", message=show_id(message), server=server, verdict=verdict, why=why)


def not_evaluated(client: str, why: str) -> None:
    """SPF, DKIM and DMARC of a mail could not be looked at; it is taken all the same."""
    _emit("warning", "not_evaluated", client=client, why=why)


def submission_refused(client: str, application: str, code: int, enhanced: str, text: str, why: str) -> None:
    """A client was told no; `why` is what it was not told."""
    remember("submission", client, application, f"{code} {enhanced} {text}")
    _emit("warning", "submission_refused", client=client, application=application, code=code, enhanced=enhanced, text=text, why=why)


def smuggling_refused(client: str, application: str, flaw: str) -> None:
    """A mail held what other servers may take for its end; its connection is closed."""
    _emit("warning", "smuggling_refused", client=client, application=application, flaw=flaw)


def session_refused(client: str, text: str) -> None:
    """A connection was turned away before it began."""
    remember("session", client, "", text)
    _emit("warning", "session_refused", client=client, text=text)


def session_broke(client: str, why: str) -> None:
    """A session met an error of our own; the client was told to try again later."""
    _emit("error", "session_broke", client=client, why=why)


def login_failed(client: str, user: str) -> None:
    """Wrong user or password, by SMTP."""
    remember("sign-in", client, user, "535 5.7.8 user or password is wrong")
    _emit("warning", "login_failed", client=client, user=user)


def tls_failed(client: str, why: str) -> None:
    """A client and we did not agree on TLS."""
    remember("tls", client, "", why)
    _emit("info", "tls_failed", client=client, why=why)


def certificate_loaded(path: str) -> None:
    """A changed TLS certificate is in use."""
    _emit("info", "certificate_loaded", path=path)


def certificate_refused(path: str, why: str) -> None:
    """A changed TLS certificate can't be used; the last good one stays in use."""
    _emit("error", "certificate_refused", path=path, why=why)


def token_rejected(client: str, token: str, why: str) -> None:
    """A request came with a token that gives no right to it; `token` is its name, if it has one."""
    _emit("warning", "token_rejected", client=client, token=token, why=why)


def request_broke(why: str) -> None:
    """A request met an error of our own."""
    _emit("error", "request_broke", why=why)


def web_broke(why: str) -> None:
    """The web address answers nothing; mail goes on."""
    _emit("error", "web_broke", why=why)


def started() -> None:
    """Mail is accepted from now on."""
    _emit("info", "started")


def stopping() -> None:
    """Asked to stop; what is under way ends first."""
    _emit("info", "stopping")


def worker_ended(code: int) -> None:
    """A delivering process ended; it is started again."""
    _emit("error", "worker_ended", code=code)


def worker_missing(why: str) -> None:
    """No delivering process can be started, so nothing is delivered; it is tried again every second."""
    _emit("error", "worker_missing", why=why)


def report_left_out(message: int, why: str) -> None:
    """A failure that its sender is not told of by mail; the queue shows it."""
    _emit("warning", "report_left_out", message=show_id(message), why=why)


def mail_held(message: int, why: str) -> None:
    """One mail can't go on without a person; the others of its lane do."""
    _emit("warning", "mail_held", message=show_id(message), why=why)


def no_way_out() -> None:
    """Every mail is refused for now (451): no outgoing server is active. `mailroom connect` makes one."""
    _emit("warning", "no_way_out", hint="run mailroom connect, or mailroom server add-smarthost")


def signed_in(user: str, client: str) -> None:
    """A person has a session in the console."""
    _emit("info", "signed_in", user=user, client=client)


def sign_in_failed(user: str, client: str, why: str) -> None:
    """A person was not let in; `user` is empty if there is none of that name, because people type passwords there."""
    _emit("warning", "sign_in_failed", user=user, client=client, why=why)


def session_ended(user: str, by: str) -> None:
    """A person signed out, or somebody ended a session."""
    _emit("info", "session_ended", user=user, by=by)


def user_changed(user: str, by: str, what: str) -> None:
    """A person may do something else than before."""
    _emit("info", "user_changed", user=user, by=by, what=what)


def set_up_needed(file: str) -> None:
    """Nobody can sign in to the console yet: the file holds the link that makes the first administrator."""
    _emit("warning", "set_up_needed", file=file, hint="open the link in this file in a browser")


def webhook_told(webhook: str, notice: int, event: str) -> None:
    """A target has taken a notice."""
    _emit("debug", "webhook_told", webhook=webhook, notice=show_id(notice), about=event)


def webhook_deferred(webhook: str, notice: int, status: int, why: str) -> None:
    """A target did not take a notice; it is tried again."""
    _emit("warning", "webhook_deferred", webhook=webhook, notice=show_id(notice), status=status, why=why)


def webhook_given_up(webhook: str, notice: int, event: str) -> None:
    """A target has not taken a notice for days; `mailroom webhook replay` tries it again."""
    _emit("error", "webhook_given_up", webhook=webhook, notice=show_id(notice), about=event)


def webhook_gone(webhook: str) -> None:
    """A target answered 410 Gone: its webhook is not active any more."""
    _emit("error", "webhook_gone", webhook=webhook)


def webhook_broke(webhook: str, why: str) -> None:
    """A webhook met an error of our own; what waits for it is tried again."""
    _emit("error", "webhook_broke", webhook=webhook, why=why)


def provider_trouble(why: str) -> None:
    """Nobody can sign in through the identity provider."""
    _emit("error", "provider_trouble", why=why)


def doctor_changed(domain: str, *, new: int, gone: int, harmful: bool) -> None:
    """The doctor finds something new at an alias domain or the installation, or something is there no longer; see the page Doctor."""
    _emit("warning", "doctor_changed", domain=domain, new=new, gone=gone, harmful=harmful)


def doctor_unread(domain: str, areas: str) -> None:
    """The name server did not tell what the doctor asked about an alias domain; it asks again with the next round."""
    _emit("warning", "doctor_unread", domain=domain, areas=areas)


def cutover_done(address: str, application: str) -> None:
    """The first mail of an address that moves here has come through us."""
    _emit("info", "cutover_done", address=address, application=application)
