"""Worker: a Celery application with a pool of processes, and the sweeper in its main process."""

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
from worker.consumer import Consumer
from worker.detector.model.manifest import load_model_manifest
from worker.detector.sandbox.parent import Sandbox
from worker.lost_processes import ProcessWatcher, mark_worker
from worker.settings import WorkerSettings

_KILL_AFTER_SECONDS = 60
"""Delay after the timeout of an attempt. An attempt ends itself at its timeout; a later process hangs and is killed."""


def make_worker(settings: WorkerSettings) -> Celery:
    """Return the Celery application of a worker."""
    (redis_url,) = require_settings(settings, "redis_url")
    worker = make_celery(
        redis_url,
        include=["worker.tasks"],
        # The database decides which job runs where, so a message is acknowledged at once and never redelivered.
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
        worker_consumer=f"{Consumer.__module__}:{Consumer.__name__}",
        broker_transport_options={
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
    )
    _connect_sweeper(settings, redis_url)
    _connect_drain(settings)
    return worker


def run_worker() -> None:
    """Run until SIGTERM. Jobs that do not end within the drain timeout return to the queue.

    Raises:
        MissingSettingError: A URL of a server is not set.
        CheckpointError: The model directory is not a model that this version can run.
        SandboxError: Clips cannot be decoded on this machine.
    """
    settings = WorkerSettings()
    configure_logging(log_format=settings.log_format, level=settings.log_level)
    _check_environment(settings)
    # Celery warns about running as root because of pickled messages. Only JSON is accepted here.
    warnings.simplefilter("ignore", SecurityWarning)
    mark_worker()
    worker = make_worker(settings)
    arguments = ["--quiet", "worker", "--queues", QUEUE_ANALYZE, "--without-gossip", "--without-mingle"]
    worker.worker_main(arguments)


def _check_environment(settings: WorkerSettings) -> None:
    """Raise an error that would stop every process of the pool, once and before the pool starts."""
    require_settings(settings, "database_url", "redis_url", "storage_url")
    sandbox = Sandbox(load_model_manifest(settings.model_dir).detector, settings.make_sandbox_options())
    sandbox.start()
    sandbox.close()


def _connect_sweeper(settings: WorkerSettings, redis_url: str) -> None:
    (database_url,) = require_settings(settings, "database_url")
    services: list[JobNotifier | Sweeper | ProcessWatcher] = []

    def start(**_: Any) -> None:
        notifier = JobNotifier(redis_url)
        sessions = make_sessions(make_engine(database_url, pool_size=2), public_url=settings.public_url)
        interval, max_attempts = settings.sweep_interval, settings.max_attempts
        sweeper = Sweeper(sessions, notifier, interval=interval, max_attempts=max_attempts)
        manifest = load_model_manifest(settings.model_dir)
        model = f"{manifest.name} {manifest.version}"
        watcher = ProcessWatcher(sessions, notifier, _list_pids, max_attempts=max_attempts, model=model)
        services.extend([notifier, sweeper, watcher])
        for service in services:
            service.start()

    def stop(**_: Any) -> None:
        while services:
            services.pop().stop()

    worker_ready.connect(start, weak=False)
    worker_shutdown.connect(stop, weak=False)


def _list_pids() -> list[int]:
    return [process.pid for process in active_children()]


def _connect_drain(settings: WorkerSettings) -> None:
    """Make the pool return its jobs to the queue after the drain timeout. Until then Celery waits for its tasks."""

    def signal_processes() -> None:
        for process in active_children():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)

    def schedule(**_: Any) -> None:
        timer = threading.Timer(settings.drain_timeout.total_seconds(), signal_processes)
        timer.daemon = True
        timer.start()

    worker_shutting_down.connect(schedule, weak=False)


@setup_logging.connect  # type: ignore[untyped-decorator]
def _keep_our_logging(**_: Any) -> None:
    """Do nothing. A connected handler stops Celery from configuring its own logging."""
