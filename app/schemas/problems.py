"""What comes back over the wire where something is wrong: problem documents, health."""

from typing import Literal

from pydantic import Field

from app.schemas.base import Schema


class ProblemField(Schema):
    """One wrong field."""

    pointer: str
    detail: str


class Problem(Schema):
    """An error (RFC 9457)."""

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
    """State of the API process and of what it needs."""

    status: Literal["ok", "degraded", "unavailable"]
    checks: dict[str, Literal["ok", "failing"]] = Field(default={})
