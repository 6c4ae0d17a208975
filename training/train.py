"""The training from top to bottom: a backbone that judges frames, a Transformer over them, a model on disk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track as show_progress
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import softplus
from torch.utils.data import Dataset

from training.config import ConfigError, StageConfig, TrainConfig
from training.dataset import Example, FrameBatches, Pairs, SequenceBatches, keep_data_sets, pad
from training.device import Device
from training.errors import TrainingError
from training.images import Clip, ImageStore, read_crops
from training.initial import load_initial
from training.loop import Figures, Stage, load_batches, run_stage
from training.manifest import (
    CropRow,
    ManifestError,
    find_crossings,
    hold_out,
    load_manifest,
    rows_of_part,
    sequences_of,
)
from training.metrics import Judged, measure
from training.release import save_model
from worker.detector.classifier import Classifier
from worker.detector.manifest import MANIFEST_NAME
from worker.detector.transforms import normalise
from worker.detector.types import Floats, Image

MODEL_NAME = "model"


class RunError(TrainingError):
    """The folder cannot take this run; the message says why."""


_FRAME_LAYERS = ("backbone.", "norm.", "frame_head.")
_STOP_FRAMES_MAX = 4
"""Frames a clip that the first stage is judged by: neighbours say the same."""
_FORWARD_CROPS = 64
"""Crops of a batch that needs no gradient."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a training has in hand."""

    config: TrainConfig
    device: Device
    model: Classifier
    pairs: Pairs
    store: ImageStore
    stop_clips: list[Clip]
    """Of people that are never trained on; they say when to stop."""


def train(config: TrainConfig, out: Path) -> Path:
    """Trains a model, or goes on with one that was interrupted.

    Args:
        config: What to do.
        out: Gets checkpoints, the history, TensorBoard's events and the model, not yet calibrated.

    Returns:
        The directory of the model.

    Raises:
        RunError: The folder holds a model, or a run of another configuration.
        ManifestError: The data cannot be used.
        InitialWeightsError: The backbone has nowhere to start.
    """
    if (out / MODEL_NAME / MANIFEST_NAME).exists():
        raise RunError(f"{out / MODEL_NAME} is trained already. Choose another folder, or delete it to train anew.")
    cv2.setNumThreads(1)  # a loader is forked: a lock of OpenCV's pool, held at that moment, would stop it for ever
    device, console = Device.start(config), Console()
    if device.count > 1 and any(stage and stage.minutes for stage in (config.frames, config.sequences)):
        raise ConfigError("'minutes' works in one process: each would read its own clock. Set 'steps'.")
    listed = hold_out(load_manifest(config.data.manifest), config.data.hold_out)
    if crossings := find_crossings(listed):
        raise ManifestError("A group or person is in more than one split. " + "; ".join(crossings[:10]))
    rows = keep_data_sets(listed, without=config.data.without)
    stopping = keep_data_sets(rows_of_part(listed, "early_stopping"), without=config.data.without)
    check_labels(stopping)
    out.mkdir(parents=True, exist_ok=True)
    check_same_run(config, out / "config.json")

    torch.manual_seed(config.seed)
    model = Classifier(config.detector.classifier)
    initial_weights = load_initial(model, config.detector.classifier, config.initial)
    model = model.to(device.torch).to(memory_format=torch.channels_last)
    store = ImageStore(config.data.manifest.parent)
    run = Run(config, device, model, Pairs(rows, store, config), store, sequences_of(stopping))
    console.print(f"{len(rows)} crops; {len(run.stop_clips)} clips say when to stop. Start: {initial_weights}.")

    for make_stage in (make_frame_stage, make_sequence_stage):
        if stage := make_stage(run):
            run_stage(stage, model, config=config, out=out, device=device, console=console)
    device.stop()
    if device.is_first:
        save_model(out / MODEL_NAME, model, config, initial_weights=initial_weights)
    return out / MODEL_NAME


def check_labels(rows: Sequence[CropRow]) -> None:
    """Raises ManifestError where the stopping part cannot tell a good model from a bad one."""
    for label, name in enumerate(("real", "fake")):
        if all(row.label != label for row in rows):
            raise ManifestError(f"Nobody in split 'val' is {name}, so nothing says when to stop. Put some there.")


