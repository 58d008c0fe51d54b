"""What people change for themselves and for others."""

from __future__ import annotations

import re

import pytest

from mailroom.audit import Wanted
from mailroom.objects import Role
from tests.unit.console.site import MARY, PASSWORD, PAUL, Site, post, sign_in


def test_a_new_password_ends_all_other_sessions(site: Site) -> None:
    browser, other = site.signed_in(), site.signed_in()
    wrong = post(browser, "/me/password", "/me", present="wrong", password="another four horses", again="another four horses")
    assert (wrong.status_code, "not your present password" in wrong.text) == (422, True)
    assert post(browser, "/me/password", "/me", present=PASSWORD, password="short", again="short").status_code == 422
    assert post(browser, "/me/password", "/me", present=PASSWORD, password="another four horses", again="differs").status_code == 422
    answer = post(browser, "/me/password", "/me", present=PASSWORD, password="another four horses", again="another four horses")
    assert answer.status_code == 303
    assert browser.get("/me").status_code == 200
    assert other.get("/me").status_code == 303


def test_ones_sessions_are_listed_and_ended_and_nobody_elses(site: Site) -> None:
    site.person(PAUL, Role.ADMIN)
    mary, phone = site.signed_in(), site.signed_in(**{"user-agent": "Phone <b>"})
    paul = site.signed_in(PAUL)
    page = mary.get("/me").text
    assert "Phone &lt;b&gt;" in page
    keys = re.findall(r'name="key" value="([0-9a-f]{64})"', page)
    assert len(keys) == 2
    for key in keys:
        assert post(paul, "/me/sessions/end", "/me", key=key).status_code == 404
    (theirs,) = [each.key for each in site.door.reception.sessions(MARY) if each.agent.startswith("Phone")]
    assert post(mary, "/me/sessions/end", "/me", key=theirs).status_code == 303
    assert phone.get("/me").status_code == 303
    (own,) = [each.key for each in site.door.reception.sessions(MARY)]
    assert post(mary, "/me/sessions/end", "/me", key=own).headers["location"] == "/signin"
    assert mary.get("/me").status_code == 303


# ---- people ---------------------------------------------------------------------------------------------------------


def test_somebody_is_invited_chooses_a_password_and_gets_a_role(site: Site) -> None:
    mary, paul = site.signed_in(), site.browser()
    page = post(mary, "/users", name=PAUL, role="operator")
    (link,) = re.findall(r"http://testserver(/welcome/[\w-]{43})", page.text)
    assert PAUL in paul.get(link).text
    assert post(paul, link, password="short", again="short").status_code == 422
    assert post(paul, link, password=PASSWORD, again=PASSWORD).headers["location"] == "/"
    assert paul.get("/").status_code == 200
    assert paul.get("/users").status_code == 403
    assert site.browser().get(link).status_code == 410
    assert post(mary, "/users", name=PAUL, role="viewer").status_code == 422
    assert post(mary, "/users", name="nobody", role="viewer").status_code == 422
    assert post(mary, "/users", name="x@example.com", role="king").status_code == 422


def test_an_administrator_changes_people_and_their_sessions_end(site: Site) -> None:
    site.person(PAUL, Role.VIEWER)
    mary, paul = site.signed_in(), site.signed_in(PAUL)
    for path, fields in (("/users/change", {"role": "operator"}), ("/users/end", {}), ("/users/deactivate", {})):
        assert post(mary, path, "/users", name=PAUL, **fields).status_code == 303, path
        assert paul.get("/me").status_code == 303, path
        if path != "/users/deactivate":
            paul = site.signed_in(PAUL)
    assert sign_in(site.browser(), PAUL).status_code == 401
    assert post(mary, "/users/activate", "/users", name=PAUL).status_code == 303
    assert "/welcome/" in post(mary, "/users/link", "/users", name=PAUL).text
    assert post(mary, "/users/remove", "/users", name=PAUL).status_code == 303
    assert PAUL not in mary.get("/users").text
    assert post(mary, "/users/nonsense", "/users", name=PAUL).status_code == 404


@pytest.mark.parametrize(("path", "fields"), [("/users/remove", {}), ("/users/deactivate", {}), ("/users/change", {"role": "viewer"})])
def test_the_last_administrator_cannot_lock_everybody_out(site: Site, path: str, fields: dict[str, str]) -> None:
    answer = post(site.signed_in(), path, "/users", name=MARY, **fields)
    assert answer.status_code == 422
    assert "last active administrator" in answer.text


def test_the_audit_log_tells_who_came_in_and_who_changed_whom(site: Site) -> None:
    mary = site.signed_in()
    post(mary, "/users", name=PAUL, role="operator")
    site.door.staff.choose_password(site.door.staff.reset(PAUL, by="cli:root"), PASSWORD)
    sign_in(site.browser(), PAUL, "wrong")
    sign_in(site.browser(), "nobody@example.com", "wrong")
    post(mary, "/users/change", "/users", name=PAUL, role="viewer")
    post(mary, "/me/signout", "/me")
    told, _ = site.store.audited(Wanted(kind="user"), limit=50)
    assert [(each.by, each.what, each.name) for each in reversed(told)] == [
        (f"user:{MARY}", "first administrator, by the set-up link", MARY),
        (f"user:{MARY}", "sign in", MARY),
        (f"user:{MARY}", "added as operator", PAUL),
        ("cli:root", "a link for a new password was made", PAUL),
        (f"user:{PAUL}", "password, by a link", PAUL),
        (f"user:{PAUL}", "failed sign in", PAUL),
        (f"user:{MARY}", "role: operator -> viewer", PAUL),
        (f"user:{MARY}", "end session", MARY),
    ]
    assert told[2].after == "password, from testclient"
    assert PASSWORD not in str(told)
