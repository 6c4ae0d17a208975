"""How many requests a key may send: a sliding window in Redis. Where Redis is away, nobody is refused."""

import time
from dataclasses import dataclass

from limits import parse
from limits.storage import storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from app.log import make_logger

_TIMEOUT_SECONDS = 0.25
"""Longest that a request waits for Redis."""
_PAUSE_SECONDS = 5.0
"""So long a Redis that did not answer is not asked again."""


@dataclass(frozen=True, slots=True)
class Allowance:
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
    """Counts the requests of each key, for all API processes together."""

    def __init__(self, redis_url: str, rate: str) -> None:
        url = redis_url.replace("unix://", "redis+unix://", 1)  # limits' name for what redis-py calls unix
        timeouts = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}
        self._limiter = SlidingWindowCounterRateLimiter(storage_from_string(url, **timeouts))
        self._rate = parse(rate)
        self._away_until = 0.0
        self._log = make_logger(part="rate_limits")

    def take(self, key_id: str) -> Allowance | None:
        """Counts a request; None where Redis does not say how many there were."""
        if time.monotonic() < self._away_until:
            return None
        try:
            is_used_up = not self._limiter.hit(self._rate, key_id)
            window = self._limiter.get_window_stats(self._rate, key_id)
        except RedisError as error:
            self._away_until = time.monotonic() + _PAUSE_SECONDS
            self._log.warning("rate_limits_off", error=str(error), seconds=_PAUSE_SECONDS)
            return None
        reset_seconds = max(int(window.reset_time - time.time()) + 1, 1)
        return Allowance(is_used_up, self._rate.amount, max(window.remaining, 0), reset_seconds)
