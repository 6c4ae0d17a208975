"""Webhook deliveries: payloads, claims, retries, and endpoints that are disabled."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from standardwebhooks.webhooks import WebhookVerificationError

from app.core.enums import FailureCode, Phase
from app.core.settings import Settings
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent
from app.infra.egress import EgressPolicy
from app.services import attempts, webhook_deliveries
from app.webhook_dispatcher import WebhookDispatcher
from tests.support.api import ENDPOINTS, Sessions, finish, make_client, problem, register_endpoint, submit
from tests.support.factories import make_attempt_result, make_frame
from tests.support.jobs import claim_job
from tests.support.receiver import Deliver, Receiver, receiver
from tests.support.waiting import wait_until


@pytest.fixture
def api(webhook_api: TestClient) -> TestClient:
    return webhook_api


def claim_deliveries(sessions: Sessions, **changes: Any) -> list[webhook_deliveries.DeliveryRequest]:
    arguments: dict[str, Any] = {"lease": timedelta(minutes=1), "limit": 10, "per_endpoint": 4, "busy": {}}
    with sessions() as session:
        return webhook_deliveries.claim_deliveries(session, **(arguments | changes))


def test_each_status_of_a_job_is_delivered_signed(
    api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions
) -> None:
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
        "evidence": "little evidence of manipulation",
        "recommended_action": "allow",
    }
    assert datetime.fromisoformat(last["timestamp"]).tzinfo
    with pytest.raises(WebhookVerificationError):
        webhook.verified("whsec_" + "A" * 43 + "=")


def test_failed_canceled_and_deleted_jobs_are_delivered(
    api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions
) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.failed", "job.canceled", "media.deleted"])
    canceled, failed = submit(api)["id"], submit(api)["id"]
    api.post(f"/v1/jobs/{canceled}:cancel")
    attempt = claim_job(sessions)
    with sessions() as session:
        attempts.fail(session, attempt, code=FailureCode.NOT_A_VIDEO, message="No.", retryable=False)
    deliver()
    api.delete(f"/v1/jobs/{failed}")
    deliver()
    data = {event["type"]: event["data"] for event in webhook.verified(endpoint["secret"])}
    assert data["job.canceled"]["id"] == canceled
    assert data["job.failed"]["failure"] == {"code": "not_a_video", "retryable": False}
    assert (data["media.deleted"]["id"], data["media.deleted"]["external_id"]) == (failed, None)


def test_feedback_is_delivered_without_its_note(api: TestClient, webhook: Receiver, deliver: Deliver) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.feedback"])
    job = submit(api)
    api.post(f"/v1/jobs/{job['id']}/feedback", json={"label": "fake", "category": "face swap", "note": "private"})
    deliver()
    (event,) = webhook.verified(endpoint["secret"])
    assert (event["data"]["id"], event["data"]["label"], event["data"]["category"]) == (job["id"], "fake", "face swap")
    assert "note" not in event["data"]


def test_full_payload_contains_the_result_if_it_fits(
    api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = register_endpoint(api, webhook.url, payload="full", events=["job.succeeded"])
    submit(api)
    finish(sessions, frames=2)
    deliver()
    monkeypatch.setattr("app.services.webhook_events.BODY_MAX_BYTES", 500)
    submit(api)
    finish(sessions)
    deliver()
    full, small = (event["data"] for event in webhook.verified(endpoint["secret"]))
    assert full["result"]["coverage"]["frames_sampled"] == 16
    assert "frames" not in full["result"]
    assert "result" not in small
    assert make_frame().track_id in str(full["result"])


def test_failed_delivery_is_retried_with_the_same_id(api: TestClient, webhook: Receiver, deliver: Deliver) -> None:
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


def test_endpoint_that_answers_410_is_disabled_and_others_are_notified(
    api: TestClient, webhook: Receiver, deliver: Deliver
) -> None:
    with receiver() as gone:
        gone.statuses = [410]
        other = register_endpoint(api, webhook.url, events=["endpoint.disabled"])
        disabled = register_endpoint(api, gone.url)
        submit(api)
        deliver()
        submit(api)
        deliver()
        assert len(gone.ids) == 1
    (event,) = webhook.verified(other["secret"])
    assert event["data"]["endpoint_id"] == disabled["id"]
    found = api.get(f"{ENDPOINTS}/{disabled['id']}").json()
    assert (found["enabled"], "410" in found["disabled_reason"]) == (False, True)
    enabled = api.patch(f"{ENDPOINTS}/{disabled['id']}", json={"enabled": True}).json()
    assert (enabled["enabled"], enabled["disabled_reason"]) == (True, None)


def test_endpoint_that_fails_for_days_is_disabled(
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


def test_expired_claim_of_crashed_dispatcher_is_delivered_by_another(
    api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions
) -> None:
    register_endpoint(api, webhook.url, events=["job.queued"])
    submit(api)
    lease = timedelta(seconds=0.5)
    (delivery,) = claim_deliveries(sessions, lease=lease)  # the dispatcher crashes here
    assert claim_deliveries(sessions, lease=lease) == []
    deliver()
    assert webhook.ids == [delivery.message_id]


def test_replay_during_a_delivery_is_not_overwritten_by_its_result(
    api: TestClient, webhook: Receiver, sessions: Sessions
) -> None:
    register_endpoint(api, webhook.url, events=["job.queued"])
    submit(api)
    (delivery,) = claim_deliveries(sessions, limit=1, per_endpoint=1)
    api.post(f"/v1/webhook-events/{delivery.message_id}:replay")
    policy = webhook_deliveries.RetryPolicy((timedelta(hours=1),), timedelta(days=5))
    with sessions() as session:
        webhook_deliveries.record_delivery(session, delivery, webhook_deliveries.DeliveryResult(500), policy)
    assert len(claim_deliveries(sessions, limit=1, per_endpoint=1)) == 1


def test_each_delivery_of_an_event_has_the_same_body_although_the_job_moves_on(
    webhook_settings: Settings, sessions: Sessions, webhook: Receiver
) -> None:
    hour = timedelta(hours=1)
    settings = webhook_settings.model_copy(update={"webhook_retry_delays": (hour, hour)})
    dispatcher = WebhookDispatcher(sessions, EgressPolicy(settings.egress_allow), settings)

    def deliver_once() -> None:
        with sessions() as session, session.begin():
            session.execute(update(WebhookEvent).where(WebhookEvent.delivered_at.is_(None)).values(next_at=func.now()))
        wait_until(lambda: not (dispatcher.deliver_due() or dispatcher.is_busy() or has_due()))

    def has_due() -> bool:
        with sessions() as session:
            return session.query(WebhookEvent).where(WebhookEvent.next_at < func.now()).count() > 0

    with make_client(settings) as api:
        names = ["job.queued", "job.started", "job.progress", "job.succeeded", "job.feedback", "media.deleted"]
        endpoint = register_endpoint(api, webhook.url, payload="full", events=names)
        webhook.statuses = [500] * 100
        job = submit(api)
        deliver_once()
        attempt = claim_job(sessions)
        with sessions() as session:
            progress = (Phase.EXTRACTING, 8, 16)
            attempts.renew_lease(session, attempt, lease=hour, progress=progress, emit_progress=True)
        deliver_once()
        with sessions() as session:
            attempts.succeed(session, attempt, make_attempt_result(frames=2))
        deliver_once()
        api.post(f"{job['links']['self']}/feedback", json={"label": "fake"})
        deliver_once()
        webhook.statuses = []
        deliver_once()
        webhook.statuses = [500]
        api.delete(job["links"]["self"])
        deliver_once()
        deliver_once()
    bodies: dict[str, set[str]] = defaultdict(set)
    for headers, body in webhook.requests:
        bodies[headers["webhook-id"]].add(body)
    assert {len(found) for found in bodies.values()} == {1}
    counts = Counter(webhook.types(endpoint["secret"]))
    assert counts.keys() == set(names)
    assert min(counts.values()) >= 2
    queued = next(event for event in webhook.verified(endpoint["secret"]) if event["type"] == "job.queued")
    assert (queued["data"]["status"], "result" in queued["data"]) == ("queued", False)


def test_deletion_ends_undelivered_events_and_erases_their_bodies(
    api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions
) -> None:
    endpoint = register_endpoint(api, webhook.url, payload="full")
    job = submit(api)
    finish(sessions)
    api.delete(job["links"]["self"])
    with sessions() as session:
        events = session.scalars(select(WebhookEvent)).all()
    assert {event.type.value: event.body is None for event in events} == {
        "job.queued": True, "job.started": True, "job.succeeded": True, "media.deleted": False
    }  # fmt: skip
    deliver()
    assert webhook.types(endpoint["secret"]) == ["media.deleted"]
    erased = next(event for event in events if event.body is None)
    assert problem(api.post(f"/v1/webhook-events/{erased.public_id}:replay"), 410, "gone_deleted")
