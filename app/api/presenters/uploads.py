"""Present resumable uploads, with the headers of tus."""

from fastapi import Response

from app.api.paths import UPLOAD_URLS
from app.db.tables.uploads import ClipUpload
from app.infra.clip_storage import ClipStorage
from app.schemas import uploads as schemas
from app.services.uploads import UploadAccess, count_received_bytes


def present_upload(storage: ClipStorage, upload: ClipUpload) -> schemas.ClipUpload:
    """Return an upload as clients see it."""
    return schemas.ClipUpload(
        id=upload.public_id,
        status="complete" if upload.clip_sha256 else "incomplete",
        name=upload.clip_name,
        bytes=upload.size_bytes,
        received_bytes=count_received_bytes(storage, upload),
        sha256=upload.clip_sha256,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )


def present_new_upload(storage: ClipStorage, access: UploadAccess, *, public_url: str) -> schemas.ClipUploadWithUrl:
    """Return a new upload with its URL."""
    shown, url = present_upload(storage, access.upload), present_upload_url(access, public_url=public_url)
    return schemas.ClipUploadWithUrl(**shown.model_dump(), **url.model_dump())


def present_upload_url(access: UploadAccess, *, public_url: str) -> schemas.UploadUrl:
    """Return the URL of an upload, which begins with the public URL of the API."""
    url = public_url + UPLOAD_URLS + access.secret
    return schemas.UploadUrl(upload_url=url, upload_url_expires_at=access.upload.url_expires_at)


def respond_offset(storage: ClipStorage, upload: ClipUpload, *, status_code: int) -> Response:
    """Return the response of tus with the offset of an upload."""
    offsets = {
        "Upload-Offset": str(count_received_bytes(storage, upload)),
        "Upload-Length": str(upload.size_bytes),
    }
    return Response(status_code=status_code, headers={"Cache-Control": "no-store"} | offsets)
