"""Celery tasks."""

from celery import shared_task

from app.infra.job_queue import TASK_ANALYZE, TASK_IMPORT_MODEL
from worker.attempt import run_next_job
from worker.detector.sandbox.parent import SandboxError
from worker.model_import import import_next_model
from worker.resources import get_resources, stop_worker


@shared_task(name=TASK_ANALYZE, ignore_result=True)  # type: ignore[untyped-decorator]
def analyze(job_id: str) -> None:
    """Run the next queued job. ``job_id`` is only a hint: another job may be next."""
    del job_id
    try:
        run_next_job(get_resources())
    except SandboxError as error:
        stop_worker(error)


@shared_task(name=TASK_IMPORT_MODEL, ignore_result=True)  # type: ignore[untyped-decorator]
def import_model(import_id: str) -> None:
    """Run the next queued import. ``import_id`` is only a hint."""
    del import_id
    resources = get_resources()
    if not resources.draining.is_set():
        import_next_model(resources.sessions, resources.settings)
