"""Table of API keys."""

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.engine import Base


class ApiKey(Base):
    """API key of a client. The id is its public part; of the secret only a digest is stored."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    name: Mapped[str]
    """Purpose of the key, as its owner describes it."""
    digest: Mapped[bytes]
    """HMAC-SHA256 of the secret, keyed with the pepper of the settings."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    rate_limit: Mapped[str | None]
    """Request rate, for example ``600/minute``. Here and below, None selects the value of the settings."""
    jobs_per_day: Mapped[int | None] = mapped_column(BigInteger)
    bytes_per_day: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """Time of the last request, with a resolution of one minute."""
