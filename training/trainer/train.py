"""The training from top to bottom: a backbone that judges frames, a Transformer over them, a model on disk."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console

from training.config import ConfigError, TrainConfig
from training.data.images import ImageStore
from training.data.manifest import CropRow, ManifestError, load_manifest, sequences_of
from training.data.splits import find_split_leaks, hold_out, keep_data_sets, rows_of_part
from training.errors import TrainingError
from training.release.release import save_model
from training.trainer.distributed import Device
from training.trainer.initial_weights import load_initial
from training.trainer.loop import run_stage
from training.trainer.pairs import PairSampler
from training.trainer.stages import Run, make_frame_stage, make_sequence_stage
from worker.detector.model.classifier import Classifier
from worker.detector.model.manifest import MANIFEST_NAME

MODEL_NAME = "model"


class RunError(TrainingError):
    """The folder cannot take this run; the message says why."""


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
    if leaks := find_split_leaks(listed):
        raise ManifestError("A group or person is in more than one split. " + "; ".join(leaks[:10]))
    rows = keep_data_sets(listed, without=config.data.without)
    early_stopping = keep_data_sets(rows_of_part(listed, "early_stopping"), without=config.data.without)
    check_labels(early_stopping)
    out.mkdir(parents=True, exist_ok=True)
    check_same_run(config, out / "config.json")

    torch.manual_seed(config.seed)
    model = Classifier(config.detector.classifier)
    initial_weights = load_initial(model, config.detector.classifier, config.initial)
    model = model.to(device.torch).to(memory_format=torch.channels_last)
    store = ImageStore(config.data.manifest.parent)
    run = Run(config, device, model, PairSampler(rows, store, config), store, sequences_of(early_stopping))
    console.print(
        f"{len(rows)} crops; {len(run.early_stopping_clips)} clips say when to stop. Start: {initial_weights}."
    )

    for make_stage in (make_frame_stage, make_sequence_stage):
        if stage := make_stage(run):
            run_stage(stage, model, config=config, out=out, device=device, console=console)
    device.stop()
    if device.is_first:
        save_model(out / MODEL_NAME, model, config, initial_weights=initial_weights)
    return out / MODEL_NAME


def check_labels(rows: Sequence[CropRow]) -> None:
    """Raises ManifestError where the early_stopping part cannot tell a good model from a bad one."""
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
