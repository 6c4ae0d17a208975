"""Routes of webhook endpoints, events and deliveries."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body, Query

from app.api.dependencies import PageQuery, ResourcesDep, SessionDep, WebhookWriter
from app.api.openapi import COMMON_ERRORS, problems
from app.api.pagination import BIG_INTEGER, cut_page, decode_position, decode_uuid
from app.api.path_ids import EndpointId, EventId
from app.api.presenters.webhooks import (
    present_delivery,
    present_endpoint,
    present_event,
    present_new_endpoint,
    present_secret,
)
from app.schemas import webhooks as schemas
from app.services import webhooks

endpoints_router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"], responses=COMMON_ERRORS)
events_router = APIRouter(prefix="/v1/webhook-events", tags=["webhooks"], responses=COMMON_ERRORS)

RotateBody = Annotated[schemas.RotateRequest, Body(default_factory=schemas.RotateRequest)]
"""Body that may be empty."""


@endpoints_router.post("", status_code=201, summary="Create a webhook endpoint", responses=problems(409))
def create_endpoint(
    session: SessionDep, resources: ResourcesDep, writer: WebhookWriter, body: schemas.WebhookEndpointRequest
) -> schemas.WebhookEndpointWithSecret:
    """Create an endpoint. Its events are signed (Standard Webhooks 1.0.0); the answer contains the secret."""
    endpoint = webhooks.create_endpoint(session, resources.egress, tenant=writer.tenant, request=body)
    return present_new_endpoint(endpoint)


@endpoints_router.get("", summary="List webhook endpoints")
def list_endpoints(
    session: SessionDep, writer: WebhookWriter, query: Annotated[PageQuery, Query()]
) -> schemas.WebhookEndpointPage:
    """List all endpoints, including those that jobs named by `webhook_url`."""
    after = decode_uuid(query.cursor)
    rows = webhooks.list_endpoints(session, tenant=writer.tenant, after=after, limit=query.limit + 1)
    page, cursor = cut_page(rows, lambda endpoint: endpoint.id, limit=query.limit)
    return schemas.WebhookEndpointPage(items=[present_endpoint(endpoint) for endpoint in page], next_cursor=cursor)


@endpoints_router.get("/{endpoint_id}", summary="Get a webhook endpoint", responses=problems(404))
def get_endpoint(session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId) -> schemas.WebhookEndpoint:
    """Get an endpoint, with the time since which it fails."""
    return present_endpoint(webhooks.get_endpoint(session, endpoint_id, tenant=writer.tenant))


@endpoints_router.patch("/{endpoint_id}", summary="Change a webhook endpoint", responses=problems(404))
def update_endpoint(
    session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId, body: schemas.WebhookEndpointChanges
) -> schemas.WebhookEndpoint:
    """Change the fields in the body. The URL cannot change: create another endpoint for another receiver."""
    return present_endpoint(webhooks.update_endpoint(session, endpoint_id, tenant=writer.tenant, changes=body))


@endpoints_router.delete(
    "/{endpoint_id}", status_code=204, summary="Delete a webhook endpoint", responses=problems(404)
)
def delete_endpoint(session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId) -> None:
    """Delete an endpoint with its deliveries. Events that are due are not sent."""
    webhooks.delete_endpoint(session, endpoint_id, tenant=writer.tenant)


@endpoints_router.get("/{endpoint_id}/secret", summary="Get the signing secret", responses=problems(404))
def get_secret(session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId) -> schemas.WebhookSecret:
    """Get the secret, for example of an endpoint that a job named. Recorded in the audit log."""
    return present_secret(webhooks.get_secret(session, endpoint_id, tenant=writer.tenant))


@endpoints_router.post("/{endpoint_id}:rotate-secret", summary="Rotate the signing secret", responses=problems(404))
def rotate_secret(
    session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId, body: RotateBody
) -> schemas.WebhookSecret:
    """Replace the secret at once. The old one continues to sign for `overlap_seconds`."""
    overlap = timedelta(seconds=body.overlap_seconds)
    return present_secret(webhooks.rotate_secret(session, endpoint_id, tenant=writer.tenant, overlap=overlap))


@endpoints_router.post(
    "/{endpoint_id}:test", status_code=202, summary="Send a test event", responses=problems(404, 409)
)
def send_test(session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId) -> schemas.WebhookEventReference:
    """Send `webhook.test`. The list of deliveries shows its result."""
    event = webhooks.send_test(session, endpoint_id, tenant=writer.tenant)
    return present_event(event.id)


@endpoints_router.post("/{endpoint_id}:recover", summary="Redeliver failed events", responses=problems(404, 409))
def redeliver_failed(
    session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId, body: schemas.RecoverRequest
) -> schemas.Recovered:
    """Send all events again that failed since a time, with their old ids."""
    return schemas.Recovered(
        events=webhooks.redeliver_failed(session, endpoint_id, tenant=writer.tenant, since=body.since)
    )


@endpoints_router.get("/{endpoint_id}/deliveries", summary="List deliveries", responses=problems(404))
def list_deliveries(
    session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId, query: Annotated[PageQuery, Query()]
) -> schemas.WebhookDeliveryPage:
    """List each request to the endpoint, newest first."""
    before = decode_position(query.cursor, below=BIG_INTEGER)
    rows = webhooks.list_deliveries(session, endpoint_id, tenant=writer.tenant, before=before, limit=query.limit + 1)
    page, cursor = cut_page(rows, lambda delivery: delivery.id, limit=query.limit)
    return schemas.WebhookDeliveryPage(items=[present_delivery(row) for row in page], next_cursor=cursor)


@events_router.post("/{event_id}:replay", status_code=202, summary="Replay an event", responses=problems(404, 409, 410))
def replay_event(session: SessionDep, writer: WebhookWriter, event_id: EventId) -> schemas.WebhookEventReference:
    """Send an event again with its old id, even if it was delivered before."""
    webhooks.replay_event(session, event_id, tenant=writer.tenant)
    return present_event(event_id)
