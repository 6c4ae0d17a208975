"""SQL of policies. Functions take a session and never commit."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables.policies import Policy


def add_policy(session: Session, policy: Policy) -> None:
    """Insert the next version of a policy. The caller holds an ``advisory_lock`` for the policy's name."""
    newest = select(func.max(Policy.version)).where(Policy.tenant == policy.tenant, Policy.name == policy.name)
    policy.version = (session.execute(newest).scalar_one() or 0) + 1
    session.add(policy)
    session.flush()


def find_policy(session: Session, policy_id: UUID, *, tenant: str) -> Policy | None:
    """Return a version of a policy."""
    return session.scalars(select(Policy).where(Policy.id == policy_id, Policy.tenant == tenant)).one_or_none()


def find_newest_policy(session: Session, name: str, *, tenant: str) -> Policy | None:
    """Return the newest version of a policy."""
    query = select(Policy).where(Policy.tenant == tenant, Policy.name == name)
    return session.scalars(query.order_by(Policy.version.desc()).limit(1)).one_or_none()


def list_policies(session: Session, *, tenant: str, before: UUID | None, limit: int) -> Sequence[Policy]:
    """Return versions of policies, newest first."""
    query = select(Policy).where(Policy.tenant == tenant)
    if before is not None:
        query = query.where(Policy.id < before)
    return session.scalars(query.order_by(Policy.id.desc()).limit(limit)).all()
