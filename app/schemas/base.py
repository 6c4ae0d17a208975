"""What everything that goes over the wire has in common: the base, text that the database can store, times."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints

_NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores no NUL in text
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_NO_NUL)]
WebUrl = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_NO_NUL)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
LongText = Annotated[str, StringConstraints(max_length=1000, pattern=_NO_NUL)]


def _check_timestamp(value: object) -> object:
    """Pydantic also takes numbers, as seconds since 1970; the reference does not say so."""
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise ValueError("write a time as 2026-11-23T17:00:00Z (RFC 3339)")


Timestamp = Annotated[AwareDatetime, BeforeValidator(_check_timestamp)]


class Schema(BaseModel):
    """Base of all: immutable, unknown fields refused, attribute docstrings shown in the OpenAPI."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
