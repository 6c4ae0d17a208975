"""Schemas of submissions: options and sources."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from app.core.enums import Priority
from app.core.ids import ModelName
from app.schemas.base import LongText, Schema, Sha256, ShortText, WebUrl, example
from app.schemas.policies import PolicyName

JOB_REQUEST_EXAMPLE: dict[str, Any] = {
    "source": {"url": "https://cdn.example.com/post-123.mp4"},
    "options": {"external_id": "post-123"},
}


class JobOptions(Schema):
    """Options of a job."""

    external_id: ShortText | None = None
    """Your own id of the clip; jobs can be listed by it."""
    metadata: dict[ShortText, LongText] = Field(default={}, max_length=32)
    """Up to 32 strings that are returned unchanged."""
    model: ModelName | None = None
    """Installed model that analyzes the clip (`GET /v1/models`); null: the workers' default."""
    policy: PolicyName | None = None
    """Policy that decides the verdict, in its newest version; null: `default`."""
    start_seconds: Annotated[float, Field(ge=0, le=10**6)] | None = None
    """Begin of the part that is analyzed; null: the begin of the clip. A short part is sampled densely."""
    end_seconds: Annotated[float, Field(gt=0, le=10**6)] | None = None
    """End of that part; null: the end of the clip."""
    reuse_result: bool = True
    """True if a finished result for the same bytes and detector is enough; `deduplicated_from` then names its job."""
    priority: Priority = Priority.LIVE
    """`batch` lets `live` jobs pass for a limited time."""
    start_within_seconds: Annotated[int, Field(gt=0, le=604_800)] | None = None
    """A job that has not started within this time ends as `expired`."""
    webhook_url: WebUrl | None = None
    """Receiver of this job's events, in addition to the endpoints for all jobs."""

    @model_validator(mode="after")
    def _has_a_part(self) -> Self:
        if self.end_seconds is not None and self.end_seconds <= (self.start_seconds or 0):
            raise ValueError("end_seconds must be after start_seconds")
        return self


class Source(Schema):
    """Source of a clip: exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    url: WebUrl | None = None
    """URL that a worker fetches: `https://` on the public internet, unless the operator allows more."""
    upload_id: ShortText | None = None
    """Resumable upload that is complete (`POST /v1/uploads`)."""
    sha256: Sha256 | None = None
    """SHA-256 of the clip of another job of yours, if the clip was not deleted."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("give exactly one of url, upload_id, sha256")
        return self


class JobRequest(Schema):
    """Job whose clip is not in the request."""

    model_config = example(JOB_REQUEST_EXAMPLE)

    source: Source
    options: JobOptions = JobOptions()
