"""Routes of calibrations."""

from fastapi import APIRouter

from app.api.dependencies import CalibrationWriter, Reader, SessionDep, SimulationBody
from app.api.openapi import COMMON_ERRORS, problems
from app.api.path_ids import CalibrationId
from app.api.presenters.calibrations import present_calibrations, present_own_calibration
from app.schemas import calibrations as schemas
from app.schemas.policies import Simulation
from app.services import calibrations, simulations

router = APIRouter(prefix="/v1/calibrations", tags=["policies"], responses=COMMON_ERRORS)


@router.get("", summary="List calibrations")
def list_calibrations(session: SessionDep, reader: Reader) -> schemas.CalibrationList:
    """List your own calibrations and those of the models: the rates that policies may ask for."""
    own, of_models = calibrations.list_calibrations(session, tenant=reader.tenant)
    return present_calibrations(own, of_models)


@router.post("", status_code=201, summary="Calibrate on your own clips")
def create_calibration(
    session: SessionDep, writer: CalibrationWriter, body: schemas.CalibrationRequest
) -> schemas.StoredCalibration:
    """Measure the false-positive rates of a model on real clips of yours, from their stored results.

    The calibration decides nothing until `:activate`. A rate of 5 % needs 60 different clips, 1 % needs 300.
    """
    return present_own_calibration(calibrations.create_calibration(session, tenant=writer.tenant, request=body))


@router.post("/{calibration_id}:simulate", summary="Simulate a calibration", responses=problems(404))
def simulate_calibration(
    session: SessionDep, reader: Reader, calibration_id: CalibrationId, body: SimulationBody
) -> Simulation:
    """Count the verdicts and actions of past jobs that the calibration would change. Nothing is stored."""
    return simulations.simulate_calibration(session, calibration_id, tenant=reader.tenant, request=body)


@router.post("/{calibration_id}:activate", summary="Activate a calibration", responses=problems(404))
def activate_calibration(
    session: SessionDep, writer: CalibrationWriter, calibration_id: CalibrationId
) -> schemas.StoredCalibration:
    """Decide the verdicts of later jobs by this calibration, in place of that of the model.

    Existing verdicts stay; `POST /v1/jobs/{id}:reanalyze` decides them again.
    """
    return present_own_calibration(calibrations.set_active(session, calibration_id, tenant=writer.tenant, active=True))


@router.post("/{calibration_id}:deactivate", summary="Deactivate a calibration", responses=problems(404))
def deactivate_calibration(
    session: SessionDep, writer: CalibrationWriter, calibration_id: CalibrationId
) -> schemas.StoredCalibration:
    """Decide the verdicts of later jobs by the calibration of the model again."""
    return present_own_calibration(calibrations.set_active(session, calibration_id, tenant=writer.tenant, active=False))
