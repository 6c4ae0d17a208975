"""Progress of a job and events of its stream."""

from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils.compat import uuid7

from app.api.presenters.jobs import present_progress, present_progress_event
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


@pytest.mark.parametrize(
    ("phase", "done", "total", "seconds"),
    [
        (Phase.EXTRACTING, 8, 16, 15.0),  # 40 % after ten seconds
        (Phase.SCORING, 1, 2, 1.1),
        (Phase.SCORING, 2, 2, 0.0),
        (Phase.EXTRACTING, 0, 16, None),
        (Phase.EXTRACTING, 5, None, None),
        (Phase.FETCHING, 500, 1000, None),
    ],
)
def test_time_left_follows_from_the_speed_until_now(
    phase: Phase, done: int, total: int | None, seconds: float | None
) -> None:
    started = datetime.now(UTC) - timedelta(seconds=10)
    progress = present_progress(Job(phase=phase, progress_done=done, progress_total=total, started_at=started))
    assert progress is not None
    assert progress.eta_seconds == (None if seconds is None else pytest.approx(seconds, abs=0.2))
