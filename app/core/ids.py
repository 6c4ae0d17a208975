"""Public ids: a prefix for the kind of object and a UUID in hexadecimal."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""Name of an installed model; also the name of its folder."""


_EXAMPLE = UUID("0199c1f27d0a7c3e8a51b0c2d3e4f506")


class IdPrefix(StrEnum):
    """Kinds of objects that have a public id."""

    JOB = "job"
    BATCH = "batch"
    UPLOAD = "up"
    POLICY = "pol"
    CALIBRATION = "cal"
    MODEL_IMPORT = "mi"
    FEEDBACK = "fb"
    WEBHOOK_ENDPOINT = "we"
    WEBHOOK_EVENT = "evt"


def format_id(prefix: IdPrefix, value: UUID) -> str:
    """Return the public id of an object."""
    return f"{prefix}_{value.hex}"


def example_id(prefix: IdPrefix) -> str:
    """Return an example of a public id for documentation."""
    return format_id(prefix, _EXAMPLE)


def parse_id(text: str, prefix: IdPrefix) -> UUID | None:
    """Return the UUID of a public id, or None if it is malformed or has another prefix."""
    found, _, digits = text.partition("_")
    try:
        return UUID(hex=digits) if found == prefix and len(digits) == 32 else None
    except ValueError:
        return None
