"""Supervisor of child processes: merges their logs, restarts those that exit, stops all of them at the end."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.core.shutdown import Stop

_GRACE_SECONDS = 30.0
"""Time for a child to stop before it is killed. Longer than ``drain_timeout`` of a worker."""
_POLL_SECONDS = 0.1
_CHECK_SECONDS = 1.0
_EARLY_EXIT_SECONDS = 30.0
"""Age below which the exit of a child counts as early."""
_EARLY_EXITS_MAX = 3
"""Number of consecutive early exits after which a restart will not help."""
_PR_SET_PDEATHSIG = 1


class CrashLoopError(Exception):
    """Child that exits early again and again; its log shows the reason."""


@dataclass(slots=True)
class _Child:
    name: str
    command: Sequence[str]
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    early_exits: int = 0
    restart_at: float = 0.0
    relay: threading.Thread | None = None


class Supervisor:
    """Runs child processes until a stop is requested.

    Args:
        commands: Command of each child by its name.
        environment: Environment of the children.
        stop: Request to stop.
        check: Called every second. An exception that it raises stops all children.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        environment: Mapping[str, str],
        stop: Stop,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._children = [_Child(name, command) for name, command in commands.items()]
        self._environment = dict(environment)
        self._width = max(len(name) for name in commands)
        self._stop = stop
        self._check = check

    def run(self) -> None:
        """Block until a stop is requested, then stop the children.

        Raises:
            CrashLoopError: A child exits again and again; the others are stopped.
        """
        next_check = time.monotonic()
        try:
            while not self._stop.is_requested:
                if time.monotonic() >= next_check:
                    self._check()
                    next_check = time.monotonic() + _CHECK_SECONDS
                for child in self._children:
                    self._restart_if_exited(child)
                time.sleep(_POLL_SECONDS)
        finally:
            self._stop_all()

    def _restart_if_exited(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.restart_at:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        is_early = now - child.started < _EARLY_EXIT_SECONDS
        child.early_exits = child.early_exits + 1 if is_early else 0
        child.process = None
        child.restart_at = now + 2**child.early_exits
        if child.early_exits >= _EARLY_EXITS_MAX:
            self._print_line(child.name, f"exited with code {code}")
            raise CrashLoopError(
                f"{child.name} exited {child.early_exits} times in a row. Its log above has the reason."
            )
        self._print_line(child.name, f"exited with code {code}; restarting it")

    def _start(self, child: _Child) -> None:
        child.started = time.monotonic()
        child.process = subprocess.Popen(  # noqa: S603 (own commands)
            child.command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches only the supervisor, which stops the children
            preexec_fn=terminate_with_parent,  # noqa: PLW1509 (only calls prctl)
        )
        child.relay = threading.Thread(target=self._relay_log, args=(child.name, child.process), daemon=True)
        child.relay.start()

    def _relay_log(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._print_line(name, line.rstrip())

    def _print_line(self, name: str, line: str) -> None:
        print(f"{name:<{self._width}} | {line}", flush=True)  # noqa: T201 (the merged log)

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
                child.relay.join(timeout=1)  # until the last lines are printed


def terminate_with_parent() -> None:
    """Have the kernel send SIGTERM to this child if its parent dies (prctl(2)). Used as ``preexec_fn``."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
