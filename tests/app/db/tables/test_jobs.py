"""Table of jobs: the transitions that a job allows."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.core.enums import NEXT_STATUSES, JobStatus
from app.db.tables.jobs import IllegalTransitionError, Job
from app.services.keys import DEFAULT_TENANT


@pytest.mark.parametrize("status", NEXT_STATUSES)
@pytest.mark.parametrize("target", JobStatus)
def test_job_moves_only_to_its_next_statuses(status: JobStatus, target: JobStatus) -> None:
    job = Job(id=UUID(int=1), tenant=DEFAULT_TENANT, status=status, attempt=1)
    if target in NEXT_STATUSES[status]:
        job.move_to(target, at=datetime.now(UTC))
        assert job.status is target
    else:
        with pytest.raises(IllegalTransitionError):
            job.move_to(target, at=datetime.now(UTC))
