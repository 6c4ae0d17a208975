"""Webhook verification: only recent messages with a valid signature are accepted."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from app.client.webhooks import WebhookError, verify_webhook
from app.core.enums import EventType

SECRET = "whsec_" + "A" * 43 + "="
BODY = '{"type": "job.succeeded", "timestamp": "2026-11-25T03:00:00+00:00", "data": {"id": "job_1"}}'


def sign(body: str = BODY, *, secret: str = SECRET, age: timedelta = timedelta(0)) -> dict[str, str]:
    at = datetime.now(UTC) - age
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("evt_1", at, body),
    }


def test_signed_message_is_parsed() -> None:
    message = verify_webhook(SECRET, sign(), BODY.encode())
    assert (message.id, message.type, message.data) == ("evt_1", EventType.JOB_SUCCEEDED, {"id": "job_1"})
    assert message.timestamp == datetime(2026, 11, 25, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (sign(), BODY.replace("job_1", "job_2")),
        (sign(secret="whsec_" + "B" * 43 + "="), BODY),
        (sign(age=timedelta(minutes=6)), BODY),
        (sign() | {"Webhook-Id": "evt_2"}, BODY),
        ({}, BODY),
        (sign("[]"), "[]"),
        (sign("no json"), "no json"),
        (sign('{"type": "job.failed", "data": {}}'), '{"type": "job.failed", "data": {}}'),
    ],
)
def test_unsigned_old_or_malformed_message_raises_webhook_error(headers: dict[str, str], body: str) -> None:
    with pytest.raises(WebhookError):
        verify_webhook(SECRET, headers, body)


def test_signed_message_with_unknown_event_type_is_parsed() -> None:
    body = BODY.replace("job.succeeded", "job.unheard_of")
    assert verify_webhook(SECRET, sign(body), body).type == "job.unheard_of"
