"""Losses of the two stages."""

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


class _FrameLoss(nn.Module):
    """Crops and labels to the cross-entropy of the frame logits and the share of right answers."""

    def __init__(self, model: Classifier, config: TrainConfig, device: Device) -> None:
        super().__init__()
        assert config.frames is not None
        self._model, self._device, self._config = model, device, config.frames
        self._features = torch.compile(model.features) if config.compile else model.features

    def forward(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        crops, labels = batch
        crops = crops.to(self._device.torch, memory_format=torch.channels_last, non_blocking=True)
        logits = self._model.frame_head(self._features(crops)).squeeze(-1)
        return _loss(logits, labels.to(self._device.torch), self._config)


class _SequenceLoss(nn.Module):
    """Sequences to the cross-entropy of the clip logits and the share of right answers."""

    def __init__(self, model: Classifier, config: TrainConfig, device: Device) -> None:
        super().__init__()
        assert config.sequences is not None
        self._model, self._device, self._config = model, device, config.sequences
        self._crop = config.detector.crop

    def forward(self, batch: list[Example] | list[FeatureSequence]) -> tuple[Tensor, Tensor]:
        padded = pad(self._features(batch), [item.pts_seconds for item in batch])
        _, logits = self._model.head(*(part.to(self._device.torch) for part in padded))
        labels = torch.tensor([float(item.label) for item in batch], device=self._device.torch)
        return _loss(logits, labels, self._config)

    def _features(self, batch: list[Example] | list[FeatureSequence]) -> list[Tensor]:
        cached = [item.features.float() for item in batch if isinstance(item, FeatureSequence)]
        if cached:
            return cached
        # No padding reaches the backbone: its batch norms would count it.
        crops = np.concatenate([item.crops for item in batch if isinstance(item, Example)])
        pixels = torch.from_numpy(normalise(crops, self._crop))
        features = self._model.features(pixels.to(self._device.torch, memory_format=torch.channels_last))
        return list(torch.split(features, [len(item.pts_seconds) for item in batch]))


def _loss(logits: Tensor, labels: Tensor, config: StageConfig) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of a batch (B,) of pairs, a real and then its fake."""
    smoothing = config.label_smoothing
    loss = cross_entropy(logits, labels * (1 - 2 * smoothing) + smoothing)
    if config.ranking_weight:
        loss = loss + config.ranking_weight * softplus(logits[0::2] - logits[1::2]).mean()
    return loss, ((logits > 0) == (labels > 0.5)).float().mean()
