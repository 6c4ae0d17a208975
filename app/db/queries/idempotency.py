"""SQL of idempotency keys. Functions take a session and never commit."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.db.tables.idempotency import IdempotencyKey


def claim_idempotency_key(session: Session, *, tenant: str, key: str, token: UUID, lock: timedelta) -> IdempotencyKey:
    """Claim a key and return its row. The row has this token if the key was unclaimed or its claim had expired.

    Args:
        session: Session of the caller.
        tenant: Owner of the key.
        key: The Idempotency-Key.
        token: Token of this request.
        lock: Duration of the claim.
    """
    until = func.clock_timestamp() + lock
    claim = upsert(IdempotencyKey).values(tenant=tenant, key=key, token=token, locked_until=until)
    is_expired = and_(
        IdempotencyKey.job_id.is_(None),
        IdempotencyKey.batch_id.is_(None),
        IdempotencyKey.locked_until < func.clock_timestamp(),
    )
    session.execute(
        claim.on_conflict_do_update(
            index_elements=["tenant", "key"], set_={"token": token, "locked_until": until}, where=is_expired
        )
    )
    row: IdempotencyKey = session.get_one(IdempotencyKey, (tenant, key))
    return row


def find_idempotency_key(session: Session, *, tenant: str, key: str, token: UUID) -> IdempotencyKey | None:
    """Return the row of a key, locked, if the request with this token still has the claim."""
    query = select(IdempotencyKey).where(
        IdempotencyKey.tenant == tenant, IdempotencyKey.key == key, IdempotencyKey.token == token
    )
    return session.scalars(query.with_for_update()).one_or_none()


def delete_idempotency_keys(session: Session, *, older_than: timedelta) -> None:
    """Delete keys that are older than a duration."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.clock_timestamp() - older_than))
