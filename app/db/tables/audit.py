"""Table of the audit log."""

from datetime import datetime

from sqlalchemy import BigInteger, Identity, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.engine import Base


class AuditEvent(Base):
    """Who changed what: written in the transaction of the change, never changed."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant: Mapped[str] = mapped_column(index=True)
    actor: Mapped[str]
    """The id of the API key, ``operator``, or the part of the service that did it by itself."""
    action: Mapped[str]
    target: Mapped[str]
    """The id of what was changed."""
    request_id: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)
