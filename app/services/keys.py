"""Use cases of API keys: create, list, revoke, authenticate."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.core.enums import Scope
from app.core.errors import ForbiddenScopeError, NotFoundError
from app.db.engine import db_now
from app.db.queries import keys as key_queries
from app.db.tables.keys import ApiKey
from app.schemas import keys as schemas
from app.services import audit

DEFAULT_TENANT = "default"
"""Tenant of the operator's key, and of keys without another tenant."""

_OPERATOR_ID = "operator"
_PREFIX = "umk"
_LAST_USED_INTERVAL = timedelta(minutes=1)
"""Minimum interval between updates of ``last_used_at``: a write per request would cost too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """Limits of a key; None: the limits of the settings."""

    rate_limit: str | None = None
    jobs_per_day: int | None = None
    bytes_per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal(KeyLimits):
    """Authenticated key of a request: its tenant, scopes and limits."""

    tenant: str
    key_id: str
    scopes: frozenset[Scope]
    expires: bool = False

    @property
    def managed_tenant(self) -> str | None:
        """Tenant whose keys it manages; None: all tenants."""
        return None if self.key_id == _OPERATOR_ID else self.tenant

    def may(self, scope: Scope) -> bool:
        """Return True if the key has this scope."""
        return bool(self.scopes & {scope, Scope.ADMIN})


OPERATOR = Principal(tenant=DEFAULT_TENANT, key_id=_OPERATOR_ID, scopes=frozenset({Scope.ADMIN}))
"""Principal of the operator's key in the settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest(KeyLimits):
    """Properties of a new key."""

    name: str
    """Purpose of the key."""
    scopes: Iterable[Scope]
    lifetime: timedelta | None = None


def create_key(
    session: Session,
    request: KeyRequest,
    *,
    tenant: str,
    pepper: str,
) -> tuple[ApiKey, str]:
    """Create a key. Returns it with the text that clients send; only its digest is stored."""
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    with session.begin():
        expires_at = db_now(session) + request.lifetime if request.lifetime else None
        key = ApiKey(
            id=key_id,
            tenant=tenant,
            name=request.name,
            digest=_digest(secret, pepper),
            scopes=sorted(request.scopes),
            expires_at=expires_at,
            **_limits_of(request),
        )
        session.add(key)
        audit.record(session, "key.created", key_id, tenant=tenant)
    return key, f"{_PREFIX}_{key_id}_{secret}"


def create_tenant_key(
    session: Session, admin: Principal, request: schemas.KeyRequest, *, pepper: str
) -> tuple[ApiKey, str]:
    """Create a key by request of another one, as ``create_key``. It has the limits of that key.

    Raises ForbiddenScopeError: a key that is not the operator's names another tenant or limits, or it expires.
    """
    tenant = request.tenant or admin.tenant
    limits = _limits_of(request)
    if admin.managed_tenant is not None:
        if tenant != admin.tenant or any(limit is not None for limit in limits.values()):
            raise ForbiddenScopeError("Only the operator's key sets tenants and limits. Leave them out.")
        if admin.expires:
            raise ForbiddenScopeError("A key that expires creates no keys. Use one that does not expire.")
        limits = _limits_of(admin)
    days = request.expires_in_days
    lifetime = timedelta(days=days) if days else None
    wanted = KeyRequest(name=request.name, scopes=request.scopes, lifetime=lifetime, **limits)
    return create_key(session, wanted, tenant=tenant, pepper=pepper)


def list_keys(session: Session, *, tenant: str | None = None) -> Sequence[ApiKey]:
    """Return the keys of a tenant; None: of all."""
    with session.begin():
        return key_queries.list_keys(session, tenant=tenant)


def describe_validity(key: ApiKey) -> str:
    """Return the validity of a key as text."""
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    return f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "valid"


def revoke_key(session: Session, key_id: str, *, tenant: str | None = None) -> None:
    """Revoke a key of a tenant at once; None: of any. Raises NotFoundError."""
    with session.begin():
        key = key_queries.find_key(session, key_id)
        if key is None or tenant not in {None, key.tenant}:
            raise NotFoundError("No key has this id. List keys with 'unmask keys list' or GET /v1/keys.")
        key.revoked_at = key.revoked_at or db_now(session)
        audit.record(session, "key.revoked", key_id, tenant=key.tenant)


def authenticate(session: Session, presented: str, *, pepper: str) -> Principal | None:
    """Return the principal of a key, or None if it is unknown, expired or revoked."""
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != _PREFIX or not secret or not key_id.isalnum():
        return None
    with session.begin():
        key = key_queries.find_key(session, key_id)
        # An unknown id takes as long as a wrong secret.
        is_right = hmac.compare_digest(_digest(secret, pepper), key.digest if key else bytes(32))
        now = db_now(session)
        if key is None or not is_right or key.revoked_at or (key.expires_at and key.expires_at <= now):
            return None
        if key.last_used_at is None or now - key.last_used_at > _LAST_USED_INTERVAL:
            key.last_used_at = now
        scopes = frozenset(map(Scope, key.scopes))
        expires = key.expires_at is not None
        return Principal(tenant=key.tenant, key_id=key.id, scopes=scopes, expires=expires, **_limits_of(key))


def _limits_of(holder: KeyLimits | ApiKey | schemas.KeyRequest) -> dict[str, Any]:
    return {field.name: getattr(holder, field.name) for field in fields(KeyLimits)}


def _digest(secret: str, pepper: str) -> bytes:
    return hmac.digest(pepper.encode(), secret.encode(), hashlib.sha256)
