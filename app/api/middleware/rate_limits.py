"""Rate limits and quotas per key: sliding windows in Redis. While Redis is away, no request is refused."""

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
"""Maximum time that a request waits for Redis."""
_PAUSE_SECONDS = 5.0
"""Time for which Redis is not asked again after a failure."""


_parse_rate = lru_cache(parse)
"""Cached: there are few rates, and each request needs one."""


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """State of a key's limit."""

    is_exceeded: bool
    rate: str
    """As ``600/minute``."""
    limit: int
    remaining: int
    reset_seconds: int
    """Time until the window has moved."""

    def as_headers(self) -> dict[str, str]:
        """Return the ``RateLimit-*`` headers (draft-ietf-httpapi-ratelimit-headers-06)."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class RateLimiter:
    """Counts requests, jobs and bytes per key, for all API processes together."""

    def __init__(self, redis_url: str, *, rate: str, jobs_per_day: int, bytes_per_day: int) -> None:
        url = redis_url.replace("unix://", "redis+unix://", 1)  # name of the scheme in the package limits
        timeouts = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}
        self._limiter = SlidingWindowCounterRateLimiter(storage_from_string(url, **timeouts))
        self._rate = rate
        self._jobs_per_day = jobs_per_day
        self._bytes_per_day = bytes_per_day
        self._away_until = 0.0
        self._log = make_logger(part="rate_limits")

    def hit(self, principal: Principal) -> RateLimitStatus | None:
        """Count a request. Returns None if Redis does not answer."""
        return self._hit(principal.rate_limit or self._rate, "requests", principal.key_id, cost=1)

    def consume_jobs(self, principal: Principal, count: int) -> None:
        """Count jobs before they are submitted. Raises QuotaExceededError."""
        self._consume(principal.jobs_per_day or self._jobs_per_day, "jobs", principal.key_id, count)

    def consume_bytes(self, principal: Principal, count: int) -> None:
        """Count uploaded bytes. Raises QuotaExceededError."""
        self._consume(principal.bytes_per_day or self._bytes_per_day, "bytes", principal.key_id, count)

    def _consume(self, limit: int, unit: str, key_id: str, count: int) -> None:
        status = self._hit(f"{limit}/day", unit, key_id, cost=count)
        if status is not None and status.is_exceeded:
            raise QuotaExceededError(
                f"This key may submit {limit} {unit} per day; {status.remaining} are left. Try again later.",
                retry_after_seconds=status.reset_seconds,
            )

    def _hit(self, rate: str, unit: str, key_id: str, *, cost: int) -> RateLimitStatus | None:
        if time.monotonic() < self._away_until:
            return None
        window = _parse_rate(rate)
        try:
            is_exceeded = not self._limiter.hit(window, unit, key_id, cost=cost)
            stats = self._limiter.get_window_stats(window, unit, key_id)
        except RedisError as error:
            self._away_until = time.monotonic() + _PAUSE_SECONDS
            self._log.warning("rate_limits_off", error=str(error), seconds=_PAUSE_SECONDS)
            return None
        reset_seconds = max(int(stats.reset_time - time.time()) + 1, 1)
        return RateLimitStatus(is_exceeded, rate, window.amount, max(stats.remaining, 0), reset_seconds)
