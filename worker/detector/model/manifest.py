"""Model directories: manifest.json, weights and their ONNX graph. The manifest is read before any tensor."""

import hashlib
import json
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
    """The directory is not a model that this version can run. The message names the difference."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Provenance(_Record):
    """Data and code that a model was made from, so that it can be reproduced."""

    code_version: str
    """Version and commit of Unmask."""
    initial_weights: str
    """Source of the initial weights of the backbone."""
    data_sha256: dict[str, Sha256]
    """SHA-256 of each list of training data."""
    data_terms: str
    """Terms of use of the data. They also apply to the weights."""
    config: dict[str, Any]
    """Configuration of the training run."""


class Manifest(_Record):
    """Identity of a model, and the configuration of its input."""

    format: Literal[2] = 2
    name: Name
    version: Annotated[str, Field(pattern="^[0-9A-Za-z][0-9A-Za-z.+-]{0,31}$")]
    trained: bool
    """False: the weights are random, and every verdict is NOT_EVALUATED."""
    label_fake: Literal[1] = 1
    files: dict[str, Sha256]
    """SHA-256 of each other file of the directory."""
    detector: DetectorConfig
    metrics: dict[str, Any] = {}
    """Metrics of the evaluation at release."""
    provenance: Provenance | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 that identifies weights, configuration and calibration."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def calibrated(self) -> bool:
        """True: temperature, bias and thresholds were fitted on held-out people."""
        return bool(self.detector.scoring.clips.curve.points)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights alone, independent of the name of the model."""
        return self.files[WEIGHTS_NAME]


def load_model_manifest(folder: Path) -> Manifest:
    """Load the manifest of a model. Raises CheckpointError."""
    content = read_manifest(folder)
    if content.get("format") == 1:
        raise CheckpointError(
            f"{folder / MANIFEST_NAME} has format 1, which lacks the counts behind its thresholds. Calibrate the model "
            f"again, which writes format 2: python -m training calibrate --model {folder} --manifest LIST"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors())
        raise CheckpointError(f"{folder / MANIFEST_NAME} does not match this version: {places}") from error
    if missing := {WEIGHTS_NAME, GRAPH_NAME}.difference(manifest.files):
        raise CheckpointError(f"{folder / MANIFEST_NAME} lacks the sha256 of {', '.join(sorted(missing))} in 'files'")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the content of a manifest, not validated. Raises CheckpointError if it is not a JSON object."""
    try:
        content = json.loads((folder / MANIFEST_NAME).read_bytes())
    except OSError as error:
        raise CheckpointError(f"{folder} is not a model: {MANIFEST_NAME} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / MANIFEST_NAME} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{folder / MANIFEST_NAME} is not a JSON object")
    return content


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare the files of a model with its manifest. Raises CheckpointError."""
    for name, expected in manifest.files.items():
        if Path(name).name != name:
            raise CheckpointError(f"{folder / MANIFEST_NAME} lists a file outside of its directory: {name}")
        try:
            found = sha256_of(folder / name)
        except OSError as error:
            raise CheckpointError(f"{folder / name} cannot be read ({error.strerror})") from error
        if found != expected:
            raise CheckpointError(f"{folder / name} does not match the manifest: its sha256 is {found}")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
