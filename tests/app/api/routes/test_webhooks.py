"""Routes of webhook endpoints: created, changed, rotated, disabled; events replayed and redelivered."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from tests.support.api import ENDPOINTS, post_clip, problem, register_endpoint, submit
from tests.support.receiver import Deliver, Receiver


def test_url_is_registered_once_and_changed_with_patch(webhook_api: TestClient, webhook: Receiver) -> None:
    api = webhook_api
    endpoint = register_endpoint(api, webhook.url)
    problem(api.post(ENDPOINTS, json={"url": webhook.url}), 409, "endpoint_exists")
    path = f"{ENDPOINTS}/{endpoint['id']}"
    changed = api.patch(path, json={"description": "moderation", "events": ["job.failed"], "payload": "full"}).json()
    assert (changed["description"], changed["events"], changed["payload"]) == ("moderation", ["job.failed"], "full")
    assert "secret" not in changed
    assert api.delete(path).status_code == 204
    problem(api.get(path), 404, "not_found")


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
def test_url_that_may_not_be_reached_is_refused(api: TestClient, url: str) -> None:
    body = problem(api.post(ENDPOINTS, json={"url": url}), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/url"
    body = problem(post_clip(api, webhook_url=url), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/options/webhook_url"
    assert api.get("/v1/jobs").json()["items"] == []


def test_new_secret_is_valid_for_standard_webhooks(webhook_api: TestClient, webhook: Receiver) -> None:
    secret = register_endpoint(webhook_api, webhook.url)["secret"]
    now = datetime.now(UTC)
    signature = Webhook(secret).sign("evt_1", now, "{}")
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    assert Webhook(secret).verify("{}", headers) == {}


def test_rotated_secret_signs_together_with_the_old_one(
    webhook_api: TestClient, webhook: Receiver, deliver: Deliver
) -> None:
    api = webhook_api
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


def test_failed_event_is_redelivered_and_replayed_with_the_same_id(
    webhook_api: TestClient, webhook: Receiver, deliver: Deliver
) -> None:
    api = webhook_api
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


def test_concurrent_410_answers_disable_the_endpoint_until_it_is_enabled(
    webhook_api: TestClient, webhook: Receiver, deliver: Deliver
) -> None:
    api = webhook_api
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
