"""Present installed models."""

from app.infra.model_registry import InstalledModel
from app.schemas import models as schemas


def present_model(model: InstalledModel) -> schemas.InstalledModel:
    """Return an installed model as clients see it."""
    return schemas.InstalledModel(name=model.name, version=model.version, trained=model.trained)
