"""Registry of installed models: folders with a manifest, which jobs select by name."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.ids import ModelName


class InstalledModel(BaseModel):
    """Fields of a model manifest that the API reads; the worker validates the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: ModelName
    version: str
    trained: bool


def load_installed_models(folder: Path) -> dict[str, InstalledModel]:
    """Load the models in a folder, by name. Directories without a valid manifest are skipped."""
    found = {}
    for path in sorted(folder.glob("*/manifest.json")):
        try:
            model = InstalledModel.model_validate(json.loads(path.read_bytes()))
        except (OSError, ValueError, ValidationError):
            continue
        if model.name == path.parent.name:
            found[model.name] = model
    return found
