"""Clips that come in pieces: begun with an API key, sent to a one-time URL, complete when all bytes are there."""

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
    """What an upload may be."""

    max_bytes: int
    url_lifetime: timedelta
    """How long its URL is good."""
    lifetime: timedelta
    """How long it is kept where no job names it."""


def begin_upload(
    session: Session, storage: ClipStorage, rules: UploadRules, *, tenant: str, request: UploadRequest
) -> tuple[ClipUpload, str]:
    """Notes a clip that is about to come; returns the secret of its one-time URL beside it.

    Raises:
        ClipTooLargeError: It is announced larger than clips may be.
        StorageFullError: There is no room for it at the moment.
    """
    if request.bytes > rules.max_bytes:
        raise ClipTooLargeError(f"A clip may have {rules.max_bytes} bytes. Send a shorter or smaller one.")
    storage.check_room(request.bytes)
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
        return upload, secret


def get_upload(session: Session, upload_id: UUID, *, tenant: str) -> ClipUpload:
    """An upload. Raises NotFoundError."""
    with session.begin():
        return _existing(upload_queries.find_upload(session, upload_id, tenant=tenant))


def renew_url(session: Session, upload_id: UUID, *, tenant: str, url_lifetime: timedelta) -> tuple[ClipUpload, str]:
    """Gives an upload another one-time URL, in place of the one it had. Raises NotFoundError."""
    secret = secrets.token_urlsafe(32)
    with session.begin():
        upload = _existing(upload_queries.find_upload(session, upload_id, tenant=tenant, lock=True))
        upload.url_digest = _digest(secret)
        upload.url_expires_at = db_now(session) + url_lifetime
        audit.record(session, "upload.url_renewed", upload.public_id, tenant=tenant)
        return upload, secret


def delete_upload(session: Session, storage: ClipStorage, upload_id: UUID, *, tenant: str) -> None:
    """Forgets an upload; jobs that were made of it keep the clip. Raises NotFoundError."""
    with session.begin():
        upload = _existing(upload_queries.find_upload(session, upload_id, tenant=tenant, lock=True))
        session.delete(upload)
        audit.record(session, "upload.deleted", upload.public_id, tenant=tenant)
    deletion.delete_upload_files(session, storage, upload)


def find_by_url(session: Session, secret: str) -> ClipUpload:
    """The upload of a one-time URL. Raises NotFoundError: there is none, or the URL is too old."""
    with session.begin():
        upload = upload_queries.find_upload_by_url(session, _digest(secret))
        if upload is None:
            raise NotFoundError("This upload URL is not valid any more. Whoever gave it to you can renew it.")
        return upload


def received_bytes(storage: ClipStorage, upload: ClipUpload) -> int:
    """How much of an upload is there."""
    return upload.size_bytes if upload.clip_sha256 else storage.partial.size_bytes(upload.public_id)


@contextmanager
def open_for_append(storage: ClipStorage, upload: ClipUpload, *, offset: int) -> Iterator[ChunkWriter]:
    """Where the next piece goes.

    Raises:
        OffsetMismatchError: The piece does not begin at the end, or another one is on its way.
        StorageFullError: There is no room for the rest of the clip.
    """
    storage.check_room(upload.size_bytes - offset)
    try:
        with storage.partial.open_for_append(upload.public_id) as end:
            if upload.clip_sha256 or end.offset != offset:
                raise OffsetMismatchError(f"Go on at byte {received_bytes(storage, upload)}: HEAD says where.")
            yield end
    except BlockingIOError as error:
        raise OffsetMismatchError("Another piece is being written. Wait for it, then ask with HEAD.") from error


def check_chunk(upload: ClipUpload, end_bytes: int) -> None:
    """Raises ClipTooLargeError where a piece reaches beyond the end."""
    if end_bytes > upload.size_bytes:
        raise ClipTooLargeError(f"This upload was announced with {upload.size_bytes} bytes. Begin one for all of them.")


def complete(session: Session, storage: ClipStorage, upload: ClipUpload) -> ClipUpload:
    """Files the clip of an upload whose last byte is there; does nothing where some lack, or it was done before.

    Returns the upload as it is now.

    Raises ChecksumMismatchError, UnsupportedMediaError: it is not what was announced, or no video; it begins anew.
    """
    name, tenant = upload.public_id, upload.tenant
    if upload.clip_sha256 or storage.partial.size_bytes(name) < upload.size_bytes:
        return upload
    try:
        sha256 = _check(storage, upload)
    except FileNotFoundError:
        return get_upload(session, upload.id, tenant=tenant)  # another request has just filed it
    except (ChecksumMismatchError, UnsupportedMediaError):
        storage.partial.delete(name)
        raise
    with session.begin():
        # First the clip, then the row: as whoever submits both does.
        advisory_lock(session, sha256)
        row = _existing(upload_queries.find_upload(session, upload.id, tenant=tenant, lock=True))
        if row.clip_sha256 is None:
            row.clip_sha256 = sha256
            audit.record(session, "upload.completed", name, tenant=tenant)
            storage.keep_partial(name, sha256)
        return row


def _check(storage: ClipStorage, upload: ClipUpload) -> str:
    """The SHA-256 of what arrived."""
    with storage.partial.open_clip(upload.public_id) as clip:
        sha256 = hashlib.file_digest(cast("BufferedReader", clip), "sha256").hexdigest()
        clip.seek(0)
        require_video_signature(clip.read(SNIFF_BYTES))
    if upload.declared_sha256 not in {None, sha256}:
        raise ChecksumMismatchError(f"The SHA-256 of what arrived is {sha256}. Send it again from the start.")
    return sha256


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _existing(upload: ClipUpload | None) -> ClipUpload:
    if upload is None:
        raise NotFoundError("There is no such upload, or it has expired. Begin one with POST /v1/uploads.")
    return upload
