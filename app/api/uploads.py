"""The routes of uploads in pieces: begun with a key; the pieces go to a one-time URL, by the tus protocol 1.0."""

from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from app import submission_schemas as schemas
from app.api import openapi
from app.api.auth import UPLOAD_URLS
from app.api.dependencies import Resources, ResourcesDep, SessionDep, UploadId, Writer
from app.api.receiving import PIECE, declared_bytes, limits_of, read_body
from app.db.submission_models import ClipUpload
from app.errors import ClipTooLargeError, UnsupportedMediaError
from app.services import uploads
from app.storage import ClipStorage

TUS_HEADERS = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}
_NOT_FOUND = openapi.problems(404)
keyed = APIRouter(prefix="/v1/uploads", tags=["uploads"], responses=openapi.problems(400, 401, 403, 429, 503))
direct = APIRouter(prefix=UPLOAD_URLS.rstrip("/"), tags=["uploads"], responses=openapi.problems(400, 404, 503))
Secret = Annotated[str, Path(description="The last part of an upload URL.", max_length=100)]


@keyed.post("", status_code=201, summary="Begin an upload in pieces", responses=openapi.problems(413, 507))
def begin_upload(
    session: SessionDep, resources: ResourcesDep, writer: Writer, body: schemas.UploadRequest
) -> schemas.ClipUploadWithUrl:
    """The pieces go to `upload_url`, which needs no key: give it to a browser, or to a machine with a poor line.

    Once all bytes are there, submit the clip with `{"source": {"upload_id": ...}}`.
    """
    check_size(resources, body.bytes)
    resources.rate_limiter.take_bytes(writer, body.bytes)
    settings = resources.settings
    lifetimes = {"url_lifetime": settings.upload_url_lifetime, "lifetime": settings.upload_retention}
    upload, secret = uploads.begin_upload(session, resources.storage, tenant=writer.tenant, request=body, **lifetimes)
    view = _view(resources.storage, upload)
    return schemas.ClipUploadWithUrl(**view.model_dump(), **_view_url(upload, secret).model_dump())


def check_size(resources: Resources, size_bytes: int) -> None:
    """Raises ClipTooLargeError."""
    if size_bytes > (limit := resources.settings.clip_max_bytes):
        raise ClipTooLargeError(f"A clip may have {limit} bytes. Send a shorter or smaller one.")


@keyed.get("/{upload_id}", summary="Read an upload", responses=_NOT_FOUND)
def get_upload(session: SessionDep, resources: ResourcesDep, writer: Writer, upload_id: UploadId) -> schemas.ClipUpload:
    """How much of it is there."""
    return _view(resources.storage, uploads.get_upload(session, upload_id, tenant=writer.tenant))


@keyed.post("/{upload_id}:renew-url", summary="Replace the upload URL", responses=_NOT_FOUND)
def renew_url(session: SessionDep, resources: ResourcesDep, writer: Writer, upload_id: UploadId) -> schemas.UploadUrl:
    """The old one stops working; the upload goes on where it is."""
    lifetime = resources.settings.upload_url_lifetime
    return _view_url(*uploads.renew_url(session, upload_id, tenant=writer.tenant, url_lifetime=lifetime))


@keyed.delete("/{upload_id}", status_code=204, summary="Delete an upload", responses=_NOT_FOUND)
def delete_upload(session: SessionDep, resources: ResourcesDep, writer: Writer, upload_id: UploadId) -> None:
    """Jobs that were made of it keep the clip."""
    uploads.delete_upload(session, resources.storage, upload_id, tenant=writer.tenant)


@direct.head("/{secret}", summary="Ask how much has arrived", **openapi.ASK_OFFSET)
def get_offset(session: SessionDep, resources: ResourcesDep, secret: Secret) -> Response:
    """`Upload-Offset` says where to go on."""
    upload = uploads.complete(session, resources.storage, uploads.find_by_url(session, secret))
    return _respond(resources.storage, upload, status_code=200)


@direct.patch("/{secret}", status_code=204, summary="Send a piece", **openapi.SEND_PIECE)
async def send_piece(
    request: Request,
    resources: ResourcesDep,
    secret: Secret,
    upload_offset: Annotated[int, Header(ge=0, lt=2**50, description="Where the piece begins.")],
) -> Response:
    """Appends to the clip. What arrived before a line broke is kept: ask with `HEAD`, then go on."""
    if request.headers.get("content-type") != PIECE:
        raise UnsupportedMediaError(f"Send the piece as {PIECE}.")
    upload = await run_in_threadpool(resources.in_session, uploads.find_by_url, secret)
    limits = limits_of(resources.settings)
    uploads.check_piece(upload, upload_offset + declared_bytes(request, limits))
    with ExitStack() as stack:
        end = await run_in_threadpool(
            stack.enter_context, uploads.open_end(resources.storage, upload, offset=upload_offset)
        )
        try:
            async for chunk in read_body(request, limits):
                uploads.check_piece(upload, end.offset + len(chunk))
                await run_in_threadpool(end.write, chunk)
        finally:
            await run_in_threadpool(stack.close)  # it waits for the disk
    upload = await run_in_threadpool(resources.in_session, uploads.complete, resources.storage, upload)
    return _respond(resources.storage, upload, status_code=204)


def _respond(storage: ClipStorage, upload: ClipUpload, *, status_code: int) -> Response:
    offsets = {
        "Upload-Offset": str(uploads.received_bytes(storage, upload)),
        "Upload-Length": str(upload.size_bytes),
    }
    return Response(status_code=status_code, headers=TUS_HEADERS | offsets)


def _view(storage: ClipStorage, upload: ClipUpload) -> schemas.ClipUpload:
    return schemas.ClipUpload(
        id=upload.public_id,
        status="complete" if upload.clip_sha256 else "incomplete",
        name=upload.clip_name,
        bytes=upload.size_bytes,
        received_bytes=uploads.received_bytes(storage, upload),
        sha256=upload.clip_sha256,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )


def _view_url(upload: ClipUpload, secret: str) -> schemas.UploadUrl:
    return schemas.UploadUrl(upload_url=UPLOAD_URLS + secret, upload_url_expires_at=upload.url_expires_at)
