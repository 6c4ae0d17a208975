"""Training of a model: a backbone that scores frames, a Transformer over them, a model on disk."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console

from training.config import ConfigError, TrainConfig
from training.data.images import ImageStore
from training.data.manifest import CropRow, ManifestError, load_crop_manifest, sequences_of
from training.data.splits import find_split_leaks, hold_out, keep_data_sets, rows_of_part
from training.errors import TrainingError
from training.files import atomic_write
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
    """The output folder cannot be used for this run."""


def train_model(config: TrainConfig, out: Path) -> Path:
    """Train a model, or resume a training that was interrupted.

    Args:
        config: Configuration of the run.
        out: Folder for checkpoints, the history, TensorBoard's events and the model, which is not yet calibrated.

    Returns:
        The directory of the model.

    Raises:
        RunError: The folder holds a model, or a run of another configuration.
        ConfigError: The configuration sets ``minutes``, and there are several processes.
        ManifestError: The data cannot be used.
        InitialWeightsError: The initial weights cannot be loaded.
    """
    if (out / MODEL_NAME / MANIFEST_NAME).exists():
        raise RunError(f"{out / MODEL_NAME} is trained already. Choose another folder, or delete it to train again.")
    cv2.setNumThreads(1)  # a loader is forked: if it inherits a held lock of OpenCV's pool, it hangs
    device, console = Device.start(config), Console()
    if device.count > 1 and any(stage and stage.minutes for stage in (config.frames, config.sequences)):
        raise ConfigError("'minutes' works only in one process, because each would read its own clock. Set 'steps'.")
    listed = hold_out(load_crop_manifest(config.data.manifest), config.data.hold_out)
    if leaks := find_split_leaks(listed):
        raise ManifestError("A group or person is in more than one split. " + "; ".join(leaks[:10]))
    rows = keep_data_sets(listed, without=config.data.without)
    early_stopping_rows = keep_data_sets(rows_of_part(listed, "early_stopping"), without=config.data.without)
    check_labels(early_stopping_rows)
    out.mkdir(parents=True, exist_ok=True)
    check_same_run(config, out / "config.json", write=device.is_first)

    torch.manual_seed(config.seed)
    model = Classifier(config.detector.classifier)
    initial_weights = load_initial(model, config.detector.classifier, config.initial)
    model = model.to(device.torch).to(memory_format=torch.channels_last)
    store = ImageStore(config.data.manifest.parent)
    run = Run(config, device, model, PairSampler(rows, store, config), store, sequences_of(early_stopping_rows))
    console.print(
        f"{len(rows)} crops; {len(run.early_stopping_clips)} clips for early stopping. Initial: {initial_weights}."
    )

    for make_stage in (make_frame_stage, make_sequence_stage):
        if stage := make_stage(run):
            run_stage(stage, model, config=config, out=out, device=device, console=console)
    device.stop()
    if device.is_first:
        save_model(out / MODEL_NAME, model, config, initial_weights=initial_weights)
    return out / MODEL_NAME


def check_labels(rows: Sequence[CropRow]) -> None:
    """Raise ManifestError if the early-stopping split lacks a label, without which no metric can be computed."""
    for label, name in enumerate(("real", "fake")):
        if all(row.label != label for row in rows):
            raise ManifestError(f"No clip of the early-stopping split is {name}. Add {name} clips to split 'val'.")


def check_same_run(config: TrainConfig, path: Path, *, write: bool) -> None:
    """Raise RunError if the configuration differs from that of the run in the folder.

    Settings of duration and speed may differ. With ``write``, the configuration goes to ``path``; only one process may
    write it.
    """
    changeable = {"steps", "minutes", "evaluate_every", "patience", "threads", "loaders", "compile"}

    def drop_changeable(values: Any) -> Any:
        if isinstance(values, dict):
            return {name: drop_changeable(value) for name, value in values.items() if name not in changeable}
        return values

    current = json.loads(config.model_dump_json())
    if path.exists() and (before := drop_changeable(json.loads(path.read_text()))) != drop_changeable(current):
        differing = [name for name, value in drop_changeable(current).items() if before.get(name) != value]
        raise RunError(f"{path.parent} holds a run with other {', '.join(differing)}. Choose another folder.")
    if write:
        with atomic_write(path) as unfinished:
            unfinished.write_text(json.dumps(current, indent=2) + "\n")
