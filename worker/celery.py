"""The worker: a Celery application with a pool of processes, and the sweep beside it."""

import os
import signal
import threading
import warnings
from contextlib import suppress
from typing import Any

from billiard import active_children
from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import setup_logging, worker_ready, worker_shutdown, worker_shutting_down

from app.core.logging import configure_logging
from app.core.settings import require_settings
from app.db.engine import make_engine, make_sessions
from app.infra.job_queue import QUEUE_ANALYZE, JobNotifier, make_celery
from app.maintenance.sweeper import Sweeper
from worker.detector.model.manifest import load_manifest
from worker.detector.sandbox.parent import Sandbox
from worker.settings import WorkerSettings

_KILL_AFTER_SECONDS = 60
"""An attempt ends itself at its timeout; a process that is this much later hangs and is killed."""


def make_worker(settings: WorkerSettings) -> Celery:
    """The Celery application of a worker."""
    (redis_url,) = require_settings(settings, "redis_url")
    worker = make_celery(
        redis_url,
        include=["worker.tasks"],
        # Postgres says which job runs where: a message is taken from Redis at once and never comes again.
        task_acks_late=False,
        task_time_limit=settings.attempt_timeout.total_seconds() + _KILL_AFTER_SECONDS,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_concurrency=settings.processes,
        worker_disable_prefetch=True,
        worker_pool_start_method="spawn",  # CUDA and MediaPipe do not survive a fork
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=120,  # importing torch takes longer than the 4 s that Celery allows
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
    )
    _add_sweeper(settings, redis_url)
    _add_drain(settings)
    return worker


def run_worker() -> None:
    """Runs until SIGTERM; jobs that do not end in time then go back to the queue.

    Raises:
        MissingSettingError: The worker does not know where its servers are.
        CheckpointError: The model's directory does not fit.
        SandboxError: Clips cannot be decoded on this machine.
    """
    settings = WorkerSettings()
    configure_logging(log_format=settings.log_format, level=settings.log_level)
    _check(settings)
    # It warns of running as root because a broker might bring pickles; we accept JSON alone.
    warnings.simplefilter("ignore", SecurityWarning)
    worker = make_worker(settings)
    arguments = ["--quiet", "worker", "--queues", QUEUE_ANALYZE, "--without-gossip", "--without-mingle"]
    worker.worker_main(arguments)


def _check(settings: WorkerSettings) -> None:
    """What would stop every process of the pool is said here, once and in words."""
    require_settings(settings, "database_url", "redis_url", "storage_url")
    sandbox = Sandbox(load_manifest(settings.model_dir).detector, settings.sandbox_options())
    sandbox.start()
    sandbox.close()


def _add_sweeper(settings: WorkerSettings, redis_url: str) -> None:
    (database_url,) = require_settings(settings, "database_url")
    parts: list[JobNotifier | Sweeper] = []

    def start(**_: Any) -> None:
        notifier = JobNotifier(redis_url)
        sessions = make_sessions(make_engine(database_url, pool_size=1))
        interval, max_attempts = settings.sweep_interval, settings.max_attempts
        parts.extend([notifier, Sweeper(sessions, notifier, interval=interval, max_attempts=max_attempts)])
        for part in parts:
            part.start()

    def stop(**_: Any) -> None:
        while parts:
            parts.pop().stop()

    worker_ready.connect(start, weak=False)
    worker_shutdown.connect(stop, weak=False)


def _add_drain(settings: WorkerSettings) -> None:
    """On SIGTERM Celery waits for the tasks in hand; after a while they are told to give their jobs back."""

    def give_back() -> None:
        for process in active_children():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)

    def schedule(**_: Any) -> None:
        timer = threading.Timer(settings.drain_timeout.total_seconds(), give_back)
        timer.daemon = True
        timer.start()

    worker_shutting_down.connect(schedule, weak=False)


@setup_logging.connect  # type: ignore[untyped-decorator]
def _keep_our_logging(**_: Any) -> None:
    """That somebody listens stops Celery from setting up its own."""
