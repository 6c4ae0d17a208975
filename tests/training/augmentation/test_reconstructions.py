"""Stored reconstructions: their place in the image, settings per clip, donors."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from tests.support.training import make_config
from training.augmentation import reconstructions
from training.augmentation.generator import Autoencoder
from training.augmentation.reconstructions import (
    ReconstructionOptions,
    Reconstructions,
    ReconstructionsError,
    make_reconstructions,
)
from training.config import TrainConfig
from training.data.images import Clip, ImageStore
from training.data.landmarks import POINTS, save_landmarks
from training.data.manifest import load_crop_manifest, sequences_of
from worker.detector.types import Floats, Image


class Copy:
    """Generator that returns its input, or its donors, and keeps the arguments."""

    def __init__(self) -> None:
        self.noise: list[float] = []
        self.mixed = 0

    def reconstruct(self, images: Image, *, noise: Floats, donors: Image | None, shares: Floats, seed: int) -> Image:
        assert len(shares) == len(images)
        assert seed >= 0
        self.noise += noise.tolist()
        self.mixed += 0 if donors is None else len(donors)
        return images


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Copy:
    copy = Copy()
    monkeypatch.setattr(reconstructions, "load_generator", lambda _path: copy)
    return copy


@pytest.fixture
def config(data: Path, tmp_path: Path) -> TrainConfig:
    """Return a configuration whose real faces have landmarks on a circle, each of its own width."""
    config = make_config(data)
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    circle = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    rows = [row for row in load_crop_manifest(data) if row.label == 0]
    save_landmarks(tmp_path / "l.npz", {row.path: 0.5 + 0.3 * circle * (1, 1 + i / 999) for i, row in enumerate(rows)})
    return config.model_copy(update={"data": config.data.model_copy(update={"landmarks": tmp_path / "l.npz"})})


def real_clips(config: TrainConfig) -> list[Clip]:
    rows = load_crop_manifest(config.data.manifest)
    return sequences_of(row for row in rows if row.label == 0 and row.split == "train")


@pytest.mark.usefixtures("generator")
def test_pasted_square_lies_where_it_was_taken(config: TrainConfig, tmp_path: Path) -> None:
    options = ReconstructionOptions(settings=1, face_px=(200, 201), mixed_share=0)
    make_reconstructions(config, Path("weights"), tmp_path / "out", options)
    stored, store = Reconstructions(tmp_path / "out"), ImageStore(config.data.manifest.parent)
    row = real_clips(config)[0][0]
    image = store.read(row.path)
    middle = slice(image.shape[0] // 4, 3 * image.shape[0] // 4)
    truth = image[middle, middle].astype(float)
    pasted = stored.paste(image, row.path, 0)[middle, middle].astype(float)
    moved = np.roll(image, 1, axis=1)[middle, middle].astype(float)
    assert not np.array_equal(pasted, truth)
    assert np.abs(pasted - truth).mean() < 0.5 * np.abs(moved - truth).mean()


def test_frames_of_a_clip_share_their_settings(config: TrainConfig, generator: Copy, tmp_path: Path) -> None:
    options = ReconstructionOptions(settings=2, noise_share=0.5, mixed_share=0.5)
    count = make_reconstructions(config, Path("weights"), tmp_path / "out", options)
    clips = real_clips(config)
    assert count == 2 * sum(map(len, clips)) == len(generator.noise)
    assert 0 < generator.mixed < count
    assert 0 < sum(noise == 0 for noise in generator.noise) < count
    stored, rng = Reconstructions(tmp_path / "out"), np.random.default_rng(0)
    assert {stored.sample_setting(clips[0], rng) for _ in range(20)} == {0, 1}


def test_clip_without_reconstructions_has_no_setting(config: TrainConfig, generator: Copy, tmp_path: Path) -> None:
    make_reconstructions(config, Path("weights"), tmp_path / "out", ReconstructionOptions(clips_share=0.5, settings=1))
    stored, rng = Reconstructions(tmp_path / "out"), np.random.default_rng(0)
    clips = real_clips(config)
    reconstructed = [clip for clip in clips if stored.sample_setting(clip, rng) == 0]
    assert 0 < len(reconstructed) < len(clips)
    assert len(generator.noise) == sum(map(len, reconstructed))


def test_real_network_writes_squares_of_the_drawn_size(config: TrainConfig, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(dict(Autoencoder().state_dict()), weights)
    options = ReconstructionOptions(settings=1, face_px=(40, 41), clips_share=0.5)
    make_reconstructions(config, weights, tmp_path / "out", options)
    row = next(iter(Reconstructions(tmp_path / "out")._rows.values()))[0]
    assert ImageStore(tmp_path / "out").read(row.path).shape == (56, 56, 3)
    with pytest.raises(ReconstructionsError, match="exists"):
        make_reconstructions(config, weights, tmp_path / "out", options)


def test_missing_list_is_an_error_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ReconstructionsError, match="training generate"):
        Reconstructions(tmp_path)
