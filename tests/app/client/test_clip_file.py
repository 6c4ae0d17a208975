"""Clips that are sent: names that are no text, pipes, files that change meanwhile."""

import os
import threading
from pathlib import Path

import pytest

from app.client.clip_file import ClipChangedError, name_of, open_clip


def test_name_that_is_no_text_is_replaced() -> None:
    assert name_of(Path(os.fsdecode(b"clip\xff.mp4"))) == "clip\ufffd.mp4"


def test_regular_file_announces_its_length(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"abcdef")
    seen: list[int] = []
    with open_clip(tmp_path / "clip", seen.append) as file:
        assert file.seek(0, os.SEEK_END) == 6
        file.seek(0)
        assert file.read(4) + file.read() == b"abcdef"
    assert sum(seen) == 6


@pytest.mark.parametrize("change", [b"abcdefg", b"abc"])
def test_file_that_changes_while_it_is_sent_raises(tmp_path: Path, change: bytes) -> None:
    (tmp_path / "clip").write_bytes(b"abcdef")
    with open_clip(tmp_path / "clip") as file:
        file.read(2)
        (tmp_path / "clip").write_bytes(change)
        with pytest.raises(ClipChangedError):
            file.read(4)


def test_pipe_has_no_length(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"abcdef",))
    writer.start()
    with open_clip(tmp_path / "pipe") as file:
        assert not hasattr(file, "seek")
        assert b"".join(iter(lambda: file.read(4), b"")) == b"abcdef"
    writer.join()
