"""Contact sheets of training pairs."""

from pathlib import Path

import cv2

from tests.support.training import make_config
from training.trainer.preview import write_previews


def test_each_kind_of_fake_gets_a_sheet_of_its_pairs(data: Path, tmp_path: Path) -> None:
    config = make_config(data)
    paths = write_previews(config, tmp_path / "out", pairs=7)
    names = {path.stem for path in paths}
    assert {"fakes", "swap", "self-mouth"} <= names
    assert not any(name.startswith("generator") for name in names)
    sheet = cv2.imread(str(paths[0]))
    assert sheet is not None
    assert sheet.shape == (2 * 2 * 2 * config.detector.crop.size_px, 6 * 2 * config.detector.crop.size_px, 3)
