"""Verification of webhooks for receivers (Standard Webhooks 1.0.0)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError


class WebhookError(Exception):
    """Message that was not signed with this secret, is too old or is not an event of Unmask."""


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """Verified webhook event."""

    id: str
    """Id of the event, equal at each delivery. Process each id once."""
    type: str
    """Member of ``app.core.enums.EventType``, or a type of a later version. Ignore unknown types."""
    timestamp: datetime
    data: dict[str, Any]


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes | str) -> WebhookMessage:
    """Verify the signature and age of a webhook and return its message (Standard Webhooks 1.0.0).

    Args:
        secret: Secret of the endpoint, ``whsec_...``.
        headers: Headers of the request, in any letter case.
        body: Unchanged body of the request.

    Raises:
        WebhookError: The message must not be trusted.
    """
    lowercased = {name.lower(): value for name, value in headers.items()}
    try:
        content = Webhook(secret).verify(body, lowercased)
        return WebhookMessage(
            id=lowercased["webhook-id"],
            type=str(content["type"]),
            timestamp=datetime.fromisoformat(content["timestamp"]),
            data=content["data"],
        )
    except (WebhookVerificationError, KeyError, TypeError, ValueError) as error:
        raise WebhookError(
            f"This is no webhook of Unmask that was signed with this secret: {error}. Do not process it."
        ) from error
