"""Losses of the two training stages."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import softplus

from training.config import StageConfig, TrainConfig
from training.trainer.distributed import Device
from training.trainer.pairs import Example, FeatureSequence, pad
from worker.detector.model.classifier import Classifier
from worker.detector.model.preprocessing import normalise


class FrameLoss(nn.Module):
    """Loss of the frame logits and accuracy, from a batch of crops and labels."""

    def __init__(self, model: Classifier, config: TrainConfig, device: Device) -> None:
        super().__init__()
        assert config.frames is not None
        self._model, self._device, self._config = model, device, config.frames
        self._features = torch.compile(model.features) if config.compile else model.features

    def forward(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return loss and accuracy of crops (B, 3, S, S) with labels (B,), as ``FrameBatches`` orders them."""
        crops, labels = batch
        crops = crops.to(self._device.torch, memory_format=torch.channels_last, non_blocking=True)
        logits = self._model.frame_head(self._features(crops)).squeeze(-1)
        loss, accuracy = compute_pair_loss(logits, labels.to(self._device.torch), self._config)
        if self._config.consistency_weight:
            loss = loss + self._config.consistency_weight * compute_consistency_loss(logits)
        return loss, accuracy


class SequenceLoss(nn.Module):
    """Loss of the clip logits and accuracy, from a batch of sequences."""

    def __init__(self, model: Classifier, config: TrainConfig, device: Device) -> None:
        super().__init__()
        assert config.sequences is not None
        self._model, self._device, self._config = model, device, config.sequences
        self._crop = config.detector.crop

    def forward(self, batch: list[Example] | list[FeatureSequence]) -> tuple[Tensor, Tensor]:
        """Return loss and accuracy of sequences, a real and then its fake."""
        padded = pad(self._features(batch), [sequence.pts_seconds for sequence in batch])
        _, logits = self._model.head(*(part.to(self._device.torch) for part in padded))
        labels = torch.tensor([float(sequence.label) for sequence in batch], device=self._device.torch)
        return compute_pair_loss(logits, labels, self._config)

    def _features(self, batch: list[Example] | list[FeatureSequence]) -> list[Tensor]:
        cached = [sequence.features.float() for sequence in batch if isinstance(sequence, FeatureSequence)]
        if cached:
            return cached
        # Concatenated, not padded: padding would distort the statistics of the batch norms.
        crops = np.concatenate([sequence.crops for sequence in batch if isinstance(sequence, Example)])
        pixels = torch.from_numpy(normalise(crops, self._crop))
        features = self._model.features(pixels.to(self._device.torch, memory_format=torch.channels_last))
        return list(torch.split(features, [len(sequence.pts_seconds) for sequence in batch]))


def compute_pair_loss(logits: Tensor, labels: Tensor, config: StageConfig) -> tuple[Tensor, Tensor]:
    """Return loss and accuracy of a batch (B,) of pairs, a real and then its fake.

    The loss is the cross-entropy with smoothed labels, plus the weighted ranking loss within the pairs.
    """
    smoothing = config.label_smoothing
    loss = cross_entropy(logits, labels * (1 - 2 * smoothing) + smoothing)
    if config.ranking_weight:
        loss = loss + config.ranking_weight * softplus(logits[0::2] - logits[1::2]).mean()
    return loss, ((logits > 0) == (labels > 0.5)).float().mean()


def compute_consistency_loss(logits: Tensor) -> Tensor:
    """Return the mean squared difference of the logits (B,) of two views: real, fake, and again real, fake."""
    first, second = logits.reshape(-1, 2, 2).unbind(1)
    return (first - second).square().mean()
