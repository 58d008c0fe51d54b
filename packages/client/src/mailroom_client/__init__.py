"""Send mail through a Mailroom gateway, and learn what became of it.

A call is a value, made by a function of `calls`; `Mailroom` and `AsyncMailroom` carry it out.
"""

from mailroom_client.calls import Call, Pages, act, act_on_all, raw, search, send, send_mime, story
from mailroom_client.clients import AsyncMailroom, Mailroom
from mailroom_client.values import Attachment, Attempt, Changed, Delivery, Event, Found, InlineImage, Message, Page, Problem, Story

__all__ = [
    "AsyncMailroom",
    "Attachment",
    "Attempt",
    "Call",
    "Changed",
    "Delivery",
    "Event",
    "Found",
    "InlineImage",
    "Mailroom",
    "Message",
    "Page",
    "Pages",
    "Problem",
    "Story",
    "act",
    "act_on_all",
    "raw",
    "search",
    "send",
    "send_mime",
    "story",
]
