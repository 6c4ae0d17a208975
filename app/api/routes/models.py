"""Routes of models and their imports."""

from collections.abc import Awaitable
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.api.dependencies import ModelReader, ModelWriter, Reader, ResourcesDep, SessionDep
from app.api.ingest.limits import streams_body
from app.api.ingest.model_upload import MEDIA_TYPE, receive_model
from app.api.openapi import COMMON_ERRORS, problems
from app.api.path_ids import ModelImportId
from app.api.presenters.models import present_import
from app.api.sessions import actor_of, run_in_session
from app.core.errors import ForbiddenScopeError
from app.db.tables.models import ModelImport
from app.infra.model_registry import load_installed_models
from app.schemas import models as schemas
from app.services import models
from app.services.keys import DEFAULT_TENANT

router = APIRouter(prefix="/v1/models", tags=["models"], responses=COMMON_ERRORS)
imports_router = APIRouter(prefix="/v1/model-imports", tags=["models"], responses=COMMON_ERRORS)

_MODEL_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary", "description": "The model."}}},
    }
}


@router.get("", summary="List models")
def list_models(session: SessionDep, resources: ResourcesDep, _reader: Reader) -> schemas.ModelList:
    """List the workers' default model, and the installed models that `options.model` may name."""
    installed = load_installed_models(resources.settings.installed_models).values()
    return schemas.ModelList(items=models.list_models(session, installed))


@router.post(
    "",
    status_code=202,
    summary="Add a model",
    responses=problems(408, 413, 415, 422) | {202: {"description": "A worker checks the model"}},
    openapi_extra=_MODEL_BODY,
)
@streams_body
async def add_model(
    request: Request, resources: ResourcesDep, writer: ModelWriter, response: Response
) -> schemas.ModelImport:
    """Send the zipped directory of a released model. A worker verifies it, runs it once in a sandbox and installs it.

    Nothing is unpickled. Models are shared by all tenants, so the key must belong to the tenant `default`.
    """
    if writer.tenant != DEFAULT_TENANT:
        raise ForbiddenScopeError(f"All tenants share the models: use a key of the tenant '{DEFAULT_TENANT}'.")

    def queue(import_id: UUID) -> Awaitable[ModelImport]:
        add = partial(models.add_import, tenant=writer.tenant, import_id=import_id)
        return run_in_session(resources.sessions, add, actor=actor_of(writer))

    row = await receive_model(request, resources, queue)
    resources.notifier.notify_import(row.id)
    response.headers["Location"] = f"{imports_router.prefix}/{row.public_id}"
    return present_import(row)


@imports_router.get("/{import_id}", summary="Get the import of a model", responses=problems(404))
def get_import(session: SessionDep, reader: ModelReader, import_id: ModelImportId) -> schemas.ModelImport:
    """Get the status: `ready` with the name of the model, or `failed` with the reason."""
    return present_import(models.get_import(session, import_id, tenant=reader.tenant))
