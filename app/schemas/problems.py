"""Schemas of error responses (RFC 9457) and of health."""

from typing import Literal

from pydantic import Field

from app.schemas.base import Schema, example


class ProblemField(Schema):
    """An invalid field."""

    pointer: str
    detail: str


class Problem(Schema):
    """Error response (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    request_id: str
    retryable: bool
    errors: list[ProblemField] = Field(default=[])


class Health(Schema):
    """State of the API process and of its dependencies."""

    model_config = example({"status": "ok", "checks": {"database": "ok", "storage": "ok", "queue": "ok"}})

    status: Literal["ok", "degraded", "unavailable"]
    checks: dict[str, Literal["ok", "failing"]] = Field(default={})
