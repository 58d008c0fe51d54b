"""The tables, in the words of both databases (`Dialect` fills in the braces). `migrations.py` makes them.

Invariants that the database itself checks: a delivery has a due time exactly while it is queued or unsure, and belongs to an attempt
exactly while it is sending or unsure.
"""

from __future__ import annotations

FIRST = (
    """CREATE TABLE messages (
        id {id} PRIMARY KEY,
        accepted_at BIGINT NOT NULL,
        lifetime BIGINT NOT NULL,
        sender TEXT,
        header_from TEXT NOT NULL,
        header_message_id TEXT NOT NULL,
        subject TEXT NOT NULL,
        application TEXT NOT NULL,
        kind TEXT NOT NULL,
        size BIGINT NOT NULL,
        rewrite_from TEXT NOT NULL,
        blob TEXT NOT NULL
    )""",
    "CREATE INDEX messages_blob ON messages (blob) WHERE blob <> ''",
    # The bytes of small messages lie apart, so that rows stay small. No row and no blob: the bytes are gone.
    """CREATE TABLE raws (
        message_id {id} PRIMARY KEY,
        bytes {bytes} NOT NULL
    )""",
    # lane_expiry is the end of the lifetime by the lane's own clock, which stands still while the lane is held: see `lanes`.
    """CREATE TABLE deliveries (
        id {id} PRIMARY KEY,
        message_id BIGINT NOT NULL,
        recipient TEXT NOT NULL,
        server TEXT NOT NULL,
        lane TEXT NOT NULL,
        bulk SMALLINT NOT NULL,
        state TEXT NOT NULL,
        due_at BIGINT,
        lane_expiry BIGINT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        attempt_id BIGINT,
        reply TEXT,
        remote_id TEXT NOT NULL DEFAULT '',
        internet_message_id TEXT NOT NULL DEFAULT '',
        conversation_id TEXT NOT NULL DEFAULT '',
        updated_at BIGINT NOT NULL,
        CONSTRAINT due_while_waiting CHECK ((due_at IS NOT NULL) = (state IN ('queued', 'unsure'))),
        CONSTRAINT attempt_while_open CHECK ((attempt_id IS NOT NULL) = (state IN ('sending', 'unsure')))
    )""",
    "CREATE INDEX deliveries_due ON deliveries (lane, bulk, due_at, id) WHERE state = 'queued'",
    # With the state, though it is always the same, so that SQLite counts what waits without a look at the rows.
    "CREATE INDEX deliveries_expiry ON deliveries (lane, lane_expiry, state) WHERE state = 'queued'",
    "CREATE INDEX deliveries_message ON deliveries (message_id)",
    "CREATE INDEX deliveries_state ON deliveries (state, id)",
    # look_at: when the lane's owner is to find out what became of it; the deadline of an open attempt, NULL when it is done.
    """CREATE TABLE attempts (
        id {id} PRIMARY KEY,
        message_id BIGINT NOT NULL,
        delivery_ids TEXT NOT NULL,
        lane TEXT NOT NULL,
        epoch BIGINT NOT NULL,
        started_at BIGINT NOT NULL,
        deadline BIGINT NOT NULL,
        look_at BIGINT,
        marker TEXT NOT NULL,
        facts TEXT NOT NULL,
        resolution TEXT NOT NULL,
        looks INTEGER NOT NULL DEFAULT 0,
        ended_at BIGINT,
        text TEXT NOT NULL DEFAULT '',
        recipients INTEGER NOT NULL,
        size BIGINT NOT NULL
    )""",
    "CREATE INDEX attempts_look ON attempts (lane, look_at) WHERE look_at IS NOT NULL",
    "CREATE INDEX attempts_usage ON attempts (lane, started_at, recipients, size)",
    "CREATE INDEX attempts_message ON attempts (message_id)",
    """CREATE TABLE events (
        id {serial},
        message_id BIGINT NOT NULL,
        delivery_id BIGINT,
        at BIGINT NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        data TEXT NOT NULL
    )""",
    "CREATE INDEX events_message ON events (message_id)",
    """CREATE TABLE idempotency_keys (
        application TEXT NOT NULL,
        key TEXT NOT NULL,
        message_id BIGINT NOT NULL,
        PRIMARY KEY (application, key)
    )""",
    "CREATE INDEX idempotency_keys_message ON idempotency_keys (message_id)",
    # A lane's clock is now - paused, and stands still at held_at - paused while it is held; so a hold of a million deliveries,
    # and its end, is a change to one row.
    """CREATE TABLE lanes (
        name TEXT PRIMARY KEY,
        owner TEXT NOT NULL DEFAULT '',
        epoch BIGINT NOT NULL DEFAULT 0,
        lease_until BIGINT NOT NULL DEFAULT 0,
        released_at BIGINT NOT NULL DEFAULT 0,
        defer_until BIGINT NOT NULL DEFAULT 0,
        held TEXT NOT NULL DEFAULT '',
        held_at BIGINT,
        paused BIGINT NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE objects (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        body TEXT NOT NULL,
        changed_at BIGINT NOT NULL,
        changed_by TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    )""",
    """CREATE TABLE suppressions (
        address TEXT PRIMARY KEY,
        reason TEXT NOT NULL,
        source TEXT NOT NULL,
        changed_at BIGINT NOT NULL,
        changed_by TEXT NOT NULL
    )""",
    """CREATE TABLE secrets (
        name TEXT PRIMARY KEY,
        sealed {bytes} NOT NULL
    )""",
    """CREATE TABLE leases (
        name TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        until BIGINT NOT NULL
    )""",
    "INSERT INTO meta (name, value) VALUES ('directory', 0), ('node', 0)",
)

