"""Path parameters: public ids as UUIDs."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from app.core.errors import NotFoundError
from app.core.ids import parse_id

_DIGITS = "0199c1f27d0a7c3e8a51b0c2d3e4f506"


def parse_job_id(job_id: Annotated[str, Path(examples=[f"job_{_DIGITS}"])]) -> UUID:
    """``job_<32 hex digits>`` as a UUID. Raises NotFoundError: a malformed id names no job."""
    return _parse_id(job_id, "job")


def parse_endpoint_id(endpoint_id: Annotated[str, Path(examples=[f"we_{_DIGITS}"])]) -> UUID:
    """``we_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(endpoint_id, "we")


def parse_event_id(event_id: Annotated[str, Path(examples=[f"evt_{_DIGITS}"])]) -> UUID:
    """``evt_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(event_id, "evt")


def parse_policy_id(policy_id: Annotated[str, Path(examples=[f"pol_{_DIGITS}"])]) -> UUID:
    """``pol_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(policy_id, "pol")


def parse_batch_id(batch_id: Annotated[str, Path(examples=[f"batch_{_DIGITS}"])]) -> UUID:
    """``batch_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(batch_id, "batch")


def parse_upload_id(upload_id: Annotated[str, Path(examples=[f"up_{_DIGITS}"])]) -> UUID:
    """``up_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(upload_id, "up")


def _parse_id(text: str, prefix: str) -> UUID:
    if (parsed := parse_id(text, prefix)) is None:
        raise NotFoundError(f"There is no such thing. An id looks like {prefix}_{_DIGITS}.")
    return parsed


JobId = Annotated[UUID, Depends(parse_job_id)]
EndpointId = Annotated[UUID, Depends(parse_endpoint_id)]
EventId = Annotated[UUID, Depends(parse_event_id)]
PolicyId = Annotated[UUID, Depends(parse_policy_id)]
BatchId = Annotated[UUID, Depends(parse_batch_id)]
UploadId = Annotated[UUID, Depends(parse_upload_id)]
