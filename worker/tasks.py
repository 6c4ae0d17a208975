"""The Celery tasks: parse, open, call."""

from celery import shared_task

from app.infra.job_queue import TASK_ANALYZE
from worker.attempt import run_next_job
from worker.detector.sandbox.parent import SandboxError
from worker.resources import get_resources, stop_worker


@shared_task(name=TASK_ANALYZE, ignore_result=True)  # type: ignore[untyped-decorator]
def analyze(job_id: str) -> None:
    """Runs the job that waits longest; ``job_id`` is the one that rang, which need not be it."""
    del job_id
    try:
        run_next_job(get_resources())
    except SandboxError as error:
        stop_worker(error)
