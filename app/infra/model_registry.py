"""Registry of installed models: folders with a manifest, which jobs select by name."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.calibration import Calibration
from app.core.ids import ModelName


class _Provenance(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    data_terms: str


class _Scoring(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    clips: Calibration


class _Detector(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    scoring: _Scoring


class InstalledModel(BaseModel):
    """Fields of a model manifest that the API reads; the worker validates the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: ModelName
    version: str
    trained: bool
    detector: _Detector
    provenance: _Provenance | None = None


def load_installed_models(folder: Path) -> dict[str, InstalledModel]:
    """Load the models in a folder, by name. Directories without a valid manifest are skipped."""
    found = {}
    for path in sorted(folder.glob("*/manifest.json")):
        try:
            model = InstalledModel.model_validate(json.loads(path.read_bytes()))
        except (OSError, RecursionError, ValueError, ValidationError):
            continue
        if model.name == path.parent.name:
            found[model.name] = model
    return found


def list_unreadable_models(folder: Path) -> list[str]:
    """Return the names of the directories whose manifest does not fit this version."""
    readable = load_installed_models(folder)
    return [path.parent.name for path in sorted(folder.glob("[!.]*/manifest.json")) if path.parent.name not in readable]
