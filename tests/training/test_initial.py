"""The start: EfficientNet-Lite2 grown to B3 computes what Lite2 computes, and every new weight can learn."""

import pytest
import timm
import torch
from torch import nn

from training.initial import InitialWeightsError, grow_b3, load_initial, load_lite2
from worker.detector.config import ClassifierConfig


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
    backbone = timm.create_model("test_efficientnet", num_classes=0)
    with pytest.raises(InitialWeightsError, match="set 'initial'"):
        load_initial(backbone, ClassifierConfig(backbone="test_efficientnet"), "imagenet")