def check_same_run(config: TrainConfig, path: Path) -> None:
    """Raises RunError where a run goes on otherwise than it began; how long and how fast it runs may change."""
    free = {"steps", "minutes", "evaluate_every", "patience", "threads", "loaders", "compile"}

    def fixed(values: Any) -> Any:
        if isinstance(values, dict):
            return {name: fixed(value) for name, value in values.items() if name not in free}
        return values

    now = json.loads(config.model_dump_json())
    if path.exists() and (before := fixed(json.loads(path.read_text()))) != fixed(now):
        differing = [name for name, value in fixed(now).items() if before.get(name) != value]
        raise RunError(f"{path.parent} holds a run with other {', '.join(differing)}. Choose another folder.")
    path.write_text(json.dumps(now, indent=2) + "\n")


def make_frame_stage(run: Run) -> Stage | None:
    """The first stage: backbone and frame logits learn from single crops."""
    config = run.config
    if config.frames is None:
        return None
    pairs_a_batch = config.frames.batch_pairs
    thinned = [clip[:: max(len(clip) // _STOP_FRAMES_MAX, 1)] for clip in run.stop_clips]
    crops: list[Image] = []

    def evaluate(network: Classifier) -> Figures:
        if not crops:
            crops.extend(read_crops(clip, run.store, config.detector.crop) for clip in thinned)
        with torch.no_grad():
            features = extract_features(network, np.concatenate(crops), config, run.device)
            logits = network.frame_head(features).squeeze(-1)
        return _judge([row.label for clip in thinned for row in clip], logits)

    return Stage(
        name="frames",
        config=config.frames,
        make_batches=lambda: FrameBatches(run.pairs, config, batch_pairs=pairs_a_batch, rank=run.device.rank),
        make_loss=lambda network: _FrameLoss(network, config, run.device),
        learns=lambda name: name.startswith(_FRAME_LAYERS),
        evaluate=evaluate,
    )


def make_sequence_stage(run: Run) -> Stage | None:
    """The second stage: the Transformer learns from sequences; the backbone too, unless it is frozen."""
    config = run.config
    if config.sequences is None:
        return None
    is_frozen, pairs_a_batch = config.sequence.frozen_backbone, config.sequences.batch_pairs
    long = [clip for clip in run.stop_clips if len(clip) >= config.detector.faces.frames_min] or run.stop_clips
    times = [np.array([row.pts_seconds for row in clip], np.float32) for clip in long]
    known: list[Tensor] = []

    def evaluate(network: Classifier) -> Figures:
        if not (known and is_frozen):
            known[:] = torch.split(_read_features(network, long, run), [len(clip) for clip in long])
        with torch.no_grad():
            _, logits = network.eval().head(*(part.to(run.device.torch) for part in pad(known, times)))
        return _judge([clip[0].label for clip in long], logits)

    def make_batches() -> Dataset[Any]:
        drawn = SequenceBatches(run.pairs, config, batch_pairs=pairs_a_batch, rank=run.device.rank)
        return CachedSequences(drawn, run) if is_frozen else drawn

    return Stage(
        name="sequences",
        config=config.sequences,
        make_batches=make_batches,
        make_loss=lambda network: _SequenceLoss(network, config, run.device),
        learns=lambda name: not (is_frozen and name.startswith(_FRAME_LAYERS)),
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


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSequence:
    """A sequence as features (N, F) of a backbone that does not change any more, with times (N,) and its label."""

    features: Tensor
    pts_seconds: Floats
    label: int


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


def _judge(labels: Sequence[int], logits: Tensor) -> Figures:
    """Figures without intervals, of all data sets together. Where one label is missing, the AUC counts as 0.5."""
    probabilities: npt.NDArray[np.float64] = logits.double().sigmoid().cpu().numpy()
    judged = Judged(np.array(labels), probabilities, np.arange(len(labels)).astype(np.str_))
    figures = measure(judged, threshold=0.5, resamples=0)
    return Figures(f1=figures["f1"].value or 0.0, auc=figures["auc"].value or 0.5)
