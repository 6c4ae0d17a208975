"""Base of all schemas: text that the database can store, timestamps, examples for the OpenAPI."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints

from app.core.enums import WarningCode
from app.core.ids import IdPrefix, example_id

_NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores no NUL in text
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_NO_NUL)]
WebUrl = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_NO_NUL)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
LongText = Annotated[str, StringConstraints(max_length=1000, pattern=_NO_NUL)]

EXAMPLE_REQUEST_ID = "req_0199c1f27d0a7c3e8a51b0c2d3e4f506"
EXAMPLE_JOB_ID = example_id(IdPrefix.JOB)
EXAMPLE_TIME = "2026-11-23T17:00:00Z"
EXAMPLE_SHA256 = "9f86d081884c7d659a2feaa0c55ad015" * 2


def _check_timestamp(value: object) -> object:
    # Pydantic also accepts numbers as seconds since 1970, which the OpenAPI does not mention.
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise ValueError("write a time as 2026-11-23T17:00:00Z (RFC 3339)")


Timestamp = Annotated[AwareDatetime, BeforeValidator(_check_timestamp)]


class Schema(BaseModel):
    """Base class: immutable, unknown fields are refused, attribute docstrings appear in the OpenAPI."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class WarningDetail(Schema):
    """Limitation of a result or a policy."""

    code: WarningCode
    detail: str


def example(value: dict[str, Any]) -> ConfigDict:
    """Return the ``model_config`` of a schema with an example for the OpenAPI."""
    return ConfigDict(json_schema_extra={"examples": [value]})


def iterate_examples(schema: type[Schema] = Schema) -> Iterator[tuple[type[Schema], dict[str, Any]]]:
    """Yield each schema that has an example, with the example."""
    for child in schema.__subclasses__():
        extra = child.model_config.get("json_schema_extra")
        if isinstance(extra, dict) and isinstance(extra.get("examples"), list):
            yield child, extra["examples"][0]  # type: ignore[index, misc]
        yield from iterate_examples(child)
