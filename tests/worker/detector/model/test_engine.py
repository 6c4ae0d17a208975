"""Engines: equal results of both, verified files, missing devices."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.models import edit_manifest
from worker.detector.model.engine import EngineError, make_engine
from worker.detector.model.manifest import (
    BUNDLED_MODEL,
    GRAPH_NAME,
    WEIGHTS_NAME,
    CheckpointError,
    load_model_manifest,
)
from worker.detector.model.onnx_engine import OnnxEngine
from worker.detector.model.torch_engine import TorchEngine


@pytest.mark.parametrize("count", [1, 8, 24])
@pytest.mark.parametrize("name", ["tiny", "bundled"])
def test_onnx_and_torch_return_equal_logits(model: Path, name: str, count: int) -> None:
    folder = model if name == "tiny" else BUNDLED_MODEL
    manifest = load_model_manifest(folder)
    crops = np.random.default_rng(count).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)
    times = np.arange(count, dtype=np.float32) / np.float32(25)
    onnx = OnnxEngine(folder, manifest).score(crops, times)
    torch = TorchEngine(folder, manifest, device="cpu").score(crops, times)
    assert onnx.frame_logits.shape == torch.frame_logits.shape == (count,)
    assert np.abs(onnx.frame_logits - torch.frame_logits).max() < 1e-4
    assert abs(onnx.logit - torch.logit) < 1e-4


@pytest.mark.parametrize("name", [WEIGHTS_NAME, GRAPH_NAME])
def test_make_engine_with_one_flipped_byte_raises_checkpoint_error(model_copy: Path, name: str) -> None:
    content = bytearray((model_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (model_copy / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} does not match the manifest"):
        make_engine(model_copy, load_model_manifest(model_copy), device="cpu")


def test_make_engine_with_a_file_outside_the_directory_raises_checkpoint_error(model_copy: Path) -> None:
    files = load_model_manifest(model_copy).files | {"../other": "0" * 64}
    edit_manifest(model_copy, files=files)
    with pytest.raises(CheckpointError, match="outside of its directory"):
        make_engine(model_copy, load_model_manifest(model_copy), device="cpu")


def test_make_engine_for_cuda_without_a_gpu_names_the_setting(model: Path) -> None:
    with pytest.raises(EngineError, match="UNMASK_DEVICE=cpu"):
        make_engine(model, load_model_manifest(model), device="cuda")
