"""Use cases of resumable uploads: created with an API key, sent in chunks to a one-time URL (tus 1.0)."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BufferedReader
from typing import cast
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.errors import (
    ChecksumMismatchError,
    ClipTooLargeError,
    NotFoundError,
    OffsetMismatchError,
    UnsupportedMediaError,
)
from app.db.engine import advisory_lock, db_now
from app.db.queries import uploads as upload_queries
from app.db.tables.uploads import ClipUpload
from app.infra.clip_storage import ClipStorage
from app.infra.file_signatures import SNIFF_BYTES, require_video_signature
from app.infra.partial_uploads import ChunkWriter
from app.schemas.uploads import UploadRequest
from app.services import audit, deletion


@dataclass(frozen=True, slots=True)
class UploadRules:
    """Limits of uploads."""

    max_bytes: int
    url_lifetime: timedelta
    """Validity of the upload URL."""
    lifetime: timedelta
    """Time until an upload that no job uses is deleted."""


@dataclass(frozen=True, slots=True)
class UploadAccess:
    """Upload with the secret of its one-time URL."""

    upload: ClipUpload
    secret: str


def begin_upload(
    session: Session, storage: ClipStorage, rules: UploadRules, *, tenant: str, request: UploadRequest
) -> UploadAccess:
    """Create an upload. Returns it with the secret of its one-time URL.

    Raises:
        ClipTooLargeError: The announced size exceeds the limit.
        StorageFullError: There is no room for it.
    """
    if request.bytes > rules.max_bytes:
        raise ClipTooLargeError.of_limit(rules.max_bytes)
    storage.require_space(request.bytes)
    secret = secrets.token_urlsafe(32)
    with session.begin():
        now = db_now(session)
        upload = ClipUpload(
            tenant=tenant,
            clip_name=request.name,
            size_bytes=request.bytes,
            declared_sha256=request.sha256,
            url_digest=_digest(secret),
            url_expires_at=now + rules.url_lifetime,
            expires_at=now + rules.lifetime,
        )
        session.add(upload)
        session.flush()
        audit.record(session, "upload.begun", upload.public_id, tenant=tenant)
        return UploadAccess(upload, secret)


def get_upload(session: Session, upload_id: UUID, *, tenant: str) -> ClipUpload:
    """Return an upload. Raises NotFoundError."""
    with session.begin():
        return _require_upload(upload_queries.find_upload(session, upload_id, tenant=tenant))


def renew_url(session: Session, upload_id: UUID, *, tenant: str, url_lifetime: timedelta) -> UploadAccess:
    """Replace the one-time URL of an upload. Raises NotFoundError."""
    secret = secrets.token_urlsafe(32)
    with session.begin():
        upload = _require_upload(upload_queries.find_upload(session, upload_id, tenant=tenant, lock=True))
        upload.url_digest = _digest(secret)
        upload.url_expires_at = db_now(session) + url_lifetime
        audit.record(session, "upload.url_renewed", upload.public_id, tenant=tenant)
        return UploadAccess(upload, secret)


def delete_upload(session: Session, storage: ClipStorage, upload_id: UUID, *, tenant: str) -> None:
    """Delete an upload. Jobs that were created from it keep the clip. Raises NotFoundError."""
    with session.begin():
        upload = _require_upload(upload_queries.find_upload(session, upload_id, tenant=tenant, lock=True))
        session.delete(upload)
        audit.record(session, "upload.deleted", upload.public_id, tenant=tenant)
    deletion.delete_upload_files(session, storage, upload)


def get_upload_by_url(session: Session, secret: str) -> ClipUpload:
    """Return the upload of a one-time URL. Raises NotFoundError: it does not exist, or the URL has expired."""
    with session.begin():
        upload = upload_queries.find_upload_by_url(session, _digest(secret))
        if upload is None:
            raise NotFoundError("This upload URL is no longer valid. Renew it with POST /v1/uploads/{id}:renew-url.")
        return upload


def count_received_bytes(storage: ClipStorage, upload: ClipUpload) -> int:
    """Return the number of bytes that have arrived."""
    return upload.size_bytes if upload.clip_sha256 else storage.partial.size_bytes(upload.public_id)


@contextmanager
def open_for_append(storage: ClipStorage, upload: ClipUpload, *, offset: int) -> Iterator[ChunkWriter]:
    """Open an upload for its next chunk.

    Raises:
        OffsetMismatchError: The chunk does not start at the end, or another chunk is being written.
        StorageFullError: There is no room for the rest of the clip.
    """
    storage.require_space(upload.size_bytes - offset)
    try:
        with storage.partial.open_for_append(upload.public_id) as writer:
            if upload.clip_sha256 or writer.offset != offset:
                raise OffsetMismatchError(f"Continue at byte {count_received_bytes(storage, upload)}, as HEAD reports.")
            yield writer
    except BlockingIOError as error:
        raise OffsetMismatchError(
            "Another chunk is being written. Wait for it, then read the offset with HEAD."
        ) from error


def check_chunk(upload: ClipUpload, end_bytes: int) -> None:
    """Raise ClipTooLargeError if a chunk ends behind the announced size."""
    if end_bytes > upload.size_bytes:
        raise ClipTooLargeError(
            f"This upload was announced with {upload.size_bytes} bytes. Create one with the full size."
        )


def complete_upload(session: Session, storage: ClipStorage, upload: ClipUpload) -> ClipUpload:
    """Store the clip of an upload if all bytes have arrived. Returns the current upload.

    Raises:
        ChecksumMismatchError: The bytes differ from the announced SHA-256; the upload starts again at 0.
        UnsupportedMediaError: The clip is no video; the upload starts again at 0.
    """
    name, tenant = upload.public_id, upload.tenant
    if upload.clip_sha256 or storage.partial.size_bytes(name) < upload.size_bytes:
        return upload
    try:
        sha256 = _verify_clip(storage, upload)
    except FileNotFoundError:
        return get_upload(session, upload.id, tenant=tenant)  # another request has just stored it
    except (ChecksumMismatchError, UnsupportedMediaError):
        storage.partial.delete(name)
        raise
    with session.begin():
        # The clip before the row: submissions lock in this order.
        advisory_lock(session, sha256)
        row = _require_upload(upload_queries.find_upload(session, upload.id, tenant=tenant, lock=True))
        if row.clip_sha256 is None:
            row.clip_sha256 = sha256
            audit.record(session, "upload.completed", name, tenant=tenant)
            storage.store_partial_upload(name, sha256)
        return row


def _verify_clip(storage: ClipStorage, upload: ClipUpload) -> str:
    """Return the SHA-256 of the received bytes."""
    with storage.partial.open_clip(upload.public_id) as clip:
        sha256 = hashlib.file_digest(cast("BufferedReader", clip), "sha256").hexdigest()
        clip.seek(0)
        require_video_signature(clip.read(SNIFF_BYTES))
    if upload.declared_sha256 not in {None, sha256}:
        raise ChecksumMismatchError(
            f"The received bytes have the SHA-256 {sha256}. Send the clip again from the start."
        )
    return sha256


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _require_upload(upload: ClipUpload | None) -> ClipUpload:
    if upload is None:
        raise NotFoundError("No upload has this id, or it has expired. Create one with POST /v1/uploads.")
    return upload
