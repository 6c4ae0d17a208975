"""Evaluation of crops, stills and videos, and its report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from app.core.calibration import Thresholds
from tests.support.clips import self_blended, speaker
from tests.support.models import TINY, make_model
from training.__main__ import commands
from training.data.manifest import CropRow
from training.evaluation.evaluate import choose_unseen
from worker.detector.model.manifest import Provenance, load_model_manifest
from worker.detector.pipeline import make_detector
from worker.detector.sandbox.parent import SandboxOptions

Clip = Callable[[str], Path]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model(folder, TINY)
    return folder


def evaluate(model: Path, out: Path, *arguments: object) -> dict[str, Any]:
    command = ["evaluate", "--model", str(model), "--out", str(out), "--processes", "1", *map(str, arguments)]
    done = CliRunner().invoke(commands, command)
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def test_videos_get_the_probability_and_verdict_of_the_service(model: Path, clip: Clip, tmp_path: Path) -> None:
    names = {"speaker.mp4": "real", "self_blended.mp4": "fake", "no_face.mp4": "real", "truncated.mp4": "fake"}
    listed = tmp_path / "clips.csv"
    lines = [f"{clip(name)},{label},set" for name, label in names.items()]
    listed.write_text("\n".join(["path,label,dataset", *lines]))
    report = evaluate(model, tmp_path / "out", "--clips", listed)
    predictions = {Path(prediction["path"]).name: prediction for prediction in report["items"]}
    with make_detector(model, SandboxOptions(), device="cpu") as detector, clip("speaker.mp4").open("rb") as file:
        served = detector.analyze(file, lambda _phase, _done, _total: None).score
    assert predictions["speaker.mp4"]["probability"] == pytest.approx(served.probability, abs=1e-6)
    assert predictions["speaker.mp4"]["verdict"] == Thresholds().decide(served.probability)
    assert (predictions["no_face.mp4"]["probability"], predictions["no_face.mp4"]["reasons"]) == (0.5, ["no_face"])
    assert (predictions["truncated.mp4"]["probability"], predictions["truncated.mp4"]["code"]) == (0.5, "not_a_video")
    metrics = report["datasets"]["set"]["clip"]
    assert metrics["coverage"]["value"] == pytest.approx(2 / 4)
    assert set(metrics["auc"]) == {"value", "low", "high"}
    assert (tmp_path / "out" / "report.md").read_text().startswith("# tiny 1")


def test_stills_of_one_video_are_one_sequence(model: Path, tmp_path: Path) -> None:
    lines = ["path,label,dataset,video,frame"]
    for index in range(9):
        for video, image in {"loose": speaker(index), "tight": self_blended(index)[132:356, 208:432]}.items():
            name = f"{video}-{index}.png"
            cv2.imwrite(str(tmp_path / name), np.ascontiguousarray(image[..., ::-1]))
            lines.append(f"{name},{'real' if video == 'loose' else 'fake'},set,{video},{index}")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 90, np.uint8))
    (tmp_path / "text.png").write_text("no image")
    lines += ["grey.png,real,set,grey,0", "text.png,fake,set,text,0"]
    (tmp_path / "frames.csv").write_text("\n".join(lines))
    report = evaluate(model, tmp_path / "out", "--frames", tmp_path / "frames.csv", "--robustness")
    predictions = {prediction["path"]: prediction for prediction in report["items"]}
    assert len(predictions["loose"]["frame_logits"]) == len(predictions["tight"]["frame_logits"]) == 9
    assert None not in predictions["loose"]["frame_logits"] + predictions["tight"]["frame_logits"]
    assert predictions["loose"]["verdict"] != "NOT_EVALUATED"
    assert (predictions["grey"]["probability"], predictions["grey"]["reasons"]) == (0.5, ["no_face"])
    assert predictions["text"]["reasons"] == ["not_an_image"]
    metrics = report["datasets"]["set"]
    assert (metrics["frame"]["items"], metrics["clip"]["items"]) == (20, 2)
    assert metrics["frame"]["coverage"]["value"] == pytest.approx(18 / 20)
    assert set(report["robustness"]) > {"clean", "JPEG quality 30"}
    plots = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert {f"frames-{kind}.png" for kind in ("roc", "precision-recall", "reliability", "confusion")} <= plots


def make_rows() -> list[CropRow]:
    return [
        CropRow(path=f"{dataset}-{split}-{index}", dataset=dataset, label=index % 2, split=split,
                group=f"{dataset}-{split}-{index}", person=f"{dataset}-{split}-{index}", clip=str(index))
        for dataset in ("a", "b") for split in ("train", "val") for index in range(8)
    ]  # fmt: skip


def test_choose_unseen_keeps_only_rows_that_the_model_never_saw(model: Path) -> None:
    config = {"data": {"without": ["b*"], "hold_out": {"a": 3}}}
    provenance = Provenance(code_version="", initial_weights="", data_sha256={}, data_terms="", config=config)
    manifest = load_model_manifest(model).model_copy(update={"provenance": provenance})
    chosen = [(row.dataset, row.split) for row in choose_unseen(make_rows(), manifest)]
    assert chosen.count(("b", "train")) == chosen.count(("b", "val")) == 8
    assert chosen.count(("a", "test")) == 3
    assert chosen.count(("a", "val")) == 4
    assert ("a", "train") not in chosen
