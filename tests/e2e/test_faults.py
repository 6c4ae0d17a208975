"""Faults of production: killed workers, missing Redis, large uploads, missing keys. No job is lost or run twice."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app.client.errors import ApiError
from app.core.enums import FailureCode, JobStatus
from app.local.embedded_servers import start_valkey
from tests.conftest import API_KEY
from tests.e2e.conftest import Service
from tests.support.processes import crash_postgres
from tests.support.waiting import wait_until

Clip = Callable[[str], Path]
pytestmark = pytest.mark.xdist_group("faults")

MIB = 2**20
MP4_HEAD = b"\x00\x00\x00\x18ftypisom"
BIG_BYTES = 300 * MIB


def test_killed_worker_job_runs_again(service: Service, clip: Clip) -> None:
    with service.worker() as doomed:
        job = service.submit_hung(doomed, clip("speaker.mp4"))  # so that the job is still running when the blow falls
        doomed.kill_group()
    with service.worker():
        ended = service.wait_for_end(job)
    assert (ended.status, ended.attempts) == (JobStatus.SUCCEEDED, 2)
    assert service.count_results(job) == 1


def test_killed_pool_process_job_runs_again_before_its_lease_expires(service: Service, clip: Clip) -> None:
    with service.worker(UNMASK_LEASE_DURATION="300") as worker:
        job = service.submit_hung(worker, clip("speaker.mp4"))
        pool_process = worker.decoder().parent()
        assert pool_process is not None
        pool_process.kill()
        ended = service.wait_for_end(job)
    assert (ended.status, ended.attempts) == (JobStatus.SUCCEEDED, 2)


def test_worker_with_expired_lease_stores_nothing(service: Service, clip: Clip) -> None:
    with service.worker() as sleeper:
        job = service.submit_hung(sleeper, clip("speaker.mp4"))
        asleep = [psutil.Process(sleeper.pid), *psutil.Process(sleeper.pid).children(recursive=True)]
        for process in asleep:
            process.suspend()
        with service.worker():
            ended = service.wait_for_end(job)
        for process in asleep:
            process.resume()
        wait_until(lambda: any(event in sleeper.log.read_text() for event in ("attempt_abandoned", "result_rejected")))
    assert (ended.status, ended.attempts) == (JobStatus.SUCCEEDED, 2)
    assert service.client.get(job.id) == ended
    assert service.count_results(job) == 1


def test_stopping_worker_releases_job(service: Service, clip: Clip) -> None:
    with service.worker() as stopping:
        job = service.submit_hung(stopping, clip("speaker.mp4"))
        stopping.popen.send_signal(signal.SIGTERM)
        wait_until(lambda: service.client.get(job.id).status is JobStatus.QUEUED, 20)
        stopping.popen.wait(20)
    assert "attempt_released" in stopping.log.read_text()
    with service.worker():
        assert service.wait_for_end(job).status is JobStatus.SUCCEEDED


def test_hanging_clip_fails_only_its_job(service: Service, clip: Clip) -> None:
    with service.worker(UNMASK_DECODE_TIMEOUT="4") as worker:
        worker.decoder().suspend()
        hung = service.client.submit(clip("speaker.mp4"))
        healthy = service.client.submit(clip("two_people.mp4"))
        ended = service.wait_for_end(hung)
        assert ended.failure is not None
        assert (ended.failure.code, ended.failure.retryable) == (FailureCode.DECODE_TIMEOUT, True)
        assert service.wait_for_end(healthy).status is JobStatus.SUCCEEDED


def test_cancel_running_job_frees_worker(service: Service, clip: Clip) -> None:
    with service.worker() as worker:
        job = service.submit_hung(worker, clip("speaker.mp4"))
        url = f"{service.url}/v1/jobs/{job.id}:cancel"
        canceled = httpx.post(url, headers={"X-API-Key": API_KEY})
        assert canceled.json()["status"] == "canceled"
        following = service.client.submit(clip("speaker.mp4"))
        assert service.wait_for_end(following).status is JobStatus.SUCCEEDED
    assert service.client.get(job.id).status is JobStatus.CANCELED


def test_submit_without_redis_runs_later(service: Service, clip: Clip) -> None:
    with service.worker():
        service.valkey.stop()
        try:
            start = time.monotonic()
            job = service.client.submit(clip("speaker.mp4"))
            assert time.monotonic() - start < 0.5
            assert httpx.get(f"{service.url}/readyz").json()["status"] == "degraded"
        finally:
            start_valkey(service.valkey)
        assert service.wait_for_end(job).status is JobStatus.SUCCEEDED


def test_database_crash_job_still_succeeds(service: Service, clip: Clip) -> None:
    with service.worker() as worker:
        job = service.submit_hung(worker, clip("speaker.mp4"))
        crash_postgres(service.folder)
        worker.decoder().resume()
        wait_until(service.client.is_ready)
        ended = service.wait_for_end(job)
    assert ended.status is JobStatus.SUCCEEDED
    assert service.count_results(job) == 1
    assert "Traceback" not in service.api.log.read_text()


def test_missing_clip_file_fails_job(service: Service, clip: Clip) -> None:
    job = service.client.submit(clip("one_gop.mp4"))
    next(service.folder.joinpath("clips").rglob(str(job.clip.sha256))).unlink()
    with service.worker():
        ended = service.wait_for_end(job)
    assert ended.failure is not None
    assert ended.failure.code is FailureCode.INPUT_MISSING


def big_body() -> Iterator[bytes]:
    yield MP4_HEAD + bytes(MIB - len(MP4_HEAD))
    for _ in range(BIG_BYTES // MIB - 1):
        yield bytes(MIB)


def test_large_upload_needs_little_memory(service: Service) -> None:
    process = psutil.Process(service.api.pid)
    idle = process.memory_info().rss
    peak = idle

    def body() -> Iterator[bytes]:
        nonlocal peak
        for chunk in big_body():
            yield chunk
            peak = max(peak, process.memory_info().rss)

    headers = {"X-API-Key": API_KEY, "Content-Type": "application/octet-stream"}
    response = httpx.post(f"{service.url}/v1/jobs", content=body(), headers=headers, timeout=120)
    assert response.status_code == 202
    assert response.json()["clip"]["bytes"] == BIG_BYTES
    assert peak - idle < 150 * MIB
    assert httpx.delete(service.url + response.json()["links"]["self"], headers=headers).status_code == 204


def test_upload_without_key_is_refused_before_body(service: Service) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for chunk in big_body():
            sent += len(chunk)
            yield chunk

    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(BIG_BYTES)}
    try:
        response = httpx.post(f"{service.url}/v1/jobs", content=body(), headers=headers, timeout=60)
        assert response.status_code == 401
    except httpx.TransportError:
        pass  # the connection was closed while the client was still sending
    assert sent < 30 * MIB
    with pytest.raises(ApiError):
        service.client.get("job_unknown")  # the API is well
