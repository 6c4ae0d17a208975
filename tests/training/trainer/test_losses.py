"""Losses of the training stages."""

import math

import pytest
import torch

from training.config import StageConfig
from training.trainer.losses import compute_consistency_loss, compute_pair_loss


def test_ranking_loss_penalises_real_above_its_fake() -> None:
    labels, config = torch.tensor([0.0, 1.0]), StageConfig(ranking_weight=1.0)
    right, wrong = torch.tensor([-1.0, 1.0]), torch.tensor([1.0, -1.0])
    plain = [float(compute_pair_loss(logits, labels, StageConfig())[0]) for logits in (right, wrong)]
    ranked = [float(compute_pair_loss(logits, labels, config)[0]) for logits in (right, wrong)]
    differences = [ranked[side] - plain[side] for side in (0, 1)]
    assert differences == pytest.approx([math.log1p(math.exp(-2)), math.log1p(math.exp(2))], abs=1e-5)


def test_consistency_loss_compares_the_views_of_each_crop() -> None:
    views = torch.tensor([[1.0, 2.0], [1.0, 4.0], [0.0, 0.0], [3.0, 0.0]])  # (real, fake) of two views of two pairs
    assert float(compute_consistency_loss(views.flatten())) == (0 + 4 + 9 + 0) / 4
