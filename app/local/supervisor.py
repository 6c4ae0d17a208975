"""Runs child processes: merges their logs, restarts those that die, stops all of them in the end."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.shutdown import Stop

_GRACE_SECONDS = 30.0
"""How long a child may take to stop before it is killed; longer than a worker's drain."""
_POLL_SECONDS = 0.1
_QUICK_SECONDS = 30.0
_QUICK_DEATHS_MAX = 3
"""A child that dies so often within seconds of its start will not get better by itself."""
_PR_SET_PDEATHSIG = 1


class ChildKeepsDyingError(Exception):
    """A child died again and again; its log says why."""


@dataclass(slots=True)
class _Child:
    name: str
    command: Sequence[str]
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    quick_deaths: int = 0
    restart_at: float = 0.0
    relay: threading.Thread | None = None


class Supervisor:
    """Keeps children alive until it is asked to stop."""

    def __init__(self, commands: Mapping[str, Sequence[str]], environment: Mapping[str, str], stop: Stop) -> None:
        self._children = [_Child(name, command) for name, command in commands.items()]
        self._environment = dict(environment)
        self._width = max(len(name) for name in commands)
        self._stop = stop

    def run(self) -> None:
        """Blocks until a stop is requested, then stops the children.

        Raises:
            ChildKeepsDyingError: A child does not stay up; the others are stopped.
        """
        try:
            while not self._stop.is_requested:
                for child in self._children:
                    self._supervise(child)
                time.sleep(_POLL_SECONDS)
        finally:
            self._stop_all()

    def _supervise(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.restart_at:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        is_quick = now - child.started < _QUICK_SECONDS
        child.quick_deaths = child.quick_deaths + 1 if is_quick else 0
        child.process = None
        child.restart_at = now + 2**child.quick_deaths
        self._say(child.name, f"ended with {code}; starting it again")
        if child.quick_deaths >= _QUICK_DEATHS_MAX:
            raise ChildKeepsDyingError(f"{child.name} does not stay up; its log above says why.")

    def _start(self, child: _Child) -> None:
        child.started = time.monotonic()
        child.process = subprocess.Popen(  # noqa: S603 (our own commands)
            child.command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us; we stop the children in order
            preexec_fn=end_with_parent,  # noqa: PLW1509 (only calls prctl)
        )
        child.relay = threading.Thread(target=self._relay, args=(child.name, child.process), daemon=True)
        child.relay.start()

    def _relay(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._say(name, line.rstrip())

    def _say(self, name: str, line: str) -> None:
        print(f"{name:<{self._width}} | {line}", flush=True)  # noqa: T201 (the log of all children)

    def _stop_all(self) -> None:
        running = [child.process for child in self._children if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in running:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for child in self._children:
            if child.relay is not None:
                child.relay.join(timeout=1)  # the last words


def end_with_parent() -> None:
    """Should we be killed, the kernel has the child stop too (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
