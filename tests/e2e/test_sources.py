"""Each source gives the same verdict: upload, interrupted resumable upload, URL, known bytes, batch."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.uploader.uploader import Uploader

from app.client.async_client import AsyncClient
from app.core.calibration import OperatingCurve
from app.core.enums import FailureCode, JobStatus, Verdict
from app.schemas.batches import BatchRequest
from app.schemas.jobs import Job, ReanalysisRequest
from app.schemas.submissions import JobOptions, JobRequest, Source
from tests.conftest import API_KEY
from tests.e2e.conftest import Process, Service
from tests.support.receiver import receiver
from tests.support.waiting import wait_until

Clip = Callable[[str], Path]
pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.usefixtures("running_worker")]


def api_of(service: Service) -> httpx.Client:
    """Return an HTTP client of the API."""
    return httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {API_KEY}"})


def wait_for_job(service: Service, job: Job) -> Job:
    ended = service.wait_for_end(job)
    assert ended.status is JobStatus.SUCCEEDED, ended.failure
    return ended


def test_all_sources_give_same_verdict(service: Service, web: str, clip: Clip) -> None:
    uploaded = wait_for_job(service, service.client.submit(clip("speaker.mp4")))
    upload = service.client.upload(clip("speaker.mp4"))
    assert uploaded.clip.sha256 == upload.sha256
    sources = [Source(upload_id=upload.id), Source(sha256=upload.sha256), Source(url=f"{web}/speaker.mp4")]
    for source in sources:
        job = wait_for_job(service, service.client.submit_source(JobRequest(source=source)))
        assert (job.clip.sha256, job.clip.bytes) == (uploaded.clip.sha256, uploaded.clip.bytes)
        assert job.result is not None
        assert uploaded.result is not None
        assert job.result.probability == uploaded.result.probability


def test_url_without_clip_fails_with_code(service: Service, web: str) -> None:
    job = service.client.submit_source(JobRequest(source=Source(url=f"{web}/none.mp4")))
    ended = service.wait_for_end(job)
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == (FailureCode.FETCH_FAILED, True)


def test_client_upload_resumes_after_interruption(
    service: Service, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.client.upload.CHUNK_BYTES", 30_000)
    monkeypatch.setattr("app.client.upload.CHUNK_RETRY_SECONDS", 0.01)
    path = clip("speaker.mp4")
    sent: list[int] = []
    real = httpx.Client.request

    def break_sometimes(client: httpx.Client, method: str, url: str, **arguments: Any) -> httpx.Response:
        if method == "PATCH":
            sent.append(len(arguments["content"]))
            if len(sent) % 2:
                real(client, method, url, **arguments)  # it arrives; the answer does not
                raise httpx.ReadError("the line broke")
        return real(client, method, url, **arguments)

    monkeypatch.setattr(httpx.Client, "request", break_sometimes)
    upload = service.client.upload(path)
    assert (upload.status, upload.received_bytes) == ("complete", path.stat().st_size)
    assert sum(sent) == path.stat().st_size
    assert len(sent) > 3


def test_stock_tus_client_uploads_without_key(service: Service, clip: Clip) -> None:
    path = clip("speaker.mp4")
    with api_of(service) as api:
        begun = api.post("/v1/uploads", json={"bytes": path.stat().st_size}).raise_for_status().json()
        with path.open("rb") as file:
            Uploader(file_stream=file, url=service.url + begun["upload_url"], chunk_size=60_000).upload()
        upload = api.get(f"/v1/uploads/{begun['id']}").raise_for_status().json()
    assert upload["status"] == "complete"
    assert upload["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_batch_end_sends_batch_completed(service: Service, web: str) -> None:
    items = [
        JobRequest(source=Source(url=f"{web}/{name}"), options=JobOptions(external_id=name))
        for name in ("speaker.mp4", "no_face.mp4", "none.mp4")
    ]
    body = {"events": ["batch.completed"]}
    with receiver() as target, service.dispatcher(), api_of(service) as api:
        endpoint = api.post("/v1/webhook-endpoints", json=body | {"url": target.url}).raise_for_status().json()
        batch = service.client.submit_batch(BatchRequest(items=items))
        wait_until(lambda: target.requests, 60)
        api.delete(f"/v1/webhook-endpoints/{endpoint['id']}").raise_for_status()
    (event,) = target.verified(endpoint["secret"])
    assert event["data"]["id"] == batch.id
    assert (event["data"]["status"], event["data"]["counts"]) == ("partially_failed", {"succeeded": 2, "failed": 1})
    ended = service.client.get_batch(batch.id)
    assert (ended.status, ended.completed_at is not None) == ("partially_failed", True)
    verdicts = {job.external_id: job.verdict for job in service.client.jobs(batch_id=batch.id)}
    assert verdicts["no_face.mp4"] is Verdict.NOT_EVALUATED
    assert verdicts["none.mp4"] is None


def test_reanalyze_by_policy_needs_no_worker(service: Service, running_worker: Process, clip: Clip) -> None:
    first = wait_for_job(service, service.client.submit(clip("speaker.mp4")))
    with api_of(service) as api:
        listed = api.get("/v1/calibrations").raise_for_status().json()["items"]
        calibration = next(item for item in listed if item["active"])
        rates = {"suspicious_false_positive_rate": 0.3, "manipulated_false_positive_rate": 0.05}
        policy = api.post("/v1/policies", json={"name": "wide", **rates}).raise_for_status().json()
        simulated = api.post(f"/v1/policies/{policy['id']}:simulate", json={}).raise_for_status().json()
    running_worker.decoder().suspend()
    again = service.client.reanalyze(first.id, ReanalysisRequest(policy="wide"))
    running_worker.decoder().resume()
    assert first.result is not None
    assert again.result is not None
    assert again.result.probability == first.result.probability
    points = OperatingCurve.model_validate(calibration["curve"]).points
    wide = [point.threshold for point in points if point.false_positive_rate.value <= 0.3]
    assert again.result.thresholds.suspicious_at == wide[-1]
    assert again.result.thresholds.suspicious_at < first.result.thresholds.suspicious_at
    assert simulated["jobs"] > 0


def test_async_client_submits_all_sources(service: Service, clip: Clip) -> None:
    async def use() -> None:
        async with AsyncClient(url=service.url, api_key=API_KEY) as client:
            upload = await client.upload(clip("speaker.mp4"))
            job = await client.submit_source(JobRequest(source=Source(upload_id=upload.id)))
            assert (await client.wait(job.id, timeout_seconds=60)).status is JobStatus.SUCCEEDED
            items = [JobRequest(source=Source(sha256=upload.sha256))]
            batch = await client.submit_batch(BatchRequest(items=items))
            assert (await client.get_batch(batch.id)).id == batch.id
            again = await client.reanalyze(job.id, ReanalysisRequest(policy="default"))
            assert again.reanalysis_of == job.id

    asyncio.run(use())


def test_tus_client_creates_and_sends_an_upload(service: Service, clip: Clip) -> None:
    path = clip("speaker.mp4")
    tus = TusClient(f"{service.url}/v1/direct-uploads", headers={"Authorization": f"Bearer {API_KEY}"})
    with path.open("rb") as file:
        tus.uploader(file_stream=file, chunk_size=50_000, metadata={"filename": "tus.mp4"}).upload()
    source = Source(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    job = wait_for_job(service, service.client.submit_source(JobRequest(source=source)))
    assert job.clip.bytes == path.stat().st_size
