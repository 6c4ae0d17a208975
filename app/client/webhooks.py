"""What a receiver of webhooks needs: is this message ours, and what does it say?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError


class WebhookError(Exception):
    """A message was not signed with this secret, is too old, or is none of ours."""


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """What a webhook said."""

    id: str
    """The same at each delivery: handle it once."""
    type: str
    """One of ``app.core.enums.EventType``, or one that a later version adds: pass over what you do not know."""
    timestamp: datetime
    data: dict[str, Any]


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes | str) -> WebhookMessage:
    """The message of a webhook (Standard Webhooks 1.0.0).

    Args:
        secret: ``whsec_...`` of the endpoint.
        headers: Of the request; names in any case.
        body: Of the request, byte for byte as it came.

    Raises:
        WebhookError: It must not be trusted.
    """
    named = {name.lower(): value for name, value in headers.items()}
    try:
        content = Webhook(secret).verify(body, named)
        return WebhookMessage(
            id=named["webhook-id"],
            type=str(content["type"]),
            timestamp=datetime.fromisoformat(content["timestamp"]),
            data=content["data"],
        )
    except (WebhookVerificationError, KeyError, TypeError, ValueError) as error:
        raise WebhookError(f"This is no message of Unmask that was signed with this secret: {error}") from error
