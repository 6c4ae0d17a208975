"""Consumer: the pause between tries to connect stays short."""

from types import SimpleNamespace
from typing import Any

from worker.consumer import Consumer


def test_pause_between_tries_is_at_most_five_seconds() -> None:
    pauses: list[float] = []

    def ensure_connection(_errback: Any, _max_retries: Any, *, callback: Any, interval_max: float = 30) -> Any:
        del callback
        pauses.append(interval_max)
        return connection

    connection = SimpleNamespace(ensure_connection=ensure_connection)
    consumer = object.__new__(Consumer)
    conf = SimpleNamespace(broker_connection_retry_on_startup=True, broker_connection_retry=True)
    conf.broker_connection_max_retries = None
    consumer.app, consumer.first_connection_attempt = SimpleNamespace(conf=conf), True
    assert consumer.ensure_connected(connection) is connection
    assert pauses == [5]
