"""Table of the audit log."""

from datetime import datetime

from sqlalchemy import BigInteger, Identity, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.engine import Base


class AuditEvent(Base):
    """Record of one change: its actor, action and target. Written in the transaction of the change, never updated."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant: Mapped[str] = mapped_column(index=True)
    actor: Mapped[str]
    """Id of the API key, ``operator``, or the name of the component that acted on its own."""
    action: Mapped[str]
    target: Mapped[str]
    """Id of the changed object."""
    request_id: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)
