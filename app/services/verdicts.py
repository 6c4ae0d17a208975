"""Decide verdicts: probabilities, thresholds, actions. Pure functions, no SQL."""

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
    """Judges the probabilities of a finding, or of a result that another policy has judged.

    Args:
        payload: ``schemas.Finding`` or ``schemas.Result`` as JSON; it is left as it is.
        calibration: Of the model that found it.
        policy: None: the model's own thresholds.

    Returns:
        ``schemas.Result`` as JSON.
    """
    applied = apply(policy, calibration)
    tracks = [track | {"verdict": _verdict(applied, track["probability"])} for track in payload["tracks"]]
    verdict = _verdict(applied, payload["probability"])
    judged = {
        "verdict": verdict,
        "tracks": tracks,
        "recommended_action": _actions_of(policy).on(verdict),
        "policy": applied.model_dump(mode="json"),
    }
    return payload | judged


def apply(policy: Policy | None, calibration: Calibration) -> AppliedPolicy:
    """The thresholds of a policy for a model."""
    own = calibration.model_dump(include=set(AppliedPolicy.model_fields))
    described = {"id": None, "name": DEFAULT_POLICY, "version": 0, "calibration_sha256": calibration.sha256}
    if policy is None:
        return AppliedPolicy.model_validate(own | described)
    described |= {"id": policy.public_id, "name": policy.name, "version": policy.version}
    low, high = policy.manipulated_false_positive_rate, policy.suspicious_false_positive_rate
    if low is None or high is None or not calibration.operating_points:
        return AppliedPolicy.model_validate(own | described)
    manipulated, suspicious = (_nearest(calibration.operating_points, rate) for rate in (low, high))
    chosen = {
        "suspicious_at": suspicious.threshold,
        "suspicious_false_positive_rate": suspicious.false_positive_rate,
        "manipulated_at": manipulated.threshold,
        "manipulated_false_positive_rate": manipulated.false_positive_rate,
    }
    return AppliedPolicy.model_validate(described | chosen)


def _nearest(points: Sequence[OperatingPoint], rate: float) -> OperatingPoint:
    """The one whose rate is nearest to the one that may be, from below; the strictest where all are above."""
    by_rate = sorted(points, key=lambda point: point.false_positive_rate)
    return [by_rate[0], *(point for point in by_rate if point.false_positive_rate <= rate)][-1]


def _verdict(applied: AppliedPolicy, probability: float | None) -> Verdict:
    return Verdict.of(probability, suspicious_at=applied.suspicious_at, manipulated_at=applied.manipulated_at)


def _actions_of(policy: Policy | None) -> Actions:
    return Actions.model_validate(policy.actions) if policy else Actions()
