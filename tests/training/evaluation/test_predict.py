"""Predictions: training and service must share crops and normalisation, else the metrics do not hold in service."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.models import TINY, make_model
from training.__main__ import commands
from training.data.extract import extract_crops
from training.data.images import ImageStore, load_crops
from training.data.layouts import DatasetListing, LabelledClip
from training.data.manifest import load_crop_manifest, sequences_of
from training.evaluation.predict import predict_crops
from worker.detector.config import CropConfig, DetectorConfig
from worker.detector.model.engine import make_engine
from worker.detector.model.torch_engine import TorchEngine
from worker.detector.pipeline import Detector
from worker.detector.sandbox.parent import Sandbox, SandboxOptions

Clip = Callable[[str], Path]


@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_training_and_service_get_equal_crops_and_logits(clip: Clip, tmp_path: Path, scale: float) -> None:
    config = DetectorConfig(classifier=TINY.classifier, crop=CropConfig(scale=scale))
    manifest = make_model(tmp_path / "model", config)
    video = clip("two_people.mp4")
    labelled = LabelledClip(path=video, dataset="d", label=0, split="val", group="g")
    extract_crops(DatasetListing([labelled], []), tmp_path / "crops", config, processes=1)
    rows = load_crop_manifest(tmp_path / "crops" / "manifest.csv")
    store = ImageStore(tmp_path / "crops")

    with Sandbox(config, SandboxOptions()) as sandbox, video.open("rb") as file:
        tracks = sandbox.extract(file, lambda _done, _total: None).tracks
    for sequence, track in zip(sequences_of(rows), tracks, strict=True):
        served = np.stack([crop.image for crop in track.usable])
        assert np.array_equal(load_crops(sequence, store, config.crop), served)

    engine = make_engine(tmp_path / "model", manifest, device="cpu")
    (by_torch,) = predict_crops(rows, store, TorchEngine(tmp_path / "model", manifest, device="cpu"), manifest)
    (by_onnx,) = predict_crops(rows, store, engine, manifest)
    with Detector(manifest, engine, Sandbox(config, SandboxOptions())) as detector, video.open("rb") as file:
        score = detector.analyze(file, lambda _phase, _done, _total: None).score
    deciding = next(track for track in score.tracks if track.track_id == score.decided_by)
    assert by_onnx.logit == pytest.approx(deciding.logit, abs=1e-5)
    assert by_onnx.probability == pytest.approx(score.probability, abs=1e-5)
    assert by_torch.logit == pytest.approx(deciding.logit, abs=1e-4)
    frames = [frame.logit for track in score.tracks for frame in score.frames if frame.track_id == track.track_id]
    assert by_onnx.frame_logits == pytest.approx(tuple(frames), abs=1e-5)
    assert by_torch.frame_logits == pytest.approx(tuple(frames), abs=1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\n", "lists no file"),
        ("path,label\na.mp4,maybe\n", "line 2"),
        ("path,label,frame\na.png,real,x\n", "frame"),
        ("path;label\na.png;real\n", "line 1: column 'path' is missing"),
        ("path,label\na.png,real\nb.png,fake\n", "2 of 2 files"),
    ],
)
def test_unusable_list_raises_an_error_that_names_the_cause(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "list.csv").write_text(content)
    done = CliRunner().invoke(commands, ["evaluate", "--out", str(tmp_path), "--frames", str(tmp_path / "list.csv")])
    assert message in str(done.exception)
