"""Extraction: manifest, failures, shards, splits, and resuming."""

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.__main__ import commands
from training.data.extract import check_splits, select_shard
from training.data.layouts import list_clips
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


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run_extract(*arguments: object) -> str:
    done = CliRunner().invoke(commands, ["extract", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_second_run_extracts_only_missing_clips(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_extract(videos, out, "--shard", "1/2", "--processes", 1)
    halfway = {path: path.stat().st_mtime_ns for path in (out / "records").iterdir()}
    assert len(halfway) == 2
    assert "32 crops; 2 clips" in run_extract(videos, out, "--processes", 2)
    assert {path: path.stat().st_mtime_ns for path in halfway} == halfway

    rows = read_rows(out / "manifest.csv")
    assert sorted(row["label"] for row in rows) == ["0"] * 16 + ["1"] * 16
    assert {row["dataset"] for row in rows} == {"videos"}
    assert all((out / row["path"]).exists() for row in rows)
    failures = {Path(row["clip"]).name: row["code"] for row in read_rows(out / "failures.csv")}
    assert failures == {"no_face.mp4": "no_face", "broken.mp4": "not_a_video"}


def test_missing_clip_is_listed_as_failure(videos: Path, tmp_path: Path) -> None:
    listed = videos / "clips.csv"
    listed.write_text("path,label\nreal/speaker.mp4,real\nreal/absent.mp4,real\nreal/x.mp4,maybe\n")
    assert "16 crops; 2 clips" in run_extract(listed, tmp_path / "out", "--layout", "csv", "--processes", 1)
    failures = {Path(row["clip"]).name: row["code"] for row in read_rows(tmp_path / "out" / "failures.csv")}
    assert failures == {"absent.mp4": "input_missing", "x.mp4": "bad_row"}


def test_second_run_uses_new_labels_and_retries_missing_clips(videos: Path, tmp_path: Path) -> None:
    listed, out = videos / "clips.csv", tmp_path / "out"
    listed.write_text("path,label,split\nreal/speaker.mp4,real,train\nlate.mp4,real,train\n")
    assert "16 crops; 1 clips" in run_extract(listed, out, "--layout", "csv", "--processes", 1)
    shutil.copy(videos / "real/speaker.mp4", videos / "late.mp4")
    listed.write_text("path,label,split\nreal/speaker.mp4,fake,val\nlate.mp4,real,train\n")
    assert "32 crops; 0 clips" in run_extract(listed, out, "--layout", "csv", "--processes", 1)
    assert {(row["label"], row["split"]) for row in read_rows(out / "manifest.csv")} == {("1", "val"), ("0", "train")}


def test_shards_are_disjoint_and_complete(videos: Path) -> None:
    clips = list_clips(videos, "plain").clips
    shards = [select_shard(clips, f"{index}/3") for index in (1, 2, 3)]
    assert sorted((clip for shard in shards for clip in shard), key=lambda clip: str(clip.path)) == clips
    for wrong in ("0/3", "4/3", "2", "a/b"):
        with pytest.raises(ManifestError, match="i/n"):
            select_shard(clips, wrong)


def test_person_in_two_splits_raises_manifest_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.mp4").touch()
    (tmp_path / "v.csv").write_text("path,label,split,person\na.mp4,real,train,p\nb.mp4,fake,val,p\n")
    with pytest.raises(ManifestError, match="person p: train, val"):
        check_splits(list_clips(tmp_path / "v.csv", "csv").clips)


def test_long_name_and_name_that_is_no_text_are_extracted(clip: Clip, tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "real"
    folder.mkdir(parents=True)
    for name in (b"x" * 240 + b".mp4", b"clip\xff.mp4"):
        shutil.copy(clip("speaker.mp4"), os.fsdecode(os.fsencode(folder) + b"/" + name))
    assert "32 crops; 0 clips" in run_extract(tmp_path / "videos", tmp_path / "out", "--processes", 1)
    rows = read_rows(tmp_path / "out" / "manifest.csv")
    assert all((tmp_path / "out" / row["path"]).is_file() for row in rows)
