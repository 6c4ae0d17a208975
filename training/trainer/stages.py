"""Definitions of the two training stages: frames, then sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.config import TrainConfig
from training.data.images import Clip, ImageStore, load_crops
from training.evaluation.metrics import LabelledScores, compute_metrics
from training.trainer.distributed import Device
from training.trainer.features import CachedSequences, extract_clip_features, extract_features
from training.trainer.loop import Stage, ValidationMetrics
from training.trainer.losses import FrameLoss, SequenceLoss
from training.trainer.pairs import FrameBatches, PairSampler, SequenceBatches, pad
from worker.detector.model.classifier import Classifier
from worker.detector.types import Image

_FRAME_LAYERS = ("backbone.", "norm.", "frame_head.")
_VALIDATION_FRAMES_MAX = 4
"""Frames per clip in the validation of the first stage: neighbouring frames add little information."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Inputs that the stages of a run share."""

    config: TrainConfig
    device: Device
    model: Classifier
    pairs: PairSampler
    store: ImageStore
    early_stopping_clips: list[Clip]
    """Clips of the early-stopping split, of people that are never trained on."""


def make_frame_stage(run: Run) -> Stage | None:
    """Return the first stage, which trains backbone and frame logits on single crops; None if it is disabled."""
    config = run.config
    if config.frames is None:
        return None
    pairs_per_batch = config.frames.batch_pairs
    thinned = [clip[:: max(len(clip) // _VALIDATION_FRAMES_MAX, 1)] for clip in run.early_stopping_clips]
    crops: list[Image] = []

    def validate(network: Classifier) -> ValidationMetrics:
        if not crops:
            crops.extend(load_crops(clip, run.store, config.detector.crop) for clip in thinned)
        with torch.no_grad():
            features = extract_features(network, np.concatenate(crops), config, run.device)
            logits = network.frame_head(features).squeeze(-1)
        return _compute_validation_metrics([row.label for clip in thinned for row in clip], logits)

    return Stage(
        name="frames",
        config=config.frames,
        make_batches=lambda: FrameBatches(run.pairs, config, batch_pairs=pairs_per_batch, rank=run.device.rank),
        make_loss=lambda network: FrameLoss(network, config, run.device),
        is_trainable=lambda name: name.startswith(_FRAME_LAYERS),
        validate=validate,
    )


def make_sequence_stage(run: Run) -> Stage | None:
    """Return the second stage, which trains the Transformer on sequences; None if it is disabled.

    The backbone is trained too, unless it is frozen.
    """
    config = run.config
    if config.sequences is None:
        return None
    is_frozen, pairs_per_batch = config.sequence.frozen_backbone, config.sequences.batch_pairs
    long = [
        clip for clip in run.early_stopping_clips if len(clip) >= config.detector.faces.frames_min
    ] or run.early_stopping_clips
    times = [np.array([row.pts_seconds for row in clip], np.float32) for clip in long]
    features: list[Tensor] = []

    def validate(network: Classifier) -> ValidationMetrics:
        if not (features and is_frozen):
            all_features = extract_clip_features(network, long, run.store, config, run.device)
            features[:] = torch.split(all_features, [len(clip) for clip in long])
        with torch.no_grad():
            _, logits = network.eval().head(*(part.to(run.device.torch) for part in pad(features, times)))
        return _compute_validation_metrics([clip[0].label for clip in long], logits)

    def make_batches() -> Dataset[Any]:
        batches = SequenceBatches(run.pairs, config, batch_pairs=pairs_per_batch, rank=run.device.rank)
        return CachedSequences(batches, run.model, config, run.device) if is_frozen else batches

    return Stage(
        name="sequences",
        config=config.sequences,
        make_batches=make_batches,
        make_loss=lambda network: SequenceLoss(network, config, run.device),
        is_trainable=lambda name: not (is_frozen and name.startswith(_FRAME_LAYERS)),
        validate=validate,
    )


def _compute_validation_metrics(labels: Sequence[int], logits: Tensor) -> ValidationMetrics:
    """Return metrics without intervals, of all data sets together; the AUC is 0.5 if a label is missing."""
    probabilities: npt.NDArray[np.float64] = logits.double().sigmoid().cpu().numpy()
    scores = LabelledScores(np.array(labels), probabilities, np.arange(len(labels)).astype(np.str_))
    metrics = compute_metrics(scores, threshold=0.5, resamples=0)
    return ValidationMetrics(f1=metrics["f1"].value or 0.0, auc=metrics["auc"].value or 0.5)
