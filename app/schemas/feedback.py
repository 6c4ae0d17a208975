"""Schemas of feedback."""

from datetime import datetime

from app.core.enums import (
    FeedbackLabel,
)
from app.schemas.base import LongText, Schema, ShortText


class FeedbackRequest(Schema):
    """What a person says of a clip."""

    label: FeedbackLabel
    category: ShortText | None = None
    """A word of your own, as `face swap`."""
    note: LongText | None = None


class Feedback(FeedbackRequest):
    """What a person said of a clip."""

    id: str
    created_at: datetime


class FeedbackList(Schema):
    """All that was said of a clip, in order."""

    items: list[Feedback]
