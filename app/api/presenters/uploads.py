"""Present resumable uploads, with the headers of tus."""

from fastapi import Response

from app.api.middleware.authentication import UPLOAD_URLS
from app.db.tables.uploads import ClipUpload
from app.infra.clip_storage import ClipStorage
from app.schemas import uploads as schemas
from app.services import uploads


def _respond(storage: ClipStorage, upload: ClipUpload, *, status_code: int) -> Response:
    offsets = {
        "Upload-Offset": str(uploads.received_bytes(storage, upload)),
        "Upload-Length": str(upload.size_bytes),
    }
    return Response(status_code=status_code, headers={"Cache-Control": "no-store"} | offsets)


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


def _view_begun(storage: ClipStorage, upload: ClipUpload, secret: str) -> schemas.ClipUploadWithUrl:
    view, url = _view(storage, upload), _view_url(upload, secret)
    return schemas.ClipUploadWithUrl(**view.model_dump(), **url.model_dump())


def _view_url(upload: ClipUpload, secret: str) -> schemas.UploadUrl:
    return schemas.UploadUrl(upload_url=UPLOAD_URLS + secret, upload_url_expires_at=upload.url_expires_at)
