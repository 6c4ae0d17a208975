"""Table of API keys."""

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.engine import Base


class ApiKey(Base):
    """A key that clients send, by the part of it that may be shown; of its secret only a digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    name: Mapped[str]
    """What its owner calls it."""
    digest: Mapped[bytes]
    """HMAC-SHA256 of the secret with the pepper of the settings."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    rate_limit: Mapped[str | None]
    """Requests it may send, as ``600/minute``; None: what the settings say, here and below."""
    jobs_per_day: Mapped[int | None] = mapped_column(BigInteger)
    bytes_per_day: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """To the minute."""
