"""Events of a job's stream."""

from uuid_utils.compat import uuid7

from app.api.presenters.jobs import present_progress_event
from app.core.enums import Phase
from app.db.tables.jobs import Job
from app.schemas.jobs import ProgressEvent


def test_progress_event_has_job_and_time_and_resumes_behind_the_last_transition() -> None:
    job = Job(id=uuid7(), phase=Phase.EXTRACTING, progress_done=3, progress_total=16)
    event = present_progress_event(job, after=42)
    assert event is not None
    assert (event.id, event.event) == ("42", "job.progress")
    assert isinstance(event.data, ProgressEvent)
    assert (event.data.job_id, event.data.done, event.data.total) == (job.public_id, 3, 16)
    assert event.data.at.tzinfo is not None
    assert present_progress_event(Job(id=uuid7()), after=1) is None
