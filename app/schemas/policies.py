"""Schemas of policies and calibrations."""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from app.core.enums import RecommendedAction, Verdict
from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_JOB_ID, EXAMPLE_TIME, LongText, Schema, Timestamp, example

PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Rate = Annotated[float, Field(gt=0, le=0.5)]
DEFAULT_POLICY = "default"
"""Name of the policy of jobs that name none; without it the model's own thresholds apply."""
_SIMULATED_MAX = 100_000

_REQUEST_EXAMPLE: dict[str, Any] = {
    "name": "default",
    "description": "10 % of real clips to moderators, 1 % blocked",
    "suspicious_false_positive_rate": 0.1,
    "manipulated_false_positive_rate": 0.01,
    "actions": {"manipulated": "block", "suspicious": "review", "authentic": "allow", "not_evaluated": "review"},
}
_POLICY_EXAMPLE: dict[str, Any] = _REQUEST_EXAMPLE | {
    "id": example_id(IdPrefix.POLICY),
    "object": "policy",
    "version": 3,
    "created_at": EXAMPLE_TIME,
}


class OperatingPoint(Schema):
    """Threshold with its error rates on the clips of the calibration."""

    threshold: float
    false_positive_rate: float
    """Target share of real clips at or above the threshold."""
    true_positive_rate: float
    """Share of fake clips at or above the threshold."""


class Calibration(Schema):
    """Calibration of a model: its thresholds with their error rates."""

    model: str
    version: str
    calibrated: bool
    """False if the thresholds are defaults without a measurement."""
    real_clips: int
    """Number of real clips behind the rates. A rate below 1 per number of clips is a guess."""
    suspicious_at: float
    suspicious_false_positive_rate: float | None
    manipulated_at: float
    manipulated_false_positive_rate: float | None
    operating_points: list[OperatingPoint]
    """Operating points that policies choose from."""

    @property
    def sha256(self) -> str:
        """Identifier of the calibration."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class CalibrationList(Schema):
    """Calibrations of all models that have produced results, newest first."""

    model_config = example(
        {
            "items": [
                {
                    "model": "unmask-b3",
                    "version": "0.2.1",
                    "calibrated": True,
                    "real_clips": 83,
                    "suspicious_at": 0.89,
                    "suspicious_false_positive_rate": 0.05,
                    "manipulated_at": 0.91,
                    "manipulated_false_positive_rate": 0.01,
                    "operating_points": [
                        {"threshold": 0.91, "false_positive_rate": 0.01, "true_positive_rate": 0.46},
                        {"threshold": 0.84, "false_positive_rate": 0.1, "true_positive_rate": 0.54},
                    ],
                }
            ]
        }
    )

    items: list[Calibration]


class Actions(Schema):
    """Recommended action per verdict. By default nothing is blocked: every detector makes errors."""

    manipulated: RecommendedAction = RecommendedAction.REVIEW
    suspicious: RecommendedAction = RecommendedAction.REVIEW
    authentic: RecommendedAction = RecommendedAction.ALLOW
    not_evaluated: RecommendedAction = RecommendedAction.NONE

    def on(self, verdict: Verdict) -> RecommendedAction:
        """Return the action for a verdict."""
        action: RecommendedAction = getattr(self, verdict.lower())
        return action


class PolicyRequest(Schema):
    """New policy, or new version of a policy."""

    model_config = example(_REQUEST_EXAMPLE)

    name: PolicyName
    """Name that jobs refer to; `default` applies to jobs without a policy."""
    description: LongText | None = None
    suspicious_false_positive_rate: Rate | None = None
    """Share of real clips that may be SUSPICIOUS or worse; the calibration of the model gives the threshold."""
    manipulated_false_positive_rate: Rate | None = None
    """The same for MANIPULATED. Without both rates the model's own thresholds apply."""
    actions: Actions = Actions()

    @model_validator(mode="after")
    def _has_both_rates_in_order(self) -> Self:
        low, high = self.manipulated_false_positive_rate, self.suspicious_false_positive_rate
        if (low is None) != (high is None):
            raise ValueError("give both rates, or none")
        if low is not None and high is not None and low > high:
            raise ValueError("manipulated_false_positive_rate must not exceed suspicious_false_positive_rate")
        return self


class Policy(PolicyRequest):
    """Version of a policy. It never changes."""

    model_config = example(_POLICY_EXAMPLE)

    id: str
    object: Literal["policy"] = "policy"
    version: int
    created_at: datetime


class PolicyPage(Schema):
    """Page of policy versions, newest first."""

    model_config = example({"items": [_POLICY_EXAMPLE], "next_cursor": None})

    items: list[Policy]
    next_cursor: str | None


class AppliedPolicy(Schema):
    """Policy and thresholds that decided the verdict."""

    id: str | None
    name: str
    version: int
    """0 if the model's own thresholds apply."""
    suspicious_at: float
    suspicious_false_positive_rate: float | None
    """Rate of the operating point: the highest one that does not exceed the policy's rate."""
    manipulated_at: float
    manipulated_false_positive_rate: float | None
    calibration_sha256: str
    """Identifier of the calibration; `GET /v1/calibrations` lists them."""


class SimulationRequest(Schema):
    """Past jobs for a simulation: the newest that succeeded."""

    model_config = example({"created_after": EXAMPLE_TIME, "jobs_max": 10000})

    created_after: Timestamp | None = None
    created_before: Timestamp | None = None
    jobs_max: Annotated[int, Field(ge=1, le=_SIMULATED_MAX)] = 10_000


class Flip(Schema):
    """Job that would get another verdict or action."""

    job_id: str
    verdict: Verdict
    recommended_action: RecommendedAction
    verdict_then: Verdict
    recommended_action_then: RecommendedAction


class Simulation(Schema):
    """Effect of a policy on past jobs."""

    model_config = example(
        {
            "jobs": 10000,
            "flips": 312,
            "verdicts": {"AUTHENTIC": 9400, "SUSPICIOUS": 500, "MANIPULATED": 100},
            "verdicts_then": {"AUTHENTIC": 9088, "SUSPICIOUS": 812, "MANIPULATED": 100},
            "examples": [
                {
                    "job_id": EXAMPLE_JOB_ID,
                    "verdict": "AUTHENTIC",
                    "recommended_action": "allow",
                    "verdict_then": "SUSPICIOUS",
                    "recommended_action_then": "review",
                }
            ],
        }
    )

    jobs: int
    """Number of simulated jobs."""
    flips: int
    """Number of jobs that would get another verdict or action."""
    verdicts: dict[Verdict, int]
    """Current verdicts."""
    verdicts_then: dict[Verdict, int]
    """Verdicts under the policy."""
    examples: list[Flip]
    """Newest flips, up to 100."""
