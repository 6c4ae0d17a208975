"""Resources of one pool process: opened at its start, closed at its end."""

import os
import signal
import threading
from functools import partial
from types import FrameType
from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.core.logging import configure_logging, make_logger
from app.core.settings import require_settings
from app.db.engine import make_engine, make_sessions
from app.infra.clip_storage import make_storage
from app.infra.egress import EgressPolicy
from app.infra.model_registry import InstalledModel
from app.services.models import describe_model, register_default_model
from worker.attempt import WorkerResources
from worker.detector.model.manifest import Manifest
from worker.detector.pipeline import make_detector
from worker.detectors import DetectorCache
from worker.fetch import FetchLimits
from worker.findings import to_calibration
from worker.lost_processes import worker_name
from worker.settings import WorkerSettings

_opened: list[WorkerResources] = []
"""At most one element. Celery offers a task no other access to the resources of its process."""


@worker_process_init.connect  # type: ignore[untyped-decorator]
def open_resources(**_: Any) -> None:
    """Load the model, start the sandbox and connect, before the first job, because it is slow."""
    try:
        _opened.append(_make_resources())
    except Exception as error:  # noqa: BLE001 (Celery would keep a process without resources)
        stop_worker(error)


def stop_worker(error: Exception) -> None:
    """Stop the whole worker, so that its supervisor notices: this machine cannot run jobs."""
    make_logger(part="worker").error("worker_failed", error=f"{type(error).__name__}: {error}")
    os.kill(os.getppid(), signal.SIGTERM)


def _make_resources() -> WorkerResources:
    settings = WorkerSettings()
    configure_logging(log_format=settings.log_format, level=settings.log_level)
    database_url, storage_url = require_settings(settings, "database_url", "storage_url")
    make = partial(make_detector, options=settings.make_sandbox_options(), device=settings.device)
    detector = make(settings.model_dir)
    storage = make_storage(storage_url, reserve_bytes=settings.storage_reserve_bytes)
    egress = EgressPolicy(settings.egress_allow)
    resources = WorkerResources(
        settings=settings,
        name=worker_name(),
        sessions=make_sessions(make_engine(database_url, pool_size=2), public_url=settings.public_url),
        storage=storage,
        detectors=DetectorCache(detector, settings.installed_models, make),
        fetch_limits=FetchLimits(egress, settings.clip_max_bytes, settings.fetch_timeout, storage.require_space),
        draining=threading.Event(),
    )
    manifest = detector.manifest
    _register_model(resources.sessions, manifest)
    make_logger(part="worker").info(
        "worker_ready",
        model=f"{manifest.name} {manifest.version}",
        trained=manifest.trained,
        data_terms=manifest.provenance.data_terms if manifest.provenance else None,
        sandbox=detector.sandbox.start(),
    )
    return resources


def _register_model(sessions: sessionmaker[Session], manifest: Manifest) -> None:
    model = describe_model(InstalledModel.model_validate(manifest.model_dump()), default=True)
    try:
        with sessions() as session:
            register_default_model(session, sha256=manifest.sha256, model=model, calibration=to_calibration(manifest))
    except OperationalError as error:
        # Jobs can still wait for the database; policies are checked against the model that was registered before.
        make_logger(part="worker").warning("model_not_registered", error=str(error))


def get_resources() -> WorkerResources:
    """Return the resources of this process. From now on SIGTERM makes it return its job to the queue."""
    (resources,) = _opened

    def drain(_signal: int, _frame: FrameType | None) -> None:
        resources.draining.set()

    # Not at the start of the process: billiard resets the handlers afterwards.
    signal.signal(signal.SIGTERM, drain)
    return resources


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def close_resources(**_: Any) -> None:
    """Stop the sandboxes."""
    while _opened:
        _opened.pop().detectors.close()
