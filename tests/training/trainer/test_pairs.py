"""What the network is shown: pairs of one data set that share every augmentation; a number always gives the same."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.config import AugmentConfig, BlendConfig, DataConfig, TrainConfig
from training.data.images import ImageError, ImageStore
from training.data.manifest import CropRow, ManifestError
from training.data.splits import keep_data_sets
from training.trainer.pairs import FrameBatches, PairSampler, SequenceBatches, pad

QUIET = AugmentConfig(rotation_degrees=0, box_jitter=0, light=0, small=0, blur=0, noise=0, compression=0)
SHADES = {("a", 0): 40, ("a", 1): 80, ("b", 0): 140, ("b", 1): 200}


@pytest.fixture
def rows(tmp_path: Path) -> list[CropRow]:
    """Two data sets; each label of each has a grey of its own, so that a crop tells where it is from."""
    found = []
    for (dataset, label), shade in SHADES.items():
        for clip in range(3):
            for index in range(12):
                name = f"{dataset}{label}{clip}-{index}.png"
                image = np.full((112, 112, 3), shade, np.uint8)
                image[::2, ::2] += 3
                cv2.imwrite(str(tmp_path / name), image)
                found.append(
                    CropRow(path=name, dataset=dataset, label=label, split="train", group=f"{dataset}{clip}",
                            clip=f"{dataset}{label}{clip}", pts_seconds=index / 25)
                )  # fmt: skip
    return found


def make_pairs(rows: list[CropRow], folder: Path, *, share: float, augment: AugmentConfig = QUIET) -> PairSampler:
    config = TrainConfig(data=DataConfig(manifest=folder / "m.csv"), blend=BlendConfig(share=share), augment=augment)
    return PairSampler(rows, ImageStore(folder), config)


def shade(crops: np.ndarray) -> int:
    return min(SHADES.values(), key=lambda value: abs(value - float(crops.mean())))


def test_the_sides_of_a_pair_are_of_one_data_set(rows: list[CropRow], tmp_path: Path) -> None:
    pairs, rng = make_pairs(rows, tmp_path, share=0.0), np.random.default_rng(0)
    seen = set()
    for _ in range(30):
        real, fake = pairs.sample(rng, frames_min=1, frames_max=1)
        assert (real.label, fake.label) == (0, 1)
        (dataset,) = {
            name for (name, label), value in SHADES.items() if value in (shade(real.crops), shade(fake.crops))
        }
        seen.add(dataset)
    assert seen == {"a", "b"}


def test_a_pseudo_fake_stands_beside_the_face_that_it_was_made_of(rows: list[CropRow], tmp_path: Path) -> None:
    pairs = make_pairs(rows, tmp_path, share=1.0)
    real, fake = pairs.sample(np.random.default_rng(1), frames_min=10, frames_max=12)
    assert shade(real.crops) in {SHADES["a", 0], SHADES["b", 0]}
    assert len(real.crops) == len(fake.crops) >= 10
    assert not np.array_equal(real.crops, fake.crops)


def test_both_sides_get_the_same_light_and_the_same_mirror(rows: list[CropRow], tmp_path: Path) -> None:
    augment = QUIET.model_copy(update={"light": 1.0})
    pairs, rng = make_pairs(rows, tmp_path, share=0.0, augment=augment), np.random.default_rng(2)
    for _ in range(20):
        real, fake = pairs.sample(rng, frames_min=1, frames_max=1)
        assert 0 < fake.crops.mean() - real.crops.mean() < 100  # the fake's grey is the lighter one, before and after


def test_a_batch_follows_from_its_number(rows: list[CropRow], tmp_path: Path) -> None:
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


def test_sequences_have_the_asked_length_or_are_single(rows: list[CropRow], tmp_path: Path) -> None:
    config = TrainConfig(data=DataConfig(manifest=tmp_path / "m.csv"))
    batches = SequenceBatches(PairSampler(rows, ImageStore(tmp_path), config), config, batch_pairs=3)
    lengths = [len(example.crops) for step in range(10) for example in batches[step]]
    assert {length for length in lengths if length > 1} <= {10, 11, 12}
    assert 1 in lengths


def test_padding_is_marked() -> None:
    features = [torch.ones(2, 3), torch.ones(4, 3)]
    batch, times, mask = pad(features, [np.arange(2, dtype=np.float32), np.arange(4, dtype=np.float32)])
    assert batch.shape == (2, 4, 3)
    assert times.shape == (2, 4)
    assert mask.tolist() == [[True, True, False, False], [True] * 4]


def test_data_sets_are_left_out_by_name_or_pattern(rows: list[CropRow]) -> None:
    assert {row.dataset for row in keep_data_sets(rows, without=["a"])} == {"b"}
    assert keep_data_sets(rows, without=["*"]) == []


def test_without_a_real_face_there_is_no_training(rows: list[CropRow], tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no real face"):
        make_pairs([row for row in rows if row.label == 1], tmp_path, share=0.5)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"x")
    with pytest.raises(ImageError, match="absent"):
        ImageStore(tmp_path).read("absent.png")
    with pytest.raises(ImageError, match="broken"):
        ImageStore(tmp_path).read("broken.png")
