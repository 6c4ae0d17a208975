"""Release of a model: contents of the directory, refused models and reports."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.calibration import Calibration
from tests.support.detectors import CURVE
from tests.support.models import TINY, make_model
from training.release.release import ReleaseError, compare_engines, release_model
from worker.detector.config import ScoringConfig
from worker.detector.model.manifest import Manifest, load_model_manifest, verify_files

CALIBRATED = TINY.model_copy(update={"scoring": ScoringConfig(clips=Calibration(curve=CURVE))})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model(folder, CALIBRATED)
    return folder


def write_report(path: Path, manifest: Manifest, **changes: Any) -> Path:
    auc = {"value": 0.9, "low": 0.8, "high": 0.95}
    content = {
        "model": {
            "weights_sha256": manifest.weights_sha256,
            "scoring": manifest.detector.scoring.model_dump(mode="json"),
        },
        "rows": "unseen",
        "datasets": {"set": {"clip": {"auc": auc, "items": 10, "fakes": 5, "groups": 10}}},
        "robustness": {},
    }
    path.write_text(json.dumps(content | changes))
    return path


def test_released_directory_is_complete_and_has_its_metrics(model: Path, tmp_path: Path) -> None:
    report = write_report(tmp_path / "report.json", load_model_manifest(model))
    notes = tmp_path / "notes.md"
    notes.write_text("## Failure cases\n\nBeards.")
    released = release_model(model, tmp_path / "out", name="mine", version="1.2.3", report=report, notes=notes)
    assert load_model_manifest(tmp_path / "out") == released
    verify_files(tmp_path / "out", released)
    assert released.metrics["datasets"]["set"]["clip"]["auc"]["value"] == 0.9
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "0.900 [0.800, 0.950]" in card
    assert "| `SUSPICIOUS` | 0.400 | 5.0% [1.6%, 11.3%] | 80.0% [64.4%, 90.9%] |" in card
    assert "| `not AUTHENTIC` | 0.300 |" in card
    assert "Beards." in card
    assert compare_engines(tmp_path / "out", released) < 1e-4
    with pytest.raises(ReleaseError, match="never changed"):
        release_model(model, tmp_path / "out", name="mine", version="1.2.4", report=None, notes=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"weights_sha256": "0" * 64, "scoring": {}}}, "other weights"),
        ({"rows": "all"}, "trained on"),
        ({"rows": "unchecked"}, "trained on"),
    ],
)
def test_report_of_other_weights_or_rows_raises(
    model: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    report = write_report(tmp_path / "report.json", load_model_manifest(model), **changes)
    with pytest.raises(ReleaseError, match=message):
        release_model(model, tmp_path / "out", name="mine", version="1", report=report, notes=None)
    assert not (tmp_path / "out").exists()


def test_uncalibrated_model_raises(tmp_path: Path) -> None:
    make_model(tmp_path / "model", TINY)
    with pytest.raises(ReleaseError, match="calibrate"):
        release_model(tmp_path / "model", tmp_path / "out", name="mine", version="1", report=None, notes=None)
