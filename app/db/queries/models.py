"""SQL of default models and imports. Functions take a session and never commit."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.core.enums import ImportStatus
from app.db.tables.models import DefaultModel, ModelImport


def register_default_model(session: Session, *, sha256: str, payload: dict[str, Any], calibration_sha256: str) -> None:
    """Insert a default model, or make it the newest one."""
    row = upsert(DefaultModel).values(
        sha256=sha256, payload=payload, calibration_sha256=calibration_sha256, registered_at=func.clock_timestamp()
    )
    session.execute(
        row.on_conflict_do_update(
            index_elements=["sha256"],
            set_={name: row.excluded[name] for name in ("payload", "calibration_sha256", "registered_at")},
        )
    )


def find_default_model(session: Session) -> DefaultModel | None:
    """Return the model that a worker registered last; None if no worker has started."""
    query = select(DefaultModel).order_by(DefaultModel.registered_at.desc()).limit(1)
    return session.scalars(query).one_or_none()


def find_import(session: Session, import_id: UUID, *, tenant: str) -> ModelImport | None:
    """Return an import of a tenant."""
    query = select(ModelImport).where(ModelImport.id == import_id, ModelImport.tenant == tenant)
    return session.scalars(query).one_or_none()


def find_next_import(session: Session) -> ModelImport | None:
    """Return the oldest queued import, locked. Skips those that another worker is claiming."""
    query = select(ModelImport).where(ModelImport.status == ImportStatus.QUEUED).order_by(ModelImport.id).limit(1)
    return session.scalars(query.with_for_update(skip_locked=True)).one_or_none()


def find_import_for_update(session: Session, import_id: UUID) -> ModelImport:
    """Return an import, locked."""
    return session.get_one(ModelImport, import_id, with_for_update=True)


def list_lost_imports(session: Session, *, older_than: timedelta) -> Sequence[ModelImport]:
    """Return the imports whose check began longer ago than a duration, locked."""
    query = select(ModelImport).where(
        ModelImport.status == ImportStatus.CHECKING, ModelImport.started_at < func.clock_timestamp() - older_than
    )
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def count_queued_imports(session: Session) -> int:
    """Count the imports that wait for a worker."""
    return session.execute(select(func.count()).where(ModelImport.status == ImportStatus.QUEUED)).scalar_one()
