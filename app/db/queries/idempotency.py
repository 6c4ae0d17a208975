"""The SQL of uploads, batches and idempotency keys. Like ``repositories``, it takes a session and never commits."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.db.tables.idempotency import IdempotencyKey


def claim_idempotency_key(session: Session, *, tenant: str, key: str, token: UUID, lock: timedelta) -> IdempotencyKey:
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
