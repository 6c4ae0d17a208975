"""Pairs and batches: one data set per pair, shared augmentations, reproducible batches."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.config import AugmentConfig, BlendConfig, DataConfig, FrameStageConfig, TrainConfig
from training.data.images import ImageStore
from training.data.manifest import CropRow, ManifestError
from training.trainer.pairs import FrameBatches, PairSampler, SequenceBatches, pad

NO_AUGMENTATION = AugmentConfig(rotation_degrees=0, box_jitter=0, light=0, small=0, blur=0, noise=0, compression=0)
SHADES = {("a", 0): 40, ("a", 1): 80, ("b", 0): 140, ("b", 1): 200}


@pytest.fixture
def rows(tmp_path: Path) -> list[CropRow]:
    """Write crops of two data sets, each label of each with its own grey level; return their rows."""
    rows = []
    for (dataset, label), shade in SHADES.items():
        for clip in range(3):
            for index in range(12):
                name = f"{dataset}{label}{clip}-{index}.png"
                image = np.full((112, 112, 3), shade, np.uint8)
                image[::2, ::2] += 3
                cv2.imwrite(str(tmp_path / name), image)
                rows.append(
                    CropRow(path=name, dataset=dataset, label=label, split="train", group=f"{dataset}{clip}",
                            clip=f"{dataset}{label}{clip}", pts_seconds=index / 25)
                )  # fmt: skip
    return rows


def make_pairs(
    rows: list[CropRow], folder: Path, *, share: float, augment: AugmentConfig = NO_AUGMENTATION
) -> PairSampler:
    config = TrainConfig(data=DataConfig(manifest=folder / "m.csv"), blend=BlendConfig(share=share), augment=augment)
    return PairSampler(rows, ImageStore(folder), config)


def shade_of(crops: np.ndarray) -> int:
    return min(SHADES.values(), key=lambda value: abs(value - float(crops.mean())))


def test_sides_of_a_pair_have_the_same_data_set(rows: list[CropRow], tmp_path: Path) -> None:
    pairs, rng = make_pairs(rows, tmp_path, share=0.0), np.random.default_rng(0)
    seen = set()
    for _ in range(30):
        real, fake = pairs.sample(rng, frames_min=1, frames_max=1)
        assert (real.label, fake.label) == (0, 1)
        (dataset,) = {
            name for (name, label), value in SHADES.items() if value in (shade_of(real.crops), shade_of(fake.crops))
        }
        seen.add(dataset)
    assert seen == {"a", "b"}


def test_pseudo_fake_is_paired_with_its_own_real(rows: list[CropRow], tmp_path: Path) -> None:
    pairs = make_pairs(rows, tmp_path, share=1.0)
    real, fake = pairs.sample(np.random.default_rng(1), frames_min=10, frames_max=12)
    assert shade_of(real.crops) in {SHADES["a", 0], SHADES["b", 0]}
    assert len(real.crops) == len(fake.crops) >= 10
    assert not np.array_equal(real.crops, fake.crops)


def test_sides_of_a_pair_get_the_same_light(rows: list[CropRow], tmp_path: Path) -> None:
    augment = NO_AUGMENTATION.model_copy(update={"light": 1.0})
    pairs, rng = make_pairs(rows, tmp_path, share=0.0, augment=augment), np.random.default_rng(2)
    for _ in range(20):
        real, fake = pairs.sample(rng, frames_min=1, frames_max=1)
        assert 0 < fake.crops.mean() - real.crops.mean() < 100  # the fake's grey is the lighter one, before and after


def test_batch_depends_only_on_number_and_rank(rows: list[CropRow], tmp_path: Path) -> None:
    config = TrainConfig(data=DataConfig(manifest=tmp_path / "m.csv"))
    pairs = PairSampler(rows, ImageStore(tmp_path), config)
    batches = FrameBatches(pairs, config, batch_pairs=2)
    (crops, labels), (again, _), (other, _) = batches[7], batches[7], batches[8]
    assert crops.shape == (4, 3, 112, 112)
    assert labels.tolist() == [0, 1, 0, 1]
    assert torch.equal(crops, again)
    assert not torch.equal(crops, other)
    ranks = [FrameBatches(pairs, config, batch_pairs=2, rank=rank)[7][0] for rank in (0, 1)]
    assert not torch.equal(*ranks)


def test_second_view_is_the_same_pair_with_other_augmentations(rows: list[CropRow], tmp_path: Path) -> None:
    pairs, rng = (
        make_pairs(rows, tmp_path, share=0.0, augment=AugmentConfig(light=0, noise=1.0)),
        np.random.default_rng(0),
    )
    examples = pairs.sample(rng, frames_min=1, frames_max=1, views=2)
    assert [example.label for example in examples] == [0, 1, 0, 1]
    assert [shade_of(example.crops) for example in examples[:2]] == [
        shade_of(example.crops) for example in examples[2:]
    ]
    assert not np.array_equal(examples[0].crops, examples[2].crops)


def test_batch_with_consistency_has_the_same_number_of_crops(rows: list[CropRow], tmp_path: Path) -> None:
    frames = FrameStageConfig(batch_pairs=4, consistency_weight=0.1)
    config = TrainConfig(data=DataConfig(manifest=tmp_path / "m.csv"), frames=frames)
    crops, labels = FrameBatches(PairSampler(rows, ImageStore(tmp_path), config), config, batch_pairs=4)[0]
    assert len(crops) == 8
    assert labels.tolist() == [0, 1] * 4


def test_sequences_have_the_configured_length_or_are_single(rows: list[CropRow], tmp_path: Path) -> None:
    config = TrainConfig(data=DataConfig(manifest=tmp_path / "m.csv"))
    batches = SequenceBatches(PairSampler(rows, ImageStore(tmp_path), config), config, batch_pairs=3)
    lengths = [len(example.crops) for step in range(10) for example in batches[step]]
    assert {length for length in lengths if length > 1} <= {10, 11, 12}
    assert 1 in lengths


def test_pad_masks_the_padding() -> None:
    features = [torch.ones(2, 3), torch.ones(4, 3)]
    batch, times, mask = pad(features, [np.arange(2, dtype=np.float32), np.arange(4, dtype=np.float32)])
    assert batch.shape == (2, 4, 3)
    assert times.shape == (2, 4)
    assert mask.tolist() == [[True, True, False, False], [True] * 4]


def test_rows_without_a_real_face_raise_manifest_error(rows: list[CropRow], tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no real face"):
        make_pairs([row for row in rows if row.label == 1], tmp_path, share=0.5)
