"""Python SDK of the API: ``Client`` (blocking), ``AsyncClient`` (asyncio), ``verify_webhook`` for webhook receivers."""

from app.client.async_client import AsyncClient
from app.client.client import Client
from app.client.errors import ApiError, StillRunningError, UnreachableError
from app.client.webhooks import WebhookError, WebhookMessage, verify_webhook

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "StillRunningError",
    "UnreachableError",
    "WebhookError",
    "WebhookMessage",
    "verify_webhook",
]
