"""Present webhook endpoints and deliveries."""

from app.db.tables.webhooks import WebhookDelivery, WebhookEndpoint
from app.schemas import webhooks as schemas


def _view(endpoint: WebhookEndpoint) -> schemas.WebhookEndpoint:
    own = {"id", "object", "enabled"}
    same = {name: getattr(endpoint, name) for name in schemas.WebhookEndpoint.model_fields if name not in own}
    return schemas.WebhookEndpoint.model_validate(
        {"id": endpoint.public_id, "enabled": endpoint.disabled_at is None} | same
    )


def _view_secret(endpoint: WebhookEndpoint) -> schemas.WebhookSecret:
    return schemas.WebhookSecret(secret=endpoint.secret, previous_secret_until=endpoint.previous_secret_until)


def _view_delivery(delivery: WebhookDelivery) -> schemas.WebhookDelivery:
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
