"""Mail services as data."""

from __future__ import annotations

import re

import pytest

from mailroom_core.providers.presets import BY_KEY, PRESETS, Preset, to_verify


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.key)
def test_every_preset_can_be_used_and_says_where_it_is_known_from(preset: Preset) -> None:
    assert BY_KEY[preset.key] is preset
    assert preset.key == "smtp" or re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", preset.host_in())
    assert (preset.security, preset.port) in {("tls", 465), ("starttls", 587)}
    assert preset.user
    assert preset.password
    assert re.search(r"read 2026-\d\d-\d\d$|^RFC ", preset.source)


def test_a_region_is_part_of_the_host() -> None:
    assert BY_KEY["ses"].host_in() == "email-smtp.us-east-1.amazonaws.com"
    assert BY_KEY["ses"].host_in("eu-central-1") == "email-smtp.eu-central-1.amazonaws.com"
    assert BY_KEY["ses"].host_in("ap-northeast-3") == "email-smtp.ap-northeast-3.amazonaws.com", "new regions need no new version"
    assert BY_KEY["mailgun"].host_in() == "smtp.mailgun.org"
    assert BY_KEY["mailgun"].host_in("eu") == "smtp.eu.mailgun.org"
    assert BY_KEY["brevo"].host_in("eu") == "smtp-relay.brevo.com"


@pytest.mark.parametrize(("key", "region"), [("mailgun", "de"), ("ses", "evil.example/"), ("ses", "EU"), ("mailgun", "eu-west-1")])
def test_an_unknown_region_is_no_host(key: str, region: str) -> None:
    with pytest.raises(ValueError, match="there are"):
        BY_KEY[key].host_in(region)


def test_who_must_verify_senders_is_told_the_addresses_that_we_send_as() -> None:
    own = [
        ("notifications", "a.example"),
        ("bounce", "a.example"),
        ("catchall", "a.example"),
        ("all@b.example", "b.example"),
        ("", "c.example"),
    ]
    demand, ours = to_verify(BY_KEY["ses"], own)
    assert "verified at Amazon SES" in demand
    assert ours.endswith(": notifications@a.example, bounce@a.example, catchall@a.example, all@b.example")
    assert to_verify(BY_KEY["ses"], []) == (demand,)
    assert to_verify(BY_KEY["smtp"], own) == ()
