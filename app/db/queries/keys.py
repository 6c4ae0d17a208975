"""SQL of API keys. Functions take a session and never commit."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables.keys import ApiKey


def find_key(session: Session, key_id: str) -> ApiKey | None:
    """Return an API key, valid or not."""
    return session.get(ApiKey, key_id)


def list_keys(session: Session) -> Sequence[ApiKey]:
    """Return the API keys of all tenants."""
    return session.scalars(select(ApiKey).order_by(ApiKey.tenant, ApiKey.created_at)).all()
