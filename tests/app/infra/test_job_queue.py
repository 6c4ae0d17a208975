"""Job notifier: messages reach the queue, and an outage of Redis does not block the caller."""

import socket
import time
from pathlib import Path
from uuid import UUID

from redis import Redis

from app.infra.job_queue import QUEUE_ANALYZE, JobNotifier
from app.local.embedded_servers import embedded_valkey
from tests.support.waiting import wait_until

JOB = UUID(int=1)


def test_notification_reaches_the_queue(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path) as url, Redis.from_url(url) as redis:
        notifier = JobNotifier(url)
        notifier.start()
        assert notifier.is_queue_empty()
        notifier.notify(JOB)
        wait_until(lambda: redis.llen(QUEUE_ANALYZE) == 1, 5)
        assert not notifier.is_queue_empty()
        notifier.stop()


def test_notification_returns_at_once_if_redis_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unresponsive:  # accepts, never answers
        notifier = JobNotifier(f"redis://127.0.0.1:{unresponsive.getsockname()[1]}")
        notifier.start()
        start = time.monotonic()
        for _ in range(100):
            notifier.notify(JOB)
        assert time.monotonic() - start < 0.1
        assert not notifier.is_reachable()
        notifier.stop()
        assert time.monotonic() - start < 10


def test_notification_after_redis_outage_reaches_the_queue(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path) as url:
        pass
    notifier = JobNotifier(url)
    notifier.start()
    notifier.notify(JOB)
    assert not notifier.is_reachable()
    with embedded_valkey(tmp_path) as url, Redis.from_url(url) as redis:
        wait_until(redis.ping, 5)
        notifier.notify(JOB)
        wait_until(lambda: redis.llen(QUEUE_ANALYZE) >= 1, 5)
        notifier.stop()
