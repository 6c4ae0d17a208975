"""Route of installed models."""

from fastapi import APIRouter

from app.api.dependencies import Reader, ResourcesDep
from app.api.openapi import COMMON_ERRORS
from app.api.presenters.models import present_model
from app.infra.model_registry import load_installed_models
from app.schemas import models as schemas

router = APIRouter(prefix="/v1/models", tags=["models"], responses=COMMON_ERRORS)


@router.get("", summary="List models", response_model=schemas.ModelList)
def list_models(resources: ResourcesDep, _reader: Reader) -> schemas.ModelList:
    """List the models that `options.model` may name, in addition to the workers' default."""
    found = load_installed_models(resources.settings.installed_models).values()
    return schemas.ModelList(items=[present_model(model) for model in found])
