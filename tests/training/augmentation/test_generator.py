"""Autoencoder of generated faces: shapes, noise, mixed latents, unreadable weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from training.augmentation.generator import Autoencoder, GeneratorError, load_generator
from worker.detector.types import Image

NONE = np.zeros(2, np.float32)


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    """Return a network with random weights."""
    torch.manual_seed(0)
    return Autoencoder().eval()


@pytest.fixture
def images() -> Image:
    return np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)


def test_latents_have_an_eighth_of_the_side(autoencoder: Autoencoder) -> None:
    assert autoencoder.encoder(torch.rand(1, 3, 64, 48)).shape == (1, 32, 8, 6)


def test_reconstruction_repeats_with_its_seed_and_keeps_the_size(autoencoder: Autoencoder, images: Image) -> None:
    noise = np.array([0.0, 0.3], np.float32)
    first, again, other = (autoencoder.reconstruct(images, noise=noise, seed=seed) for seed in (1, 1, 2))
    assert first.shape == images.shape
    assert np.array_equal(first, again)
    assert np.array_equal(first[0], other[0])  # without noise
    assert not np.array_equal(first[1], other[1])


def test_donor_with_share_one_replaces_the_face(autoencoder: Autoencoder, images: Image) -> None:
    donors = images[::-1].copy()
    mixed = autoencoder.reconstruct(images, noise=NONE, donors=donors, shares=np.array([1.0, 0.0], np.float32))
    plain = autoencoder.reconstruct(images, noise=NONE)
    assert np.abs(mixed[0].astype(int) - plain[1]).max() <= 1
    assert np.abs(mixed[1].astype(int) - plain[1]).max() <= 1


def test_weights_are_loaded_by_their_names_and_others_refused(autoencoder: Autoencoder, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.half().contiguous() for name, tensor in autoencoder.state_dict().items()}, path)
    assert "encoder.11.pool.3.weight" in load_generator(path).state_dict()
    save_file({"a": torch.zeros(1)}, path)
    for wrong in (path, tmp_path / "missing"):
        with pytest.raises(GeneratorError, match=wrong.name):
            load_generator(wrong)
