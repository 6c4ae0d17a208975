"""The routes of webhooks: signatures; the work is in services."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from app.api import openapi
from app.api.dependencies import PageQuery, ResourcesDep, SessionDep, WebhookWriter
from app.api.pagination import BIG_INTEGER, cut_page, decode_position, decode_uuid
from app.api.path_ids import EndpointId, EventId
from app.api.presenters.webhooks import _view, _view_delivery, _view_secret
from app.schemas import webhooks as schemas
from app.services import webhooks

_NOT_FOUND = openapi.problems(404)
_NOT_NOW = openapi.problems(404, 409)
endpoints = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"], responses=openapi.COMMON_ERRORS)
events = APIRouter(prefix="/v1/webhook-events", tags=["webhooks"], responses=openapi.COMMON_ERRORS)


@endpoints.post("", status_code=201, summary="Register a webhook endpoint", responses=openapi.problems(409))
def create_endpoint(
    session: SessionDep, resources: ResourcesDep, writer: WebhookWriter, body: schemas.WebhookEndpointRequest
) -> schemas.WebhookEndpointWithSecret:
    """Events are signed as Standard Webhooks 1.0.0 has it; the answer has the secret to verify them with."""
    endpoint = webhooks.create_endpoint(session, resources.egress, tenant=writer.tenant, **body.model_dump())
    return schemas.WebhookEndpointWithSecret(**_view(endpoint).model_dump(), secret=endpoint.secret)


@endpoints.get("", summary="List webhook endpoints")
def list_endpoints(
    session: SessionDep, writer: WebhookWriter, query: Annotated[PageQuery, Query()]
) -> schemas.WebhookEndpointPage:
    """Also those that jobs named by `webhook_url`."""
    after = decode_uuid(query.cursor)
    rows = webhooks.list_endpoints(session, tenant=writer.tenant, after=after, limit=query.limit + 1)
    page, cursor = cut_page(rows, lambda endpoint: endpoint.id, limit=query.limit)
    return schemas.WebhookEndpointPage(items=[_view(endpoint) for endpoint in page], next_cursor=cursor)


@endpoints.get("/{endpoint_id}", summary="Read a webhook endpoint", responses=_NOT_FOUND)
def get_endpoint(session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId) -> schemas.WebhookEndpoint:
    """The endpoint, and since when it fails if it does."""
    return _view(webhooks.get_endpoint(session, endpoint_id, tenant=writer.tenant))


@endpoints.patch("/{endpoint_id}", summary="Change a webhook endpoint", responses=_NOT_FOUND)
def update_endpoint(
    session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId, body: schemas.WebhookEndpointChanges
) -> schemas.WebhookEndpoint:
    """Changes what the body names. The URL stays: register another endpoint for another receiver."""
    changes = body.model_dump(exclude_unset=True)
    enabled = changes.pop("enabled", None)
    changed = webhooks.update_endpoint(session, endpoint_id, tenant=writer.tenant, enabled=enabled, changes=changes)
    return _view(changed)


@endpoints.delete("/{endpoint_id}", status_code=204, summary="Delete a webhook endpoint", responses=_NOT_FOUND)
def delete_endpoint(session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId) -> None:
    """Removes it with its log; what was due is not sent."""
    webhooks.delete_endpoint(session, endpoint_id, tenant=writer.tenant)


@endpoints.get("/{endpoint_id}/secret", summary="Read the secret", responses=_NOT_FOUND)
def get_secret(session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId) -> schemas.WebhookSecret:
    """For endpoints that a job named, whose registration had no answer to show it in."""
    return _view_secret(webhooks.read_secret(session, endpoint_id, tenant=writer.tenant))


@endpoints.post("/{endpoint_id}:rotate-secret", summary="Replace the secret", responses=_NOT_FOUND)
def rotate_secret(
    session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId, body: schemas.RotateRequest
) -> schemas.WebhookSecret:
    """The new secret signs at once; the old one goes on signing for `overlap_seconds`."""
    overlap = timedelta(seconds=body.overlap_seconds)
    return _view_secret(webhooks.rotate_secret(session, endpoint_id, tenant=writer.tenant, overlap=overlap))


@endpoints.post("/{endpoint_id}:test", status_code=202, summary="Send a test event", responses=_NOT_NOW)
def send_test(session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId) -> schemas.WebhookEventReference:
    """Sends `webhook.test`; the log of deliveries says what came of it."""
    event = webhooks.send_test(session, endpoint_id, tenant=writer.tenant)
    return schemas.WebhookEventReference(id=event.public_id)


@endpoints.post("/{endpoint_id}:recover", summary="Deliver what was given up", responses=_NOT_NOW)
def recover(
    session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId, body: schemas.RecoverRequest
) -> schemas.Recovered:
    """Sends all events since a time that could not be delivered, under their old ids."""
    return schemas.Recovered(events=webhooks.recover(session, endpoint_id, tenant=writer.tenant, since=body.since))


@endpoints.get("/{endpoint_id}/deliveries", summary="Read the log of deliveries", responses=_NOT_FOUND)
def list_deliveries(
    session: SessionDep, writer: WebhookWriter, endpoint_id: EndpointId, query: Annotated[PageQuery, Query()]
) -> schemas.WebhookDeliveryPage:
    """Each request that was sent, newest first."""
    before = decode_position(query.cursor, below=BIG_INTEGER)
    rows = webhooks.list_deliveries(session, endpoint_id, tenant=writer.tenant, before=before, limit=query.limit + 1)
    page, cursor = cut_page(rows, lambda delivery: delivery.id, limit=query.limit)
    return schemas.WebhookDeliveryPage(items=[_view_delivery(row) for row in page], next_cursor=cursor)


@events.post("/{event_id}:replay", status_code=202, summary="Deliver an event again", responses=_NOT_NOW)
def replay_event(session: SessionDep, writer: WebhookWriter, event_id: EventId) -> schemas.WebhookEventReference:
    """Sends it under its old id, whether it arrived before or not."""
    webhooks.replay_event(session, event_id, tenant=writer.tenant)
    return schemas.WebhookEventReference(id=f"evt_{event_id.hex}")
