"""Features of the backbone without gradients, and the cached sequences of the second stage."""

from collections.abc import Sequence

import numpy as np
import torch
from rich.progress import track as show_progress
from torch import Tensor
from torch.utils.data import Dataset

from training.config import TrainConfig
from training.data.images import Clip, ImageStore, load_crops
from training.trainer.distributed import Device
from training.trainer.loop import load_batches
from training.trainer.pairs import FeatureSequence, SequenceBatches
from worker.detector.model.classifier import Classifier
from worker.detector.model.preprocessing import normalise
from worker.detector.types import Image

_FORWARD_CROPS = 64
"""Crops per forward pass; without gradients the batch size affects only speed and memory."""


@torch.no_grad()
def extract_features(network: Classifier, crops: Image, config: TrainConfig, device: Device) -> Tensor:
    """Return features (N, F) of crops (N, S, S, 3) uint8, in evaluation mode."""
    network.eval()
    parts = []
    for start in range(0, len(crops), _FORWARD_CROPS):
        pixels = torch.from_numpy(normalise(crops[start : start + _FORWARD_CROPS], config.detector.crop))
        with device.autocast():
            parts.append(network.features(pixels.to(device.torch, memory_format=torch.channels_last)).float())
    return torch.cat(parts)


def extract_clip_features(
    network: Classifier, clips: Sequence[Clip], store: ImageStore, config: TrainConfig, device: Device
) -> Tensor:
    """Return features (N, F) of all frames of the clips; only the crops of about one forward pass are in memory."""
    parts, waiting = [], 0
    crops: list[Image] = []
    for number, clip in enumerate(clips, 1):
        crops.append(load_crops(clip, store, config.detector.crop))
        waiting += len(clip)
        if waiting >= _FORWARD_CROPS or number == len(clips):
            parts.append(extract_features(network, np.concatenate(crops), config, device))
            crops, waiting = [], 0
    return torch.cat(parts)


class CachedSequences(Dataset[list[FeatureSequence]]):
    """Batches of sequences by their number, drawn from sequences whose features are computed once."""

    def __init__(self, batches: SequenceBatches, network: Classifier, config: TrainConfig, device: Device) -> None:
        assert config.sequences is not None
        self._seed, self._rank, self._batch_pairs = config.seed, device.rank, config.sequences.batch_pairs
        self._sequences: list[FeatureSequence] = []
        numbers = range(-(-config.sequence.cached_pairs // self._batch_pairs))
        for examples in show_progress(load_batches(batches, numbers, config, device), "features", len(numbers)):
            crops = np.concatenate([example.crops for example in examples])
            features = extract_features(network, crops, config, device).cpu().half()
            parts = torch.split(features, [len(example.crops) for example in examples])
            for part, example in zip(parts, examples, strict=True):
                self._sequences.append(FeatureSequence(part, example.pts_seconds, example.label))

    def __getitem__(self, step: int) -> list[FeatureSequence]:
        rng = np.random.default_rng((self._seed, 3, step, self._rank))
        drawn = rng.integers(len(self._sequences) // 2, size=self._batch_pairs)
        return [self._sequences[2 * pair + side] for pair in drawn for side in (0, 1)]
