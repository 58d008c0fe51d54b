"""The pages about webhooks."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from httpx2 import Response

from mailroom.audit import Wanted
from mailroom.notices import NewNotice, NoticeId, Notices, NoticeState, Tried, Try
from mailroom.objects import Application, Role, Webhook, WebhookEvent
from mailroom.webhooks.signing import secret_of
from mailroom_core.model import show_id
from tests.unit.console.conftest import Pages

URL = "https://shop.example/hook?key=<b>"
EVENTS = [event.value for event in WebhookEvent]


def post(pages: Pages, path: str, status: int = 303, **form: Any) -> Response:
    answer: Any = pages.client.post(path, data=form)
    assert answer.status_code == status, answer.text
    return answer  # type: ignore[no-any-return]  # starlette's client has no types of its own here


def add(pages: Pages, name: str = "shop", **form: Any) -> str:
    """A webhook; its secret."""
    answer = post(pages, "/webhooks", 200, name=name, url=URL, event=["sent", "failed"], **form)
    (secret,) = re.findall(r'value="(whsec_[^"]+)"', answer.text)
    return str(secret)


def notices(pages: Pages) -> Notices:
    found: Any = pages.app.state.house.webhooks.notices
    return found  # type: ignore[no-any-return]


def told(pages: Pages, state: NoticeState, *, status: int = 500, count: int = 1) -> NoticeId:
    """Notices of `shop`, the last of which was tried."""
    made = [
        NewNotice(id=NoticeId(pages.make.ids()), webhook="shop", event="sent", message_id=None, body='{"a":"<i>"}') for _ in range(count)
    ]
    news = notices(pages).happenings(limit=1)
    assert news is not None
    assert notices(pages).enqueue(news, made)
    due = pages.clock() + timedelta(minutes=5) if state is NoticeState.WAITING else None
    tried = Try(pages.clock(), timedelta(seconds=2), status, "<script>no</script>")
    end = Tried(notice_id=made[-1].id, webhook="shop", tried=tried, state=state, due_at=due)
    notices(pages).record_tries([end], give_up=pages.clock() - timedelta(days=4))
    return made[-1].id


def test_without_a_webhook_the_page_says_what_one_is_for(pages: Pages) -> None:
    text = pages.get("/webhooks")
    assert "No webhook yet" in text
    assert "<table" not in text


def test_a_new_one_shows_its_secret_this_once(pages: Pages) -> None:
    secret = add(pages)
    kept = pages.app.state.house.webhooks.unseal(secret_of("shop"))
    assert kept["secret"] == secret
    assert pages.store.directory().webhooks["shop"] == Webhook(name="shop", url=URL, events=(WebhookEvent.SENT, WebhookEvent.FAILED))
    for path in ("/webhooks", "/webhooks/of/shop"):
        text = pages.get(path)
        assert secret not in text
        assert "key=&lt;b&gt;" in text


def test_another_secret_leaves_the_former_one_good_for_a_day(pages: Pages) -> None:
    former = add(pages)
    text = post(pages, "/webhooks/secret", 200, name="shop").text
    assert former not in text
    assert "another 24 hours" in text
    changes, _ = pages.store.audited(Wanted(kind="webhook"), limit=10)
    assert [each.what for each in changes].count("new secret") == 2
    assert "whsec_" not in repr(changes)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"url": "http://shop.example/"}, ""),
        ({"url": "https://10.1.2.3/"}, "webhooks.private_networks"),
        ({"url": "shop.example"}, "write https://host/path"),
        ({"event": []}, "name at least one"),
        ({"event": ["opened"]}, "events"),
        ({"name": " "}, "needs a name"),
        ({"application": "nobody"}, "no application"),
    ],
)
def test_what_can_not_be_meant_is_said_beside_what_was_entered(pages: Pages, form: dict[str, Any], told: str) -> None:
    given = {"name": "shop", "url": URL, "event": EVENTS} | form
    answer: Any = pages.client.post("/webhooks", data=given)
    if not told:
        assert answer.status_code == 200
        return
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert told in answer.text
    assert f'value="{given["url"].replace("<b>", "&lt;b&gt;")}"' in answer.text
    assert pages.store.directory().webhooks == {}


def test_a_name_is_given_once(pages: Pages) -> None:
    add(pages)
    assert "there is a webhook" in post(pages, "/webhooks", 422, name="shop", url=URL, event=EVENTS).text


def test_it_can_be_changed_and_stays_inactive_if_it_was(pages: Pages) -> None:
    pages.store.apply([Application(name="odoo")], [], by="test")
    add(pages)
    post(pages, "/webhooks/deactivate", name="shop")
    assert "It is not active" in pages.get("/webhooks/of/shop")
    post(pages, "/webhooks/edit", name="shop", url="https://other.example/", event=["held"], application="odoo")
    made = pages.store.directory().webhooks["shop"]
    assert made == Webhook(name="shop", url="https://other.example/", events=(WebhookEvent.HELD,), application="odoo", active=False)
    assert "name at least one" in post(pages, "/webhooks/edit", 422, name="shop", url=URL).text
    post(pages, "/webhooks/activate", name="shop")
    assert pages.store.directory().webhooks["shop"].active


def test_it_can_be_removed(pages: Pages) -> None:
    add(pages)
    assert post(pages, "/webhooks/remove", name="shop").headers["location"] == "/webhooks"
    assert pages.store.directory().webhooks == {}


def test_the_test_says_what_came_back_beside_the_button(pages: Pages) -> None:
    post(pages, "/webhooks", 200, name="here", url="http://127.0.0.1:9/", event=EVENTS)
    answer: Any = pages.client.post("/webhooks/test", data={"name": "here"}, headers={"HX-Request": "true"})
    assert "It did not take the test" in answer.text
    assert "no connection" in answer.text
    assert "<html" not in answer.text
    assert "no connection" in post(pages, "/webhooks/test", 200, name="here").text


def test_how_it_is_doing_is_on_both_pages(pages: Pages) -> None:
    add(pages)
    told(pages, NoticeState.WAITING)
    for path in ("/webhooks", "/webhooks/of/shop"):
        assert "failing" in pages.get(path)
    told(pages, NoticeState.DELIVERED, status=200)
    for path in ("/webhooks", "/webhooks/of/shop"):
        assert "failing" not in pages.get(path)


def test_a_notice_shows_each_try_and_is_told_again(pages: Pages) -> None:
    add(pages)
    number = told(pages, NoticeState.DELIVERED, status=200)
    link = f"/webhooks/notices/{show_id(number)}?name=shop"
    assert link in pages.get("/webhooks/of/shop")
    text = pages.get(link)
    assert "&lt;script&gt;no&lt;/script&gt;" in text
    assert "<i>" not in text
    assert post(pages, "/webhooks/replay", name="shop", number=show_id(number)).headers["location"] == link
    assert [each.id for each in notices(pages).due_notices("shop", limit=5)] == [number]


def test_all_that_failed_is_told_again(pages: Pages) -> None:
    add(pages)
    number = told(pages, NoticeState.GIVEN_UP)
    assert show_id(number) in pages.get("/webhooks/of/shop?failed=true")
    post(pages, "/webhooks/replay", name="shop")
    assert [each.id for each in notices(pages).due_notices("shop", limit=5)] == [number]
    assert "Nothing was given up" in pages.get("/webhooks/of/shop?failed=true")


def test_the_log_goes_on_on_the_next_page(pages: Pages) -> None:
    add(pages)
    told(pages, NoticeState.DELIVERED, count=120)
    seen, path = set[str](), "/webhooks/of/shop"
    for _ in range(3):
        text = pages.get(path)
        seen |= set(re.findall(r"/webhooks/notices/(\w+)", text))
        path = next(iter(re.findall(r'href="(\?after=\d+)"', text)), "")
        path = f"/webhooks/of/shop{path}"
    assert len(seen) == 120


def test_what_there_is_not_is_a_404(pages: Pages) -> None:
    add(pages)
    pages.get("/webhooks/of/nobody", 404)
    pages.get("/webhooks/notices/zzzzzzzzzzzzz?name=shop", 404)
    for what in ("test", "secret", "replay", "remove", "activate", "edit"):
        post(pages, f"/webhooks/{what}", 404, name="nobody")
    post(pages, "/webhooks/replay", 404, name="shop", number="06xqfhxnc2400")
    post(pages, "/webhooks/paint", 404, name="shop")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_see_and_change_webhooks(pages: Pages, role: Role) -> None:
    pages.role = role
    assert "/webhooks" not in pages.get("/")
    pages.get("/webhooks", 403)
    pages.get("/webhooks/of/shop", 403)
    for what in ("", "/test", "/secret", "/replay", "/remove", "/edit"):
        post(pages, f"/webhooks{what}", 403, name="shop", url=URL, event=EVENTS)
    assert pages.store.directory().webhooks == {}


def test_a_form_without_its_proof_changes_nothing(pages: Pages) -> None:
    answer: Any = pages.client.post("/webhooks", data={"name": "shop", "url": URL, "event": EVENTS}, headers={"X-CSRF-Token": "x"})
    assert answer.status_code == 403
    assert pages.store.directory().webhooks == {}


def test_the_overview_speaks_of_a_target_that_goes_on_failing(pages: Pages) -> None:
    def overview() -> str:
        pages.app.state.overview.now.forget()
        return pages.get("/")

    add(pages)
    told(pages, NoticeState.WAITING)
    assert "is not heard" not in overview()
    pages.clock.go_on(minutes=10)
    assert "The webhook shop is not heard" in overview()
    assert 'href="/webhooks/of/shop"' in overview()
    pages.role = Role.VIEWER
    assert 'href="/webhooks/of/shop"' not in overview()
    pages.role = Role.ADMIN
    told(pages, NoticeState.DELIVERED, status=200)
    assert "is not heard" not in overview()
