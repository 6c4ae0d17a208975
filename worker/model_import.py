"""Import of a model that was sent over the API: unpack, verify, run once in a sandbox, install."""

from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.core.errors import UnmaskError
from app.core.logging import make_logger
from app.infra.model_archive import unpack_archive
from app.infra.model_imports import import_path
from app.services import models
from worker.detector.model.manifest import CheckpointError, Manifest
from worker.model_install import install_model
from worker.settings import WorkerSettings


def import_next_model(sessions: sessionmaker[Session], settings: WorkerSettings) -> None:
    """Claim the next queued import, if there is one, and end it and delete its archive.

    What a killed worker leaves is deleted by ``maintenance.retention``.
    """
    with sessions() as session:
        import_id = models.claim_import(session)
    if import_id is None:
        return
    log = make_logger(part="worker")
    path = import_path(settings.installed_models, import_id)
    try:
        manifest = _install(path, settings)
    except (CheckpointError, UnmaskError) as error:
        _finish(sessions, import_id, reason=str(error))
        log.info("model_import_failed", import_id=str(import_id), reason=str(error))
    except Exception:
        log.exception("model_import_crashed", import_id=str(import_id))
        _finish(sessions, import_id, reason="An internal error occurred. The worker's log has the details.")
    else:
        _finish(sessions, import_id, name=manifest.name, version=manifest.version)
        log.info("model_imported", import_id=str(import_id), model=manifest.name, version=manifest.version)
    finally:
        path.unlink(missing_ok=True)


def _install(path: Path, settings: WorkerSettings) -> Manifest:
    if not path.exists():
        raise CheckpointError("The worker does not see the archive. Give API and workers one UNMASK_MODELS_DIR.")
    with TemporaryDirectory(prefix=path.stem, dir=path.parent) as scratch:
        folder = Path(scratch, "model").resolve()
        folder.mkdir()
        try:
            unpack_archive(path, folder, max_bytes=settings.model_max_bytes)
            layers = settings.make_sandbox_options().layers_required
            return install_model(folder, settings.installed_models, layers_required=layers)
        except CheckpointError as error:
            # Clients must not learn the paths of the server.
            raise CheckpointError(str(error).replace(str(folder), "the model")) from error


def _finish(sessions: sessionmaker[Session], import_id: UUID, **outcome: str) -> None:
    with sessions() as session:
        models.finish_import(session, import_id, **outcome)
