"""Network: padding, times, and the initial correction."""

import pytest
import torch

from tests.support.models import TINY, make_network
from worker.detector.model.classifier import Classifier


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return make_network()


def sequence(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(1, count, 256, generator=generator), torch.arange(count)[None] / 25


@torch.no_grad()
def test_padding_does_not_change_logits(classifier: Classifier) -> None:
    features, times = sequence(10)
    alone_frames, alone = classifier.head(features, times, torch.ones(1, 10, dtype=torch.bool))
    padded_features = torch.cat([features, torch.full((1, 7, 256), 9.0)], dim=1)
    padded_times = torch.cat([times, torch.full((1, 7), -3.0)], dim=1)
    mask = torch.arange(17)[None] < 10
    padded_frames, padded = classifier.head(padded_features, padded_times, mask)
    assert torch.allclose(alone, padded, atol=1e-6)
    assert torch.allclose(alone_frames, padded_frames[:, :10], atol=1e-6)
    assert (padded_frames[:, 10:] == 0).all()


@torch.no_grad()
def test_logits_depend_only_on_time_differences(classifier: Classifier) -> None:
    features, times = sequence(12)
    mask = torch.ones(1, 12, dtype=torch.bool)
    _, early = classifier.head(features, times, mask)
    _, late = classifier.head(features, times + 100, mask)
    _, slow = classifier.head(features, times * 4, mask)
    assert torch.allclose(early, late, atol=1e-4)
    assert not torch.allclose(early, slow, atol=1e-3)


@torch.no_grad()
def test_new_network_returns_the_mean_of_frame_logits() -> None:
    network = Classifier(TINY.classifier).eval()
    features, times = sequence(9)
    frames, whole = network.head(features, times, torch.ones(1, 9, dtype=torch.bool))
    assert torch.allclose(whole, frames.mean(1))
