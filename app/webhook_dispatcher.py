"""Process that signs webhook events, delivers them and records the results.

It needs only Postgres, so deliveries continue during an outage of Redis. It is separate from the workers, so that
receivers cannot delay jobs. Signatures follow Standard Webhooks 1.0.0.
"""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import UUID

import httpcore
from sqlalchemy.orm import Session, sessionmaker
from standardwebhooks import Webhook

from app.core.ids import IdPrefix, format_id
from app.core.logging import configure_logging, make_logger
from app.core.settings import Settings, require_settings
from app.core.shutdown import Stop
from app.db.engine import make_engine, make_sessions
from app.infra.egress import EgressPolicy, EgressRefusedError, find_header, send_request
from app.services import webhook_deliveries
from app.services.webhook_deliveries import DeliveryRequest, DeliveryResult, RetryPolicy

_POLL_SECONDS = 0.5
"""Interval at which the dispatcher queries due events."""
_LEASE_MARGIN = timedelta(seconds=10)
"""Time in addition to the request timeout before another dispatcher may claim the event."""
_ERROR_CHARACTERS_MAX = 200
"""Maximum length of a stored error."""


class WebhookDispatcher:
    """Delivers due events with a pool of threads, of which each endpoint gets a limited share."""

    def __init__(self, sessions: sessionmaker[Session], egress: EgressPolicy, settings: Settings) -> None:
        self._sessions = sessions
        self._egress = egress
        self._settings = settings
        self._policy = RetryPolicy(settings.webhook_retry_delays, settings.webhook_disable_after)
        self._lock = threading.Lock()
        self._busy: Counter[UUID] = Counter()
        self._thread_freed = threading.Event()
        self._pool = ThreadPoolExecutor(settings.webhook_concurrency, thread_name_prefix="webhook-dispatcher")
        self._log = make_logger(part="webhook_dispatcher")

    def run(self, stop: Stop) -> None:
        """Deliver until a stop is requested; deliveries in progress are completed."""
        while not stop.is_requested:
            try:
                has_more = self.deliver_due()
            except Exception as error:  # noqa: BLE001 (the next query may succeed)
                self._log.warning("claim_failed", error=str(error))
                has_more = False
            if not has_more:
                self._thread_freed.wait(_POLL_SECONDS)
                self._thread_freed.clear()
        self._pool.shutdown()

    def deliver_due(self) -> bool:
        """Start deliveries on all free threads. Returns True if more events may be due."""
        settings = self._settings
        with self._lock:
            free = settings.webhook_concurrency - self._busy.total()
            busy = dict(self._busy)
        if free <= 0:
            return False
        with self._sessions() as session:
            deliveries = webhook_deliveries.claim_deliveries(
                session,
                lease=settings.webhook_timeout + _LEASE_MARGIN,
                limit=free,
                per_endpoint=settings.webhook_endpoint_concurrency,
                busy=busy,
            )
        with self._lock:
            self._busy.update(delivery.endpoint_id for delivery in deliveries)
        for delivery in deliveries:
            self._pool.submit(self._deliver, delivery)
        return bool(deliveries)

    def is_busy(self) -> bool:
        """Return whether a delivery is in progress."""
        with self._lock:
            return self._busy.total() > 0

    def _deliver(self, delivery: DeliveryRequest) -> None:
        try:
            result = deliver(delivery, self._egress, timeout=self._settings.webhook_timeout)
            with self._sessions() as session:
                is_disabled = webhook_deliveries.record_delivery(session, delivery, result, self._policy)
            fields = {"event_id": delivery.message_id, "status": result.status_code, "error": result.error}
            self._log.info("webhook_delivered" if result.is_delivered else "webhook_failed", **fields)
            if is_disabled:
                endpoint_id = format_id(IdPrefix.WEBHOOK_ENDPOINT, delivery.endpoint_id)
                self._log.warning("webhook_endpoint_disabled", endpoint_id=endpoint_id)
        except Exception as error:  # noqa: BLE001 (the event is due again after its claim expires)
            self._log.warning("webhook_not_recorded", event_id=delivery.message_id, error=str(error))
        finally:
            with self._lock:
                self._busy[delivery.endpoint_id] -= 1
                self._busy += Counter()  # removes zero counts
            self._thread_freed.set()


def deliver(delivery: DeliveryRequest, egress: EgressPolicy, *, timeout: timedelta) -> DeliveryResult:
    """Sign and send an event. The response body is discarded, never stored or returned to the tenant."""
    now = datetime.now(UTC)
    signatures = [Webhook(secret).sign(delivery.message_id, now, delivery.body) for secret in delivery.secrets]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Unmask-Webhooks/1",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    start = time.monotonic()

    def elapsed_seconds() -> float:
        return round(time.monotonic() - start, 3)

    try:
        with send_request(
            egress, "POST", delivery.url, headers=headers, content=delivery.body.encode(), timeout=timeout
        ) as response:
            retry_after = _parse_retry_after(response, now)
            return DeliveryResult(response.status, retry_after=retry_after, seconds=elapsed_seconds())
    except EgressRefusedError as error:
        return DeliveryResult(error=str(error), seconds=elapsed_seconds())
    except Exception as error:  # noqa: BLE001 (an unrecorded failure would be retried without end)
        message = f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS_MAX]
        return DeliveryResult(error=message, seconds=elapsed_seconds())


def _parse_retry_after(response: httpcore.Response, now: datetime) -> timedelta | None:
    """Parse ``Retry-After``, a number of seconds or a date (RFC 9110, 10.2.3)."""
    value = find_header(response, b"retry-after").decode("latin-1")
    if value.isdecimal():
        return timedelta(seconds=min(int(value[:6]), 86_400))
    try:
        return max(parsedate_to_datetime(value) - now, timedelta(0))
    except (TypeError, ValueError):
        return None


def run_dispatcher(settings: Settings) -> None:
    """Run the process until SIGINT or SIGTERM. Raises MissingSettingError."""
    (database_url,) = require_settings(settings, "database_url")
    configure_logging(log_format=settings.log_format, level=settings.log_level)
    stop = Stop.on_signals()
    engine = make_engine(database_url, pool_size=settings.webhook_concurrency + 1)
    make_logger(part="webhook_dispatcher").info("webhook_dispatcher_ready")
    WebhookDispatcher(make_sessions(engine), EgressPolicy(settings.egress_allow), settings).run(stop)
    engine.dispose()
