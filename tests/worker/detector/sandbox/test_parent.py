"""Sandbox: extraction in the child, and its crashes, hangs and limits."""

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
from worker.detector.types import ClipError

Clip = Callable[[str], Path]


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox(CONFIG, make_options())
    yield sandbox
    sandbox.close()


def ignore(_done: int, _total: int) -> None:
    pass


def test_extract_returns_crops_and_coverage(shared_sandbox: Sandbox, clip: Clip) -> None:
    with clip("speaker.mp4").open("rb") as file:
        extraction = shared_sandbox.extract(file, ignore)
    (track,) = extraction.tracks
    assert len(track.usable) == 16
    assert {crop.image.shape for crop in track.crops} == {(112, 112, 3)}
    assert extraction.coverage.frames_with_face == 16


def test_progress_is_reported_per_frame(shared_sandbox: Sandbox, clip: Clip) -> None:
    calls: list[tuple[int, int]] = []
    with clip("speaker.mp4").open("rb") as file:
        shared_sandbox.extract(file, lambda done, total: calls.append((done, total)))
    assert sorted(set(calls) - {(0, 0)}) == [(done, 16) for done in range(1, 17)]


def test_two_people_are_two_tracks(shared_sandbox: Sandbox, clip: Clip) -> None:
    with clip("two_people.mp4").open("rb") as file:
        extraction = shared_sandbox.extract(file, ignore)
    assert [len(track.crops) for track in extraction.tracks] == [16, 16]
    for track in extraction.tracks:
        centres = [crop.face.box.center[0] for crop in track.crops]
        assert max(centres) - min(centres) < 60  # the tracks are not swapped


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp exists only on Linux")
def test_child_is_confined_by_seccomp(shared_sandbox: Sandbox) -> None:
    assert {"seccomp", "limits"} <= set(shared_sandbox.start())
    assert shared_sandbox.pid is not None
    status = Path(f"/proc/{shared_sandbox.pid}/status").read_text()
    assert "Seccomp:\t2" in status  # a filter is active
    assert "NoNewPrivs:\t1" in status


def test_refused_clip_keeps_the_child(shared_sandbox: Sandbox, clip: Clip) -> None:
    shared_sandbox.start()
    before = shared_sandbox.pid
    with clip("truncated.mp4").open("rb") as file, pytest.raises(ClipError) as caught:
        shared_sandbox.extract(file, ignore)
    assert caught.value.code is FailureCode.NOT_A_VIDEO
    assert shared_sandbox.pid == before


@pytest.mark.parametrize(
    ("name", "code"),
    [("damaged.mp4", WarningCode.DECODE_PARTIAL), ("hdr.mp4", WarningCode.HIGH_DYNAMIC_RANGE), ("speaker.mp4", None)],
)
def test_limitation_of_the_result_is_a_warning(
    shared_sandbox: Sandbox, clip: Clip, name: str, code: WarningCode | None
) -> None:
    with clip(name).open("rb") as file:
        extraction = shared_sandbox.extract(file, ignore)
    assert [warning.code for warning in extraction.warnings] == ([code] if code else [])


def test_first_crash_is_retried(shared_sandbox: Sandbox, clip: Clip) -> None:
    crashed: list[int] = []

    def crash_once(_done: int, _total: int) -> None:
        if not crashed and shared_sandbox.pid:
            crashed.append(shared_sandbox.pid)
            os.kill(shared_sandbox.pid, signal.SIGSEGV)

    with clip("speaker.mp4").open("rb") as file:
        assert shared_sandbox.extract(file, crash_once).tracks
    assert crashed != [shared_sandbox.pid]


def test_second_crash_raises_decoder_crashed(shared_sandbox: Sandbox, clip: Clip) -> None:
    def crash(_done: int, _total: int) -> None:
        assert shared_sandbox.pid is not None
        os.kill(shared_sandbox.pid, signal.SIGSEGV)

    with clip("speaker.mp4").open("rb") as file, pytest.raises(ClipError) as caught:
        shared_sandbox.extract(file, crash)
    assert caught.value.code is FailureCode.DECODER_CRASHED
    with clip("speaker.mp4").open("rb") as file:
        assert shared_sandbox.extract(file, ignore).tracks


def test_hanging_child_raises_decode_timeout(clip: Clip) -> None:
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


def test_exception_of_the_callback_ends_a_hang(clip: Clip) -> None:
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


def test_child_is_replaced_after_clips_max(clip: Clip) -> None:
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


def test_too_little_memory_to_start_raises_an_error(clip: Clip) -> None:
    sandbox = Sandbox(CONFIG, make_options(memory_max_bytes=64 * 2**20))
    with clip("speaker.mp4").open("rb") as file, pytest.raises((ClipError, SandboxError)):
        sandbox.extract(file, ignore)
    sandbox.close()


def test_clip_above_the_memory_limit_raises_resource_limit(tmp_path: Path, clip: Clip) -> None:
    def huge(_seconds: float) -> clips.Image:
        return np.zeros((2304, 4096, 3), np.uint8)

    clips.encode(tmp_path / "huge.mp4", clips.film(huge, seconds=0.2))
    measured = Sandbox(CONFIG, make_options())
    measured.start()
    status = Path(f"/proc/{measured.pid}/status").read_text()
    idle_bytes = int(status.split("VmPeak:")[1].split()[0]) * 1024
    measured.close()
    sandbox = Sandbox(CONFIG, make_options(memory_max_bytes=idle_bytes + 100 * 2**20))
    with (tmp_path / "huge.mp4").open("rb") as file, pytest.raises(ClipError) as caught:
        sandbox.extract(file, ignore)
    assert caught.value.code is FailureCode.RESOURCE_LIMIT
    assert sandbox.pid is None
    with clip("short.mp4").open("rb") as file:
        assert sandbox.extract(file, ignore).coverage.frames_sampled
    sandbox.close()


def test_missing_required_layer_raises_sandbox_error(clip: Clip) -> None:
    sandbox = Sandbox(CONFIG, make_options(layers_required=frozenset({"selinux"})))
    with clip("speaker.mp4").open("rb") as file, pytest.raises(SandboxError, match="selinux"):
        sandbox.extract(file, ignore)


def test_child_dies_with_its_parent() -> None:
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
