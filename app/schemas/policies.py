"""What goes over the wire about policies: thresholds by what they cost, and what to do with a verdict."""

import hashlib
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.core.enums import RecommendedAction, Verdict
from app.schemas.base import LongText, Schema, Timestamp

PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Rate = Annotated[float, Field(gt=0, le=0.5)]
DEFAULT_POLICY = "default"
"""What judges the jobs that name no policy: the tenant's policy of this name, else the model's own thresholds."""
_SIMULATED_MAX = 100_000


class OperatingPoint(Schema):
    """A threshold and what it costs, on the clips of the calibration."""

    threshold: float
    false_positive_rate: float
    """The share of real clips at or above it that was aimed for."""
    true_positive_rate: float
    """The share of fake clips at or above it."""


class Calibration(Schema):
    """What the thresholds of a model cost."""

    model: str
    version: str
    calibrated: bool
    """False: the thresholds are guesses, and there are no others."""
    real_clips: int
    """Real clips that the rates were counted on: a rate below one in so many is a guess."""
    suspicious_at: float
    suspicious_false_positive_rate: float | None
    manipulated_at: float
    manipulated_false_positive_rate: float | None
    operating_points: list[OperatingPoint]
    """What policies choose from."""

    @property
    def sha256(self) -> str:
        """Names the calibration."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class CalibrationList(Schema):
    """The calibrations of all models that have judged, newest first."""

    items: list[Calibration]


class Actions(Schema):
    """What to do with a clip of each verdict. Nothing is blocked unless you say so: every detector errs."""

    manipulated: RecommendedAction = RecommendedAction.REVIEW
    suspicious: RecommendedAction = RecommendedAction.REVIEW
    authentic: RecommendedAction = RecommendedAction.ALLOW
    not_evaluated: RecommendedAction = RecommendedAction.NONE

    def on(self, verdict: Verdict) -> RecommendedAction:
        """The action for a verdict."""
        action: RecommendedAction = getattr(self, verdict.lower())
        return action


class PolicyRequest(Schema):
    """A new policy, or a new version of one."""

    name: PolicyName
    """Jobs name it; `default` is for those that name none."""
    description: LongText | None = None
    suspicious_false_positive_rate: Rate | None = None
    """The share of real clips that may be called suspicious; the model's calibration knows the threshold for it."""
    manipulated_false_positive_rate: Rate | None = None
    """The same for manipulated; without both, the model's own thresholds are taken."""
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
    """A version of a policy; it never changes."""

    id: str
    object: Literal["policy"] = "policy"
    version: int
    created_at: datetime


class PolicyPage(Schema):
    """Versions of policies, newest first."""

    items: list[Policy]
    next_cursor: str | None


class AppliedPolicy(Schema):
    """What turned the probability into a verdict."""

    id: str | None
    name: str
    version: int
    """0: no policy of yours, but the model's own thresholds."""
    suspicious_at: float
    suspicious_false_positive_rate: float | None
    """What the threshold was set for, on the calibration's real clips: the nearest rate up to the one of the policy."""
    manipulated_at: float
    manipulated_false_positive_rate: float | None
    calibration_sha256: str
    """Names the thresholds of the model, `GET /v1/calibrations` shows them."""


class SimulationRequest(Schema):
    """Which past jobs a policy is tried on: the newest that succeeded."""

    created_after: Timestamp | None = None
    created_before: Timestamp | None = None
    jobs_max: Annotated[int, Field(ge=1, le=_SIMULATED_MAX)] = 10_000


class Flip(Schema):
    """A job that would get another verdict or action."""

    job_id: str
    verdict: Verdict
    recommended_action: RecommendedAction
    verdict_then: Verdict
    recommended_action_then: RecommendedAction


class Simulation(Schema):
    """What a policy would have done."""

    jobs: int
    """Jobs that it was tried on."""
    flips: int
    """Those that would get another verdict or action."""
    verdicts: dict[Verdict, int]
    """Verdicts as they are."""
    verdicts_then: dict[Verdict, int]
    """Verdicts as they would be."""
    examples: list[Flip]
    """The newest flips, up to 100."""
