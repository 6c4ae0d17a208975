"""The Celery tasks: parse, open, call."""

from celery import shared_task

from app.broker import TASK_ANALYZE
from worker.jobs import run_next_job
from worker.process import get_resources


@shared_task(name=TASK_ANALYZE, ignore_result=True)  # type: ignore[untyped-decorator]
def analyze(job_id: str) -> None:
    """Runs the job that waits longest; ``job_id`` is the one that rang, which need not be it."""
    del job_id
    run_next_job(get_resources())
