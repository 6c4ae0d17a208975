"""Present webhook endpoints, secrets and deliveries."""

from uuid import UUID

from app.core.ids import IdPrefix, format_id
from app.db.tables.webhooks import WebhookDelivery, WebhookEndpoint
from app.schemas import webhooks as schemas


def present_endpoint(endpoint: WebhookEndpoint) -> schemas.WebhookEndpoint:
    """Return an endpoint as clients see it, without its secret."""
    own = {"id", "object", "enabled"}
    same = {name: getattr(endpoint, name) for name in schemas.WebhookEndpoint.model_fields if name not in own}
    return schemas.WebhookEndpoint.model_validate(
        {"id": endpoint.public_id, "enabled": endpoint.disabled_at is None} | same
    )


def present_new_endpoint(endpoint: WebhookEndpoint) -> schemas.WebhookEndpointWithSecret:
    """Return a new endpoint with its secret."""
    return schemas.WebhookEndpointWithSecret(**present_endpoint(endpoint).model_dump(), secret=endpoint.secret)


def present_secret(endpoint: WebhookEndpoint) -> schemas.WebhookSecret:
    """Return the secret of an endpoint."""
    return schemas.WebhookSecret(secret=endpoint.secret, previous_secret_until=endpoint.previous_secret_until)


def present_event(event_id: UUID) -> schemas.WebhookEventReference:
    """Return a reference to an event that is due."""
    return schemas.WebhookEventReference(id=format_id(IdPrefix.WEBHOOK_EVENT, event_id))


def present_delivery(delivery: WebhookDelivery) -> schemas.WebhookDelivery:
    """Return a delivery as clients see it."""
    event = delivery.event
    return schemas.WebhookDelivery(
        event_id=event.public_id,
        type=event.type,
        at=delivery.at,
        status_code=delivery.status_code,
        error=delivery.error,
        seconds=delivery.seconds,
        next_at=event.next_at,
    )
