"""The SQL of keys, policies and the audit log. Like ``repositories``, it takes a session and never commits."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.tenant_models import ApiKey, AuditEvent, Policy


def find_key(session: Session, key_id: str) -> ApiKey | None:
    """An API key by its id, whether it is still valid or not."""
    return session.get(ApiKey, key_id)


def list_keys(session: Session) -> Sequence[ApiKey]:
    """All API keys, of all tenants."""
    return session.scalars(select(ApiKey).order_by(ApiKey.tenant, ApiKey.created_at)).all()


def add_policy(session: Session, policy: Policy) -> None:
    """Adds a version of a policy, the next one of its name. Call it under ``repositories.lock``."""
    known = select(func.max(Policy.version)).where(Policy.tenant == policy.tenant, Policy.name == policy.name)
    policy.version = (session.execute(known).scalar_one() or 0) + 1
    session.add(policy)
    session.flush()


def find_policy(session: Session, policy_id: UUID, *, tenant: str) -> Policy | None:
    """A version of a policy by its id."""
    return session.scalars(select(Policy).where(Policy.id == policy_id, Policy.tenant == tenant)).one_or_none()


def find_newest_policy(session: Session, name: str, *, tenant: str) -> Policy | None:
    """The newest version of a policy."""
    query = select(Policy).where(Policy.tenant == tenant, Policy.name == name)
    return session.scalars(query.order_by(Policy.version.desc()).limit(1)).one_or_none()


def list_policies(session: Session, *, tenant: str, before: UUID | None, limit: int) -> Sequence[Policy]:
    """Versions of policies, newest first."""
    query = select(Policy).where(Policy.tenant == tenant)
    if before is not None:
        query = query.where(Policy.id < before)
    return session.scalars(query.order_by(Policy.id.desc()).limit(limit)).all()


def list_audit_events(session: Session, *, tenant: str, before: int | None, limit: int) -> Sequence[AuditEvent]:
    """What was changed, newest first."""
    query = select(AuditEvent).where(AuditEvent.tenant == tenant)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    return session.scalars(query.order_by(AuditEvent.id.desc()).limit(limit)).all()


def delete_audit_events(session: Session, *, older_than: timedelta) -> None:
    """Forgets what was changed long ago."""
    session.execute(delete(AuditEvent).where(AuditEvent.at < func.clock_timestamp() - older_than))
