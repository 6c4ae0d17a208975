"""Schemas of feedback."""

from datetime import datetime
from typing import Any

from app.core.enums import FeedbackLabel
from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_TIME, LongText, Schema, ShortText, example

_REQUEST_EXAMPLE: dict[str, Any] = {
    "label": "fake",
    "category": "face swap",
    "note": "the original is on the news site",
}
_FEEDBACK_EXAMPLE: dict[str, Any] = _REQUEST_EXAMPLE | {"id": example_id(IdPrefix.FEEDBACK), "created_at": EXAMPLE_TIME}


class FeedbackRequest(Schema):
    """A person's label of a clip."""

    model_config = example(_REQUEST_EXAMPLE)

    label: FeedbackLabel
    category: ShortText | None = None
    """Your own category, as `face swap`."""
    note: LongText | None = None


class Feedback(FeedbackRequest):
    """Stored feedback."""

    model_config = example(_FEEDBACK_EXAMPLE)

    id: str
    created_at: datetime


class FeedbackList(Schema):
    """All feedback on a job, in order."""

    model_config = example({"items": [_FEEDBACK_EXAMPLE]})

    items: list[Feedback]
