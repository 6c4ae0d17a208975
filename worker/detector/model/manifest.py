"""What a model on disk is: a directory with manifest.json, weights and their ONNX graph. Read before any tensor is."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.detector.config import DetectorConfig

MANIFEST_NAME = "manifest.json"
WEIGHTS_NAME = "model.safetensors"
GRAPH_NAME = "model.onnx"
CARD_NAME = "MODEL_CARD.md"
BUNDLED_MODEL = Path(__file__).parents[2] / "weights" / "unmask-b3"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]


class CheckpointError(Exception):
    """The directory is not a model that this version can run; the message says what differs."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Provenance(_Record):
    """What a model was made of and with, so that it can be made again."""

    code_version: str
    """Version of Unmask and commit."""
    initial_weights: str
    """Where the backbone started."""
    data_sha256: dict[str, Sha256]
    """Of the lists of training data."""
    data_terms: str
    """Under which terms the data may be used; they bind the weights."""
    config: dict[str, Any]
    """Of the training run."""


class Manifest(_Record):
    """What a model is, and how its input must be made."""

    format: Literal[1] = 1
    name: Name
    version: Annotated[str, Field(pattern="^[0-9A-Za-z][0-9A-Za-z.+-]{0,31}$")]
    trained: bool
    """False: its numbers mean nothing, and every verdict is NOT_EVALUATED."""
    label_fake: Literal[1] = 1
    files: dict[str, Sha256]
    """The other files of the directory."""
    detector: DetectorConfig
    metrics: dict[str, Any] = {}
    """Of the evaluation at release."""
    provenance: Provenance | None = None

    @property
    def sha256(self) -> str:
        """Names weights, configuration and calibration."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def weights_sha256(self) -> str:
        """Names the weights whatever the model is called."""
        return self.files[WEIGHTS_NAME]


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a model. Raises CheckpointError."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST_NAME).read_bytes())
    except OSError as error:
        raise CheckpointError(f"{folder} is no model: {MANIFEST_NAME} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors())
        raise CheckpointError(f"{folder / MANIFEST_NAME} does not fit this version: {places}") from error
    if missing := {WEIGHTS_NAME, GRAPH_NAME}.difference(manifest.files):
        raise CheckpointError(f"{folder / MANIFEST_NAME} lacks the sha256 of {', '.join(sorted(missing))} in 'files'")
    return manifest


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compares the files of a model with its manifest. Raises CheckpointError."""
    for name, expected in manifest.files.items():
        if Path(name).name != name:
            raise CheckpointError(f"{folder / MANIFEST_NAME} names a file outside of its directory: {name}")
        try:
            found = sha256_of(folder / name)
        except OSError as error:
            raise CheckpointError(f"{folder / name} cannot be read ({error.strerror})") from error
        if found != expected:
            raise CheckpointError(f"{folder / name} is not the file of the manifest: its sha256 is {found}")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
