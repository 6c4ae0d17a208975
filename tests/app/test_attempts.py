"""A job's life in the database: claims, fences, leases, and what survives races."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, text

from app.core.enums import NEXT_STATUSES, FailureCode, JobStatus, Phase, Verdict
from app.core.errors import NotCancelableError
from app.db.engine import db_now
from app.db.queries import jobs as job_queries
from app.db.queries import transitions
from app.db.tables.jobs import IllegalTransitionError, Job, Transition
from app.db.tables.results import Result
from app.infra.clip_storage import ClipStorage
from app.maintenance.lost_jobs import expire_late_jobs, requeue_lost_jobs
from app.services import attempts, jobs
from app.services.attempts import Attempt
from app.services.keys import DEFAULT_TENANT
from tests.support.api import Sessions
from tests.support.factories import make_found

DETECTOR = "d" * 64
LEASE = timedelta(seconds=60)
OVER = timedelta(seconds=-1)
PROGRESS = (Phase.EXTRACTING, 1, 16)


def add_job(sessions: Sessions) -> UUID:
    with sessions() as session, session.begin():
        job = Job(
            tenant=DEFAULT_TENANT, status=JobStatus.QUEUED, client_metadata={}, clip_sha256="0" * 64, clip_bytes=1
        )
        transitions.add_job(session, job)
        return job.id


def claim(sessions: Sessions, lease: timedelta = LEASE) -> Attempt | None:
    with sessions() as session:
        return attempts.claim_job(session, worker="w", lease=lease)


def must_claim(sessions: Sessions) -> Attempt:
    attempt = claim(sessions)
    assert attempt is not None
    return attempt


def succeed(sessions: Sessions, attempt: Attempt) -> bool:
    with sessions() as session:
        return attempts.succeed(session, attempt, make_found(frames=2, detector_sha256=DETECTOR))


def requeue(sessions: Sessions, max_attempts: int = 3) -> list[JobStatus]:
    with sessions() as session:
        return [job.status for job in requeue_lost_jobs(session, max_attempts=max_attempts)]


def read(sessions: Sessions, job_id: UUID) -> Job:
    with sessions() as session:
        return jobs.get_job(session, job_id, tenant=DEFAULT_TENANT)[0]


def test_jobs_are_claimed_in_the_order_of_their_arrival(sessions: Sessions) -> None:
    ids = [add_job(sessions) for _ in range(3)]
    claimed = [claim(sessions) for _ in range(4)]
    assert [attempt and attempt.job_id for attempt in claimed] == [*ids, None]


def test_a_job_is_claimed_by_one_of_many_workers(sessions: Sessions) -> None:
    ids = {add_job(sessions) for _ in range(10)}
    gate = threading.Barrier(8)

    def worker() -> list[UUID]:
        gate.wait()
        found = []
        while (attempt := claim(sessions)) is not None:
            found.append(attempt.job_id)
        return found

    with ThreadPoolExecutor(8) as pool:
        claimed = [job_id for found in pool.map(lambda _: worker(), range(8)) for job_id in found]
    assert len(claimed) == 10
    assert set(claimed) == ids


def test_a_result_is_stored_with_its_frames_and_history(sessions: Sessions) -> None:
    job_id = add_job(sessions)
    attempt = claim(sessions)
    assert attempt is not None
    assert succeed(sessions, attempt)
    job = read(sessions, job_id)
    assert (job.status, job.verdict, job.lease_until) == (JobStatus.SUCCEEDED, Verdict.AUTHENTIC, None)
    with sessions() as session:
        rows = jobs.list_frames(session, job_id, tenant=DEFAULT_TENANT, after=-1, limit=10)
    assert [row.payload["pts_seconds"] for row in rows] == [0.0, 0.04]
    with sessions() as session:
        history = session.scalars(select(Transition).order_by(Transition.id)).all()
    assert [(row.status, row.attempt, row.worker) for row in history] == [
        (JobStatus.QUEUED, 0, None),
        (JobStatus.RUNNING, 1, "w"),
        (JobStatus.SUCCEEDED, 1, "w"),
    ]


def test_a_late_result_is_dropped(sessions: Sessions) -> None:
    job_id = add_job(sessions)
    late = claim(sessions, lease=OVER)
    assert late is not None
    assert requeue(sessions) == [JobStatus.QUEUED]
    second = claim(sessions)
    assert second is not None
    assert not succeed(sessions, late)
    with sessions() as session:
        assert not attempts.renew_lease(session, late, lease=LEASE, progress=PROGRESS, tell=False)
    assert succeed(sessions, second)
    assert not succeed(sessions, second)
    job = read(sessions, job_id)
    assert job.result is not None
    assert (job.attempt, job.result.attempt) == (2, 2)


def test_a_job_that_loses_three_workers_fails(sessions: Sessions) -> None:
    job_id = add_job(sessions)
    for expected in (JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.FAILED):
        assert claim(sessions, lease=OVER) is not None
        assert requeue(sessions) == [expected]
    job = read(sessions, job_id)
    assert (job.failure_code, job.failure_retryable, job.attempt) == (FailureCode.WORKER_LOST, True, 3)
    assert claim(sessions) is None


def test_a_worker_that_is_asked_to_stop_does_not_cost_an_attempt(sessions: Sessions) -> None:
    job_id = add_job(sessions)
    for _ in range(5):
        attempt = claim(sessions)
        assert attempt is not None
        with sessions() as session:
            assert attempts.release(session, attempt)
    job = read(sessions, job_id)
    assert (job.status, job.attempt, job.lost_attempts) == (JobStatus.QUEUED, 5, 0)


def test_a_heartbeat_keeps_the_lease_and_shows_progress(sessions: Sessions) -> None:
    job_id = add_job(sessions)
    attempt = claim(sessions, lease=timedelta(seconds=0.05))
    assert attempt is not None
    with sessions() as session:
        assert attempts.renew_lease(session, attempt, lease=LEASE, progress=PROGRESS, tell=False)
    assert requeue(sessions) == []
    job = read(sessions, job_id)
    assert (job.phase, job.progress_done, job.progress_total) == PROGRESS


def test_a_canceled_job_takes_no_result(sessions: Sessions) -> None:
    job_id = add_job(sessions)
    attempt = claim(sessions)
    assert attempt is not None
    with sessions() as session:
        jobs.cancel_job(session, job_id, tenant=DEFAULT_TENANT)
    assert not succeed(sessions, attempt)
    assert read(sessions, job_id).status is JobStatus.CANCELED
    with sessions() as session, pytest.raises(NotCancelableError):
        jobs.cancel_job(session, job_id, tenant=DEFAULT_TENANT)


def test_only_the_moves_of_the_table_are_possible(sessions: Sessions) -> None:
    add_job(sessions)
    with sessions() as session:
        now = db_now(session)
    for status, allowed in NEXT_STATUSES.items():
        for target in JobStatus:
            job = Job(id=UUID(int=1), tenant=DEFAULT_TENANT, status=status, attempt=1)
            if target in allowed:
                job.move_to(target, at=now)
                assert job.status is target
            else:
                with pytest.raises(IllegalTransitionError):
                    job.move_to(target, at=now)


class JobLife(RuleBasedStateMachine):
    """Random histories of submits, claims, crashes, commits and cancels."""

    sessions: Sessions

    def __init__(self) -> None:
        super().__init__()
        with self.sessions() as session, session.begin():
            session.execute(text("TRUNCATE jobs CASCADE"))
        self.attempts: list[Attempt] = []
        self.stored: list[UUID] = []
        self.ended: dict[UUID, JobStatus] = {}

    @rule()
    def submit(self) -> None:
        add_job(self.sessions)

    @rule(lease=st.sampled_from([LEASE, OVER]))
    def claim(self, lease: timedelta) -> None:
        if (attempt := claim(self.sessions, lease)) is not None:
            self.attempts.append(attempt)

    @rule(data=st.data(), outcome=st.sampled_from(["succeed", "fail", "release", "renew", "cancel"]))
    def act(self, data: Any, outcome: str) -> None:
        if not self.attempts:
            return
        attempt = data.draw(st.sampled_from(self.attempts))
        with self.sessions() as session:
            if outcome == "succeed" and succeed(self.sessions, attempt):
                self.stored.append(attempt.job_id)
            elif outcome == "fail":
                attempts.fail(session, attempt, code=FailureCode.DECODE_ERROR, message="", retryable=False)
            elif outcome == "release":
                attempts.release(session, attempt)
            elif outcome == "renew":
                attempts.renew_lease(session, attempt, lease=LEASE, progress=PROGRESS, tell=False)
            elif outcome == "cancel":
                with suppress(NotCancelableError):
                    jobs.cancel_job(session, attempt.job_id, tenant=DEFAULT_TENANT)

    @rule()
    def sweep(self) -> None:
        requeue(self.sessions)

    @invariant()
    def a_job_has_one_result_at_most_and_never_leaves_its_end(self) -> None:
        assert len(self.stored) == len(set(self.stored))
        with self.sessions() as session:
            found = session.scalars(select(Job)).all()
            results = set(session.scalars(select(Result.job_id)).all())
        assert results == set(self.stored) == {job.id for job in found if job.status is JobStatus.SUCCEEDED}
        for job in found:
            assert self.ended.setdefault(job.id, job.status) == job.status or not self.ended[job.id].is_final
            self.ended[job.id] = job.status
            assert job.lost_attempts <= 3


def test_no_history_breaks_the_invariants(sessions: Sessions) -> None:
    JobLife.sessions = sessions
    run_state_machine_as_test(
        JobLife,
        settings=settings(max_examples=25, stateful_step_count=25, suppress_health_check=list(HealthCheck)),
    )


def test_batch_jobs_let_live_ones_pass_but_do_not_starve(sessions: Sessions) -> None:
    batch, early, late = (add_job(sessions) for _ in range(3))
    with sessions() as session, session.begin():
        now = db_now(session)
        for job_id, minutes in ((batch, 10), (early, 5), (late, 11)):
            session.get_one(Job, job_id).turn_at = now + timedelta(minutes=minutes)
        waiting = session.get_one(Job, batch)
        assert job_queries.count_queued_before(session, waiting) == 1
    assert [must_claim(sessions).job_id for _ in range(3)] == [early, batch, late]


def test_a_job_that_is_too_late_expires(sessions: Sessions) -> None:
    late, lost, timely = (add_job(sessions) for _ in range(3))
    with sessions() as session, session.begin():
        now = db_now(session)
        for job_id, seconds in ((late, -1), (lost, -1), (timely, 60)):
            session.get_one(Job, job_id).start_before = now + timedelta(seconds=seconds)
        session.get_one(Job, lost).started_at = now  # it lost its worker after it had started
    assert [must_claim(sessions).job_id for _ in range(2)] == [lost, timely]
    assert claim(sessions) is None
    with sessions() as session:
        assert [job.id for job in expire_late_jobs(session)] == [late]
    with sessions() as session:
        job, _ = jobs.get_job(session, late, tenant=DEFAULT_TENANT)
    assert (job.status, job.finished_at is not None) == (JobStatus.EXPIRED, True)


def test_a_twin_gives_its_result(sessions: Sessions) -> None:
    first = add_job(sessions)
    assert succeed(sessions, must_claim(sessions))
    second = add_job(sessions)
    attempt = must_claim(sessions)
    with sessions() as session:
        assert not attempts.reuse_result(session, attempt, detector_sha256="another")
    with sessions() as session:
        assert attempts.reuse_result(session, attempt, detector_sha256=DETECTOR)
    with sessions() as session:
        assert not attempts.reuse_result(session, attempt, detector_sha256=DETECTOR)  # it has ended
        job, _ = jobs.get_job(session, second, tenant=DEFAULT_TENANT)
    assert (job.status, job.verdict, job.deduplicated_from) == (JobStatus.SUCCEEDED, Verdict.AUTHENTIC, first)
    with sessions() as session:
        rows = jobs.list_frames(session, second, tenant=DEFAULT_TENANT, after=-1, limit=10)
    assert [row.payload["pts_seconds"] for row in rows] == [0.0, 0.04]


def test_only_a_twin_of_the_same_tenant_with_the_same_bytes_will_do(sessions: Sessions, storage: ClipStorage) -> None:
    first = add_job(sessions)
    assert succeed(sessions, must_claim(sessions))

    def can_reuse(**changes: Any) -> bool:
        job_id = add_job(sessions)
        with sessions() as session, session.begin():
            for name, value in changes.items():
                setattr(session.get_one(Job, job_id), name, value)
        attempt = must_claim(sessions)
        with sessions() as session:
            return attempts.reuse_result(session, attempt, detector_sha256=DETECTOR)

    assert not can_reuse(tenant="other")
    assert not can_reuse(clip_sha256="1" * 64)
    with sessions() as session:
        jobs.delete_job(session, storage, first, tenant=DEFAULT_TENANT)
    assert not can_reuse()
