"""Use cases of calibrations: create one from own clips, activate it, undo that, list, find the one that holds."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.calibration import OperatingCurve, measure_curve
from app.core.enums import FeedbackLabel, WarningCode
from app.core.errors import FieldError, InvalidRequestError, NotFoundError, TooFewClipsError
from app.core.ids import IdPrefix, parse_id
from app.db.engine import advisory_lock
from app.db.queries import batches as batch_queries
from app.db.queries import calibrations as calibration_queries
from app.db.queries import jobs as job_queries
from app.db.queries.calibrations import ScoredClip
from app.db.tables.calibrations import Calibration as CalibrationRow
from app.db.tables.calibrations import OwnCalibration
from app.schemas.base import WarningDetail
from app.schemas.calibrations import CLIPS_MAX, Calibration, CalibrationRequest
from app.services import audit
from app.services.verdicts import ActiveCalibration

_OWN = "own"


def store_calibration(session: Session, calibration: Calibration) -> str:
    """Store the calibration of a model, in its transaction, and return its identifier."""
    sha256 = calibration.compute_sha256()
    calibration_queries.add_calibration(session, sha256=sha256, payload=calibration.model_dump(mode="json"))
    return sha256


def create_calibration(session: Session, *, tenant: str, request: CalibrationRequest) -> OwnCalibration:
    """Calibrate the model of stored results on clips of the tenant. The calibration is not active yet.

    The model is the one that analyzed most of the clips. Its own recall is kept if there are too few fakes.

    Raises:
        InvalidRequestError: A job or the batch does not exist.
        TooFewClipsError: The real clips cannot show the rate of SUSPICIOUS.
    """
    with session.begin():
        chosen = _choose_model(_find_clips(session, tenant, request))
        labels = {clip.sha256: _label_of(clip, request) for clip in chosen}
        scores = {clip.sha256: clip.probabilities for clip in chosen}
        reals = {sha256: scores[sha256] for sha256, label in labels.items() if label is FeedbackLabel.REAL}
        fakes = {sha256: [max(scores[sha256])] for sha256, label in labels.items() if label is FeedbackLabel.FAKE}
        needed = OperatingCurve.count_needed(request.rates.suspicious_false_positive_rate)
        if len(reals) < needed:
            raise TooFewClipsError(
                f"{len(reals)} different real clips have a score of one model; a rate of "
                f"{request.rates.suspicious_false_positive_rate:.1%} needs {needed}. Submit {needed - len(reals)} more."
            )
        model_sha256 = chosen[0].model_calibration_sha256
        known = _load(calibration_queries.get_calibration(session, model_sha256))
        has_fakes = len(fakes) >= OperatingCurve.count_needed(request.rates.clear_miss_rate)
        curve = measure_curve({_OWN: reals}, {_OWN: fakes} if has_fakes else {})
        if not has_fakes:
            curve = curve.with_recall_of(known.curve)
        made = Calibration.make(known.model, known.version, request.rates, curve)
        row = OwnCalibration(tenant=tenant, model_calibration_sha256=model_sha256, payload=made.model_dump(mode="json"))
        session.add(row)
        session.flush()
        audit.record(session, "calibration.created", row.public_id, tenant=tenant)
        return row


def set_active(session: Session, calibration_id: UUID, *, tenant: str, active: bool) -> OwnCalibration:
    """Make a calibration decide the later verdicts of its model, or make that of the model do so again.

    Raises NotFoundError.
    """
    with session.begin():
        row = get_own_calibration(session, calibration_id, tenant=tenant)
        sha256 = row.model_calibration_sha256
        advisory_lock(session, f"calibration {tenant} {sha256}")
        if active:
            calibration_queries.deactivate_calibrations(session, tenant=tenant, model_calibration_sha256=sha256)
            session.refresh(row)
        row.is_active = active
        audit.record(session, f"calibration.{'activated' if active else 'deactivated'}", row.public_id, tenant=tenant)
        return row


def list_calibrations(session: Session, *, tenant: str) -> tuple[Sequence[OwnCalibration], Sequence[CalibrationRow]]:
    """Return the calibrations of the tenant, and those of all models; newest first."""
    with session.begin():
        own = calibration_queries.list_own_calibrations(session, tenant=tenant)
        return own, calibration_queries.list_calibrations(session)


def get_own_calibration(session: Session, calibration_id: UUID, *, tenant: str) -> OwnCalibration:
    """Return a calibration of the tenant, in its transaction. Raises NotFoundError."""
    row = calibration_queries.find_own_calibration(session, calibration_id, tenant=tenant)
    if row is None:
        raise NotFoundError("No calibration of yours has this id. List them with GET /v1/calibrations.")
    return row


def find_active_calibration(session: Session, model_sha256: str, *, tenant: str) -> ActiveCalibration:
    """Return the calibration that decides the verdicts of a tenant for results of a model, in its transaction.

    Args:
        session: Has a transaction.
        model_sha256: Identifier of the calibration of the model.
        tenant: Owner of the results.
    """
    active = {
        row.model_calibration_sha256: row
        for row in calibration_queries.list_active_calibrations(session, tenant=tenant)
    }
    if model_sha256 in active:
        return ActiveCalibration(_load(active[model_sha256]))
    calibration = _load(calibration_queries.get_calibration(session, model_sha256))
    others = [_load(row) for row in active.values()]
    warnings = [
        WarningDetail(
            code=WarningCode.OWN_CALIBRATION_UNUSED,
            detail=f"Your own calibration belongs to {other.model} {other.version}, not to {calibration.version}. "
            "Calibrate the new version with POST /v1/calibrations.",
        )
        for other in others
        if other.model == calibration.model
    ]
    return ActiveCalibration(calibration, warnings[:1])


def _load(row: CalibrationRow | OwnCalibration) -> Calibration:
    return Calibration.model_validate(row.payload)


def _choose_model(clips: Sequence[ScoredClip]) -> list[ScoredClip]:
    """Return the clips with a score of the most frequent model, one per file; of several jobs the newest."""
    counts = Counter(clip.model_calibration_sha256 for clip in clips)
    model_sha256 = max(counts, key=counts.__getitem__, default=None)
    newest: dict[str, ScoredClip] = {}
    for clip in clips:
        if clip.model_calibration_sha256 == model_sha256:
            newest.setdefault(clip.sha256, clip)
    return list(newest.values())


def _label_of(clip: ScoredClip, request: CalibrationRequest) -> FeedbackLabel:
    """Return the label of a clip. Feedback that contradicts the request leaves the clip out."""
    if request.feedback or clip.label is None:
        return clip.label or FeedbackLabel.REAL
    return clip.label if clip.label is FeedbackLabel.REAL else FeedbackLabel.UNSURE


def _find_clips(session: Session, tenant: str, request: CalibrationRequest) -> list[ScoredClip]:
    """Return the clips with a score, newest first."""
    job_ids = None if request.job_ids is None else _require_jobs(session, request.job_ids, tenant=tenant)
    batch_id = None if request.batch_id is None else parse_id(request.batch_id, IdPrefix.BATCH)
    if request.batch_id is not None and (
        batch_id is None or batch_queries.find_batch(session, batch_id, tenant=tenant) is None
    ):
        raise _refuse("/batch_id", f"The batch {request.batch_id} does not exist.")
    found = calibration_queries.iterate_scored_clips(session, tenant=tenant, job_ids=job_ids, batch_id=batch_id)
    return [clip for clip in islice(found, CLIPS_MAX) if clip.probabilities]


def _require_jobs(session: Session, texts: Sequence[str], *, tenant: str) -> list[UUID]:
    job_ids = [parse_id(text, IdPrefix.JOB) for text in texts]
    known = job_queries.list_known_ids(session, [job_id for job_id in job_ids if job_id], tenant=tenant)
    for number, job_id in enumerate(job_ids):
        if job_id not in known:
            raise _refuse(f"/job_ids/{number}", f"The job {texts[number]} does not exist.")
    return list(known)


def _refuse(pointer: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(detail, errors=[FieldError(pointer, detail)])
