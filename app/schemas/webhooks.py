"""What goes over the wire about webhooks: endpoints, their secrets, the log of deliveries."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.core.enums import EventType, WebhookJobs, WebhookPayload
from app.schemas.base import LongText, Schema, Timestamp, WebUrl

EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=len(EventType))]


class WebhookEndpointProperties(Schema):
    """What the owner of an endpoint decides."""

    description: LongText | None = None
    events: EventTypes | None = None
    """Which types it gets; null: all."""
    jobs: WebhookJobs = WebhookJobs.ALL
    """Whose events: of `all` jobs, or of those that are `named` by their `webhook_url`."""
    payload: WebhookPayload = WebhookPayload.THIN
    """`thin`, or `full` with the result where it fits into 20 kB."""


class WebhookEndpointChanges(WebhookEndpointProperties):
    """What can be changed of an endpoint; what is left out stays as it is."""

    enabled: bool = True
    """An endpoint that is enabled again gets what happens from now on; `:recover` brings back the rest."""


class WebhookEndpointRequest(WebhookEndpointProperties):
    """A new endpoint."""

    url: WebUrl
    """`https://`, on the public internet unless the operator allows more."""


class WebhookEndpoint(Schema):
    """Where a tenant is told of its jobs."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    url: str
    description: str | None
    events: list[EventType] | None
    jobs: WebhookJobs
    payload: WebhookPayload
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    """Since when no delivery has worked."""
    created_at: datetime


class WebhookEndpointPage(Schema):
    """The endpoints of a tenant, the oldest first."""

    items: list[WebhookEndpoint]
    next_cursor: str | None


class WebhookSecret(Schema):
    """What a receiver verifies signatures with."""

    secret: str
    """`whsec_...`; signs everything from now on."""
    previous_secret_until: datetime | None
    """Until then the secret before it signs, too."""


class WebhookEndpointWithSecret(WebhookEndpoint):
    """A new endpoint."""

    secret: str


class RotateRequest(Schema):
    """How a secret is replaced."""

    overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 86_400
    """So long both secrets sign: time to roll out the new one."""


class RecoverRequest(Schema):
    """What is delivered again."""

    since: Timestamp
    """Events from then on that were given up."""


class Recovered(Schema):
    """How many events are due now."""

    events: int


class WebhookEventReference(Schema):
    """An event that is due."""

    id: str
    """The `webhook-id` that the receiver will see."""


class WebhookDelivery(Schema):
    """One request to an endpoint."""

    event_id: str
    type: EventType
    at: datetime
    status_code: int | None
    error: str | None
    """Why there was no answer. What the receiver answered is not kept."""
    seconds: float
    next_at: datetime | None
    """When the event is sent again."""


class WebhookDeliveryPage(Schema):
    """Deliveries, newest first."""

    items: list[WebhookDelivery]
    next_cursor: str | None
