"""The models that the operator installed beside the default one: folders with a manifest, which clients name."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.ids import ModelName


class InstalledModel(BaseModel):
    """What the API must know of a model; the worker, which runs it, checks the rest of its manifest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: ModelName
    version: str
    trained: bool


def find_models(folder: Path) -> dict[str, InstalledModel]:
    """The models below a folder by name; what is no model is passed over."""
    found = {}
    for path in sorted(folder.glob("*/manifest.json")):
        try:
            model = InstalledModel.model_validate(json.loads(path.read_bytes()))
        except (OSError, ValueError, ValidationError):
            continue
        if model.name == path.parent.name:
            found[model.name] = model
    return found
