"""Schemas of webhook endpoints, secrets and deliveries."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.core.enums import EventType, WebhookJobs, WebhookPayload
from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_TIME, LongText, Schema, Timestamp, WebUrl, example

EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=len(EventType))]

_ENDPOINT_EXAMPLE: dict[str, Any] = {
    "id": example_id(IdPrefix.WEBHOOK_ENDPOINT),
    "object": "webhook_endpoint",
    "url": "https://moderation.example.com/unmask",
    "description": "moderation queue",
    "events": ["job.succeeded", "job.failed"],
    "jobs": "all",
    "payload": "thin",
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "created_at": EXAMPLE_TIME,
}
_SECRET_EXAMPLE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="  # noqa: S105 (an example)
_CHANGES_EXAMPLE: dict[str, Any] = {"events": ["job.succeeded", "job.failed"], "payload": "full"}


class WebhookEndpointProperties(Schema):
    """Properties of an endpoint."""

    description: LongText | None = None
    events: EventTypes | None = None
    """Event types that the endpoint gets; null: all but `job.progress`."""
    jobs: WebhookJobs = WebhookJobs.ALL
    """`all`: events of all jobs; `named`: of jobs with this `webhook_url`."""
    payload: WebhookPayload = WebhookPayload.THIN
    """`thin`, or `full` with the result if it fits into 20 kB."""


class WebhookEndpointChanges(WebhookEndpointProperties):
    """Changes of an endpoint. Fields that are left out keep their value."""

    model_config = example(_CHANGES_EXAMPLE)

    enabled: bool = True
    """An endpoint that is enabled again gets later events; `:recover` delivers the failed ones."""


class WebhookEndpointRequest(WebhookEndpointProperties):
    """New endpoint."""

    model_config = example(_CHANGES_EXAMPLE | {"url": _ENDPOINT_EXAMPLE["url"]})

    url: WebUrl
    """`https://` on the public internet, unless the operator allows more."""


class WebhookEndpoint(Schema):
    """Endpoint that receives events."""

    model_config = example(_ENDPOINT_EXAMPLE)

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
    """Time since which every delivery has failed."""
    created_at: datetime


class WebhookEndpointPage(Schema):
    """Page of endpoints, oldest first."""

    model_config = example({"items": [_ENDPOINT_EXAMPLE], "next_cursor": None})

    items: list[WebhookEndpoint]
    next_cursor: str | None


class WebhookSecret(Schema):
    """Secret that a receiver verifies signatures with."""

    model_config = example({"secret": _SECRET_EXAMPLE, "previous_secret_until": None})

    secret: str
    """`whsec_...`; signs all events."""
    previous_secret_until: datetime | None
    """Time until which the previous secret signs, too."""


class WebhookEndpointWithSecret(WebhookEndpoint):
    """New endpoint with its secret."""

    model_config = example(_ENDPOINT_EXAMPLE | {"secret": _SECRET_EXAMPLE})

    secret: str


class RotateRequest(Schema):
    """Rotation of a secret."""

    model_config = example({"overlap_seconds": 86_400})

    overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 86_400
    """Time during which both secrets sign, for the rollout of the new one."""


class RecoverRequest(Schema):
    """Redelivery of failed events."""

    model_config = example({"since": EXAMPLE_TIME})

    since: Timestamp
    """Time of the first event to deliver again."""


class Recovered(Schema):
    """Number of events that are delivered again."""

    model_config = example({"events": 12})

    events: int


class WebhookEventReference(Schema):
    """Event that is due."""

    model_config = example({"id": example_id(IdPrefix.WEBHOOK_EVENT)})

    id: str
    """`webhook-id` that the receiver gets."""


class WebhookDelivery(Schema):
    """HTTP request to an endpoint."""

    event_id: str
    type: EventType
    at: datetime
    status_code: int | None
    error: str | None
    """Error if there was no answer. The body of an answer is not stored."""
    seconds: float
    next_at: datetime | None
    """Time of the next delivery of the event."""


class WebhookDeliveryPage(Schema):
    """Page of deliveries, newest first."""

    model_config = example(
        {
            "items": [
                {
                    "event_id": example_id(IdPrefix.WEBHOOK_EVENT),
                    "type": "job.succeeded",
                    "at": EXAMPLE_TIME,
                    "status_code": 204,
                    "error": None,
                    "seconds": 0.08,
                    "next_at": None,
                }
            ],
            "next_cursor": None,
        }
    )

    items: list[WebhookDelivery]
    next_cursor: str | None
