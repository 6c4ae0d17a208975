"""The routes of uploads in pieces: begun with a key; the pieces go to a one-time URL, by the tus protocol 1.0."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response

from app.api import openapi
from app.api.dependencies import ResourcesDep, SessionDep, Writer
from app.api.ingest.tus import append_chunk
from app.api.middleware.authentication import UPLOAD_URLS
from app.api.path_ids import UploadId
from app.api.presenters.uploads import _respond, _view, _view_begun, _view_url
from app.schemas import uploads as schemas
from app.services import uploads

_NOT_FOUND = openapi.problems(404)
router = APIRouter(prefix="/v1/uploads", tags=["uploads"], responses=openapi.COMMON_ERRORS)
tus_router = APIRouter(prefix=UPLOAD_URLS.rstrip("/"), tags=["uploads"], responses=openapi.problems(400, 404, 503))
Secret = Annotated[str, Path(description="The last part of an upload URL.", max_length=100)]


@router.post("", status_code=201, summary="Begin an upload in pieces", responses=openapi.problems(413, 507))
def begin_upload(
    session: SessionDep, resources: ResourcesDep, writer: Writer, body: schemas.UploadRequest
) -> schemas.ClipUploadWithUrl:
    """The pieces go to `upload_url`, which needs no key: give it to a browser, or to a machine with a poor line.

    Once all bytes are there, submit the clip with `{"source": {"upload_id": ...}}`.
    """
    resources.rate_limiter.consume_bytes(writer, body.bytes)
    rules = resources.upload_rules
    begun = uploads.begin_upload(session, resources.storage, rules, tenant=writer.tenant, request=body)
    return _view_begun(resources.storage, *begun)


@router.get("/{upload_id}", summary="Read an upload", responses=_NOT_FOUND)
def get_upload(session: SessionDep, resources: ResourcesDep, writer: Writer, upload_id: UploadId) -> schemas.ClipUpload:
    """How much of it is there."""
    return _view(resources.storage, uploads.get_upload(session, upload_id, tenant=writer.tenant))


@router.post("/{upload_id}:renew-url", summary="Replace the upload URL", responses=_NOT_FOUND)
def renew_url(session: SessionDep, resources: ResourcesDep, writer: Writer, upload_id: UploadId) -> schemas.UploadUrl:
    """The old one stops working; the upload goes on where it is."""
    lifetime = resources.settings.upload_url_lifetime
    return _view_url(*uploads.renew_url(session, upload_id, tenant=writer.tenant, url_lifetime=lifetime))


@router.delete("/{upload_id}", status_code=204, summary="Delete an upload", responses=_NOT_FOUND)
def delete_upload(session: SessionDep, resources: ResourcesDep, writer: Writer, upload_id: UploadId) -> None:
    """Jobs that were made of it keep the clip."""
    uploads.delete_upload(session, resources.storage, upload_id, tenant=writer.tenant)


@tus_router.head("/{secret}", summary="Ask how much has arrived", **openapi.ASK_OFFSET)
def get_offset(session: SessionDep, resources: ResourcesDep, secret: Secret) -> Response:
    """`Upload-Offset` says where to go on."""
    upload = uploads.complete(session, resources.storage, uploads.find_by_url(session, secret))
    return _respond(resources.storage, upload, status_code=200)


@tus_router.patch("/{secret}", status_code=204, summary="Send a piece", **openapi.SEND_CHUNK)
async def send_chunk(
    request: Request,
    resources: ResourcesDep,
    secret: Secret,
    upload_offset: Annotated[int, Header(ge=0, lt=2**50, description="Where the piece begins.")],
) -> Response:
    """Appends to the clip. What arrived before a line broke is kept: ask with `HEAD`, then go on."""
    upload = await append_chunk(request, resources, secret, offset=upload_offset)
    return _respond(resources.storage, upload, status_code=204)
