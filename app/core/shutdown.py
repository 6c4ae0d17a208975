"""Shutdown flag that signal handlers set and loops read."""

import signal
from dataclasses import dataclass
from types import FrameType
from typing import Self


@dataclass(slots=True)
class Stop:
    """Shutdown request. Not a ``threading.Event``: setting one in a signal handler may deadlock."""

    is_requested: bool = False

    @classmethod
    def on_signals(cls) -> Self:
        """Install signal handlers and return a flag that Ctrl-C and SIGTERM set."""
        stop = cls()

        def request_stop(_number: int, _frame: FrameType | None) -> None:
            stop.is_requested = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, request_stop)
        return stop
