"""Schemas of models."""

from datetime import datetime
from typing import Any, Literal

from app.core.calibration import Thresholds
from app.core.enums import ImportStatus
from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_TIME, Schema, example
from app.schemas.calibrations import THRESHOLDS_EXAMPLE


class Model(Schema):
    """Model that jobs may run with."""

    name: str
    """Value of `options.model` for an installed model."""
    version: str
    trained: bool
    default: bool
    """True for the model that workers run without `options.model`."""
    data_terms: str | None
    """Terms of the training data. They also apply to the weights."""
    real_clips: int
    """Number of real clips of the calibration; 0 if the model is not calibrated."""
    fake_clips: int
    lowest_false_positive_rate: float | None
    """Lowest rate that a policy may ask for."""
    thresholds: Thresholds
    """Thresholds without a policy. Without `clear_at` no clip is AUTHENTIC."""


class ModelList(Schema):
    """The default model, then the installed ones by name."""

    model_config = example(
        {
            "items": [
                {
                    "name": "unmask-b3",
                    "version": "0.3.0",
                    "trained": True,
                    "default": True,
                    "data_terms": "Research use only.",
                    "real_clips": 104,
                    "fake_clips": 40,
                    "lowest_false_positive_rate": 0.029,
                    "thresholds": THRESHOLDS_EXAMPLE,
                }
            ]
        }
    )

    items: list[Model]


_IMPORT_EXAMPLE: dict[str, Any] = {
    "id": example_id(IdPrefix.MODEL_IMPORT),
    "object": "model_import",
    "status": "ready",
    "name": "mine",
    "version": "1.0",
    "reason": None,
    "created_at": EXAMPLE_TIME,
    "finished_at": "2026-11-23T17:00:03Z",
}


class ModelImport(Schema):
    """Import of a model: a worker checks it, runs it once in a sandbox, and installs it."""

    model_config = example(_IMPORT_EXAMPLE)

    id: str
    object: Literal["model_import"] = "model_import"
    status: ImportStatus
    name: str | None
    """Name that `options.model` of jobs selects, once it is ready."""
    version: str | None
    reason: str | None
    """Reason for which it failed, with the next step."""
    created_at: datetime
    finished_at: datetime | None
