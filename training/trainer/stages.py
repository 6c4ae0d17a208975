"""The two training stages: frames, then sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track as show_progress
from torch import Tensor
from torch.utils.data import Dataset

from training.config import TrainConfig
from training.data.images import Clip, ImageStore, read_crops
from training.evaluation.metrics import LabelledScores, measure
from training.trainer.distributed import Device
from training.trainer.loop import Stage, ValidationMetrics, load_batches
from training.trainer.losses import _FrameLoss, _SequenceLoss
from training.trainer.pairs import FeatureSequence, FrameBatches, PairSampler, SequenceBatches, pad
from worker.detector.model.classifier import Classifier
from worker.detector.model.preprocessing import normalise
from worker.detector.types import Image

_FRAME_LAYERS = ("backbone.", "norm.", "frame_head.")
_VALIDATION_FRAMES_MAX = 4
"""Frames a clip that the first stage is scores by: neighbours say the same."""
_FORWARD_CROPS = 64
"""Crops of a batch that needs no gradient."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a training has in hand."""

    config: TrainConfig
    device: Device
    model: Classifier
    pairs: PairSampler
    store: ImageStore
    early_stopping_clips: list[Clip]
    """Of people that are never trained on; they say when to stop."""


def make_frame_stage(run: Run) -> Stage | None:
    """The first stage: backbone and frame logits learn from single crops."""
    config = run.config
    if config.frames is None:
        return None
    pairs_per_batch = config.frames.batch_pairs
    thinned = [clip[:: max(len(clip) // _VALIDATION_FRAMES_MAX, 1)] for clip in run.early_stopping_clips]
    crops: list[Image] = []

    def evaluate(network: Classifier) -> ValidationMetrics:
        if not crops:
            crops.extend(read_crops(clip, run.store, config.detector.crop) for clip in thinned)
        with torch.no_grad():
            features = extract_features(network, np.concatenate(crops), config, run.device)
            logits = network.frame_head(features).squeeze(-1)
        return _measure([row.label for clip in thinned for row in clip], logits)

    return Stage(
        name="frames",
        config=config.frames,
        make_batches=lambda: FrameBatches(run.pairs, config, batch_pairs=pairs_per_batch, rank=run.device.rank),
        make_loss=lambda network: _FrameLoss(network, config, run.device),
        is_trainable=lambda name: name.startswith(_FRAME_LAYERS),
        evaluate=evaluate,
    )


def make_sequence_stage(run: Run) -> Stage | None:
    """The second stage: the Transformer is_trainable from sequences; the backbone too, unless it is frozen."""
    config = run.config
    if config.sequences is None:
        return None
    is_frozen, pairs_per_batch = config.sequence.frozen_backbone, config.sequences.batch_pairs
    long = [
        clip for clip in run.early_stopping_clips if len(clip) >= config.detector.faces.frames_min
    ] or run.early_stopping_clips
    times = [np.array([row.pts_seconds for row in clip], np.float32) for clip in long]
    known: list[Tensor] = []

    def evaluate(network: Classifier) -> ValidationMetrics:
        if not (known and is_frozen):
            known[:] = torch.split(_read_features(network, long, run), [len(clip) for clip in long])
        with torch.no_grad():
            _, logits = network.eval().head(*(part.to(run.device.torch) for part in pad(known, times)))
        return _measure([clip[0].label for clip in long], logits)

    def make_batches() -> Dataset[Any]:
        drawn = SequenceBatches(run.pairs, config, batch_pairs=pairs_per_batch, rank=run.device.rank)
        return CachedSequences(drawn, run) if is_frozen else drawn

    return Stage(
        name="sequences",
        config=config.sequences,
        make_batches=make_batches,
        make_loss=lambda network: _SequenceLoss(network, config, run.device),
        is_trainable=lambda name: not (is_frozen and name.startswith(_FRAME_LAYERS)),
        evaluate=evaluate,
    )


@torch.no_grad()
def extract_features(network: Classifier, crops: Image, config: TrainConfig, device: Device) -> Tensor:
    """Features (N, F) of crops (N, S, S, 3) uint8, in evaluation mode."""
    network.eval()
    pieces = []
    for start in range(0, len(crops), _FORWARD_CROPS):
        pixels = torch.from_numpy(normalise(crops[start : start + _FORWARD_CROPS], config.detector.crop))
        with device.autocast():
            pieces.append(network.features(pixels.to(device.torch, memory_format=torch.channels_last)).float())
    return torch.cat(pieces)


class CachedSequences(Dataset[list[FeatureSequence]]):
    """Batches of sequences whose features are computed once and drawn again and again."""

    def __init__(self, drawn: SequenceBatches, run: Run) -> None:
        config = run.config
        assert config.sequences is not None
        self._seed, self._rank, self._batch_pairs = config.seed, run.device.rank, config.sequences.batch_pairs
        self._sequences: list[FeatureSequence] = []
        numbers = range(-(-config.sequence.cached_pairs // self._batch_pairs))
        for examples in show_progress(load_batches(drawn, numbers, config, run.device), "features", len(numbers)):
            crops = np.concatenate([example.crops for example in examples])
            features = extract_features(run.model, crops, config, run.device).cpu().half()
            for piece, example in zip(torch.split(features, [len(e.crops) for e in examples]), examples, strict=True):
                self._sequences.append(FeatureSequence(piece, example.pts_seconds, example.label))

    def __getitem__(self, step: int) -> list[FeatureSequence]:
        rng = np.random.default_rng((self._seed, 3, step, self._rank))
        drawn = rng.integers(len(self._sequences) // 2, size=self._batch_pairs)
        return [self._sequences[2 * pair + side] for pair in drawn for side in (0, 1)]


def _read_features(network: Classifier, clips: Sequence[Clip], run: Run) -> Tensor:
    """Features of all frames of the clips; so many crops are in memory as make a batch."""
    pieces, waiting = [], 0
    crops: list[Image] = []
    for number, clip in enumerate(clips, 1):
        crops.append(read_crops(clip, run.store, run.config.detector.crop))
        waiting += len(clip)
        if waiting >= _FORWARD_CROPS or number == len(clips):
            pieces.append(extract_features(network, np.concatenate(crops), run.config, run.device))
            crops, waiting = [], 0
    return torch.cat(pieces)


def _measure(labels: Sequence[int], logits: Tensor) -> ValidationMetrics:
    """ValidationMetrics without intervals, of all data sets together. Where one label is missing, the AUC counts as 0.5."""
    probabilities: npt.NDArray[np.float64] = logits.double().sigmoid().cpu().numpy()
    scores = LabelledScores(np.array(labels), probabilities, np.arange(len(labels)).astype(np.str_))
    figures = measure(scores, threshold=0.5, resamples=0)
    return ValidationMetrics(f1=figures["f1"].value or 0.0, auc=figures["auc"].value or 0.5)
