"""How much a key may send: sliding windows in Redis. Where Redis is away, nobody is refused."""

import time
from dataclasses import dataclass
from functools import lru_cache

from limits import parse
from limits.storage import storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from app.core.errors import QuotaExceededError
from app.core.logging import make_logger
from app.services.keys import Principal

_TIMEOUT_SECONDS = 0.25
"""Longest that a request waits for Redis."""
_PAUSE_SECONDS = 5.0
"""So long a Redis that did not answer is not asked again."""


_parse_rate = lru_cache(parse)
"""It is asked for at each request, and there are few."""


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What a key may still send."""

    is_used_up: bool
    limit: int
    remaining: int
    reset_seconds: int
    """Until the window has moved on."""

    def as_headers(self) -> dict[str, str]:
        """``RateLimit-*`` (draft-ietf-httpapi-ratelimit-headers-06)."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class RateLimiter:
    """Counts the requests, the jobs and the bytes of each key, for all API processes together."""

    def __init__(self, redis_url: str, *, rate: str, jobs_per_day: int, bytes_per_day: int) -> None:
        url = redis_url.replace("unix://", "redis+unix://", 1)  # limits' name for what redis-py calls unix
        timeouts = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}
        self._limiter = SlidingWindowCounterRateLimiter(storage_from_string(url, **timeouts))
        self._rate = rate
        self._jobs_per_day = jobs_per_day
        self._bytes_per_day = bytes_per_day
        self._away_until = 0.0
        self._log = make_logger(part="rate_limits")

    def hit(self, principal: Principal) -> RateLimitStatus | None:
        """Counts a request; None where Redis does not say how many there were."""
        return self._hit(principal.rate_limit or self._rate, "requests", principal.key_id, cost=1)

    def consume_jobs(self, principal: Principal, count: int) -> None:
        """Counts jobs that are about to be submitted. Raises QuotaExceededError."""
        self._consume(principal.jobs_per_day or self._jobs_per_day, "jobs", principal.key_id, count)

    def consume_bytes(self, principal: Principal, count: int) -> None:
        """Counts bytes that were uploaded, or are about to be. Raises QuotaExceededError."""
        self._consume(principal.bytes_per_day or self._bytes_per_day, "bytes", principal.key_id, count)

    def _consume(self, limit: int, what: str, key_id: str, count: int) -> None:
        allowance = self._hit(f"{limit}/day", what, key_id, cost=count)
        if allowance is not None and allowance.is_used_up:
            raise QuotaExceededError(
                f"This key may submit {limit} {what} a day; {allowance.remaining} are left. Try again later.",
                retry_after_seconds=allowance.reset_seconds,
            )

    def _hit(self, rate: str, what: str, key_id: str, *, cost: int) -> RateLimitStatus | None:
        if time.monotonic() < self._away_until:
            return None
        window = _parse_rate(rate)
        try:
            is_used_up = not self._limiter.hit(window, what, key_id, cost=cost)
            stats = self._limiter.get_window_stats(window, what, key_id)
        except RedisError as error:
            self._away_until = time.monotonic() + _PAUSE_SECONDS
            self._log.warning("rate_limits_off", error=str(error), seconds=_PAUSE_SECONDS)
            return None
        reset_seconds = max(int(stats.reset_time - time.time()) + 1, 1)
        return RateLimitStatus(is_used_up, window.amount, max(stats.remaining, 0), reset_seconds)
