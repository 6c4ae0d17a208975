"""DetectorCache on disk and what runs them: both engines say the same, and what does not fit says what differs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.models import TINY, make_model
from worker.detector.model.engine import EngineError, make_engine
from worker.detector.model.manifest import (
    BUNDLED_MODEL,
    GRAPH_NAME,
    MANIFEST_NAME,
    WEIGHTS_NAME,
    CheckpointError,
    load_manifest,
    verify_files,
)
from worker.detector.model.onnx_engine import OnnxEngine
from worker.detector.model.torch_engine import TorchEngine
from worker.model_install import install


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_model(folder)
    return folder


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    """A model that a test may damage."""
    for path in model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("count", [1, 8, 24])
@pytest.mark.parametrize("name", ["tiny", "bundled"])
def test_onnx_says_what_torch_says(model: Path, name: str, count: int) -> None:
    folder = model if name == "tiny" else BUNDLED_MODEL
    manifest = load_manifest(folder)
    crops = np.random.default_rng(count).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)
    times = np.arange(count, dtype=np.float32) / np.float32(25)
    onnx = OnnxEngine(folder, manifest).score(crops, times)
    torch = TorchEngine(folder, manifest, device="cpu").score(crops, times)
    assert onnx.frame_logits.shape == torch.frame_logits.shape == (count,)
    assert np.abs(onnx.frame_logits - torch.frame_logits).max() < 1e-4
    assert abs(onnx.logit - torch.logit) < 1e-4


def test_the_bundled_model_is_whole_trained_calibrated_and_small() -> None:
    manifest = load_manifest(BUNDLED_MODEL)
    verify_files(BUNDLED_MODEL, manifest)
    assert manifest.trained
    assert manifest.detector.scoring.calibrated
    assert {path.name for path in BUNDLED_MODEL.iterdir()} == {*manifest.files, MANIFEST_NAME}
    assert sum(path.stat().st_size for path in BUNDLED_MODEL.iterdir()) <= 30 * 2**20


def write_manifest(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "format"),
        ({"label_fake": 0}, "label_fake"),
        ({"surprise": 1}, "surprise"),
        ({"files": {}}, "lacks the sha256 of model.onnx, model.safetensors"),
        ({"name": "../evil"}, "name"),
        ({"detector": {"crop": {"size_px": -1}}}, "detector.crop.size_px"),
    ],
)
def test_a_manifest_that_does_not_fit_says_what_differs(copy: Path, changes: dict[str, Any], said: str) -> None:
    write_manifest(copy, **changes)
    with pytest.raises(CheckpointError, match=said):
        load_manifest(copy)


def test_a_folder_without_manifest_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no model"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("name", [WEIGHTS_NAME, GRAPH_NAME])
def test_one_flipped_byte_is_refused(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} is not the file of the manifest"):
        make_engine(copy, load_manifest(copy), device="cpu")


def test_a_file_outside_of_the_directory_is_refused(copy: Path) -> None:
    files = load_manifest(copy).files | {"../other": "0" * 64}
    write_manifest(copy, files=files)
    with pytest.raises(CheckpointError, match="outside of its directory"):
        make_engine(copy, load_manifest(copy), device="cpu")


def test_weights_of_another_network_are_refused(copy: Path) -> None:
    wider = TINY.classifier.model_copy(update={"width": 32})
    config = TINY.model_copy(update={"classifier": wider})
    write_manifest(copy, detector=config.model_dump(mode="json"))
    with pytest.raises(CheckpointError, match="does not fit the network"):
        TorchEngine(copy, load_manifest(copy), device="cpu")


def test_without_a_gpu_cuda_says_what_to_do(model: Path) -> None:
    with pytest.raises(EngineError, match="UNMASK_DEVICE=cpu"):
        make_engine(model, load_manifest(model), device="cuda")


def test_a_model_is_installed_under_its_own_name_and_can_be_replaced(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "installed"
    assert install(copy, folder, device="cpu").name == "tiny"
    write_manifest(copy, version="2")
    install(copy, folder, device="cpu")
    assert load_manifest(folder / "tiny").version == "2"
    assert [path.name for path in folder.iterdir()] == ["tiny"]


def test_a_graph_for_crops_of_another_size_is_refused(copy: Path) -> None:
    larger = TINY.model_copy(update={"crop": TINY.crop.model_copy(update={"size_px": 160})})
    write_manifest(copy, detector=larger.model_dump(mode="json"))
    with pytest.raises(CheckpointError, match="its manifest says"):
        make_engine(copy, load_manifest(copy), device="cpu")


def test_a_network_that_does_not_exist_and_broken_weights_are_refused(copy: Path) -> None:
    strange = TINY.classifier.model_copy(update={"backbone": "no_such_network"})
    write_manifest(copy, detector=TINY.model_copy(update={"classifier": strange}).model_dump(mode="json"))
    with pytest.raises(CheckpointError, match="cannot be made"):
        TorchEngine(copy, load_manifest(copy), device="cpu")
    write_manifest(copy, detector=TINY.model_dump(mode="json"))
    (copy / WEIGHTS_NAME).write_bytes(b"\x00" * 100)
    with pytest.raises(CheckpointError, match="does not fit"):
        TorchEngine(copy, load_manifest(copy), device="cpu")
