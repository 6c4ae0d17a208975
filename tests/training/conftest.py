"""Fixtures for tests of the training."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.clips import self_blended, speaker
from tests.support.models import write_graph
from training.data.manifest import CropRow, write_rows
from worker.detector.config import CropConfig
from worker.detector.extraction.crops import crop_face
from worker.detector.types import Box, Face

FACE = Face(Box(208, 132, 224, 224), confidence=1.0)


@pytest.fixture(autouse=True)
def _export_each_architecture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.release.release.export_onnx", write_graph)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write crops of one face in ten colours, real and blended; return their manifest."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for group in range(10):
        colours = np.random.default_rng(group).uniform(0.6, 1.2, 3)
        for label, scene in enumerate((speaker, self_blended)):
            for index in range(12):
                image = np.clip(scene(group + index / 25) * colours, 0, 255).astype(np.uint8)
                name = f"{group}-{label}-{index}.png"
                cv2.imwrite(str(folder / name), crop_face(image, FACE, CropConfig())[..., ::-1])
                split = "train" if group < 4 else "val"
                rows.append(
                    CropRow(path=name, dataset="d", label=label, split=split, group=f"g{group}",
                            clip=f"{group}-{label}", pts_seconds=index / 25)
                )  # fmt: skip
    write_rows(folder / "manifest.csv", CropRow, rows)
    return folder / "manifest.csv"
