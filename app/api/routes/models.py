"""The route of the installed models."""

from fastapi import APIRouter

from app.api import openapi
from app.api.dependencies import Reader, ResourcesDep
from app.infra.model_registry import find_models
from app.schemas import models as schemas

router = APIRouter(prefix="/v1/models", tags=["models"], responses=openapi.COMMON_ERRORS)


@router.get("", summary="List models", response_model=schemas.ModelList)
def list_models(resources: ResourcesDep, _reader: Reader) -> schemas.ModelList:
    """The models that `options.model` may name, beside the workers' default."""
    found = find_models(resources.settings.installed_models).values()
    return schemas.ModelList(items=[schemas.InstalledModel(**model.model_dump()) for model in found])
