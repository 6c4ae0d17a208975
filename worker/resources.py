"""The resources of one pool process: opened when it starts, closed when it ends."""

import os
import signal
import socket
import threading
from functools import partial
from types import FrameType
from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown

from app.core.logging import configure_logging, make_logger
from app.core.settings import require_settings
from app.db.engine import make_engine, make_sessions
from app.infra.clip_storage import make_storage
from app.infra.egress import EgressPolicy
from worker.attempt import WorkerResources
from worker.detector.pipeline import make_detector
from worker.detectors import DetectorCache
from worker.fetch import FetchLimits
from worker.settings import WorkerSettings

_open: list[WorkerResources] = []
"""At most one: Celery gives a task no other way to what its process holds."""


@worker_process_init.connect  # type: ignore[untyped-decorator]
def open_resources(**_: Any) -> None:
    """Loads the model, starts the sandbox, opens the pools; slow, so it is done before the first job."""
    try:
        _open.append(_make_resources())
    except Exception as error:  # noqa: BLE001 (whatever it is: Celery would go on with a process that can do nothing)
        stop_worker(error)


def stop_worker(error: Exception) -> None:
    """Has the whole worker stop, for its supervisor to see: here no job can be run."""
    make_logger(part="worker").error("worker_unusable", error=f"{type(error).__name__}: {error}")
    os.kill(os.getppid(), signal.SIGTERM)


def _make_resources() -> WorkerResources:
    settings = WorkerSettings()
    configure_logging(log_format=settings.log_format, level=settings.log_level)
    database_url, storage_url = require_settings(settings, "database_url", "storage_url")
    make = partial(make_detector, options=settings.sandbox_options(), device=settings.device)
    detector = make(settings.model_dir)
    storage = make_storage(storage_url, reserve_bytes=settings.storage_reserve_bytes)
    egress = EgressPolicy(settings.egress_allow)
    resources = WorkerResources(
        settings=settings,
        name=f"{socket.gethostname()}:{os.getpid()}",
        sessions=make_sessions(make_engine(database_url, pool_size=2)),
        storage=storage,
        models=DetectorCache(detector, settings.installed_models, make),
        fetch_limits=FetchLimits(egress, settings.clip_max_bytes, settings.fetch_timeout, storage.check_room),
        draining=threading.Event(),
    )
    manifest = detector.manifest
    make_logger(part="worker").info(
        "worker_ready", model=manifest.name, trained=manifest.trained, sandbox=detector.sandbox.start()
    )
    return resources


def get_resources() -> WorkerResources:
    """The resources of this process; from now on SIGTERM means: give the job in hand back."""
    (resources,) = _open

    def drain(_signal: int, _frame: FrameType | None) -> None:
        resources.draining.set()

    # Not when the process starts: billiard resets the handlers after that.
    signal.signal(signal.SIGTERM, drain)
    return resources


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def close_resources(**_: Any) -> None:
    """Ends the sandboxes."""
    while _open:
        _open.pop().models.close()
