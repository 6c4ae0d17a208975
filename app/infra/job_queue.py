"""The notifier: tells the workers that a job waits. It may be lost; the sweep rings again."""

import queue
import threading
from typing import Any
from uuid import UUID

from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.core.logging import make_logger

TASK_ANALYZE = "unmask.analyze"
QUEUE_ANALYZE = "analyze"

_PUBLISH_TIMEOUT_SECONDS = 1.0


def make_celery(redis_url: str, **settings: Any) -> Celery:
    """A Celery application that only carries ids: JSON, no results, no remote control."""
    broker = redis_url.replace("unix://", "redis+socket://", 1)  # kombu's name for what redis-py calls unix
    celery = Celery("unmask", broker=broker, set_as_current=False)
    celery.conf.update(
        accept_content=["json"],
        task_default_queue=QUEUE_ANALYZE,
        task_ignore_result=True,
        task_serializer="json",
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        **settings,
    )
    return celery


class JobNotifier:
    """Rings from a thread of its own: a Redis that hangs delays nobody who calls ``ring``."""

    def __init__(self, redis_url: str) -> None:
        timeouts = {
            "socket_timeout": _PUBLISH_TIMEOUT_SECONDS,
            "socket_connect_timeout": _PUBLISH_TIMEOUT_SECONDS,
        }
        self._celery = make_celery(redis_url, broker_transport_options=timeouts)
        self._redis = Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0), **timeouts)
        self._waiting: queue.SimpleQueue[UUID | None] = queue.SimpleQueue()
        self._is_given_up = False
        self._thread = threading.Thread(target=self._relay, name="job-notifier", daemon=True)
        self._log = make_logger(part="job_notifier")

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Sends what waits, as long as Redis answers, and ends the thread."""
        self._waiting.put(None)
        self._thread.join(timeout=3 * _PUBLISH_TIMEOUT_SECONDS)
        self._is_given_up = True
        self._thread.join(timeout=3 * _PUBLISH_TIMEOUT_SECONDS)
        self._celery.close()
        self._redis.close()

    def notify(self, job_id: UUID) -> None:
        """Announces a queued job. Returns at once, whatever Redis does."""
        self._waiting.put(job_id)

    def is_reachable(self) -> bool:
        """True while Redis answers."""
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False

    def is_queue_empty(self) -> bool:
        """True where no announcement waits for a worker: then jobs that still wait must be announced again."""
        try:
            return self._redis.llen(QUEUE_ANALYZE) == 0
        except RedisError:
            return False  # Redis is away: ringing would be in vain

    def _relay(self) -> None:
        while (job_id := self._waiting.get()) is not None and not self._is_given_up:
            try:
                self._celery.send_task(TASK_ANALYZE, args=[str(job_id)], queue=QUEUE_ANALYZE, retry=False)
            except Exception as error:  # noqa: BLE001 (whatever it is, the thread must live on)
                # The job is safe in Postgres; the sweep rings again.
                self._log.warning("queue_publish_failed", job_id=str(job_id), error=str(error))
