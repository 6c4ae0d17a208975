"""Command line: errors of the system are one line, without a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"} | environment)


@pytest.mark.parametrize("data_dir", ["/proc/nope", "{file}"])
def test_unusable_data_directory_is_one_sentence(tmp_path: Path, data_dir: str) -> None:
    file = tmp_path / "file"
    file.touch()
    done = run("serve", UNMASK_DATA_DIR=data_dir.format(file=file))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Check the path and its permissions" in " ".join(done.stderr.split())


@pytest.mark.parametrize("name", ["missing.mp4", "folder", "text.mp4", "empty.mp4"])
def test_frames_of_what_is_no_video_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    done = run("frames", str(tmp_path / name), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
