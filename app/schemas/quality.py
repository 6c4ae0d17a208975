"""Schemas of the quality of verdicts, by feedback."""

from app.core.calibration import RateEstimate
from app.schemas.base import Schema, example

_RATE_EXAMPLE = {"value": 0.9, "low": 0.7634, "high": 0.9721, "clips": 40}


class Quality(Schema):
    """Rates of one model under one policy, among the clips that people labelled `real` or `fake`.

    People label the clips that they are sent, which are not a random sample: the recall counts only known fakes.
    """

    model: str
    version: str
    policy: str
    reviewed: int
    """Number of labelled clips with a verdict."""
    precision: RateEstimate | None
    """Share of fakes among the labelled clips that were SUSPICIOUS or MANIPULATED; null if there are none."""
    recall: RateEstimate | None
    """Share of SUSPICIOUS and MANIPULATED among the labelled fakes."""
    false_positive_rate: RateEstimate | None
    """Share of SUSPICIOUS and MANIPULATED among the labelled real clips."""
    agreement: RateEstimate | None
    """Share of labelled clips whose label and verdict agree. INCONCLUSIVE agrees with no label and is left out."""


class QualityList(Schema):
    """Quality by model, version and policy."""

    model_config = example(
        {
            "items": [
                {
                    "model": "unmask-b3",
                    "version": "0.3.0",
                    "policy": "default",
                    "reviewed": 40,
                    "precision": _RATE_EXAMPLE,
                    "recall": _RATE_EXAMPLE,
                    "false_positive_rate": _RATE_EXAMPLE,
                    "agreement": _RATE_EXAMPLE,
                }
            ]
        }
    )

    items: list[Quality]
