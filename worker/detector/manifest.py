"""What a model on disk is: a directory with manifest.json and, once trained, weights. Read before any tensor is."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from worker.detector.config import DetectorConfig

MANIFEST_NAME = "manifest.json"
BUNDLED_MODEL = Path(__file__).parents[1] / "models" / "untrained"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class CheckpointError(Exception):
    """The directory is not a model that this version can run; the message says what differs."""


class Manifest(BaseModel):
    """What a model is, and how its input must be made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=100)]
    version: str
    trained: bool
    seed: int | None = None
    """Of the random weights of an untrained model."""
    label_fake: Literal[1] = 1
    weights_sha256: Sha256 | None = None
    detector: DetectorConfig

    @model_validator(mode="after")
    def _weights_or_seed(self) -> Self:
        if self.trained and self.weights_sha256 is None:
            raise ValueError("a trained model needs weights_sha256")
        if self.weights_sha256 is None and self.seed is None:
            raise ValueError("a model without weights needs a seed")
        return self


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a model. Raises CheckpointError."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST_NAME).read_bytes())
    except OSError as error:
        raise CheckpointError(f"{folder} is no model: {MANIFEST_NAME} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors())
        raise CheckpointError(f"{folder / MANIFEST_NAME} does not fit this version: {places}") from error
