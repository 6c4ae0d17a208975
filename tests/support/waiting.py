"""Wait for a condition, with a timeout."""

import time
from collections.abc import Callable
from typing import Any


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Return the value of the condition as soon as it is true. Raises AssertionError after the timeout."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true after {seconds} seconds")
        time.sleep(0.02)
    return value
