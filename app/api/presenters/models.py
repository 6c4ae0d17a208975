"""Present models."""

from app.db.tables.models import ModelImport
from app.schemas import models as schemas


def present_import(row: ModelImport) -> schemas.ModelImport:
    """Return the import of a model as clients see it."""
    return schemas.ModelImport(
        id=row.public_id,
        status=row.status,
        name=row.name,
        version=row.version,
        reason=row.reason,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
