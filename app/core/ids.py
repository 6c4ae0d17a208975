"""The ids that clients see: a prefix that says of what, and a UUID in hexadecimal."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""Name of an installed model; also the name of its folder."""


def parse_id(text: str, prefix: str) -> UUID | None:
    """``job_<32 hex digits>`` as a UUID; None where it looks otherwise."""
    found, _, digits = text.partition("_")
    try:
        return UUID(hex=digits) if found == prefix and len(digits) == 32 else None
    except ValueError:
        return None
