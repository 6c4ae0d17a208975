"""Jobs: read, cancel, delete."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from app.core.enums import JobStatus, Phase
from app.core.errors import GoneError, NoResultError, NotCancelableError, NotFoundError
from app.infra.clip_storage import ClipStorage
from app.services import attempts, jobs
from app.services.keys import DEFAULT_TENANT
from tests.support.api import Sessions
from tests.support.factories import make_attempt_result
from tests.support.jobs import claim_job, queue_job, read_job


def finish_job(sessions: Sessions) -> UUID:
    job_id = queue_job(sessions)
    with sessions() as session:
        assert attempts.succeed(session, claim_job(sessions), make_attempt_result())
    return job_id


class TestGetJob:
    def test_queued_job_has_queue_position(self, sessions: Sessions) -> None:
        ids = [queue_job(sessions) for _ in range(3)]
        with sessions() as session:
            positions = [jobs.get_job(session, job_id, tenant=DEFAULT_TENANT).queue_position for job_id in ids]
        assert positions == [0, 1, 2]

    def test_job_of_other_tenant_is_not_found(self, sessions: Sessions) -> None:
        job_id = queue_job(sessions)
        with sessions() as session, pytest.raises(NotFoundError):
            jobs.get_job(session, job_id, tenant="other")

    def test_running_job_raises_no_result(self, sessions: Sessions) -> None:
        job_id = queue_job(sessions)
        claim_job(sessions)
        with sessions() as session, pytest.raises(NoResultError, match="The job is running"):
            jobs.get_result(session, job_id, tenant=DEFAULT_TENANT)


class TestCancelJob:
    def test_running_job_becomes_canceled(self, sessions: Sessions) -> None:
        job_id = queue_job(sessions)
        attempt = claim_job(sessions)
        with sessions() as session:
            jobs.cancel_job(session, job_id, tenant=DEFAULT_TENANT)
        job = read_job(sessions, job_id)
        assert (job.status, job.lease_until) == (JobStatus.CANCELED, None)
        assert job.finished_at is not None
        with sessions() as session:
            lease = timedelta(minutes=1)
            progress = (Phase.FETCHING, 0, None)
            assert not attempts.renew_lease(session, attempt, lease=lease, progress=progress, emit_progress=False)

    def test_finished_job_raises_not_cancelable(self, sessions: Sessions) -> None:
        job_id = finish_job(sessions)
        with sessions() as session, pytest.raises(NotCancelableError, match="it is succeeded"):
            jobs.cancel_job(session, job_id, tenant=DEFAULT_TENANT)

    def test_job_of_other_tenant_is_not_found(self, sessions: Sessions) -> None:
        job_id = queue_job(sessions)
        with sessions() as session, pytest.raises(NotFoundError):
            jobs.cancel_job(session, job_id, tenant="other")
        assert read_job(sessions, job_id).status is JobStatus.QUEUED


class TestDeleteJob:
    def test_queued_job_becomes_canceled_tombstone(self, sessions: Sessions, storage: ClipStorage) -> None:
        job_id = queue_job(sessions, external_id="post-1")
        with sessions() as session:
            jobs.delete_job(session, storage, job_id, tenant=DEFAULT_TENANT)
        job = read_job(sessions, job_id)
        assert (job.status, job.external_id, job.result) == (JobStatus.CANCELED, None, None)
        assert job.deleted_at is not None

    def test_deleted_job_raises_gone(self, sessions: Sessions, storage: ClipStorage) -> None:
        job_id = finish_job(sessions)
        with sessions() as session:
            jobs.delete_job(session, storage, job_id, tenant=DEFAULT_TENANT)
        with sessions() as session, pytest.raises(GoneError):
            jobs.delete_job(session, storage, job_id, tenant=DEFAULT_TENANT)

    def test_unknown_job_is_not_found(self, sessions: Sessions, storage: ClipStorage) -> None:
        with sessions() as session, pytest.raises(NotFoundError):
            jobs.delete_job(session, storage, uuid4(), tenant=DEFAULT_TENANT)
