"""Table of worker processes."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.db.engine import Base


class Worker(Base):
    """Process that runs jobs. Its worker reports it while it lives."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    """Name under which it holds leases: host, process id, mark of the worker."""
    model: Mapped[str]
    """Name and version of its default model."""
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
