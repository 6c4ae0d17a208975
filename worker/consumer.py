"""Consumer of queue messages that returns soon after an outage of Redis."""

from functools import partial
from typing import Any

from celery.worker import consumer

_PAUSE_MAX_SECONDS = 5


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer with a short pause between tries to connect. Celery lets it grow to 30 s and has no setting."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, with tries until it works."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_max=_PAUSE_MAX_SECONDS)
        return super().ensure_connected(conn)
