"""Present calibrations."""

from collections.abc import Sequence

from app.core.enums import CalibrationSource
from app.db.tables.calibrations import Calibration, OwnCalibration
from app.schemas import calibrations as schemas


def present_calibrations(own: Sequence[OwnCalibration], of_models: Sequence[Calibration]) -> schemas.CalibrationList:
    """Return the calibrations of a tenant and of all models as clients see them."""
    replaced = {row.model_calibration_sha256 for row in own if row.is_active}
    models = [_present(row, CalibrationSource.MODEL, None, active=row.sha256 not in replaced) for row in of_models]
    return schemas.CalibrationList(items=[*map(present_own_calibration, own), *models])


def present_own_calibration(row: OwnCalibration) -> schemas.StoredCalibration:
    """Return a calibration of a tenant as clients see it."""
    return _present(row, CalibrationSource.OWN, row.public_id, active=row.is_active)


def _present(
    row: Calibration | OwnCalibration, source: CalibrationSource, public_id: str | None, *, active: bool
) -> schemas.StoredCalibration:
    calibration = schemas.Calibration.model_validate(row.payload)
    return schemas.StoredCalibration(
        id=public_id,
        sha256=calibration.compute_sha256(),
        source=source,
        active=active,
        created_at=row.created_at,
        **dict(calibration),
    )
