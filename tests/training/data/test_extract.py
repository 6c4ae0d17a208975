"""Extraction: many clips, each told what became of it, and a run that goes on where it was interrupted."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.__main__ import _commands
from training.data.extract import take_shard
from training.data.layouts import find_clips
from training.data.manifest import ManifestError

Clip = Callable[[str], Path]


@pytest.fixture
def videos(tmp_path: Path, clip: Clip) -> Path:
    for label, name in [("real", "speaker.mp4"), ("fake", "self_blended.mp4"), ("fake", "no_face.mp4")]:
        folder = tmp_path / "videos" / label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip(name), folder / name)
    (tmp_path / "videos" / "fake" / "broken.mp4").write_text("not a video")
    return tmp_path / "videos"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(*arguments: object) -> str:
    done = CliRunner().invoke(_commands, ["extract", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_crops_and_failures_are_listed_and_a_second_run_does_only_what_is_missing(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(videos, out, "--shard", "1/2", "--processes", 1)
    halfway = {path: path.stat().st_mtime_ns for path in (out / "records").iterdir()}
    assert len(halfway) == 2
    assert "32 crops; 2 clips" in run(videos, out, "--processes", 2)
    assert {path: path.stat().st_mtime_ns for path in halfway} == halfway

    rows = read(out / "manifest.csv")
    assert sorted(row["label"] for row in rows) == ["0"] * 16 + ["1"] * 16
    assert {row["dataset"] for row in rows} == {"videos"}
    assert all((out / row["path"]).exists() for row in rows)
    failures = {Path(row["clip"]).name: row["code"] for row in read(out / "failures.csv")}
    assert failures == {"no_face.mp4": "no_face", "broken.mp4": "not_a_video"}


def test_a_clip_that_is_not_there_is_listed_and_the_run_goes_on(videos: Path, tmp_path: Path) -> None:
    listed = videos / "clips.csv"
    listed.write_text("path,label\nreal/speaker.mp4,real\nreal/absent.mp4,real\nreal/x.mp4,maybe\n")
    assert "16 crops; 2 clips" in run(listed, tmp_path / "out", "--layout", "csv", "--processes", 1)
    failures = {Path(row["clip"]).name: row["code"] for row in read(tmp_path / "out" / "failures.csv")}
    assert failures == {"absent.mp4": "input_missing", "x.mp4": "bad_row"}


def test_new_labels_need_no_new_extraction_and_a_late_clip_is_tried_again(videos: Path, tmp_path: Path) -> None:
    listed, out = videos / "clips.csv", tmp_path / "out"
    listed.write_text("path,label,split\nreal/speaker.mp4,real,train\nlate.mp4,real,train\n")
    assert "16 crops; 1 clips" in run(listed, out, "--layout", "csv", "--processes", 1)
    shutil.copy(videos / "real/speaker.mp4", videos / "late.mp4")
    listed.write_text("path,label,split\nreal/speaker.mp4,fake,val\nlate.mp4,real,train\n")
    assert "32 crops; 0 clips" in run(listed, out, "--layout", "csv", "--processes", 1)
    assert {(row["label"], row["split"]) for row in read(out / "manifest.csv")} == {("1", "val"), ("0", "train")}


def test_shards_are_disjoint_and_complete(videos: Path) -> None:
    clips = find_clips(videos, "plain").clips
    shards = [take_shard(clips, f"{index}/3") for index in (1, 2, 3)]
    assert sorted((clip for shard in shards for clip in shard), key=lambda clip: str(clip.path)) == clips
    for wrong in ("0/3", "4/3", "2", "a/b"):
        with pytest.raises(ManifestError, match="i/n"):
            take_shard(clips, wrong)
