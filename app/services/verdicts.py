"""Verdicts from probabilities and thresholds, and their actions. Pure functions, no SQL."""

from collections.abc import Sequence
from typing import Any

from app.core.enums import Verdict
from app.db.tables.policies import Policy
from app.schemas.policies import (
    DEFAULT_POLICY,
    Actions,
    AppliedPolicy,
    Calibration,
    OperatingPoint,
)


def decide(payload: dict[str, Any], calibration: Calibration, policy: Policy | None) -> dict[str, Any]:
    """Decide the verdicts of a finding, or of a result by another policy.

    Args:
        payload: ``schemas.results.Finding`` or ``Result`` as JSON; not modified.
        calibration: Calibration of the model that analyzed the clip.
        policy: Policy to apply; None: the model's own thresholds.

    Returns:
        ``schemas.results.Result`` as JSON.
    """
    applied = apply_policy(policy, calibration)
    tracks = [track | {"verdict": decide_verdict(applied, track["probability"])} for track in payload["tracks"]]
    verdict = decide_verdict(applied, payload["probability"])
    decided = {
        "verdict": verdict,
        "tracks": tracks,
        "recommended_action": actions_of(policy).on(verdict),
        "policy": applied.model_dump(mode="json"),
    }
    return payload | decided


def apply_policy(policy: Policy | None, calibration: Calibration) -> AppliedPolicy:
    """Return the thresholds of a policy for the calibration of a model."""
    own = calibration.model_dump(include=set(AppliedPolicy.model_fields))
    described = {"id": None, "name": DEFAULT_POLICY, "version": 0, "calibration_sha256": calibration.sha256}
    if policy is None:
        return AppliedPolicy.model_validate(own | described)
    described |= {"id": policy.public_id, "name": policy.name, "version": policy.version}
    manipulated_rate, suspicious_rate = policy.manipulated_false_positive_rate, policy.suspicious_false_positive_rate
    points = calibration.operating_points
    if manipulated_rate is None or suspicious_rate is None or not points:
        return AppliedPolicy.model_validate(own | described)
    suspicious, manipulated = _find_point_within(points, suspicious_rate), _find_point_within(points, manipulated_rate)
    chosen = {
        "suspicious_at": suspicious.threshold,
        "suspicious_false_positive_rate": suspicious.false_positive_rate,
        "manipulated_at": manipulated.threshold,
        "manipulated_false_positive_rate": manipulated.false_positive_rate,
    }
    return AppliedPolicy.model_validate(described | chosen)


def _find_point_within(points: Sequence[OperatingPoint], rate: float) -> OperatingPoint:
    """Return the point with the highest rate that is not above ``rate``, or the strictest if all are above."""
    by_rate = sorted(points, key=lambda point: point.false_positive_rate)
    return [by_rate[0], *(point for point in by_rate if point.false_positive_rate <= rate)][-1]


def decide_verdict(applied: AppliedPolicy, probability: float | None) -> Verdict:
    """Return the verdict for a probability; None means that there was nothing to evaluate."""
    return Verdict.of(probability, suspicious_at=applied.suspicious_at, manipulated_at=applied.manipulated_at)


def actions_of(policy: Policy | None) -> Actions:
    """Return the recommended action per verdict."""
    return Actions.model_validate(policy.actions) if policy else Actions()
