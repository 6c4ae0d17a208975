"""Verdicts from probabilities and thresholds, and their actions. Pure functions, no SQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from app.core.calibration import TargetRates, Thresholds, to_log_odds, to_probability
from app.core.enums import Verdict, WarningCode
from app.db.tables.policies import Policy
from app.schemas.base import WarningDetail
from app.schemas.calibrations import Calibration
from app.schemas.policies import DEFAULT_POLICY, Actions
from app.schemas.results import AppliedPolicy

_TOLERANCE = 1e-9
_OF_A_DECISION = {WarningCode.RATE_NOT_SHOWN, WarningCode.OWN_CALIBRATION_UNUSED}


@dataclass(frozen=True, slots=True)
class ActiveCalibration:
    """Calibration that decides the verdicts of a tenant for results of a model."""

    calibration: Calibration
    warnings: Sequence[WarningDetail] = ()


def decide(payload: dict[str, Any], active: ActiveCalibration, policy: Policy | None) -> dict[str, Any]:
    """Decide the verdicts of a finding, or of a result by another policy.

    Args:
        payload: ``schemas.results.Finding`` or ``Result`` as JSON; not modified.
        active: Calibration for the model that analyzed the clip, with its warnings.
        policy: Policy to apply; None: the rates of the calibration.

    Returns:
        ``schemas.results.Result`` as JSON.
    """
    calibration, probability, people = active.calibration, payload["probability"], count_people(payload)
    thresholds = find_thresholds(calibration, policy, people=people)
    verdict = thresholds.decide(probability)
    is_evaluated = probability is not None
    rate = calibration.curve.false_positive_rate_at(probability, people=people) if is_evaluated else None
    tracks = [track | {"verdict": thresholds.decide(track["probability"])} for track in payload["tracks"]]
    decision_warnings = [*active.warnings, *warn_about_rates(calibration, policy, people=people)]
    warnings = [warning for warning in payload["warnings"] if warning["code"] not in _OF_A_DECISION]
    warnings += [warning.model_dump(mode="json") for warning in decision_warnings]
    decided = {
        "verdict": verdict,
        "evidence": describe_evidence(verdict, payload["reasons"]),
        "thresholds": thresholds.model_dump(),
        "margin": thresholds.margin_of(probability) if is_evaluated else None,
        "false_positive_rate": rate.model_dump() if rate else None,
        "tracks": tracks,
        "segments": [segment for track in tracks for segment in _join_windows(track, thresholds)],
        "warnings": warnings,
        "recommended_action": actions_of(policy).on(verdict),
        "policy": _describe_policy(policy, calibration).model_dump(),
    }
    return payload | decided


def count_people(payload: Mapping[str, Any]) -> int:
    """Return the number of tracks of a finding or result that were evaluated; at least 1."""
    return max(sum(track["probability"] is not None for track in payload["tracks"]), 1)


def find_thresholds(calibration: Calibration, policy: Policy | None, *, people: int) -> Thresholds:
    """Return the thresholds of a policy for a clip with several people that were evaluated."""
    rates = _find_rates(policy, calibration) or calibration.rates
    return calibration.curve.make_thresholds(rates, people=people)


def warn_about_rates(calibration: Calibration, policy: Policy | None, *, people: int) -> list[WarningDetail]:
    """Return a warning if the calibration cannot show the rates of the policy, or its own for several people."""
    policy_rates = _find_rates(policy, calibration)
    named = f"{calibration.model} {calibration.version}"
    if calibration.lowest_false_positive_rate is None:
        text = f"{named} is not calibrated: the rates of the policy have no effect. Calibrate it, or use another model."
        return [WarningDetail(code=WarningCode.RATE_NOT_SHOWN, detail=text)] if policy_rates else []
    asked = policy_rates or calibration.thresholds
    given = find_thresholds(calibration, policy, people=people)
    for name in ("manipulated_false_positive_rate", "suspicious_false_positive_rate"):
        asked_rate, given_rate = getattr(asked, name), getattr(given, name)
        if given_rate > asked_rate + _TOLERANCE:
            count = f" for {people} tracks in one clip" if people > 1 else ""
            text = (
                f"{name} is {asked_rate:.2%}, but the {calibration.curve.real_clips} real clips of the calibration of "
                f"{named} can show {given_rate:.2%} at the lowest{count}. The strictest threshold is used. Use a "
                "higher rate, or a model that was calibrated on more real clips."
            )
            return [WarningDetail(code=WarningCode.RATE_NOT_SHOWN, detail=text)]
    return []


def describe_evidence(verdict: Verdict, reasons: Iterable[Mapping[str, str]]) -> str:
    """Return a verdict as a sentence for the person who decides."""
    details = " ".join(reason["detail"] for reason in reasons)
    return f"{verdict.evidence}: {details}" if details else verdict.evidence


def actions_of(policy: Policy | None) -> Actions:
    """Return the recommended action per verdict."""
    return Actions.model_validate(policy.actions) if policy else Actions()


def _find_rates(policy: Policy | None, calibration: Calibration) -> TargetRates | None:
    """Return the rates of a policy, with the miss rate of the calibration; None: those of the calibration hold."""
    if (
        policy is None
        or policy.manipulated_false_positive_rate is None
        or policy.suspicious_false_positive_rate is None
    ):
        return None
    return TargetRates(
        suspicious_false_positive_rate=policy.suspicious_false_positive_rate,
        manipulated_false_positive_rate=policy.manipulated_false_positive_rate,
        clear_miss_rate=calibration.rates.clear_miss_rate,
    )


def _describe_policy(policy: Policy | None, calibration: Calibration) -> AppliedPolicy:
    return AppliedPolicy(
        id=policy.public_id if policy else None,
        name=policy.name if policy else DEFAULT_POLICY,
        version=policy.version if policy else 0,
        calibration_sha256=calibration.compute_sha256(),
    )


def _join_windows(track: Mapping[str, Any], thresholds: Thresholds) -> Iterable[dict[str, Any]]:
    """Yield the segments of a track: neighbouring windows with the same verdict."""

    def run_of(pair: tuple[int, Mapping[str, Any]]) -> tuple[Verdict, int]:
        index, window = pair
        # The number of a window minus its position is the same for neighbours.
        return thresholds.decide(window["probability"]), window["window"] - index

    for (verdict, _), group in groupby(enumerate(track["windows"]), key=run_of):
        windows = [window for _, window in group]
        frames = sum(window["usable_frames"] for window in windows)
        log_odds = sum(window["usable_frames"] * to_log_odds(window["probability"]) for window in windows) / frames
        start, end = windows[0]["start_seconds"], windows[-1]["end_seconds"]
        yield {
            "track_id": track["track_id"],
            "start_seconds": start,
            "end_seconds": end,
            "duration_seconds": end - start,
            "probability": to_probability(log_odds),
            "verdict": verdict,
        }
