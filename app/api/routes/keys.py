"""Routes of API keys."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.api.dependencies import Admin, ResourcesDep, SessionDep
from app.api.openapi import COMMON_ERRORS, problems
from app.api.presenters.keys import present_key, present_new_key
from app.schemas import keys as schemas
from app.services import keys

router = APIRouter(prefix="/v1/keys", tags=["operations"], responses=COMMON_ERRORS)

KeyId = Annotated[str, Path(description="Second part of the key.", max_length=100, examples=["1f0c9a2b"])]


@router.post("", status_code=201, summary="Create an API key")
def create_key(
    session: SessionDep, resources: ResourcesDep, admin: Admin, body: schemas.KeyRequest
) -> schemas.KeyWithSecret:
    """Create a key of your tenant. Only a digest of it is stored: copy the answer."""
    key, text = keys.create_tenant_key(session, admin, body, pepper=resources.authenticator.pepper)
    return present_new_key(key, text)


@router.get("", summary="List API keys")
def list_keys(session: SessionDep, admin: Admin) -> schemas.KeyList:
    """List the keys of your tenant, of all tenants for the operator's key."""
    return schemas.KeyList(items=[present_key(key) for key in keys.list_keys(session, tenant=admin.managed_tenant)])


@router.delete("/{key_id}", status_code=204, summary="Revoke an API key", responses=problems(404))
def revoke_key(session: SessionDep, admin: Admin, key_id: KeyId) -> None:
    """Revoke a key at once. It stays in the list."""
    keys.revoke_key(session, key_id, tenant=admin.managed_tenant)
