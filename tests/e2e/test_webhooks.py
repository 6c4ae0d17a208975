"""Webhooks of the real service: API, queue, worker, dispatcher, and receivers over HTTP."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.schemas.submissions import JobOptions
from tests.conftest import API_KEY
from tests.e2e.conftest import Service
from tests.support.receiver import receiver
from tests.support.waiting import wait_until

ENDPOINTS = "/v1/webhook-endpoints"
pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.usefixtures("running_worker")]


def test_verdict_is_delivered_signed_despite_broken_receiver(service: Service, clip: Callable[[str], Path]) -> None:
    with receiver() as good, receiver() as flaky, receiver() as hanging, service.dispatcher():
        hanging.delay_seconds = 20
        flaky.statuses = [500, 500]
        headers = {"Authorization": f"Bearer {API_KEY}"}
        with httpx.Client(base_url=service.url, headers=headers) as api:
            secrets = {}
            for target in (good, flaky, hanging):
                body = {"url": target.url, "events": ["job.succeeded"], "payload": "full"}
                endpoint = api.post(ENDPOINTS, json=body).raise_for_status().json()
                secrets[target.url] = endpoint["secret"]
            job = service.wait_for_end(
                service.client.submit(clip("speaker.mp4"), options=JobOptions(external_id="post-7"))
            )
            wait_until(lambda: good.requests and len(flaky.requests) == 3, 30)
            for endpoint in api.get(ENDPOINTS).json()["items"]:
                api.delete(f"{ENDPOINTS}/{endpoint['id']}").raise_for_status()
    assert job.result is not None
    (event,) = good.verified(secrets[good.url])
    assert event["type"] == "job.succeeded"
    assert (event["data"]["id"], event["data"]["external_id"]) == (job.id, "post-7")
    assert (event["data"]["verdict"], event["data"]["probability"]) == (job.verdict, job.result.probability)
    assert event["data"]["result"]["tracks"][0]["track_id"] == "t0"
    assert len(set(flaky.ids)) == 1
    assert len(flaky.verified(secrets[flaky.url])) == 3
    assert job.finished_at is not None
    assert job.started_at is not None
    assert (job.finished_at - job.started_at).total_seconds() < 15  # the receiver that hangs takes longer than this


def test_killed_dispatcher_event_is_delivered_later(service: Service, clip: Callable[[str], Path]) -> None:
    with receiver() as target:
        job = service.client.submit(clip("speaker.mp4"), options=JobOptions(webhook_url=target.url))
        with service.dispatcher() as dispatcher:
            wait_until(lambda: "webhook_delivered" in dispatcher.log.read_text(), 30)
            dispatcher.kill_group()
        service.wait_for_end(job)
        with service.dispatcher():
            wait_until(lambda: any('"job.succeeded"' in body for _, body in target.requests), 60)
    notices = [body for _, body in target.requests if '"job.succeeded"' in body]
    assert len(notices) == 1
