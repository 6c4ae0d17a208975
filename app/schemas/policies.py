"""Schemas of policies and their simulation."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from app.core.calibration import RATE_MIN
from app.core.enums import RecommendedAction, Verdict
from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_JOB_ID, EXAMPLE_TIME, LongText, Schema, Timestamp, WarningDetail, example

PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Rate = Annotated[float, Field(ge=RATE_MIN, le=0.5)]
DEFAULT_POLICY = "default"
"""Name of the policy of jobs that name none; without it the model's own thresholds apply."""
_SIMULATED_MAX = 100_000

_REQUEST_EXAMPLE: dict[str, Any] = {
    "name": "default",
    "description": "10 % of real clips to moderators, half of them first",
    "suspicious_false_positive_rate": 0.1,
    "manipulated_false_positive_rate": 0.05,
    "actions": {
        "manipulated": "review",
        "suspicious": "review",
        "inconclusive": "allow",
        "authentic": "allow",
        "not_evaluated": "review",
    },
}
_POLICY_EXAMPLE: dict[str, Any] = _REQUEST_EXAMPLE | {
    "id": example_id(IdPrefix.POLICY),
    "object": "policy",
    "version": 3,
    "created_at": EXAMPLE_TIME,
    "warnings": [],
}


class Actions(Schema):
    """Recommended action per verdict. By default nothing is blocked: every detector makes errors."""

    manipulated: RecommendedAction = RecommendedAction.REVIEW
    suspicious: RecommendedAction = RecommendedAction.REVIEW
    inconclusive: RecommendedAction = RecommendedAction.ALLOW
    authentic: RecommendedAction = RecommendedAction.ALLOW
    not_evaluated: RecommendedAction = RecommendedAction.REVIEW

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
    """Largest share of real clips that are SUSPICIOUS or worse; the calibration of the model gives the threshold.
    `lowest_false_positive_rate` of `GET /v1/calibrations` is the lowest one."""
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
    warnings: list[WarningDetail]
    """Rates that the calibration of the default model cannot show; they get the strictest threshold."""


class PolicyPage(Schema):
    """Page of policy versions, newest first."""

    model_config = example({"items": [_POLICY_EXAMPLE], "next_cursor": None})

    items: list[Policy]
    next_cursor: str | None


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
            "verdicts": {"AUTHENTIC": 6400, "INCONCLUSIVE": 3000, "SUSPICIOUS": 500, "MANIPULATED": 100},
            "verdicts_then": {"AUTHENTIC": 6400, "INCONCLUSIVE": 2688, "SUSPICIOUS": 812, "MANIPULATED": 100},
            "examples": [
                {
                    "job_id": EXAMPLE_JOB_ID,
                    "verdict": "INCONCLUSIVE",
                    "recommended_action": "allow",
                    "verdict_then": "SUSPICIOUS",
                    "recommended_action_then": "review",
                }
            ],
            "warnings": [],
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
    warnings: list[WarningDetail]
    """Models of the jobs whose calibration cannot show the rates; they get the strictest threshold."""
