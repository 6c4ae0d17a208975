"""Average of models."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from app.core.calibration import Calibration
from tests.support.models import TINY, make_model, write_graph
from training.release.average import AverageError, average_models, parse_weights
from worker.detector.config import ScoringConfig
from worker.detector.model.manifest import WEIGHTS_NAME, Provenance, verify_files


@pytest.fixture(autouse=True)
def _export_each_architecture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.release.release.export_onnx", write_graph)


def test_weights_are_averaged_and_the_calibration_is_reset(tmp_path: Path) -> None:
    calibrated = TINY.model_copy(update={"scoring": ScoringConfig(clips=Calibration(temperature=2.0))})
    models = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(models):
        make_model(folder, calibrated, seed=seed)
    manifest = average_models(models, tmp_path / "out", weights=[0.25, 0.75])
    verify_files(tmp_path / "out", manifest)
    assert manifest.detector.scoring == ScoringConfig()
    first, second, average = (load_file(folder / WEIGHTS_NAME) for folder in (*models, tmp_path / "out"))
    name = "frame_head.weight"
    assert average[name].float() == pytest.approx((0.25 * first[name] + 0.75 * second[name]).float(), abs=1e-3)
    with pytest.raises(AverageError, match="exists"):
        average_models(models, tmp_path / "out", weights=[0.5, 0.5])


def test_models_of_other_networks_are_refused(tmp_path: Path) -> None:
    other = TINY.model_copy(update={"classifier": TINY.classifier.model_copy(update={"dropout": 0.3})})
    make_model(tmp_path / "a")
    make_model(tmp_path / "b", other)
    with pytest.raises(AverageError, match="different networks"):
        average_models([tmp_path / "a", tmp_path / "b"], tmp_path / "out", weights=[0.5, 0.5])


def test_models_that_left_out_other_data_are_refused(tmp_path: Path) -> None:
    provenance = Provenance(
        code_version="1",
        initial_weights="random",
        data_sha256={},
        data_terms="mine",
        config={"data": {"without": ["d"]}},
    )
    make_model(tmp_path / "a")
    make_model(tmp_path / "b", provenance=provenance)
    with pytest.raises(AverageError, match="left out"):
        average_models([tmp_path / "a", tmp_path / "b"], tmp_path / "out", weights=[0.5, 0.5])


def test_weights_are_parsed_and_must_add_up_to_one() -> None:
    assert parse_weights("", 4) == [0.25] * 4
    assert parse_weights("0.4,0.6", 2) == [0.4, 0.6]
    for wrong in ("0.4,0.3", "0.4", "a,b"):
        with pytest.raises(AverageError):
            parse_weights(wrong, 2)
