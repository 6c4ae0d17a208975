"""Job queue: wake-up messages to workers through Redis. A lost message only delays the work until the next sweep."""

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
TASK_IMPORT_MODEL = "unmask.import_model"
QUEUE_ANALYZE = "analyze"

_PUBLISH_TIMEOUT_SECONDS = 1.0


def make_celery(redis_url: str, **settings: Any) -> Celery:
    """Make a Celery application that only carries job ids: JSON, no results, no remote control."""
    broker = redis_url.replace("unix://", "redis+socket://", 1)  # kombu's scheme for the unix:// of redis-py
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
    """Notifies workers of queued jobs.

    Messages are sent by a thread, so that an unresponsive Redis does not block the caller. Delivery is best effort.
    """

    def __init__(self, redis_url: str) -> None:
        timeouts = {
            "socket_timeout": _PUBLISH_TIMEOUT_SECONDS,
            "socket_connect_timeout": _PUBLISH_TIMEOUT_SECONDS,
        }
        self._celery = make_celery(redis_url, broker_transport_options=timeouts)
        self._redis = Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0), **timeouts)
        self._pending: queue.SimpleQueue[tuple[str, UUID] | None] = queue.SimpleQueue()
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._relay, name="job-notifier", daemon=True)
        self._log = make_logger(part="job_notifier")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Send the pending messages while Redis answers, and end the thread."""
        self._pending.put(None)
        self._thread.join(timeout=3 * _PUBLISH_TIMEOUT_SECONDS)
        self._is_abandoned = True
        self._thread.join(timeout=3 * _PUBLISH_TIMEOUT_SECONDS)
        self._celery.close()
        self._redis.close()

    def notify(self, job_id: UUID) -> None:
        """Queue a wake-up message without blocking the caller."""
        self._pending.put((TASK_ANALYZE, job_id))

    def notify_import(self, import_id: UUID) -> None:
        """Queue a wake-up message for the import of a model."""
        self._pending.put((TASK_IMPORT_MODEL, import_id))

    def is_reachable(self) -> bool:
        """Return whether Redis answers."""
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False

    def is_queue_empty(self) -> bool:
        """Return whether Redis holds no message. If so, the messages of jobs that are still queued were lost."""
        try:
            return self._redis.llen(QUEUE_ANALYZE) == 0
        except RedisError:
            return False  # Redis does not answer: a new message would be lost, too

    def _relay(self) -> None:
        while (message := self._pending.get()) is not None and not self._is_abandoned:
            task, work_id = message
            try:
                self._celery.send_task(task, args=[str(work_id)], queue=QUEUE_ANALYZE, retry=False)
            except Exception as error:  # noqa: BLE001 (the thread must survive every error)
                # The work is stored in Postgres; the next sweep sends the message again.
                self._log.warning("queue_publish_failed", task=task, id=str(work_id), error=str(error))
