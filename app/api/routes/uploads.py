"""Routes of resumable uploads: created with a key, then sent in chunks to a one-time URL (tus 1.0)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from app.api.dependencies import ResourcesDep, SessionDep, Writer
from app.api.ingest.limits import make_upload_rules, streams_body
from app.api.ingest.tus import CHUNK_MEDIA_TYPE, append_chunk, check_tus_version, make_upload_request
from app.api.openapi import COMMON_ERRORS, problems
from app.api.path_ids import UploadId
from app.api.paths import UPLOAD_URLS
from app.api.presenters.responses import respond_json
from app.api.presenters.uploads import present_new_upload, present_upload, present_upload_url, respond_offset
from app.schemas import uploads as schemas
from app.services import uploads

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], responses=COMMON_ERRORS)
tus_router = APIRouter(
    prefix=UPLOAD_URLS.rstrip("/"),
    tags=["uploads"],
    responses=problems(400, 404, 412, 503),
    dependencies=[Depends(check_tus_version)],
)

Secret = Annotated[str, Path(description="The last part of an upload URL.", max_length=100)]
_OFFSET_HEADERS: dict[str, Any] = {
    "Upload-Offset": {"description": "Number of bytes received.", "schema": {"type": "integer"}},
    "Upload-Length": {"description": "Declared size of the clip.", "schema": {"type": "integer"}},
}
_OFFSET_RESPONSES = problems(415, 422) | {200: {"description": "The offset of the upload", "headers": _OFFSET_HEADERS}}
_CREATED_RESPONSE: dict[int | str, dict[str, Any]] = {
    201: {"headers": {"Location": {"description": "Upload URL.", "schema": {"type": "string"}}}}
}
_CHUNK_RESPONSES = problems(408, 409, 413, 415, 422, 507) | {
    204: {"description": "The chunk is stored", "headers": _OFFSET_HEADERS}
}
_CHUNK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {CHUNK_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary", "description": "The chunk."}}},
    }
}


@router.post("", status_code=201, summary="Create an upload", responses=problems(413, 507))
def begin_upload(
    session: SessionDep, resources: ResourcesDep, writer: Writer, body: schemas.UploadRequest
) -> schemas.ClipUploadWithUrl:
    """Create a resumable upload. Chunks go to `upload_url`, which needs no key: a browser may use it.

    When all bytes have arrived, submit the clip with `{"source": {"upload_id": ...}}`.
    """
    resources.rate_limiter.consume_bytes(writer, body.bytes)
    rules = make_upload_rules(resources.settings)
    created = uploads.begin_upload(session, resources.storage, rules, tenant=writer.tenant, request=body)
    return present_new_upload(resources.storage, created, public_url=resources.settings.public_url)


@router.get("/{upload_id}", summary="Get an upload", responses=problems(404))
def get_upload(session: SessionDep, resources: ResourcesDep, writer: Writer, upload_id: UploadId) -> schemas.ClipUpload:
    """Get the status of an upload and the number of received bytes."""
    return present_upload(resources.storage, uploads.get_upload(session, upload_id, tenant=writer.tenant))


@router.post("/{upload_id}:renew-url", summary="Renew the upload URL", responses=problems(404))
def renew_url(session: SessionDep, resources: ResourcesDep, writer: Writer, upload_id: UploadId) -> schemas.UploadUrl:
    """Replace the upload URL. The old one becomes invalid; the received bytes are kept."""
    settings = resources.settings
    lifetime = settings.upload_url_lifetime
    renewed = uploads.renew_url(session, upload_id, tenant=writer.tenant, url_lifetime=lifetime)
    return present_upload_url(renewed, public_url=settings.public_url)


@router.delete("/{upload_id}", status_code=204, summary="Delete an upload", responses=problems(404))
def delete_upload(session: SessionDep, resources: ResourcesDep, writer: Writer, upload_id: UploadId) -> None:
    """Delete an upload. Jobs that were created from it keep the clip."""
    uploads.delete_upload(session, resources.storage, upload_id, tenant=writer.tenant)


@tus_router.post(
    "",
    status_code=201,
    summary="Create an upload by tus",
    response_model=schemas.ClipUploadWithUrl,
    responses=problems(401, 403, 413, 429, 507) | _CREATED_RESPONSE,
)
def create_upload(
    session: SessionDep,
    resources: ResourcesDep,
    writer: Writer,
    upload_length: Annotated[int, Header(gt=0, lt=2**50, description="Size of the clip in bytes.")],
    upload_metadata: Annotated[
        str | None, Header(description="Pairs of a key and a value in base64; `filename` is the name of the clip.")
    ] = None,
) -> Response:
    """Create an upload by the creation extension of tus, for clients with an `endpoint` that hold a key, as tuspy.

    The body has the id that `source.upload_id` of a job names.
    """
    created = begin_upload(session, resources, writer, make_upload_request(upload_length, upload_metadata or ""))
    return respond_json(created, status_code=201, headers={"Location": created.upload_url})


@tus_router.head("/{secret}", summary="Get the upload offset", response_class=Response, responses=_OFFSET_RESPONSES)
def get_offset(session: SessionDep, resources: ResourcesDep, secret: Secret) -> Response:
    """Return in `Upload-Offset` the byte at which to continue."""
    found = uploads.get_upload_by_url(session, secret)
    upload = uploads.complete_upload(session, resources.storage, found)
    return respond_offset(resources.storage, upload, status_code=200)


@tus_router.patch(
    "/{secret}",
    status_code=204,
    summary="Send a chunk",
    response_class=Response,
    responses=_CHUNK_RESPONSES,
    openapi_extra=_CHUNK_BODY,
)
@streams_body
async def send_chunk(
    request: Request,
    resources: ResourcesDep,
    secret: Secret,
    upload_offset: Annotated[int, Header(ge=0, lt=2**50, description="First byte of the chunk.")],
) -> Response:
    """Append a chunk. If the connection breaks, received bytes are kept: read the offset with `HEAD` and continue."""
    upload = await append_chunk(request, resources, secret, offset=upload_offset)
    return respond_offset(resources.storage, upload, status_code=204)
