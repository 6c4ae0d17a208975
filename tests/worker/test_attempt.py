"""Attempts: claiming, fetching and failing jobs, with a real database and storage."""

import hashlib
import threading
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.core.enums import FailureCode, JobStatus
from app.infra.clip_storage import ClipStorage
from app.services import attempts
from tests.support.clip_server import CLIP, LOOPBACK_POLICY
from tests.support.detectors import make_idle_detector
from tests.support.jobs import queue_job, read_job
from worker.attempt import WorkerResources, _fetch_clip, run_next_job
from worker.detectors import DetectorCache
from worker.fetch import FetchLimits
from worker.heartbeat import AttemptLostError
from worker.settings import WorkerSettings

LIMITS = FetchLimits(LOOPBACK_POLICY, len(CLIP), timedelta(seconds=5), lambda _: None)


@pytest.fixture
def resources(sessions: sessionmaker[Session], storage: ClipStorage, tmp_path: Path) -> WorkerResources:
    """Return the resources of a worker whose sandbox is not started."""
    return WorkerResources(
        settings=WorkerSettings(_env_file=None),
        name="w",
        sessions=sessions,
        storage=storage,
        detectors=DetectorCache(make_idle_detector(), tmp_path / "models", lambda _: make_idle_detector()),
        fetch_limits=LIMITS,
        draining=threading.Event(),
    )


def store_clip(storage: ClipStorage, content: bytes, *, sha256: str) -> None:
    with storage.begin_upload(expected_bytes=len(content)) as upload:
        upload.write(content)
        upload.finish()
        storage.store_upload(upload, sha256)


def test_empty_queue_runs_nothing(resources: WorkerResources) -> None:
    run_next_job(resources)


def test_draining_worker_claims_no_job(resources: WorkerResources) -> None:
    job_id = queue_job(resources.sessions)
    resources.draining.set()
    run_next_job(resources)
    assert read_job(resources.sessions, job_id).status is JobStatus.QUEUED


def test_missing_clip_fails_the_job_with_input_missing(resources: WorkerResources) -> None:
    job_id = queue_job(resources.sessions)
    run_next_job(resources)
    job = read_job(resources.sessions, job_id)
    assert (job.status, job.failure_code) == (JobStatus.FAILED, FailureCode.INPUT_MISSING)
    assert (job.attempt, job.failure_retryable) == (1, False)


def test_changed_clip_fails_the_job_with_checksum_mismatch(resources: WorkerResources, storage: ClipStorage) -> None:
    sha256 = hashlib.sha256(b"uploaded").hexdigest()
    store_clip(storage, b"changed", sha256=sha256)
    job_id = queue_job(resources.sessions, clip_sha256=sha256)
    run_next_job(resources)
    assert read_job(resources.sessions, job_id).failure_code is FailureCode.CHECKSUM_MISMATCH


def test_unknown_model_fails_the_job_as_retryable(resources: WorkerResources) -> None:
    job_id = queue_job(resources.sessions, model="unknown")
    run_next_job(resources)
    job = read_job(resources.sessions, job_id)
    assert (job.failure_code, job.failure_retryable) == (FailureCode.MODEL_UNAVAILABLE, True)


def test_failed_fetch_fails_the_job_without_a_clip(resources: WorkerResources, clip_server: str) -> None:
    job_id = queue_job(resources.sessions, clip_sha256=None, clip_bytes=None, clip_url=f"{clip_server}/missing")
    run_next_job(resources)
    job = read_job(resources.sessions, job_id)
    assert (job.failure_code, job.clip_sha256) == (FailureCode.FETCH_FAILED, None)


def test_database_error_after_a_fetch_raises_attempt_lost_and_discards_the_clip(
    clip_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_operational_error(*_: object) -> None:
        raise OperationalError("", {}, Exception("away"))

    monkeypatch.setattr(attempts, "store_fetched_clip", raise_operational_error)
    resources: Any = SimpleNamespace(
        storage=ClipStorage(tmp_path, reserve_bytes=0), fetch_limits=LIMITS, sessions=nullcontext
    )
    attempt: Any = SimpleNamespace(clip_url=f"{clip_server}/clip")
    heartbeat: Any = SimpleNamespace(report_progress=lambda *_: None)
    with pytest.raises(AttemptLostError):
        _fetch_clip(resources, attempt, heartbeat)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
