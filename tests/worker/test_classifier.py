"""The network: padding is exact, the correction starts at zero, a model survives the disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from worker.detector.checkpoint import load_classifier, save_model
from worker.detector.classifier import Classifier
from worker.detector.config import DetectorConfig
from worker.detector.engines import make_engine
from worker.detector.manifest import BUNDLED_MODEL, MANIFEST_NAME, CheckpointError, Manifest, load_manifest
from worker.detector.transforms import normalise

BUNDLED = load_manifest(BUNDLED_MODEL)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """The bundled network, with a Transformer that has something to say."""
    network = load_classifier(BUNDLED_MODEL, BUNDLED)
    torch.manual_seed(1)
    for parameter in network.sequence_head[-1].parameters():
        torch.nn.init.normal_(parameter)
    return network


def sequence(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(1, count, 1536, generator=generator), torch.arange(count)[None] / 25


@torch.no_grad()
def test_padding_a_sequence_changes_no_logit(classifier: Classifier) -> None:
    features, times = sequence(10)
    alone_frames, alone = classifier.head(features, times, torch.ones(1, 10, dtype=torch.bool))
    padded_features = torch.cat([features, torch.full((1, 7, 1536), 9.0)], dim=1)
    padded_times = torch.cat([times, torch.full((1, 7), -3.0)], dim=1)
    mask = torch.arange(17)[None] < 10
    padded_frames, padded = classifier.head(padded_features, padded_times, mask)
    assert torch.allclose(alone, padded, atol=1e-6)
    assert torch.allclose(alone_frames, padded_frames[:, :10], atol=1e-6)
    assert (padded_frames[:, 10:] == 0).all()


@torch.no_grad()
def test_only_differences_of_time_matter(classifier: Classifier) -> None:
    features, times = sequence(12)
    mask = torch.ones(1, 12, dtype=torch.bool)
    _, early = classifier.head(features, times, mask)
    _, late = classifier.head(features, times + 100, mask)
    _, slow = classifier.head(features, times * 4, mask)
    assert torch.allclose(early, late, atol=1e-4)
    assert not torch.allclose(early, slow, atol=1e-3)


@torch.no_grad()
def test_a_new_network_says_the_mean_of_its_frames() -> None:
    network = load_classifier(BUNDLED_MODEL, BUNDLED)
    features, times = sequence(9)
    frames, whole = network.head(features, times, torch.ones(1, 9, dtype=torch.bool))
    assert torch.allclose(whole, frames.mean(1))


def test_the_seed_fixes_the_untrained_weights() -> None:
    first, second = (load_classifier(BUNDLED_MODEL, BUNDLED).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_saved_model_gives_the_same_logits(tmp_path: Path, classifier: Classifier) -> None:
    manifest = Manifest(name="saved", version="1", trained=False, seed=0, detector=DetectorConfig())
    signed = save_model(tmp_path, manifest, classifier)
    crops = np.random.default_rng(0).integers(0, 256, (8, 112, 112, 3), dtype=np.uint8)
    times = np.arange(8, dtype=np.float32) / np.float32(25)
    score = make_engine(tmp_path, load_manifest(tmp_path), device="cpu").score(crops, times)
    pixels = torch.from_numpy(normalise(crops, signed.detector.crop))[None]
    with torch.no_grad():
        frames, whole = classifier(pixels, torch.from_numpy(times)[None], torch.ones(1, 8, dtype=torch.bool))
    assert np.allclose(score.frame_logits, frames[0].numpy(), atol=1e-4)
    assert score.logit == pytest.approx(float(whole[0]), abs=1e-4)


def test_normalised_pixels_lie_between_minus_one_and_one() -> None:
    crops = np.array([0, 255], np.uint8).repeat(112 * 112 * 3).reshape(2, 112, 112, 3)
    normal = normalise(crops, BUNDLED.detector.crop)
    assert normal.shape == (2, 3, 112, 112)
    assert (normal[0] == -1).all()
    assert (normal[1] == 1).all()


def write_manifest(folder: Path, **changes: object) -> Path:
    content = BUNDLED.model_dump(mode="json") | changes
    (folder / MANIFEST_NAME).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trained": True}, "needs weights_sha256"),
        ({"format": 2}, "format"),
        ({"label_fake": 0}, "label_fake"),
        ({"surprise": 1}, "surprise"),
        ({"seed": None}, "needs a seed"),
    ],
)
def test_a_manifest_that_does_not_fit_says_what_differs(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        load_manifest(write_manifest(tmp_path, **changes))


def test_a_folder_without_manifest_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no model"):
        load_manifest(tmp_path)


def test_one_flipped_byte_of_the_weights_is_refused(tmp_path: Path, classifier: Classifier) -> None:
    manifest = save_model(tmp_path, BUNDLED, classifier)
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not the file of the manifest"):
        load_classifier(tmp_path, manifest)
