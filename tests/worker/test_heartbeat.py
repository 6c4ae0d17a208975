"""Heartbeat: renewed leases, stored progress, and the three reasons to stop an attempt."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.core.enums import Phase
from app.services import jobs
from app.services.attempts import Attempt
from app.services.keys import DEFAULT_TENANT
from tests.support.jobs import claim_job, queue_job, read_job
from tests.support.waiting import wait_until
from worker.heartbeat import AttemptLostError, AttemptTimeoutError, DrainError, Heartbeat

Sessions = sessionmaker[Session]


def make_heartbeat(sessions: Any, attempt: Attempt, **changes: Any) -> Heartbeat:
    values: dict[str, Any] = {
        "interval": timedelta(seconds=0.02),
        "lease": timedelta(seconds=600),
        "timeout": timedelta(seconds=60),
        "draining": threading.Event(),
    }
    return Heartbeat(sessions, attempt, **(values | changes))


@pytest.fixture
def attempt(sessions: Sessions) -> Attempt:
    """Return the running attempt of a job."""
    queue_job(sessions)
    return claim_job(sessions)


def test_heartbeat_renews_the_lease_and_stores_the_progress(sessions: Sessions, attempt: Attempt) -> None:
    before = read_job(sessions, attempt.job_id).lease_until
    assert before is not None
    with make_heartbeat(sessions, attempt) as heartbeat:
        heartbeat.report_progress(Phase.EXTRACTING, 3, 16)
        job = wait_until(lambda: row if (row := read_job(sessions, attempt.job_id)).progress_done == 3 else None, 10)
    assert (job.phase, job.progress_total) == (Phase.EXTRACTING, 16)
    assert job.lease_until > before + timedelta(seconds=300)


def test_heartbeat_ends_with_its_block(sessions: Sessions, attempt: Attempt) -> None:
    with make_heartbeat(sessions, attempt) as heartbeat:
        pass
    heartbeat.report_progress(Phase.SCORING, 1, 1)
    assert read_job(sessions, attempt.job_id).phase is not Phase.SCORING
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]


def test_canceled_job_raises_attempt_lost(sessions: Sessions, attempt: Attempt) -> None:
    def is_lost() -> bool:
        try:
            heartbeat.report_progress(Phase.EXTRACTING, 1, 16)
        except AttemptLostError:
            return True
        return False

    with make_heartbeat(sessions, attempt) as heartbeat:
        assert not is_lost()
        with sessions() as session:
            jobs.cancel_job(session, attempt.job_id, tenant=DEFAULT_TENANT)
        assert wait_until(is_lost, 10)


def test_draining_worker_raises_drain(sessions: Sessions, attempt: Attempt) -> None:
    draining = threading.Event()
    with make_heartbeat(sessions, attempt, draining=draining) as heartbeat:
        heartbeat.report_progress(Phase.EXTRACTING, 1, 16)
        draining.set()
        with pytest.raises(DrainError):
            heartbeat.report_progress(Phase.EXTRACTING, 2, 16)


def test_exceeded_timeout_raises_attempt_timeout(sessions: Sessions, attempt: Attempt) -> None:
    with (
        make_heartbeat(sessions, attempt, timeout=timedelta(0)) as heartbeat,
        pytest.raises(AttemptTimeoutError),
    ):
        heartbeat.report_progress(Phase.EXTRACTING, 1, 16)


def test_database_error_does_not_end_the_heartbeat(sessions: Sessions, attempt: Attempt) -> None:
    failures = [OperationalError("", {}, Exception("away"))] * 2

    def open_session() -> Session:
        if failures:
            raise failures.pop()
        return sessions()

    with make_heartbeat(open_session, attempt) as heartbeat:
        heartbeat.report_progress(Phase.EXTRACTING, 5, 16)
        wait_until(lambda: read_job(sessions, attempt.job_id).progress_done == 5, 10)
    assert failures == []
