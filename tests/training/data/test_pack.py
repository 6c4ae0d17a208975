"""Packing of a training set into small shards."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.config import DataConfig, TrainConfig, load_config
from training.data.images import ImageStore, face_of
from training.data.landmarks import POINTS, load_landmarks, save_landmarks
from training.data.manifest import CropRow, load_crop_manifest, write_rows
from training.data.pack import PackError, PackOptions, pack_dataset, parse_order
from training.data.splits import rows_of_part
from worker.detector.config import CropConfig, DetectorConfig
from worker.detector.extraction.crops import crop_face

SIDE, BOX = 400, 200


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Return a configuration of two data sets with real and fake clips of twelve frames; landmarks at a face corner."""
    folder = tmp_path / "source"
    folder.mkdir()
    rows, points = [], {}
    for dataset in ("a", "b"):
        for group in range(12):
            for label in (0, 1):
                for index in range(12):
                    name = f"{dataset}-{group}-{label}-{index}.png"
                    image = np.full((SIDE, SIDE, 3), 40 + 10 * group, np.uint8)
                    image[100:300, 80:280] = 200
                    cv2.imwrite(str(folder / name), image)
                    rows.append(
                        CropRow(path=name, dataset=dataset, label=label, split="train" if group < 4 else "val",
                                group=f"{dataset}{group}", clip=f"{dataset}{group}-{label}", pts_seconds=index / 25,
                                box_x=80 / SIDE, box_y=100 / SIDE, box_w=BOX / SIDE)
                    )  # fmt: skip
                    points[name] = np.tile(np.array([80, 100], np.float32) / SIDE, (POINTS, 1))
    write_rows(folder / "manifest.csv", CropRow, rows)
    save_landmarks(folder / "landmarks.npz", points)
    data = DataConfig(manifest=folder / "manifest.csv", landmarks=folder / "landmarks.npz", hold_out={"a": 1})
    return TrainConfig(data=data, detector=DetectorConfig(crop=CropConfig(scale=1.2)))


def make_options(**changes: object) -> PackOptions:
    return PackOptions(**({"max_bytes": 2**20, "box_px": 100} | changes))  # type: ignore[arg-type]


def test_packed_faces_have_the_wanted_size_and_the_same_crop(config: TrainConfig, tmp_path: Path) -> None:
    counts = pack_dataset(config, tmp_path / "packed", make_options(quality=95))
    assert counts.keys() == {"a", "b"}
    rows = load_crop_manifest(tmp_path / "packed/manifest.csv")
    store, source = ImageStore(tmp_path / "packed"), ImageStore(config.data.manifest.parent)
    image = store.read(rows[0].path)
    assert face_of(rows[0], image).box.width == pytest.approx(100, abs=1)
    original = next(row for row in load_crop_manifest(config.data.manifest) if row.clip == rows[0].clip)
    original_image = source.read(original.path)
    crops = [
        crop_face(original_image, face_of(original, original_image), config.detector.crop).astype(int),
        crop_face(image, face_of(rows[0], image), config.detector.crop).astype(int),
    ]
    assert np.abs(crops[0] - crops[1]).mean() < 4


def test_landmarks_follow_their_image(config: TrainConfig, tmp_path: Path) -> None:
    pack_dataset(config, tmp_path / "packed", make_options())
    points = load_landmarks(tmp_path / "packed/landmarks.npz")
    for row in load_crop_manifest(tmp_path / "packed/manifest.csv"):
        assert points[row.path][0] == pytest.approx([row.box_x, row.box_y], abs=2e-3)


def test_only_training_and_early_stopping_rows_are_packed(config: TrainConfig, tmp_path: Path) -> None:
    pack_dataset(config, tmp_path / "packed", make_options())
    packed = load_crop_manifest(tmp_path / "packed/manifest.csv")
    early_stopping_groups = {
        row.group for row in rows_of_part(load_crop_manifest(config.data.manifest), "early_stopping")
    }
    assert {row.split for row in packed} == {"train", "early_stopping"}
    assert {row.group for row in packed if row.split == "early_stopping"} == early_stopping_groups
    assert {row.group for row in rows_of_part(packed, "early_stopping")} == early_stopping_groups


def test_full_pack_holds_whole_groups_in_the_wanted_order(config: TrainConfig, tmp_path: Path) -> None:
    whole = pack_dataset(config, tmp_path / "whole", make_options())
    size = sum(path.stat().st_size for path in (tmp_path / "whole").glob("*.zip"))
    counts = pack_dataset(
        config, tmp_path / "half", make_options(max_bytes=round(0.6 * size), order=parse_order("b,a"))
    )
    assert counts["b"] == whole["b"]
    assert counts.get("a", 0) < whole["a"]
    assert sum(path.stat().st_size for path in (tmp_path / "half").glob("*.zip")) <= 0.6 * size
    labels: dict[str, set[int]] = {}
    for row in load_crop_manifest(tmp_path / "half/manifest.csv"):
        labels.setdefault(row.group, set()).add(row.label)
    assert all(group == {0, 1} for group in labels.values())


def test_order_thins_clips_to_the_wanted_frames(config: TrainConfig, tmp_path: Path) -> None:
    pack_dataset(config, tmp_path / "packed", make_options(order=parse_order("a:2,b")))
    rows = load_crop_manifest(tmp_path / "packed/manifest.csv")
    clips: dict[tuple[str, str], int] = {}
    for row in rows:
        clips[row.dataset, row.clip] = clips.get((row.dataset, row.clip), 0) + 1
    assert {count for (dataset, _), count in clips.items() if dataset == "a"} == {2}
    assert {count for (dataset, _), count in clips.items() if dataset == "b"} == {12}


def test_written_configuration_names_the_packed_data(config: TrainConfig, tmp_path: Path) -> None:
    pack_dataset(config, tmp_path / "packed", make_options())
    written = load_config(tmp_path / "packed/config.json", [])
    assert written.data.manifest == tmp_path / "packed/manifest.csv"
    assert written.data.hold_out == {}
    assert written.detector == config.detector


def test_existing_folder_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(PackError, match="exists"):
        pack_dataset(config, tmp_path, make_options())


@pytest.mark.parametrize("order", ["", "a:", "a:0", "a:x", "a,,b"])
def test_malformed_order_is_refused(order: str) -> None:
    with pytest.raises(PackError, match="PATTERN"):
        parse_order(order)
