"""The wall: what comes through, what does not, and what a crash or a hang costs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from app.core.enums import FailureCode, WarningCode
from tests.support import clips
from tests.support.sandbox import CONFIG, make_options
from worker.detector.sandbox.parent import Sandbox, SandboxError
from worker.detector.sandbox.protocol import WireError, read_message
from worker.detector.types import ClipError

Clip = Callable[[str], Path]


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    sandbox = Sandbox(CONFIG, make_options())
    yield sandbox
    sandbox.close()


def ignore(_done: int, _total: int) -> None:
    pass


def test_crops_and_quality_come_back(shared: Sandbox, clip: Clip) -> None:
    with clip("speaker.mp4").open("rb") as file:
        extraction = shared.extract(file, ignore)
    (track,) = extraction.tracks
    assert len(track.usable) == 16
    assert {crop.image.shape for crop in track.crops} == {(112, 112, 3)}
    assert extraction.coverage.frames_with_face == 16


def test_progress_is_told_frame_by_frame(shared: Sandbox, clip: Clip) -> None:
    heard: list[tuple[int, int]] = []
    with clip("speaker.mp4").open("rb") as file:
        shared.extract(file, lambda done, total: heard.append((done, total)))
    assert sorted(set(heard) - {(0, 0)}) == [(done, 16) for done in range(1, 17)]


def test_two_people_are_two_tracks(shared: Sandbox, clip: Clip) -> None:
    with clip("two_people.mp4").open("rb") as file:
        extraction = shared.extract(file, ignore)
    assert [len(track.crops) for track in extraction.tracks] == [16, 16]
    for track in extraction.tracks:
        centres = [crop.face.box.center[0] for crop in track.crops]
        assert max(centres) - min(centres) < 60  # nobody changes seats


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_the_child_has_no_network(shared: Sandbox) -> None:
    assert {"seccomp", "limits"} <= set(shared.start())
    assert shared.pid is not None
    status = Path(f"/proc/{shared.pid}/status").read_text()
    assert "Seccomp:\t2" in status  # a filter is on
    assert "NoNewPrivs:\t1" in status


def test_a_refused_clip_leaves_the_child_alive(shared: Sandbox, clip: Clip) -> None:
    shared.start()
    before = shared.pid
    with clip("truncated.mp4").open("rb") as file, pytest.raises(ClipError) as caught:
        shared.extract(file, ignore)
    assert caught.value.code is FailureCode.NOT_A_VIDEO
    assert shared.pid == before


@pytest.mark.parametrize(
    ("name", "code"),
    [("damaged.mp4", WarningCode.DECODE_PARTIAL), ("hdr.mp4", WarningCode.HIGH_DYNAMIC_RANGE), ("speaker.mp4", None)],
)
def test_what_a_reader_should_know_is_a_warning(
    shared: Sandbox, clip: Clip, name: str, code: WarningCode | None
) -> None:
    with clip(name).open("rb") as file:
        extraction = shared.extract(file, ignore)
    assert [warning.code for warning in extraction.warnings] == ([code] if code else [])


def test_one_crash_is_tried_again(shared: Sandbox, clip: Clip) -> None:
    crashed: list[int] = []

    def crash_once(_done: int, _total: int) -> None:
        if not crashed and shared.pid:
            crashed.append(shared.pid)
            os.kill(shared.pid, signal.SIGSEGV)

    with clip("speaker.mp4").open("rb") as file:
        assert shared.extract(file, crash_once).tracks
    assert crashed != [shared.pid]


def test_a_clip_that_crashes_the_child_again_is_given_up(shared: Sandbox, clip: Clip) -> None:
    def crash(_done: int, _total: int) -> None:
        assert shared.pid is not None
        os.kill(shared.pid, signal.SIGSEGV)

    with clip("speaker.mp4").open("rb") as file, pytest.raises(ClipError) as caught:
        shared.extract(file, crash)
    assert caught.value.code is FailureCode.DECODER_CRASHED
    with clip("speaker.mp4").open("rb") as file:
        assert shared.extract(file, ignore).tracks


def test_a_hang_ends_at_the_timeout(clip: Clip) -> None:
    sandbox = Sandbox(CONFIG, make_options(clip_timeout_seconds=1.0))
    sandbox.start()
    stopped = sandbox.pid
    assert stopped is not None

    def stop(_done: int, _total: int) -> None:
        if sandbox.pid:
            os.kill(sandbox.pid, signal.SIGSTOP)

    with clip("speaker.mp4").open("rb") as file, pytest.raises(ClipError) as caught:
        sandbox.extract(file, stop)
    assert caught.value.code is FailureCode.DECODE_TIMEOUT
    assert not Path(f"/proc/{stopped}").exists()
    sandbox.close()


def test_the_caller_can_end_a_hang_at_once(clip: Clip) -> None:
    sandbox = Sandbox(CONFIG, make_options(clip_timeout_seconds=60.0))
    sandbox.start()
    calls = 0

    def stop(_done: int, _total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1 and sandbox.pid:
            os.kill(sandbox.pid, signal.SIGSTOP)
        if calls > 20:
            raise KeyboardInterrupt

    with clip("speaker.mp4").open("rb") as file, pytest.raises(KeyboardInterrupt):
        sandbox.extract(file, stop)
    assert sandbox.pid is None


def test_the_child_is_replaced_after_its_share_of_clips(clip: Clip) -> None:
    sandbox = Sandbox(CONFIG, make_options(clips_max=1))
    sandbox.start()
    first = sandbox.pid
    with clip("short.mp4").open("rb") as file:
        sandbox.extract(file, ignore)
    assert sandbox.pid is None
    with clip("short.mp4").open("rb") as file:
        assert sandbox.extract(file, ignore).coverage.frames_sampled
    assert not psutil.pid_exists(first or 0)
    sandbox.close()


def test_too_little_memory_is_a_resource_limit_or_a_clear_error(clip: Clip) -> None:
    sandbox = Sandbox(CONFIG, make_options(memory_max_bytes=64 * 2**20))
    with clip("speaker.mp4").open("rb") as file, pytest.raises((ClipError, SandboxError)):
        sandbox.extract(file, ignore)
    sandbox.close()


def test_a_clip_that_needs_more_memory_than_it_may_is_told_so(tmp_path: Path, clip: Clip) -> None:
    def huge(_seconds: float) -> clips.Image:
        return np.zeros((2304, 4096, 3), np.uint8)

    clips.encode(tmp_path / "huge.mp4", clips.film(huge, seconds=0.2))
    measured = Sandbox(CONFIG, make_options())
    measured.start()
    status = Path(f"/proc/{measured.pid}/status").read_text()
    idle_bytes = int(status.split("VmPeak:")[1].split()[0]) * 1024
    measured.close()
    sandbox = Sandbox(CONFIG, make_options(memory_max_bytes=idle_bytes + 80 * 2**20))
    with (tmp_path / "huge.mp4").open("rb") as file, pytest.raises(ClipError) as caught:
        sandbox.extract(file, ignore)
    assert caught.value.code is FailureCode.RESOURCE_LIMIT
    assert sandbox.pid is None
    with clip("short.mp4").open("rb") as file:
        assert sandbox.extract(file, ignore).coverage.frames_sampled
    sandbox.close()


def test_a_missing_layer_is_refused(clip: Clip) -> None:
    sandbox = Sandbox(CONFIG, make_options(layers_required=frozenset({"moat"})))
    with clip("speaker.mp4").open("rb") as file, pytest.raises(SandboxError, match="moat"):
        sandbox.extract(file, ignore)


def test_the_child_dies_with_its_parent() -> None:
    code = (
        "from worker.detector.sandbox.parent import Sandbox;"
        "from tests.support.sandbox import CONFIG, make_options;"
        "import os; sandbox = Sandbox(CONFIG, make_options()); sandbox.start();"
        "print(sandbox.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    child = Path(f"/proc/{int(parent.stdout)}")
    deadline = time.monotonic() + 5
    while child.exists() and "zombie" not in (child / "status").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or "zombie" in (child / "status").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp and Landlock are Linux's")
@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import socket; socket.socketpair()",
        "import os; os.execv('/bin/true', ['true'])",
        "import os; os.fork()",
        "import os; os.kill(os.getppid(), 0)",
        "libc.syscall(234, os.getppid(), os.getppid(), 0) and fail()",  # tgkill
        "libc.prlimit(os.getppid(), 7, None, None) and fail()",
        "libc.shmget(0, 4096, 0o1600) < 0 and fail()",
        "os.chmod('/dev/shm', 0o1777)",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 5)",
        "open('/etc/passwd').read()",
        "open('/proc/1/environ').read()",
        "open('/dev/shm/unmask-test', 'w')",
        "bytearray(4 * 2**30)",
    ],
)
def test_a_confined_process_cannot(attempt: str) -> None:
    code = (
        "from worker.detector.sandbox.confinement import confine;"
        "layers = confine(memory_max_bytes=2**30, readable=[]);"
        "assert {'seccomp', 'limits'} <= set(layers), layers;"
        "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True);"
        "fail = lambda: (_ for _ in ()).throw(PermissionError(ctypes.get_errno()));"
        f"print('confined', flush=True); {attempt}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "confined\n"
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith(("PermissionError", "MemoryError"))


def test_a_message_that_claims_to_be_giant_is_refused() -> None:
    with pytest.raises(WireError):
        read_message(lambda count: b"\xff" * count)
