"""Lost and late jobs: expired leases are requeued up to a limit, missed deadlines expire."""

from datetime import timedelta

from app.core.enums import FailureCode, JobStatus
from app.db.engine import db_now
from app.db.tables.jobs import Job
from app.maintenance.lost_jobs import expire_late_jobs
from tests.support.api import Sessions
from tests.support.jobs import EXPIRED, claim_job, claim_next, queue_job, read_job, requeue_lost


def test_job_that_loses_three_workers_fails(sessions: Sessions) -> None:
    job_id = queue_job(sessions)
    for expected in (JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.FAILED):
        claim_job(sessions, lease=EXPIRED)
        assert requeue_lost(sessions) == [expected]
    job = read_job(sessions, job_id)
    assert (job.failure_code, job.failure_retryable, job.attempt) == (FailureCode.WORKER_LOST, True, 3)
    assert claim_next(sessions) is None


def test_job_that_misses_its_deadline_expires(sessions: Sessions) -> None:
    late, lost, timely = (queue_job(sessions) for _ in range(3))
    with sessions() as session, session.begin():
        now = db_now(session)
        for job_id, seconds in ((late, -1), (lost, -1), (timely, 60)):
            session.get_one(Job, job_id).start_before = now + timedelta(seconds=seconds)
        session.get_one(Job, lost).started_at = now  # it lost its worker after it had started
    assert [claim_job(sessions).job_id for _ in range(2)] == [lost, timely]
    assert claim_next(sessions) is None
    with sessions() as session:
        assert [job.id for job in expire_late_jobs(session)] == [late]
    job = read_job(sessions, late)
    assert (job.status, job.finished_at is not None) == (JobStatus.EXPIRED, True)
