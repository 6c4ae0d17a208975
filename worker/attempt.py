"""One attempt of a job: claim, fetch, analyze, store. Independent of Celery."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from typing import BinaryIO, cast

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.core.enums import FailureCode, Phase
from app.core.errors import StorageFullError
from app.core.ids import IdPrefix, format_id
from app.core.logging import make_logger
from app.infra.clip_storage import ClipStorage
from app.services import attempts
from app.services.attempts import Attempt
from worker.detector.pipeline import Analysis
from worker.detector.sandbox.parent import SandboxError
from worker.detector.types import ClipError, ClipPart
from worker.detectors import DetectorCache
from worker.fetch import FetchLimits, fetch_clip
from worker.findings import hash_detector, to_attempt_result
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
"""Delays between tries to store a result. They cover a restart of the database."""
_INTERNAL_MESSAGE = "An internal error occurred. The worker's log has the details."


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """Objects that live as long as the worker process."""

    settings: WorkerSettings
    name: str
    sessions: sessionmaker[Session]
    storage: ClipStorage
    detectors: DetectorCache
    fetch_limits: FetchLimits
    draining: threading.Event


def run_next_job(resources: WorkerResources) -> None:
    """Claim the next queued job, if there is one, and run an attempt of it."""
    if resources.draining.is_set():
        return
    settings = resources.settings
    with resources.sessions() as session:
        attempt = attempts.claim_job(session, worker=resources.name, lease=settings.lease_duration)
    if attempt is None:
        return
    job_id = format_id(IdPrefix.JOB, attempt.job_id)
    with structlog.contextvars.bound_contextvars(job_id=job_id, attempt=attempt.number):
        heartbeat = Heartbeat(
            resources.sessions,
            attempt,
            interval=settings.heartbeat_interval,
            lease=settings.lease_duration,
            timeout=settings.attempt_timeout,
            draining=resources.draining,
        )
        with heartbeat:
            _run_attempt(resources, attempt, heartbeat)


def _run_attempt(resources: WorkerResources, attempt: Attempt, heartbeat: Heartbeat) -> None:
    log = make_logger(part="worker")
    start = time.perf_counter()
    log.info("attempt_started")
    try:
        event = _produce_result(resources, attempt, heartbeat)
    except AttemptLostError:
        log.info("attempt_abandoned")
    except DrainError:
        owns_job = _store_with_retries(resources, lambda session: attempts.release(session, attempt))
        log.info("attempt_released", stored=owns_job)
    except ClipError as error:
        _fail_attempt(resources, attempt, error.code, error.message)
    except AttemptTimeoutError:
        limit = resources.settings.attempt_timeout.total_seconds()
        message = f"The attempt took longer than {limit:g} s. Cut the clip."
        _fail_attempt(resources, attempt, FailureCode.DEADLINE_EXCEEDED, message)
    except SandboxError:
        # The machine is the cause, not the clip: return the job to the queue and stop the worker.
        _store_with_retries(resources, lambda session: attempts.release(session, attempt))
        raise
    except Exception as error:
        log.exception("attempt_crashed")
        _fail_attempt(resources, attempt, FailureCode.INTERNAL, str(error))
    else:
        log.info(event, seconds=round(time.perf_counter() - start, 3))


def _produce_result(resources: WorkerResources, attempt: Attempt, heartbeat: Heartbeat) -> str:
    """Reuse or compute the result of a job and store it. Returns the log event."""
    detector = resources.detectors.get(attempt.model)
    detector_sha256 = hash_detector(detector.manifest)
    clip_sha256 = attempt.clip_sha256 or _fetch_clip(resources, attempt, heartbeat)
    if _reuse_result(resources, attempt, detector_sha256):
        return "result_reused"
    part = ClipPart(attempt.start_seconds or 0.0, attempt.end_seconds)
    analyze = partial(detector.analyze, on_progress=heartbeat.report_progress, part=part)
    result = to_attempt_result(_analyze_clip(resources, clip_sha256, heartbeat, analyze), detector_sha256)
    owns_job = _store_with_retries(resources, lambda session: attempts.succeed(session, attempt, result))
    return "attempt_succeeded" if owns_job else "result_rejected"


def _fetch_clip(resources: WorkerResources, attempt: Attempt, heartbeat: Heartbeat) -> str:
    """Fetch the clip from its URL. Returns its SHA-256."""
    assert attempt.clip_url  # a job has a SHA-256 or a URL
    try:
        with resources.storage.begin_upload(expected_bytes=0) as upload:
            fetch_clip(attempt.clip_url, upload, heartbeat.report_progress, resources.fetch_limits)
            with resources.sessions() as session:
                sha256 = attempts.store_fetched_clip(session, resources.storage, attempt, upload)
    except StorageFullError as error:
        raise ClipError(FailureCode.STORAGE_FULL, error.detail) from error
    except OperationalError as error:
        # It is unknown if the clip was stored. After the lease expires, another attempt fetches it again.
        make_logger(part="worker").warning("database_write_failed", error=str(error))
        raise AttemptLostError from error
    if sha256 is None:
        raise AttemptLostError
    return sha256


def _reuse_result(resources: WorkerResources, attempt: Attempt, detector_sha256: str) -> bool:
    """Reuse the result of another job, before the clip is opened. Returns False if there is none."""
    if not (attempt.allow_reuse and resources.settings.reuse_results):
        return False
    return _store_with_retries(
        resources, lambda session: attempts.reuse_result(session, attempt, detector_sha256=detector_sha256)
    )


def _analyze_clip(
    resources: WorkerResources, clip_sha256: str, heartbeat: Heartbeat, analyze: Callable[[BinaryIO], Analysis]
) -> Analysis:
    try:
        clip = resources.storage.open_clip(clip_sha256)
    except FileNotFoundError as error:
        raise ClipError(FailureCode.INPUT_MISSING, "The clip is no longer in the storage. Upload it again.") from error
    with clip:
        _verify_checksum(clip, clip_sha256)
        heartbeat.report_progress(Phase.EXTRACTING, 0, None)
        return analyze(clip)


def _verify_checksum(clip: BinaryIO, sha256: str) -> None:
    actual = hashlib.file_digest(cast("BufferedReader", clip), "sha256").hexdigest()
    clip.seek(0)
    if actual != sha256:
        message = "The stored clip differs from the uploaded one. Upload it again."
        raise ClipError(FailureCode.CHECKSUM_MISMATCH, message)


def _fail_attempt(resources: WorkerResources, attempt: Attempt, code: FailureCode, message: str) -> None:
    log = make_logger(part="worker")
    log.info("attempt_failed", code=code, message=message)
    # The message of a defect stays in the log: it may contain paths and code.
    public = _INTERNAL_MESSAGE if code is FailureCode.INTERNAL else message
    _store_with_retries(
        resources,
        lambda session: attempts.fail(session, attempt, code=code, message=public, retryable=code in _RETRYABLE),
    )


def _store_with_retries(resources: WorkerResources, write: Callable[[Session], bool]) -> bool:
    """Write an outcome and retry during a restart of the database.

    If all tries fail, the lease expires and the sweeper requeues the job.
    """
    for delay in _STORE_DELAYS_SECONDS:
        try:
            with resources.sessions() as session:
                return write(session)
        except OperationalError as error:
            make_logger(part="worker").warning("database_write_failed", error=str(error), retry_in_seconds=delay)
            time.sleep(delay)
    with resources.sessions() as session:
        return write(session)
