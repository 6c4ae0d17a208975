"""Schemas of resumable uploads."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.schemas.base import Schema, Sha256, ShortText


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
