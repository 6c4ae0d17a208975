"""Path parameters: public ids, parsed to UUIDs."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from app.core.errors import NotFoundError
from app.core.ids import IdPrefix, example_id, parse_id


@dataclass(frozen=True, slots=True)
class PublicId:
    """Annotation of a path parameter. A malformed id raises NotFoundError: it matches no object."""

    prefix: IdPrefix

    def parse(self, text: str) -> UUID:
        """Return the UUID of a public id. Raises NotFoundError."""
        if (parsed := parse_id(text, self.prefix)) is None:
            raise NotFoundError(f"No object has this id. An id looks like {example_id(self.prefix)}.")
        return parsed

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Parse the parameter instead of validating it: a validation error would be a 400."""
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Show a string with an example in the OpenAPI."""
        return {"type": "string", "examples": [example_id(self.prefix)]}


JobId = Annotated[UUID, PublicId(IdPrefix.JOB)]
BatchId = Annotated[UUID, PublicId(IdPrefix.BATCH)]
UploadId = Annotated[UUID, PublicId(IdPrefix.UPLOAD)]
PolicyId = Annotated[UUID, PublicId(IdPrefix.POLICY)]
CalibrationId = Annotated[UUID, PublicId(IdPrefix.CALIBRATION)]
ModelImportId = Annotated[UUID, PublicId(IdPrefix.MODEL_IMPORT)]
EndpointId = Annotated[UUID, PublicId(IdPrefix.WEBHOOK_ENDPOINT)]
EventId = Annotated[UUID, PublicId(IdPrefix.WEBHOOK_EVENT)]
