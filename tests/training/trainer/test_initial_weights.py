"""Initial weights: EfficientNet-Lite2 grown to B3 keeps its function, and every new weight gets a gradient."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.models import TINY, make_model
from training.trainer.initial_weights import InitialWeightsError, grow_b3, load_initial, load_lite2
from worker.detector.model.checkpoint import load_classifier
from worker.detector.model.classifier import Classifier


def test_grown_backbone_keeps_the_features_of_the_small_one() -> None:
    torch.manual_seed(0)
    small = load_lite2()
    large = grow_b3(small)
    crops = torch.rand(2, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        expected = small.get_submodule("global_pool")(small.forward_features(crops))  # type: ignore[operator]
        features = large(crops)
    assert features.shape == (2, 1536)
    assert torch.allclose(features[:, :1280], expected, atol=1e-4)


def test_every_tensor_has_a_gradient_after_two_steps() -> None:
    torch.manual_seed(0)
    network = grow_b3(load_lite2()).train()
    head = nn.Linear(1536, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        head(network(torch.rand(4, 3, 64, 64))).square().mean().backward()
        optimizer.step()
    without_gradient = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert without_gradient == []


def test_backbone_without_initial_weights_raises_with_advice() -> None:
    with pytest.raises(InitialWeightsError, match="Set 'initial'"):
        load_initial(Classifier(TINY.classifier), TINY.classifier, "imagenet")


def test_released_model_gives_all_weights(tmp_path: Path) -> None:
    manifest = make_model(tmp_path)
    model = Classifier(TINY.classifier)
    source = load_initial(model, TINY.classifier, tmp_path)
    assert source == f"{manifest.name} {manifest.version} (weights {manifest.weights_sha256[:12]})"
    released = load_classifier(tmp_path, manifest).state_dict()
    assert all(torch.equal(tensor, released[name]) for name, tensor in model.state_dict().items())


def test_initial_model_of_another_network_raises(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    other = TINY.classifier.model_copy(update={"activation": "silu", "heads": 1})
    with pytest.raises(InitialWeightsError, match="activation, heads"):
        load_initial(Classifier(other), other, tmp_path / "model")
    with pytest.raises(InitialWeightsError, match="does not exist"):
        load_initial(Classifier(other), other, tmp_path / "nothing")