TAGS = (
    "ALTER TABLE messages ADD COLUMN tags TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE idempotency_keys ADD COLUMN digest TEXT NOT NULL DEFAULT ''",
)

USERS = (
    """CREATE TABLE users (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        active SMALLINT NOT NULL,
        password TEXT NOT NULL,
        subject TEXT NOT NULL,
        managed SMALLINT NOT NULL,
        second_factor SMALLINT NOT NULL,
        recovery TEXT NOT NULL,
        step BIGINT NOT NULL DEFAULT 0,
        changed_at BIGINT NOT NULL
    )""",
    "CREATE UNIQUE INDEX users_subject ON users (subject) WHERE subject <> ''",
    """CREATE TABLE sessions (
        key TEXT PRIMARY KEY,
        user_name TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        seen_at BIGINT NOT NULL,
        agent TEXT NOT NULL,
        address TEXT NOT NULL
    )""",
    "CREATE INDEX sessions_user ON sessions (user_name)",
    """CREATE TABLE links (
        key TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        user_name TEXT NOT NULL,
        data TEXT NOT NULL,
        expires_at BIGINT NOT NULL
    )""",
    "CREATE INDEX links_user ON links (user_name, kind)",
    "CREATE TABLE sign_in_attempts (what TEXT PRIMARY KEY, began_at BIGINT NOT NULL, count BIGINT NOT NULL)",
)

NOTICES = (
    """CREATE TABLE notices (
        id {id} PRIMARY KEY,
        webhook TEXT NOT NULL,
        event TEXT NOT NULL,
        message_id BIGINT NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL,
        due_at BIGINT,
        tries INTEGER NOT NULL DEFAULT 0,
        CONSTRAINT notice_due_while_waiting CHECK ((due_at IS NOT NULL) = (state = 'waiting'))
    )""",
    "CREATE INDEX notices_due ON notices (webhook, due_at, id, state) WHERE state = 'waiting'",
    "CREATE INDEX notices_given_up ON notices (webhook, id, state) WHERE state = 'given up'",
    "CREATE INDEX notices_log ON notices (webhook, id)",
    """CREATE TABLE notice_tries (
        id {serial},
        notice_id BIGINT NOT NULL,
        at BIGINT NOT NULL,
        took BIGINT NOT NULL,
        status INTEGER NOT NULL,
        answer TEXT NOT NULL
    )""",
    "CREATE INDEX notice_tries_notice ON notice_tries (notice_id)",
    """CREATE TABLE webhook_targets (
        webhook TEXT PRIMARY KEY,
        told_at BIGINT,
        failing_since BIGINT,
        paused_until BIGINT NOT NULL DEFAULT 0
    )""",
)

