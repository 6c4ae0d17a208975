"""The SQL of uploads, batches and idempotency keys. Like ``repositories``, it takes a session and never commits."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.db.models import Job
from app.db.submission_models import Batch, ClipUpload, IdempotencyKey
from app.states import JobStatus

_FINAL = [status for status in JobStatus if status.is_final]


def take_idempotency_key(session: Session, *, tenant: str, key: str, token: UUID, lock: timedelta) -> IdempotencyKey:
    """The row of a key: with this token where it is new or its request is overdue, else as it is."""
    until = func.clock_timestamp() + lock
    mine = upsert(IdempotencyKey).values(tenant=tenant, key=key, token=token, locked_until=until)
    is_overdue = and_(
        IdempotencyKey.job_id.is_(None),
        IdempotencyKey.batch_id.is_(None),
        IdempotencyKey.locked_until < func.clock_timestamp(),
    )
    session.execute(
        mine.on_conflict_do_update(
            index_elements=["tenant", "key"], set_={"token": token, "locked_until": until}, where=is_overdue
        )
    )
    row: IdempotencyKey = session.get_one(IdempotencyKey, (tenant, key))
    return row


def find_idempotency_key(session: Session, *, tenant: str, key: str, token: UUID) -> IdempotencyKey | None:
    """The row of a key, locked, if this request has it in hand."""
    query = select(IdempotencyKey).where(
        IdempotencyKey.tenant == tenant, IdempotencyKey.key == key, IdempotencyKey.token == token
    )
    return session.scalars(query.with_for_update()).one_or_none()


def delete_idempotency_keys(session: Session, *, older_than: timedelta) -> None:
    """Forgets keys that are too old for a client to repeat them."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.clock_timestamp() - older_than))


def find_upload(session: Session, upload_id: UUID, *, tenant: str, lock: bool = False) -> ClipUpload | None:
    """An upload that has not expired, by its id."""
    query = select(ClipUpload).where(
        ClipUpload.id == upload_id, ClipUpload.tenant == tenant, ClipUpload.expires_at > func.clock_timestamp()
    )
    fresh = query.execution_options(populate_existing=True)
    return session.scalars(fresh.with_for_update() if lock else fresh).one_or_none()


def find_upload_by_url(session: Session, digest: bytes) -> ClipUpload | None:
    """The upload whose one-time URL has this digest and is still valid."""
    query = select(ClipUpload).where(
        ClipUpload.url_digest == digest, ClipUpload.url_expires_at > func.clock_timestamp()
    )
    return session.scalars(query).one_or_none()


def list_uploads(session: Session, upload_ids: Sequence[UUID], *, tenant: str) -> Sequence[ClipUpload]:
    """These of a tenant's uploads."""
    query = select(ClipUpload).where(ClipUpload.id.in_(upload_ids), ClipUpload.tenant == tenant)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def list_expired_uploads(session: Session, *, limit: int) -> Sequence[ClipUpload]:
    """Uploads whose time is over, locked."""
    query = select(ClipUpload).where(ClipUpload.expires_at <= func.clock_timestamp())
    return session.scalars(query.limit(limit).with_for_update(skip_locked=True)).all()


def find_batch(session: Session, batch_id: UUID, *, tenant: str) -> Batch | None:
    """A batch by its id."""
    return session.scalars(select(Batch).where(Batch.id == batch_id, Batch.tenant == tenant)).one_or_none()


def count_jobs(session: Session, batch_id: UUID) -> dict[JobStatus, int]:
    """How many jobs of a batch have which status; those that were deleted count, too."""
    query = select(Job.status, func.count().label("jobs")).where(Job.batch_id == batch_id).group_by(Job.status)
    return {row.status: row.jobs for row in session.execute(query)}


def complete_batches(session: Session) -> Sequence[Batch]:
    """Notes which batches have no job left that has not ended; another sweep that does the same finds none."""
    runs = select(Job.id).where(Job.batch_id == Batch.id, Job.status.not_in(_FINAL)).exists()
    statement = update(Batch).where(Batch.completed_at.is_(None), ~runs).values(completed_at=func.clock_timestamp())
    return session.scalars(statement.returning(Batch)).all()
