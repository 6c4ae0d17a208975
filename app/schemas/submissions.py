"""What clients send to have clips judged: options, sources, batches, uploads in pieces."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from app.core.enums import Priority
from app.core.ids import ModelName
from app.schemas.base import LongText, Schema, Sha256, ShortText, WebUrl
from app.schemas.policies import PolicyName


class JobOptions(Schema):
    """What a client may say about a clip when it submits it."""

    external_id: ShortText | None = None
    """The client's own id for the clip; jobs can be listed by it."""
    metadata: dict[ShortText, LongText] = Field(default={}, max_length=32)
    """Up to 32 strings that come back unchanged."""
    model: ModelName | None = None
    """Which of the installed models judges the clip (`GET /v1/models`); null: the workers' default."""
    policy: PolicyName | None = None
    """What turns the probability into a verdict; its newest version is taken. Null: `default`."""
    reuse_result: bool = True
    """Whether a finished result for the same bytes and the same detector will do; the job then says whose it is."""
    priority: Priority = Priority.LIVE
    """`batch` lets `live` jobs pass for some minutes, but never waits for ever."""
    start_within_seconds: Annotated[int, Field(gt=0, le=604_800)] | None = None
    """A job that has not started by then ends as `expired`: for verdicts that are of no use later."""
    webhook_url: WebUrl | None = None
    """Where this job's events go, beside the endpoints for all jobs; `GET /v1/webhook-endpoints` lists it."""


class Source(Schema):
    """Where the clip is: exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    url: WebUrl | None = None
    """A worker gets it from there: `https://`, on the public internet unless the operator allows more."""
    upload_id: ShortText | None = None
    """An upload in pieces that is complete (`POST /v1/uploads`)."""
    sha256: Sha256 | None = None
    """The bytes of another job of yours whose clip is still kept."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("give exactly one of url, upload_id, sha256")
        return self


class JobRequest(Schema):
    """A clip that does not come with the request."""

    source: Source
    options: JobOptions = JobOptions()
