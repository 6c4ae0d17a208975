"""Use cases of models: register the default one, list all, import an archive."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import ImportStatus
from app.core.errors import NotFoundError
from app.db.engine import db_now
from app.db.queries import models as model_queries
from app.db.tables.models import ModelImport
from app.infra.model_registry import InstalledModel
from app.schemas.calibrations import Calibration
from app.schemas.models import Model
from app.services import audit
from app.services.calibrations import store_calibration

IMPORT_TIMEOUT = timedelta(minutes=10)
"""A check takes seconds. Its worker was lost if it has not ended by then."""


def register_default_model(session: Session, *, sha256: str, model: Model, calibration: Calibration) -> None:
    """Register the model that a worker runs by default, with its calibration.

    Args:
        session: Has no transaction yet.
        sha256: Digest of the manifest of the model.
        model: Description of the model.
        calibration: Calibration of the model.
    """
    with session.begin():
        calibration_sha256 = store_calibration(session, calibration)
        model_queries.register_default_model(
            session,
            sha256=sha256,
            payload=model.model_dump(mode="json"),
            calibration_sha256=calibration_sha256,
        )


def list_models(session: Session, installed: Iterable[InstalledModel]) -> list[Model]:
    """Return the default model, if a worker has started, and the installed ones."""
    with session.begin():
        row = model_queries.find_default_model(session)
        default = [Model.model_validate(row.payload)] if row else []
        return [*default, *(describe_model(model, default=False) for model in installed)]


def describe_model(model: InstalledModel, *, default: bool) -> Model:
    """Return the description of a model for clients."""
    calibration = model.detector.scoring.clips
    return Model(
        name=model.name,
        version=model.version,
        trained=model.trained,
        default=default,
        data_terms=model.provenance.data_terms if model.provenance else None,
        real_clips=calibration.curve.real_clips,
        fake_clips=calibration.curve.fake_clips,
        lowest_false_positive_rate=calibration.curve.lowest_rate,
        thresholds=calibration.thresholds,
    )


def add_import(session: Session, *, tenant: str, import_id: UUID) -> ModelImport:
    """Queue the import of an archive that was stored under this id."""
    with session.begin():
        row = ModelImport(id=import_id, tenant=tenant, status=ImportStatus.QUEUED, created_at=db_now(session))
        session.add(row)
        audit.record(session, "model.import_queued", row.public_id, tenant=tenant)
        return row


def get_import(session: Session, import_id: UUID, *, tenant: str) -> ModelImport:
    """Return an import. Raises NotFoundError."""
    with session.begin():
        row = model_queries.find_import(session, import_id, tenant=tenant)
        if row is None:
            raise NotFoundError("No import has this id. Send the model again with POST /v1/models.")
        return row


def claim_import(session: Session) -> UUID | None:
    """Claim the next queued import for a worker. Returns None if there is none."""
    with session.begin():
        row = model_queries.find_next_import(session)
        if row is None:
            return None
        row.status, row.started_at = ImportStatus.CHECKING, db_now(session)
        return row.id


def finish_import(
    session: Session, import_id: UUID, *, name: str | None = None, version: str | None = None, reason: str | None = None
) -> None:
    """End an import: with name and version of the installed model, or with the reason for which it failed."""
    with session.begin():
        row = model_queries.find_import_for_update(session, import_id)
        if row.status is not ImportStatus.CHECKING:
            return  # given up meanwhile
        row.status = ImportStatus.READY if reason is None else ImportStatus.FAILED
        row.name, row.version, row.reason, row.finished_at = name, version, reason, db_now(session)
        audit.record(session, f"model.import_{row.status}", row.public_id, tenant=row.tenant)


def fail_lost_imports(session: Session, *, older_than: timedelta) -> Sequence[UUID]:
    """End the imports whose worker was lost, and return their ids."""
    with session.begin():
        lost = model_queries.list_lost_imports(session, older_than=older_than)
        for row in lost:
            row.status, row.finished_at = ImportStatus.FAILED, db_now(session)
            row.reason = "The worker was lost during the check. Send the model again."
            audit.record(session, "model.import_failed", row.public_id, tenant=row.tenant)
        return [row.id for row in lost]


def has_queued_imports(session: Session) -> bool:
    """Return whether an import waits for a worker."""
    with session.begin():
        return model_queries.count_queued_imports(session) > 0
