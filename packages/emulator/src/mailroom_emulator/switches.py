"""What nobody outside Microsoft knows for certain, or what differs between tenants, as switches with a default."""

from dataclasses import dataclass, field, fields
from typing import Any


def _switch(default: bool | float | str, doc: str, *choices: str) -> Any:
    return field(default=default, metadata={"doc": doc, "choices": choices})


@dataclass
class Switches:
    """Set over `POST /_emulator/switches`; `GET` lists them with their meaning."""

    message_id: str = _switch(
        "kept",
        "What becomes of a Message-ID given in MIME or by PATCH. Personal accounts always replace it on sending.",
        "kept",
        "replaced_at_creation",
        "replaced_on_send",
    )
    x_headers: str = _switch(
        "kept",
        "X-headers given in MIME: kept; lost; or lost until the mailbox has once made a JSON message with that header.",
        "kept",
        "lost",
        "lost_until_primed",
    )
    list_headers: bool = _switch(True, "List-*, Precedence and the like given in MIME survive.")
    reply_headers: bool = _switch(True, "In-Reply-To and References survive, also as properties 0x1042 and 0x1039.")
    auto_submitted: bool = _switch(False, "Auto-Submitted given in MIME survives.")
    from_name: str = _switch("kept", "Display name of From: as given, or the mailbox's own.", "kept", "directory")
    alias_from: bool = _switch(False, "SendFromAliasEnabled: an alias in From is kept instead of the primary address.")
    immutable_id_survives_send: bool = _switch(True, "The immutable id of a draft is that of its copy in Sent Items.")
    corrupt_bad_mime: bool = _switch(True, "MIME with bare LF or 8-bit parts is damaged, as Exchange does.")
    mime_draft_attachments: str = _switch(
        "merged",
        "Attachments added to a draft made from MIME: merged into it, dropped on sending, or refused.",
        "merged",
        "dropped",
        "refused",
    )
    upload_resume_by_get: bool = _switch(True, "GET on an uploadUrl tells the next expected range; else 405.")
    delegated_shared_upload: bool = _switch(False, "A delegated token may upload to a shared mailbox; else 403.")
    sent_lag_seconds: float = _switch(0.0, "Emulated seconds until the copy is in Sent Items.")
    delivery_lag_seconds: float = _switch(0.0, "Emulated seconds until a sent mail reaches its recipients.")
    ndr_lag_seconds: float = _switch(0.0, "Emulated seconds until a failure is reported.")
    latency_seconds: float = _switch(0.0, "Emulated seconds that each request to Graph takes.")
    conversation_by_subject: bool = _switch(False, "Unrelated mails with the same subject share a conversationId.")
    refresh_tokens: str = _switch(
        "stay_good",
        "What becomes of a refresh token that was used: it stays good beside the new one, or is refused.",
        "stay_good",
        "used_once",
    )
    send_status: str = _switch("202", "What a successful sendMail and send answer.", "202", "200")
    oversize_status: str = _switch("413", "What a request above 4 MB is answered with.", "413", "400")
    throttling: bool = _switch(True, "The limits of Outlook and Exchange are enforced.")
    concurrency_scope: str = _switch("mailbox", "Concurrency is counted per app and mailbox, or per app.", "mailbox", "app")
    notifications: str = _switch("sent", "Change notifications are sent, lost, or repeated.", "sent", "lost", "repeated")
    user_consent: bool = _switch(True, "People may consent to an application themselves; else an administrator must (AADSTS90094).")
    delta_gt: bool = _switch(False, "Delta accepts receivedDateTime gt, and not only ge.")

    def change(self, values: dict[str, Any]) -> None:
        """Set switches by name; a wrong name or value is a ValueError, and then nothing is changed."""
        known = {f.name: f for f in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"there is no switch {name!r}; there are: {', '.join(sorted(known))}")
            _check(name, value, known[name].default, known[name].metadata["choices"])
        for name, value in values.items():
            setattr(self, name, float(value) if isinstance(known[name].default, float) else value)

    def describe(self) -> list[dict[str, Any]]:
        return [
            {
                "name": f.name,
                "value": getattr(self, f.name),
                "default": f.default,
                "choices": list(f.metadata["choices"]) or None,
                "meaning": f.metadata["doc"],
            }
            for f in fields(self)
        ]


def _check(name: str, value: object, default: object, choices: tuple[str, ...]) -> None:
    if choices and value not in choices:
        raise ValueError(f"the switch {name!r} takes one of {', '.join(choices)}, not {value!r}")
    if isinstance(default, bool) and not isinstance(value, bool):
        raise ValueError(f"the switch {name!r} takes true or false, not {value!r}")
    if isinstance(default, float) and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0):
        raise ValueError(f"the switch {name!r} takes a number of seconds, not {value!r}")