INCOMING = (
    # The incoming server that a message was fetched by; empty on the way out.
    "ALTER TABLE messages ADD COLUMN source TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX deliveries_internet_message_id ON deliveries (internet_message_id) WHERE internet_message_id <> ''",
    """CREATE TABLE sources (
        name TEXT PRIMARY KEY,
        lane TEXT NOT NULL,
        due_at BIGINT NOT NULL,
        cursor TEXT NOT NULL DEFAULT '',
        looked_at BIGINT,
        trouble TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX sources_due ON sources (lane, due_at)",
    """CREATE TABLE conversations (
        id {id} PRIMARY KEY,
        destination TEXT NOT NULL,
        subject TEXT NOT NULL,
        customer TEXT NOT NULL,
        state TEXT NOT NULL,
        assignee TEXT NOT NULL DEFAULT '',
        opened_at BIGINT NOT NULL,
        changed_at BIGINT NOT NULL
    )""",
    "CREATE INDEX conversations_changed ON conversations (state, changed_at)",
    # message_id: none for a note. header_message_id: by which an answer finds its conversation.
    """CREATE TABLE entries (
        id {serial},
        conversation_id BIGINT NOT NULL,
        kind TEXT NOT NULL,
        message_id BIGINT,
        header_message_id TEXT NOT NULL,
        author TEXT NOT NULL,
        text TEXT NOT NULL,
        at BIGINT NOT NULL
    )""",
    "CREATE INDEX entries_conversation ON entries (conversation_id, id)",
    "CREATE UNIQUE INDEX entries_message ON entries (conversation_id, message_id) WHERE message_id IS NOT NULL",
    "CREATE INDEX entries_header ON entries (header_message_id) WHERE header_message_id <> ''",
)

FURTHER = (
    # Mails that left beyond the one that each attempt counts as: limits count them as well.
    "CREATE TABLE further (attempt_id BIGINT NOT NULL, lane TEXT NOT NULL, at BIGINT NOT NULL, recipients INTEGER NOT NULL)",
    "CREATE INDEX further_usage ON further (lane, at, recipients)",
    "CREATE INDEX further_attempt ON further (attempt_id)",
)

SEARCH = (
    # What no part holds yet: see `searching.py`.
    "CREATE TABLE unindexed (delivery_id {id} PRIMARY KEY)",
    "INSERT INTO unindexed (delivery_id) SELECT id FROM deliveries",
    "CREATE TABLE search_parts (first_id {id} PRIMARY KEY, last_id BIGINT NOT NULL, ids {bytes} NOT NULL)",
    "CREATE INDEX search_parts_last ON search_parts (last_id)",
    "CREATE TABLE postings (part BIGINT NOT NULL, key BIGINT NOT NULL, positions {bytes} NOT NULL, PRIMARY KEY (part, key)) {clustered}",
)

SUBSCRIPTIONS = (
    # That the provider tells us of new mail: its name for the wish, and until when. Both empty where it is asked for it only now and then.
    "ALTER TABLE sources ADD COLUMN subscription TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE sources ADD COLUMN subscribed_until BIGINT",
)

AUDIT = (
    """CREATE TABLE audit (
        id {serial},
        at BIGINT NOT NULL,
        changed_by TEXT NOT NULL,
        what TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT NOT NULL
    )""",
    "CREATE INDEX audit_at ON audit (at)",
    "CREATE INDEX audit_thing ON audit (kind, name, id)",
)

BOUNCES = (
    # What has come back, by address: when it has failed often enough, it gets nothing more.
    """CREATE TABLE bounces (
        delivery_id {id} PRIMARY KEY,
        address TEXT NOT NULL,
        at BIGINT NOT NULL,
        reason TEXT NOT NULL,
        permanent SMALLINT NOT NULL,
        hard SMALLINT NOT NULL
    )""",
    "CREATE INDEX bounces_address ON bounces (address, at)",
    "CREATE INDEX bounces_at ON bounces (at)",
)

BUDGETS = (
    # Slices of limits that lanes share. The amounts of one name that count at a time are never more than its limit.
    "CREATE TABLE budgets (id {serial}, name TEXT NOT NULL, until BIGINT NOT NULL, amount BIGINT NOT NULL)",
    "CREATE INDEX budgets_name ON budgets (name, until)",
    "CREATE INDEX budgets_until ON budgets (until)",
)

FAILING = ("ALTER TABLE sources ADD COLUMN failing_since BIGINT",)
"""Since when an incoming server can't be read."""

DIAGNOSES = (
    "CREATE TABLE doctor_looks (domain TEXT PRIMARY KEY, at BIGINT NOT NULL, body TEXT NOT NULL)",
    # Aggregate reports about mail in our names (RFC 9990): each once, with a row for each source.
    """CREATE TABLE dmarc_reports (
        id {serial},
        reporter TEXT NOT NULL,
        number TEXT NOT NULL,
        domain TEXT NOT NULL,
        begins BIGINT NOT NULL,
        ends BIGINT NOT NULL,
        policy TEXT NOT NULL
    )""",
    "CREATE UNIQUE INDEX dmarc_reports_once ON dmarc_reports (reporter, number, domain)",
    "CREATE INDEX dmarc_reports_domain ON dmarc_reports (domain, begins)",
    "CREATE INDEX dmarc_reports_ends ON dmarc_reports (ends)",
    """CREATE TABLE dmarc_rows (
        id {serial},
        report_id {id} NOT NULL,
        source TEXT NOT NULL,
        mails BIGINT NOT NULL,
        header_from TEXT NOT NULL,
        disposition TEXT NOT NULL,
        dkim SMALLINT NOT NULL,
        spf SMALLINT NOT NULL,
        dkim_domains TEXT NOT NULL,
        spf_domain TEXT NOT NULL
    )""",
    "CREATE INDEX dmarc_rows_report ON dmarc_rows (report_id)",
)

AUTHORS = (
    # The normalised author of what came in, by which the limit per sender counts; of what came before this step, only the last two hours.
    "ALTER TABLE messages ADD COLUMN author TEXT NOT NULL DEFAULT ''",
    """UPDATE messages SET author = lower(header_from)
        WHERE source <> '' AND id >= (SELECT coalesce(max(id), 0) FROM messages) - 30198988800000""",
    "CREATE INDEX messages_author ON messages (author, id) WHERE author <> ''",
    "CREATE INDEX messages_own ON messages (application, id) WHERE application = 'mailroom'",
    "CREATE INDEX entries_of_message ON entries (message_id) WHERE message_id IS NOT NULL",
)

CUTOVER = (
    """CREATE TABLE cutover (
        address TEXT PRIMARY KEY,
        application TEXT NOT NULL,
        made SMALLINT NOT NULL,
        mails BIGINT,
        tls TEXT NOT NULL,
        protocols TEXT NOT NULL,
        reported_at BIGINT NOT NULL,
        listed_at BIGINT NOT NULL,
        done_at BIGINT,
        message_id BIGINT
    )""",
)

QUARANTINE = (
    # What came in and waits for a person; without it a list of that walks through all that is held. With the state, as above.
    """CREATE INDEX deliveries_quarantine ON deliveries (state, id)
        WHERE state = 'held' AND substr(lane, 1, 12) = 'destination:'""",
)

FETCHED = ("CREATE INDEX messages_source ON messages (source, id) WHERE source <> ''",)

PROVIDERS_CONVERSATIONS = ("CREATE INDEX deliveries_conversation ON deliveries (conversation_id, id) WHERE conversation_id <> ''",)
