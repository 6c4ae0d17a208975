"""The doorbell: nobody who rings waits for Redis."""

import socket
import time
from pathlib import Path
from uuid import UUID

from redis import Redis

from app.infra.job_queue import QUEUE_ANALYZE, Doorbell
from app.local.embedded_servers import embedded_valkey
from tests.waiting import wait_until

JOB = UUID(int=1)


def test_a_ring_reaches_the_queue(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path) as url, Redis.from_url(url) as redis:
        doorbell = Doorbell(url)
        doorbell.start()
        assert doorbell.is_silent()
        doorbell.ring(JOB)
        wait_until(lambda: redis.llen(QUEUE_ANALYZE) == 1, 5)
        assert not doorbell.is_silent()
        doorbell.stop()


def test_ringing_returns_at_once_where_redis_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:  # accepts, never answers
        doorbell = Doorbell(f"redis://127.0.0.1:{hung.getsockname()[1]}")
        doorbell.start()
        start = time.monotonic()
        for _ in range(100):
            doorbell.ring(JOB)
        assert time.monotonic() - start < 0.1
        assert not doorbell.is_reachable()
        doorbell.stop()
        assert time.monotonic() - start < 10


def test_the_thread_survives_an_absence_of_redis(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path) as url:
        pass
    doorbell = Doorbell(url)
    doorbell.start()
    doorbell.ring(JOB)
    assert not doorbell.is_reachable()
    with embedded_valkey(tmp_path) as url, Redis.from_url(url) as redis:
        wait_until(redis.ping, 5)
        doorbell.ring(JOB)
        wait_until(lambda: redis.llen(QUEUE_ANALYZE) >= 1, 5)
        doorbell.stop()
