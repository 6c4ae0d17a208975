"""The start: EfficientNet-Lite2 grown to B3 computes what Lite2 computes, and every new weight can learn."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.models import TINY, make_model
from training.trainer.initial_weights import InitialWeightsError, grow_b3, load_initial, load_lite2
from worker.detector.model.checkpoint import load_classifier
from worker.detector.model.classifier import Classifier


def test_the_grown_backbone_says_what_the_small_one_says() -> None:
    torch.manual_seed(0)
    small = load_lite2()
    large = grow_b3(small)
    crops = torch.rand(2, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        expected = small.get_submodule("global_pool")(small.forward_features(crops))  # type: ignore[operator]
        found = large(crops)
    assert found.shape == (2, 1536)
    assert torch.allclose(found[:, :1280], expected, atol=1e-4)


def test_after_two_steps_every_tensor_has_a_gradient() -> None:
    torch.manual_seed(0)
    network = grow_b3(load_lite2()).train()
    head = nn.Linear(1536, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        head(network(torch.rand(4, 3, 64, 64))).square().mean().backward()
        optimizer.step()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


def test_what_cannot_start_says_what_to_set() -> None:
    with pytest.raises(InitialWeightsError, match="set 'initial'"):
        load_initial(Classifier(TINY.classifier), TINY.classifier, "imagenet")


def test_a_released_model_is_a_start(tmp_path: Path) -> None:
    manifest = make_model(tmp_path)
    model = Classifier(TINY.classifier)
    said = load_initial(model, TINY.classifier, tmp_path)
    assert said == f"{manifest.name} {manifest.version} (weights {manifest.weights_sha256[:12]})"
    released = load_classifier(tmp_path, manifest).state_dict()
    assert all(torch.equal(tensor, released[name]) for name, tensor in model.state_dict().items())


def test_a_start_that_is_otherwise_made_is_refused(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    other = TINY.classifier.model_copy(update={"activation": "silu", "heads": 1})
    with pytest.raises(InitialWeightsError, match="activation, heads"):
        load_initial(Classifier(other), other, tmp_path / "model")
    with pytest.raises(InitialWeightsError, match="does not exist"):
        load_initial(Classifier(other), other, tmp_path / "nothing")
