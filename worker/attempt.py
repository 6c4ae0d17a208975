"""Runs one attempt of a job: claim, open the clip, analyse, store. Knows nothing of Celery."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from typing import BinaryIO, cast

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.core.enums import FailureCode, Phase
from app.core.errors import StorageFullError
from app.core.logging import make_logger
from app.db.tables.jobs import format_job_id
from app.infra.clip_storage import ClipStorage
from app.services import attempts
from app.services.attempts import Attempt
from worker.detector.pipeline import Analysis, Detector
from worker.detector.sandbox.parent import SandboxError
from worker.detector.types import ClipError
from worker.detectors import DetectorCache
from worker.fetch import FetchLimits, fetch
from worker.findings import name_detector, to_attempt_result
from worker.heartbeat import AttemptLostError, AttemptTimeoutError, DrainError, Heartbeat
from worker.settings import WorkerSettings

_RETRYABLE = {
    FailureCode.DECODER_CRASHED,
    FailureCode.DECODE_TIMEOUT,
    FailureCode.FETCH_FAILED,
    FailureCode.FETCH_TIMEOUT,
    FailureCode.INTERNAL,
    FailureCode.MODEL_UNAVAILABLE,
    FailureCode.RESOURCE_LIMIT,
    FailureCode.STORAGE_FULL,
}
_STORE_DELAYS_SECONDS = (0.5, 1, 2, 4, 8, 16)
"""A result is worth waiting for a database that restarts."""


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """What lives as long as the worker process."""

    settings: WorkerSettings
    name: str
    sessions: sessionmaker[Session]
    storage: ClipStorage
    models: DetectorCache
    fetch_limits: FetchLimits
    draining: threading.Event


def run_next_job(resources: WorkerResources) -> None:
    """Claims the job that waits longest, if one waits, and runs it to an end."""
    if resources.draining.is_set():
        return
    settings = resources.settings
    with resources.sessions() as session:
        attempt = attempts.claim_job(session, worker=resources.name, lease=settings.lease_duration)
    if attempt is None:
        return
    with structlog.contextvars.bound_contextvars(job_id=format_job_id(attempt.job_id), attempt=attempt.number):
        heartbeat = Heartbeat(
            resources.sessions,
            attempt,
            interval=settings.heartbeat_interval,
            lease=settings.lease_duration,
            timeout=settings.attempt_timeout,
            draining=resources.draining,
        )
        with heartbeat:
            _run(resources, attempt, heartbeat)


def _run(resources: WorkerResources, attempt: Attempt, heartbeat: Heartbeat) -> None:
    log = make_logger(part="worker")
    start = time.perf_counter()
    log.info("attempt_started")
    try:
        outcome = _analyze_clip(resources, attempt, heartbeat)
    except AttemptLostError:
        log.info("attempt_abandoned")
    except DrainError:
        is_ours = _store(resources, lambda session: attempts.release(session, attempt))
        log.info("attempt_released", stored=is_ours)
    except ClipError as error:
        _fail(resources, attempt, error.code, error.message)
    except AttemptTimeoutError:
        limit = resources.settings.attempt_timeout.total_seconds()
        _fail(resources, attempt, FailureCode.DEADLINE_EXCEEDED, f"The attempt took longer than {limit:g} s.")
    except SandboxError:
        # The machine is broken, not the clip: the job goes back to the queue, the worker stops.
        _store(resources, lambda session: attempts.release(session, attempt))
        raise
    except Exception as error:
        log.exception("attempt_crashed")
        _fail(resources, attempt, FailureCode.INTERNAL, str(error))
    else:
        log.info(outcome, seconds=round(time.perf_counter() - start, 3))


def _analyze_clip(resources: WorkerResources, attempt: Attempt, heartbeat: Heartbeat) -> str:
    """Finds or makes the result and stores it; says how it went, for the log."""
    detector = resources.models.get(attempt.model)
    sha256 = name_detector(detector.manifest)
    clip_sha256 = attempt.clip_sha256 or _fetch(resources, attempt, heartbeat)
    if _reuse(resources, attempt, sha256):
        return "attempt_reused_a_result"
    found = to_attempt_result(_analyze(resources, clip_sha256, heartbeat, detector), sha256)
    is_ours = _store(resources, lambda session: attempts.succeed(session, attempt, found))
    return "attempt_succeeded" if is_ours else "attempt_too_late"


def _fetch(resources: WorkerResources, attempt: Attempt, heartbeat: Heartbeat) -> str:
    """Gets the clip from its URL; returns its SHA-256."""
    assert attempt.clip_url  # a job has one or the other
    try:
        with resources.storage.begin_upload(expected_bytes=0) as upload:
            fetch(attempt.clip_url, upload, heartbeat.report, resources.fetch_limits)
            with resources.sessions() as session:
                sha256 = attempts.keep_fetched(session, resources.storage, attempt, upload)
    except StorageFullError as error:
        raise ClipError(FailureCode.STORAGE_FULL, error.detail) from error
    except OperationalError as error:
        # The file may have got its name, or not: when the lease has run out, another attempt fetches it again.
        make_logger(part="worker").warning("database_away", error=str(error))
        raise AttemptLostError from error
    if sha256 is None:
        raise AttemptLostError
    return sha256


def _reuse(resources: WorkerResources, attempt: Attempt, sha256: str) -> bool:
    """Looks for a result before the clip is opened."""
    if not (attempt.allow_reuse and resources.settings.reuse_results):
        return False
    return _store(resources, lambda session: attempts.reuse_result(session, attempt, detector_sha256=sha256))


def _analyze(resources: WorkerResources, clip_sha256: str, heartbeat: Heartbeat, detector: Detector) -> Analysis:
    try:
        clip = resources.storage.open_clip(clip_sha256)
    except FileNotFoundError as error:
        raise ClipError(FailureCode.INPUT_MISSING, "The clip is not in the storage any more.") from error
    with clip:
        _verify(clip, clip_sha256)
        heartbeat.report(Phase.EXTRACTING, 0, None)
        return detector.analyze(clip, heartbeat.report)


def _verify(clip: BinaryIO, sha256: str) -> None:
    found = hashlib.file_digest(cast("BufferedReader", clip), "sha256").hexdigest()
    clip.seek(0)
    if found != sha256:
        message = "The stored clip is not the one that was uploaded. Upload it again."
        raise ClipError(FailureCode.CHECKSUM_MISMATCH, message)


def _fail(resources: WorkerResources, attempt: Attempt, code: FailureCode, message: str) -> None:
    log = make_logger(part="worker")
    log.info("attempt_failed", code=code, message=message)
    # What a defect says stays in the log: it may show paths and code.
    public = "The worker hit a defect. Its log has the details." if code is FailureCode.INTERNAL else message
    _store(
        resources,
        lambda session: attempts.fail(session, attempt, code=code, message=public, retryable=code in _RETRYABLE),
    )


def _store(resources: WorkerResources, write: Callable[[Session], bool]) -> bool:
    """Writes an outcome, through a restart of the database; if that fails too, the sweep brings the job back."""
    for delay in _STORE_DELAYS_SECONDS:
        try:
            with resources.sessions() as session:
                return write(session)
        except OperationalError as error:
            make_logger(part="worker").warning("database_away", error=str(error), retry_in_seconds=delay)
            time.sleep(delay)
    with resources.sessions() as session:
        return write(session)
