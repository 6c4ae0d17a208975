"""Schemas of resumable uploads."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_SHA256, EXAMPLE_TIME, Schema, Sha256, ShortText, example

_UPLOAD_EXAMPLE: dict[str, Any] = {
    "id": example_id(IdPrefix.UPLOAD),
    "object": "upload",
    "status": "incomplete",
    "name": "clip.mp4",
    "bytes": 104857600,
    "received_bytes": 52428800,
    "sha256": None,
    "created_at": EXAMPLE_TIME,
    "expires_at": "2026-11-24T17:00:00Z",
}
_URL_EXAMPLE: dict[str, Any] = {
    "upload_url": "/v1/direct-uploads/vK3yq0Vn2b3Yx1o9c5T7mPq8rS4tU6wX0zA1bC2dE3f",
    "upload_url_expires_at": "2026-11-23T17:10:00Z",
}


class UploadRequest(Schema):
    """New resumable upload."""

    model_config = example({"name": "clip.mp4", "bytes": 104857600, "sha256": EXAMPLE_SHA256})

    name: ShortText | None = None
    bytes: Annotated[int, Field(gt=0, lt=2**50)]
    """Size of the clip."""
    sha256: Sha256 | None = None
    """If given, the received bytes are compared with it."""


class ClipUpload(Schema):
    """Resumable upload."""

    model_config = example(_UPLOAD_EXAMPLE)

    id: str
    object: Literal["upload"] = "upload"
    status: Literal["incomplete", "complete"]
    name: str | None
    bytes: int
    """Declared size of the clip."""
    received_bytes: int
    sha256: str | None
    """SHA-256 of the complete clip."""
    created_at: datetime
    expires_at: datetime
    """Time at which the upload is deleted. Jobs that were created from it keep the clip."""


class UploadUrl(Schema):
    """URL for the chunks of one upload; needs no API key."""

    model_config = example(_URL_EXAMPLE)

    upload_url: str
    """URL, or path on the API's server without `UNMASK_PUBLIC_URL`; supports `HEAD` and `PATCH` of tus 1.0."""
    upload_url_expires_at: datetime


class ClipUploadWithUrl(ClipUpload, UploadUrl):
    """New resumable upload with its URL."""

    model_config = example(_UPLOAD_EXAMPLE | {"received_bytes": 0} | _URL_EXAMPLE)
