"""What clients send to have clips judged: options, sources, batches, uploads in pieces."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from app.policy_schemas import PolicyName
from app.registry import ModelName
from app.states import JobStatus, Priority
from app.wire import LongText, Schema, Sha256, ShortText, WebUrl

BATCH_MAX = 100
"""Jobs a batch: one transaction, and one answer that a person can still read."""


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


class BatchRequest(Schema):
    """Clips that are submitted together; all are taken, or none."""

    items: Annotated[list[JobRequest], Field(min_length=1, max_length=BATCH_MAX)]
    """Their jobs wait in the lane `batch` unless their options name another one."""


class Batch(Schema):
    """Jobs that were submitted together."""

    id: str
    object: Literal["batch"] = "batch"
    status: Literal["running", "succeeded", "partially_failed", "failed"]
    """`succeeded`: all jobs did; `failed`: none did."""
    jobs: dict[JobStatus, int]
    """How many jobs have which status; `GET /v1/jobs?batch_id=` lists them."""
    created_at: datetime
    completed_at: datetime | None
    """When it was noticed that all jobs have ended; the event `batch.completed` is of then."""


class UploadRequest(Schema):
    """A clip that is about to come in pieces."""

    name: ShortText | None = None
    bytes: Annotated[int, Field(gt=0, lt=2**50)]
    """Its size."""
    sha256: Sha256 | None = None
    """If given, what arrives is compared with it."""


class ClipUpload(Schema):
    """A clip that comes in pieces."""

    id: str
    object: Literal["upload"] = "upload"
    status: Literal["incomplete", "complete"]
    name: str | None
    bytes: int
    """Its declared size."""
    received_bytes: int
    sha256: str | None
    """Of the complete clip."""
    created_at: datetime
    expires_at: datetime
    """Then it is forgotten. Jobs that were made of it keep the clip; with the last of them it is deleted."""


class UploadUrl(Schema):
    """Where the pieces go: good for this one upload, without an API key."""

    upload_url: str
    """Below the address of the API; speaks the tus protocol 1.0 (`HEAD`, `PATCH`)."""
    upload_url_expires_at: datetime


class ClipUploadWithUrl(ClipUpload, UploadUrl):
    """A new upload."""
