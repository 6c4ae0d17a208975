"""Pictures of what is sampled."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.clips import encode, film, speaker
from worker.frames import CONTACT_SHEET_NAME, FramesError, write_frames
from worker.settings import WorkerSettings


def test_sampled_frames_are_written_with_boxes_and_a_contact_sheet(clip: Callable[[str], Path], tmp_path: Path) -> None:
    extraction, count = write_frames(clip("speaker.mp4"), tmp_path / "out", WorkerSettings(_env_file=None))
    assert (count, extraction.coverage.frames_with_face) == (16, 16)
    paths = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert (paths[0], len(paths), paths[-1]) == ("00000.000.jpg", 17, CONTACT_SHEET_NAME)
    picture = cv2.imread(str(tmp_path / "out" / paths[0]))
    sheet = cv2.imread(str(tmp_path / "out" / CONTACT_SHEET_NAME))
    assert picture is not None
    assert sheet is not None
    assert (picture.shape, sheet.shape) == ((480, 640, 3), (2 * 180, 8 * 240, 3))
    is_green = (picture[..., 1] > 180) & (picture[..., 0] < 90) & (picture[..., 2] < 90)
    assert is_green.sum() > 500  # the box


def test_folder_with_files_is_refused(clip: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "other.jpg").touch()
    with pytest.raises(FramesError, match="not empty"):
        write_frames(clip("speaker.mp4"), tmp_path, WorkerSettings(_env_file=None))


def test_turned_clip_has_each_frame_once(tmp_path: Path) -> None:
    sideways = tmp_path / "clip.mp4"
    encode(sideways, ((number, np.rot90(image)) for number, image in film(speaker, seconds=2)))
    _, count = write_frames(sideways, tmp_path / "out", WorkerSettings(_env_file=None))
    pictures = sorted((tmp_path / "out").glob("0*.jpg"))
    assert len(pictures) == count == 16
    picture = cv2.imread(str(pictures[0]))
    assert picture is not None
    assert picture.shape == (480, 640, 3)
