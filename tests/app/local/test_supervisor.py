"""Supervisor: restarts killed children, ends on a crash loop, leaves no process behind."""

import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from app.core.shutdown import Stop
from app.local.supervisor import CrashLoopError, Supervisor
from tests.support.waiting import wait_until


def python_command(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run_in_thread(supervisor: Supervisor) -> threading.Thread:
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    return thread


def wait_for_lines(path: Path, count: int) -> list[str]:
    def lines() -> list[str] | None:
        found = path.read_text().split() if path.exists() else []
        return found if len(found) >= count else None

    found: list[str] = wait_until(lines, 20)
    return found


def test_killed_child_is_restarted(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    stop = Stop()
    supervisor = Supervisor({"child": python_command(code)}, os.environ, stop)
    thread = run_in_thread(supervisor)
    first = int(wait_for_lines(pids, 1)[0])
    os.kill(first, signal.SIGKILL)
    second = int(wait_for_lines(pids, 2)[1])
    stop.is_requested = True
    thread.join(10)
    assert first != second
    assert not psutil.pid_exists(second)


def test_crash_loop_of_one_child_stops_all_children(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pids = tmp_path / "pids"
    code = f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    supervisor = Supervisor(
        {"good": python_command(code), "bad": python_command("print('no such port'); exit(5)")}, os.environ, Stop()
    )
    with pytest.raises(CrashLoopError, match="bad"):
        supervisor.run()
    assert not psutil.pid_exists(int(wait_for_lines(pids, 1)[0]))
    assert "bad  | no such port" in capsys.readouterr().out
