"""Webhooks: signed, retried, logged, replayed; a receiver that is broken harms nobody else."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.core.enums import FailureCode
from app.core.settings import Settings
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent
from app.infra.clip_storage import make_storage
from app.infra.egress import EgressPolicy
from app.main import create_app
from app.maintenance.retention import Retention
from app.services import attempts, webhook_deliveries
from app.webhook_dispatcher import WebhookDispatcher
from tests.app.conftest import Deliver
from tests.conftest import API_KEY
from tests.support.api import ENDPOINTS, Sessions, finish, problem, register_endpoint, submit
from tests.support.factories import make_frame
from tests.support.receiver import Receiver, receiver
from tests.support.waiting import wait_until


@pytest.fixture
def api(webhook_api: TestClient) -> TestClient:
    return webhook_api


def test_a_job_tells_its_story_signed(api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions) -> None:
    endpoint = register_endpoint(api, webhook.url)
    job = submit(api, external_id="post-1")
    finish(sessions)
    deliver()
    events = webhook.verified(endpoint["secret"])
    assert {event["type"] for event in events} == {"job.queued", "job.started", "job.succeeded"}
    last = next(event for event in events if event["type"] == "job.succeeded")
    assert last["data"] == {
        "id": job["id"],
        "status": "succeeded",
        "external_id": "post-1",
        "links": {"self": f"/v1/jobs/{job['id']}"},
        "verdict": "AUTHENTIC",
        "probability": 0.27,
        "recommended_action": "allow",
    }
    assert datetime.fromisoformat(last["timestamp"]).tzinfo
    with pytest.raises(WebhookVerificationError):
        webhook.verified("whsec_" + "A" * 43 + "=")


def test_other_ends_are_told_too(api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.failed", "job.canceled", "media.deleted"])
    canceled, failed = submit(api)["id"], submit(api)["id"]
    api.post(f"/v1/jobs/{canceled}:cancel")
    with sessions() as session:
        attempt = attempts.claim_job(session, worker="w", lease=timedelta(minutes=1))
        assert attempt
        attempts.fail(session, attempt, code=FailureCode.NOT_A_VIDEO, message="No.", retryable=False)
    api.delete(f"/v1/jobs/{failed}")
    deliver()
    told = {event["type"]: event["data"] for event in webhook.verified(endpoint["secret"])}
    assert told["job.canceled"]["id"] == canceled
    assert told["job.failed"]["failure"] == {"code": "not_a_video", "retryable": False}
    assert (told["media.deleted"]["id"], told["media.deleted"]["external_id"]) == (failed, None)


def test_feedback_is_told(api: TestClient, webhook: Receiver, deliver: Deliver) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.feedback"])
    job = submit(api)
    api.post(f"/v1/jobs/{job['id']}/feedback", json={"label": "fake", "category": "face swap", "note": "private"})
    deliver()
    (event,) = webhook.verified(endpoint["secret"])
    assert (event["data"]["id"], event["data"]["label"], event["data"]["category"]) == (job["id"], "fake", "face swap")
    assert "note" not in event["data"]


def test_the_full_payload_has_the_result_if_it_fits(
    api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = register_endpoint(api, webhook.url, payload="full", events=["job.succeeded"])
    submit(api)
    finish(sessions, frames=2)
    deliver()
    monkeypatch.setattr("app.services.webhook_deliveries.BODY_MAX_BYTES", 500)
    submit(api)
    finish(sessions)
    deliver()
    whole, small = (event["data"] for event in webhook.verified(endpoint["secret"]))
    assert whole["result"]["coverage"]["frames_sampled"] == 16
    assert "frames" not in whole["result"]
    assert "result" not in small
    assert make_frame().track_id in str(whole["result"])


def test_a_failing_receiver_gets_the_same_id_again(api: TestClient, webhook: Receiver, deliver: Deliver) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.queued"])
    webhook.statuses = [500, 302]
    webhook.headers = {"Location": webhook.url}
    submit(api)
    deliver()
    assert len(webhook.ids) == 3
    assert len(set(webhook.ids)) == 1
    assert len({headers["webhook-signature"] for headers, _ in webhook.requests}) >= 1
    log = api.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries").json()["items"]
    assert [(row["status_code"], row["event_id"]) for row in log] == [
        (code, webhook.ids[0]) for code in (200, 302, 500)
    ]
    assert log[0]["next_at"] is None


def test_what_is_given_up_can_be_recovered_and_replayed(api: TestClient, webhook: Receiver, deliver: Deliver) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.queued"])
    webhook.statuses = [500] * 4
    submit(api)
    deliver()
    assert len(webhook.ids) == 4
    deliver()
    assert len(webhook.ids) == 4
    path = f"{ENDPOINTS}/{endpoint['id']}"
    assert api.get(path).json()["failing_since"]
    later = {"since": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    assert api.post(f"{path}:recover", json=later).json() == {"events": 0}
    since = {"since": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
    assert api.post(f"{path}:recover", json=since).json() == {"events": 1}
    deliver()
    assert api.get(path).json()["failing_since"] is None
    assert api.post(f"/v1/webhook-events/{webhook.ids[0]}:replay").status_code == 202
    deliver()
    assert len(webhook.ids) == 6
    assert len(set(webhook.ids)) == 1
    problem(api.post(f"/v1/webhook-events/evt_{'0' * 32}:replay"), 404, "not_found")


def test_a_receiver_that_is_gone_is_disabled_and_the_others_hear_of_it(
    api: TestClient, webhook: Receiver, deliver: Deliver
) -> None:
    with receiver() as gone:
        gone.statuses = [410]
        watching = register_endpoint(api, webhook.url, events=["endpoint.disabled"])
        ended = register_endpoint(api, gone.url)
        submit(api)
        deliver()
        submit(api)
        deliver()
        assert len(gone.ids) == 1
    (event,) = webhook.verified(watching["secret"])
    assert event["data"]["endpoint_id"] == ended["id"]
    found = api.get(f"{ENDPOINTS}/{ended['id']}").json()
    assert (found["enabled"], "410" in found["disabled_reason"]) == (False, True)
    enabled = api.patch(f"{ENDPOINTS}/{ended['id']}", json={"enabled": True}).json()
    assert (enabled["enabled"], enabled["disabled_reason"]) == (True, None)


def test_deliveries_that_meet_do_not_stand_in_each_others_way(
    api: TestClient, webhook: Receiver, deliver: Deliver
) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.queued"])
    webhook.statuses, webhook.delay_seconds = [410] * 4, 0.3
    for _ in range(4):
        submit(api)
    deliver()
    path = f"{ENDPOINTS}/{endpoint['id']}"
    log = api.get(f"{path}/deliveries").json()["items"]
    assert [(row["status_code"], row["next_at"]) for row in log] == [(410, None)] * 4
    for action, body in ((":test", None), (":recover", {"since": "2026-01-01T00:00:00Z"})):
        problem(api.post(f"{path}{action}", json=body), 409, "endpoint_disabled")
    problem(api.post(f"/v1/webhook-events/{webhook.ids[0]}:replay"), 409, "endpoint_disabled")
    api.patch(path, json={"enabled": True})
    api.post(f"{path}:recover", json={"since": "2026-01-01T00:00:00Z"})
    deliver()
    assert len(webhook.ids) == 8


def test_a_replay_is_not_undone_by_a_delivery_that_was_on_its_way(
    api: TestClient, webhook: Receiver, sessions: Sessions
) -> None:
    register_endpoint(api, webhook.url, events=["job.queued"])
    submit(api)
    arguments: Any = {"lease": timedelta(minutes=1), "limit": 1, "per_endpoint": 1, "busy": {}}
    with sessions() as session:
        (delivery,) = webhook_deliveries.claim_deliveries(session, **arguments)
    api.post(f"/v1/webhook-events/{delivery.message_id}:replay")
    policy = webhook_deliveries.RetryPolicy((timedelta(hours=1),), timedelta(days=5))
    with sessions() as session:
        webhook_deliveries.record_delivery(session, delivery, webhook_deliveries.DeliveryResult(500), policy)
    with sessions() as session:
        assert len(webhook_deliveries.claim_deliveries(session, **arguments)) == 1


@pytest.mark.parametrize("retry_after", ["9" * 5000, "soon", "Wed, 99 Nov 2026 00:00:00 GMT", "-1"])
def test_nonsense_of_a_receiver_is_recorded_as_any_failure(
    api: TestClient, webhook: Receiver, deliver: Deliver, retry_after: str
) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.queued"])
    webhook.statuses, webhook.headers = [503], {"Retry-After": retry_after}
    submit(api)
    deliver()
    log = api.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries").json()["items"]
    assert log[-1]["status_code"] == 503


def test_old_events_and_idle_named_endpoints_go(
    api: TestClient, webhook: Receiver, deliver: Deliver, settings: Settings, sessions: Sessions
) -> None:
    register_endpoint(api, webhook.url)
    with receiver() as named:
        submit(api, webhook_url=named.url)
        deliver()
    months_ago = datetime.now(UTC) - timedelta(days=60)
    with sessions() as session, session.begin():
        session.execute(update(WebhookEvent).values(created_at=months_ago))
        session.execute(update(WebhookEndpoint).values(created_at=months_ago))
    keep = Retention(make_storage(str(settings.storage_url), reserve_bytes=0), settings)
    with sessions() as session:
        keep(session)
    with sessions() as session:
        assert session.query(WebhookEvent).count() == 0
    assert [endpoint["url"] for endpoint in api.get(ENDPOINTS).json()["items"]] == [webhook.url]


def test_an_endpoint_that_only_fails_for_days_is_disabled(
    api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions
) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.queued"])
    webhook.statuses = [500] * 10
    with sessions() as session, session.begin():
        session.execute(update(WebhookEndpoint).values(failing_since=datetime.now(UTC) - timedelta(days=6)))
    submit(api)
    deliver()
    assert len(webhook.ids) == 1
    assert not api.get(f"{ENDPOINTS}/{endpoint['id']}").json()["enabled"]


def test_retry_after_is_heeded(api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions) -> None:
    register_endpoint(api, webhook.url, events=["job.queued"])
    webhook.statuses, webhook.headers = [503], {"Retry-After": "120"}
    submit(api)
    deliver()
    with sessions() as session:
        (event,) = session.query(WebhookEvent).all()
    assert event.next_at
    assert timedelta(seconds=100) < event.next_at - datetime.now(UTC) < timedelta(seconds=121)


def test_a_receiver_that_hangs_does_not_hold_up_the_others(
    api: TestClient, webhook: Receiver, hook_settings: Settings, sessions: Sessions
) -> None:
    with receiver() as slow:
        slow.delay_seconds = 5
        register_endpoint(api, slow.url)
        endpoint = register_endpoint(api, webhook.url)
        for _ in range(6):
            submit(api)
        dispatcher = WebhookDispatcher(sessions, EgressPolicy(hook_settings.egress_allow), hook_settings)
        start = time.monotonic()
        wait_until(lambda: dispatcher.deliver_due() is not None and len(webhook.ids) == 6, 20)
        assert time.monotonic() - start < 4
        assert len(slow.ids) <= hook_settings.webhook_endpoint_concurrency
        assert set(webhook.types(endpoint["secret"])) == {"job.queued"}
        wait_until(lambda: not dispatcher.is_busy(), 20)
    log = api.get(ENDPOINTS).json()["items"]
    assert next(item for item in log if item["url"] == slow.url)["failing_since"]


def test_a_rotated_secret_signs_beside_the_old_one(api: TestClient, webhook: Receiver, deliver: Deliver) -> None:
    old = register_endpoint(api, webhook.url)
    path = f"{ENDPOINTS}/{old['id']}"
    new = api.post(f"{path}:rotate-secret", json={"overlap_seconds": 3600}).json()
    assert new["previous_secret_until"]
    assert api.get(f"{path}/secret").json() == new
    assert api.post(f"{path}:test").status_code == 202
    deliver()
    for secret in (old["secret"], new["secret"]):
        assert webhook.types(secret) == ["webhook.test"]
    newest = api.post(f"{path}:rotate-secret", json={"overlap_seconds": 0}).json()
    webhook.requests.clear()
    api.post(f"{path}:test")
    deliver()
    assert webhook.types(newest["secret"]) == ["webhook.test"]
    with pytest.raises(WebhookVerificationError):
        webhook.types(new["secret"])


def test_a_job_may_name_its_own_url(api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions) -> None:
    named = submit(api, webhook_url=webhook.url)
    submit(api, webhook_url=webhook.url)
    submit(api)
    (endpoint,) = api.get(ENDPOINTS).json()["items"]
    assert (endpoint["jobs"], endpoint["url"]) == ("named", webhook.url)
    secret = api.get(f"{ENDPOINTS}/{endpoint['id']}/secret").json()["secret"]
    finish(sessions)
    deliver()
    told = [event["data"]["id"] for event in webhook.verified(secret) if event["type"] == "job.queued"]
    assert len(told) == 2
    assert [event["data"]["id"] for event in webhook.verified(secret) if event["type"] == "job.succeeded"] == [
        named["id"]
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://webhooks.example/x",
        "https://10.0.0.1/x",
        "https://u:p@h.example/",
        "nonsense",
        "https://bücher.example/",
    ],
)
def test_urls_that_are_not_sent_to_are_refused_at_once(settings: Settings, sessions: Sessions, url: str) -> None:
    assert sessions
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {API_KEY}"}) as api:
        body = problem(api.post(ENDPOINTS, json={"url": url}), 400, "invalid_request")
        assert body["errors"][0]["pointer"] == "/url"
        options: Any = {
            "file": ("a.mp4", b"\x00\x00\x00\x18ftypisom"),
            "options": (None, f'{{"webhook_url": "{url}"}}'),
        }
        body = problem(api.post("/v1/jobs", files=options), 400, "invalid_request")
        assert body["errors"][0]["pointer"] == "/options/webhook_url"
        assert api.get("/v1/jobs").json()["items"] == []


def test_a_url_is_registered_once(api: TestClient, webhook: Receiver) -> None:
    endpoint = register_endpoint(api, webhook.url)
    problem(api.post(ENDPOINTS, json={"url": webhook.url}), 409, "endpoint_exists")
    path = f"{ENDPOINTS}/{endpoint['id']}"
    changed = api.patch(path, json={"description": "moderation", "events": ["job.failed"], "payload": "full"}).json()
    assert (changed["description"], changed["events"], changed["payload"]) == ("moderation", ["job.failed"], "full")
    assert "secret" not in changed
    assert api.delete(path).status_code == 204
    problem(api.get(path), 404, "not_found")


def test_the_secret_is_one_of_standard_webhooks(api: TestClient, webhook: Receiver) -> None:
    secret = register_endpoint(api, webhook.url)["secret"]
    now = datetime.now(UTC)
    signature = Webhook(secret).sign("evt_1", now, "{}")
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    assert Webhook(secret).verify("{}", headers) == {}
