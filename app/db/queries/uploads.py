"""SQL of resumable uploads. Functions take a session and never commit."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables.uploads import ClipUpload


def find_upload(session: Session, upload_id: UUID, *, tenant: str, lock: bool = False) -> ClipUpload | None:
    """Return an upload of a tenant that has not expired."""
    query = select(ClipUpload).where(
        ClipUpload.id == upload_id, ClipUpload.tenant == tenant, ClipUpload.expires_at > func.clock_timestamp()
    )
    fresh = query.execution_options(populate_existing=True)
    return session.scalars(fresh.with_for_update() if lock else fresh).one_or_none()


def find_upload_by_url(session: Session, digest: bytes) -> ClipUpload | None:
    """Return the upload whose one-time URL has this digest and has not expired."""
    query = select(ClipUpload).where(
        ClipUpload.url_digest == digest, ClipUpload.url_expires_at > func.clock_timestamp()
    )
    return session.scalars(query).one_or_none()


def list_uploads(session: Session, upload_ids: Sequence[UUID], *, tenant: str) -> Sequence[ClipUpload]:
    """Return the uploads of a tenant with these ids."""
    query = select(ClipUpload).where(ClipUpload.id.in_(upload_ids), ClipUpload.tenant == tenant)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def list_expired_uploads(session: Session, *, limit: int) -> Sequence[ClipUpload]:
    """Return expired uploads, locked."""
    query = select(ClipUpload).where(ClipUpload.expires_at <= func.clock_timestamp())
    return session.scalars(query.limit(limit).with_for_update(skip_locked=True)).all()
