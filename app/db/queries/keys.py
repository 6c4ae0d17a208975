"""SQL of API keys. Functions take a session and never commit."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables.keys import ApiKey


def find_key(session: Session, key_id: str) -> ApiKey | None:
    """Return an API key, valid or not."""
    return session.get(ApiKey, key_id)


def list_keys(session: Session, *, tenant: str | None) -> Sequence[ApiKey]:
    """Return the API keys of a tenant; None: of all."""
    query = select(ApiKey).order_by(ApiKey.tenant, ApiKey.created_at)
    return session.scalars(query if tenant is None else query.where(ApiKey.tenant == tenant)).all()
