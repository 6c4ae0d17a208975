"""Extraction for training: the same crops as the service's, and a list of what failed."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from training.__main__ import _commands
from worker.detector.config import DetectorConfig
from worker.detector.sandbox import Sandbox, SandboxOptions

Clip = Callable[[str], Path]


@pytest.fixture
def videos(tmp_path: Path, clip: Clip) -> Path:
    for label, name in [("real", "portrait.mp4"), ("fake", "two_people.mp4"), ("fake", "no_face.mp4")]:
        folder = tmp_path / "videos" / label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip(name), folder / name)
    (tmp_path / "videos" / "fake" / "notes.txt").write_text("not a video")
    return tmp_path / "videos"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_crops_are_those_of_the_service_and_failures_are_listed(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(_commands, ["extract", str(videos), str(out)])
    assert done.exit_code == 0, done.output
    rows = read(out / "manifest.csv")
    labels = [row["label"] for row in rows]
    assert (labels.count("0"), labels.count("1")) == (16, 32)
    failures = {row["clip"]: row["code"] for row in read(out / "failures.csv")}
    assert failures == {"fake/no_face.mp4": "no_face", "fake/notes.txt": "not_a_video"}

    sandbox = Sandbox(DetectorConfig(), SandboxOptions())
    with (videos / "real" / "portrait.mp4").open("rb") as file:
        (track,) = sandbox.extract(file, lambda _done, _total: None).tracks
    sandbox.close()
    for row, crop in zip([row for row in rows if row["label"] == "0"], track.usable, strict=True):
        saved = cv2.imread(str(out / row["path"]))
        assert saved is not None
        assert np.array_equal(saved[..., ::-1], crop.image)
        assert float(row["pts_seconds"]) == crop.pts_seconds


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(_commands, ["extract", str(tmp_path), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "'real' or 'fake'" in done.output
