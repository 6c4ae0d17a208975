"""Schemas of API keys."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.core.enums import Scope
from app.core.settings import RATE
from app.schemas.base import EXAMPLE_TIME, Schema, ShortText, example

_Count = Annotated[int, Field(ge=1, lt=2**63)]
_REQUEST_EXAMPLE: dict[str, Any] = {
    "name": "moderation pipeline",
    "scopes": ["jobs:read", "jobs:write"],
    "expires_in_days": 365,
}
_KEY_EXAMPLE: dict[str, Any] = {
    "id": "1f0c9a2b",
    "object": "key",
    "tenant": "default",
    "name": "moderation pipeline",
    "scopes": ["jobs:read", "jobs:write"],
    "rate_limit": None,
    "jobs_per_day": None,
    "bytes_per_day": None,
    "created_at": EXAMPLE_TIME,
    "expires_at": "2027-11-23T17:00:00Z",
    "revoked_at": None,
    "last_used_at": None,
}


class KeyRequest(Schema):
    """New API key."""

    model_config = example(_REQUEST_EXAMPLE)

    name: ShortText
    """Purpose of the key."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] | None = None
    """Tenant of the key; null: that of the request. Only the operator's key may name another one."""
    expires_in_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """Null: never."""
    rate_limit: Annotated[str, Field(pattern=RATE)] | None = None
    """Request rate, for example `600/minute`. Only the operator's key sets this and the next limits; other keys pass on
    their own."""
    jobs_per_day: _Count | None = None
    bytes_per_day: _Count | None = None


class Key(Schema):
    """API key of a client."""

    model_config = example(_KEY_EXAMPLE)

    id: str
    """Second part of the key."""
    object: Literal["key"] = "key"
    tenant: str
    name: str
    scopes: list[Scope]
    rate_limit: str | None
    jobs_per_day: int | None
    bytes_per_day: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyWithSecret(Key):
    """New API key with the text that clients send. It cannot be shown again."""

    model_config = example(_KEY_EXAMPLE | {"key": "umk_1f0c9a2b_vK3yq0Vn2b3Yx1o9c5T7mPq8rS4tU6wX0zA1bC2dE3f"})

    key: str


class KeyList(Schema):
    """API keys, by tenant and time."""

    model_config = example({"items": [_KEY_EXAMPLE]})

    items: list[Key]
