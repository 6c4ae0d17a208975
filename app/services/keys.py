"""API keys: made, listed, revoked by the operator, and recognised at every request."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from app.db import repositories
from app.db.models import ApiKey
from app.errors import NotFoundError
from app.states import Scope

DEFAULT_TENANT = "default"
"""Whom the operator's key speaks for, and a key that names no other tenant."""

_PREFIX = "umk"
_USE_IS_NOTED_EVERY = timedelta(minutes=1)
"""A write at every request would cost more than it tells."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what they may do."""

    tenant: str
    key_id: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether the key has this scope."""
        return bool(self.scopes & {scope, Scope.ADMIN})


OPERATOR = Principal(tenant=DEFAULT_TENANT, key_id="operator", scopes=frozenset({Scope.ADMIN}))
"""Who sends the key of the settings."""


def create_key(
    session: Session,
    *,
    tenant: str,
    name: str,
    scopes: Iterable[Scope],
    lifetime: timedelta | None,
    pepper: str,
) -> tuple[ApiKey, str]:
    """Makes a key; returns it with the text that clients send, which cannot be had again."""
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    with session.begin():
        expires_at = repositories.database_time(session) + lifetime if lifetime else None
        key = ApiKey(
            id=key_id,
            tenant=tenant,
            name=name,
            digest=_digest(secret, pepper),
            scopes=sorted(scopes),
            expires_at=expires_at,
        )
        session.add(key)
    return key, f"{_PREFIX}_{key_id}_{secret}"


def list_keys(session: Session) -> Sequence[ApiKey]:
    """All keys."""
    with session.begin():
        return repositories.list_keys(session)


def describe_validity(key: ApiKey) -> str:
    """Whether and until when a key is valid, for people."""
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    return f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "valid"


def revoke_key(session: Session, key_id: str) -> None:
    """Ends a key at once. Raises NotFoundError."""
    with session.begin():
        key = repositories.find_key(session, key_id)
        if key is None:
            raise NotFoundError(f"There is no key {key_id!r}. 'unmask keys list' shows their ids.")
        key.revoked_at = key.revoked_at or repositories.database_time(session)


def authenticate(session: Session, presented: str, *, pepper: str) -> Principal | None:
    """Who sends this key; None where it is unknown, expired or revoked."""
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != _PREFIX or not secret or not key_id.isalnum():
        return None
    with session.begin():
        key = repositories.find_key(session, key_id)
        # An unknown id takes as long as a wrong secret.
        is_right = hmac.compare_digest(_digest(secret, pepper), key.digest if key else bytes(32))
        now = repositories.database_time(session)
        if key is None or not is_right or key.revoked_at or (key.expires_at and key.expires_at <= now):
            return None
        if key.last_used_at is None or now - key.last_used_at > _USE_IS_NOTED_EVERY:
            key.last_used_at = now
        return Principal(tenant=key.tenant, key_id=key.id, scopes=frozenset(map(Scope, key.scopes)))


def _digest(secret: str, pepper: str) -> bytes:
    return hmac.digest(pepper.encode(), secret.encode(), hashlib.sha256)
