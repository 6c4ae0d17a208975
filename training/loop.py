"""One stage of a training: steps, looks at the stopping part, an average of the weights, checkpoints, an early end.

A run that was killed and is started again goes on from its last look as if nothing had happened: every step draws
from its own seed.
"""

import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, TextIO

import cv2
import torch
from rich.console import Console
from rich.progress import track as show_progress
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, distributed, nn
from torch.amp.autocast_mode import autocast
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from training.config import HISTORY_NAME, StageConfig, TrainConfig
from worker.detector.classifier import Classifier

_LOG_EVERY = 20


@dataclass(frozen=True, slots=True)
class Device:
    """Where a process computes, and which of how many it is."""

    torch: torch.device
    rank: int = 0
    count: int = 1

    @classmethod
    def start(cls, config: TrainConfig) -> Self:
        """The device of this process; under ``torchrun`` it joins the others."""
        if config.threads:
            torch.set_num_threads(config.threads)
        count = int(os.environ.get("WORLD_SIZE", "1"))
        has_gpu = torch.cuda.is_available()
        if count == 1:
            return cls(torch.device("cuda" if has_gpu else "cpu"))
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if has_gpu else "gloo")
        if has_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        return cls(torch.device("cuda" if has_gpu else "cpu"), distributed.get_rank(), count)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def autocast(self) -> autocast:
        """Half precision on a GPU; processors without bfloat16 only lose by it."""
        has_bfloat16 = self.torch.type == "cuda" and torch.cuda.is_bf16_supported()
        dtype = torch.bfloat16 if has_bfloat16 else torch.float16
        return autocast(self.torch.type, dtype, enabled=self.torch.type == "cuda")


@dataclass(frozen=True, slots=True)
class Figures:
    """How good the averaged weights are on the stopping part."""

    f1: float
    auc: float


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What a stage learns, from what, and how it is judged."""

    name: str
    config: StageConfig
    make_batches: Callable[[], Dataset[Any]]
    """By their number; called where there is a step left to do."""
    make_loss: Callable[[Classifier], nn.Module]
    """A module that turns a batch into a loss and the share of right answers."""
    learns: Callable[[str], bool]
    """Whether a parameter is trained, by its name."""
    evaluate: Callable[[Classifier], Figures]


@dataclass(slots=True)
class _State:
    """How far a stage is."""

    step: int = 0
    best_f1: float = -1.0
    best_auc: float = -1.0
    looks_without_gain: int = 0
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of the history of a run; what was not measured at a step is empty."""

    stage: str
    step: int
    loss: float | None = None
    accuracy: float | None = None
    stop_f1: float | None = None
    stop_auc: float | None = None


def run_stage(
    stage: Stage, model: Classifier, *, config: TrainConfig, out: Path, device: Device, console: Console
) -> None:
    """Trains a stage to its end, or goes on with it; the model then holds the weights of its best look.

    Args:
        stage: What to do.
        model: Is changed.
        config: Of the whole run.
        out: Gets ``<stage>.pt``, the history and TensorBoard's events.
        device: Where.
        console: Hears of each look.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(stage.learns(name))
    with SummaryWriter(str(out / "tensorboard")) as writer, (out / HISTORY_NAME).open("a", newline="") as file:
        history = _History(file, writer)
        runner = _Runner(stage, model, config, device, history=history, path=out / f"{stage.name}.pt")
        runner.resume()
        batches = None if runner.state.is_done else stage.make_batches()
        while batches is not None and not runner.state.is_done:
            end = min(runner.state.step + stage.config.evaluate_every, stage.config.steps)
            loaded = load_batches(batches, range(runner.state.step, end), config)
            steps = end - runner.state.step
            runner.advance(show_progress(loaded, f"{stage.name} {end}", steps, console=console))
            figures = runner.look()
            console.print(f"{stage.name} {runner.state.step}: F1 {figures.f1:.4f}, AUC {figures.auc:.4f}")
    model.load_state_dict(runner.best)


class _History:
    """Writes what is measured, for people who plot and for TensorBoard."""

    def __init__(self, file: TextIO, writer: SummaryWriter) -> None:
        self._file, self._writer = file, writer
        self._rows = csv.DictWriter(file, [field.name for field in fields(HistoryRow)])
        if file.tell() == 0:
            self._rows.writeheader()

    def add(self, row: HistoryRow) -> None:
        values = asdict(row)
        self._rows.writerow(values)
        self._file.flush()
        for name, value in values.items():
            if isinstance(value, float):
                self._writer.add_scalar(f"{row.stage}/{name}", value, row.step)


class _Runner:
    """The moving parts of a stage: weights, their average, the optimiser, and how far it is."""

    def __init__(
        self,
        stage: Stage,
        model: Classifier,
        config: TrainConfig,
        device: Device,
        *,
        history: _History,
        path: Path,
    ) -> None:
        self._stage, self._model, self._seed, self._device = stage, model, config.seed, device
        self._history, self._path = history, path
        self._average = ModelEmaV3(model, decay=stage.config.ema_decay, use_warmup=True, warmup_power=2 / 3)
        self._optimizer = _make_optimizer(model, stage.config)
        self._scaler = torch.amp.GradScaler(device.torch.type, enabled=device.torch.type == "cuda")
        loss = stage.make_loss(model)
        self._loss = loss if device.count == 1 else DistributedDataParallel(loss)
        self.state = _State()
        self.best: dict[str, Tensor] = {}

    def resume(self) -> None:
        """Goes on from the last look, if there was one."""
        if not self._path.exists():
            return
        saved = torch.load(self._path, map_location=self._device.torch, weights_only=True)
        self.state, self.best = _State(**saved["state"]), saved["best"]
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])

    def advance(self, batches: Iterable[Any]) -> None:
        """One step a batch."""
        self._model.train()
        recent: list[tuple[float, float]] = []
        for batch in batches:
            # Dropout, too, follows from the number of the step.
            torch.manual_seed(hash((self._seed, self.state.step, self._device.rank)) % 2**31)
            recent.append(self._step(batch))
            self.state.step += 1
            self._average.update(self._model, step=self.state.step)
            if self.state.step % _LOG_EVERY == 0:
                loss, accuracy = (sum(values) / len(recent) for values in zip(*recent, strict=True))
                self._history.add(HistoryRow(self._stage.name, self.state.step, loss=loss, accuracy=accuracy))
                recent.clear()

    def look(self) -> Figures:
        """Judges the averaged weights, keeps them where they are the best, and writes a checkpoint."""
        state, config = self.state, self._stage.config
        figures = self._stage.evaluate(self._average.module)
        is_better = figures.f1 > state.best_f1
        state.looks_without_gain = 0 if is_better or figures.auc > state.best_auc else state.looks_without_gain + 1
        if is_better:
            self.best = {name: tensor.clone() for name, tensor in self._average.module.state_dict().items()}
        state.best_f1, state.best_auc = max(state.best_f1, figures.f1), max(state.best_auc, figures.auc)
        state.is_done = state.step >= config.steps or state.looks_without_gain >= config.patience
        self._history.add(HistoryRow(self._stage.name, state.step, stop_f1=figures.f1, stop_auc=figures.auc))
        if self._device.is_first:
            content = {name: part.state_dict() for name, part in self._parts().items()}
            unfinished = self._path.with_suffix(".part")
            torch.save(content | {"state": asdict(state), "best": self.best}, unfinished)
            unfinished.replace(self._path)  # a checkpoint is whole, or the one before
        return figures

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self._model,
            "average": self._average.module,
            "optimizer": self._optimizer,
            "scaler": self._scaler,
        }

    def _step(self, batch: Any) -> tuple[float, float]:
        config = self._stage.config
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * _rate_factor(self.state.step, config)
        self._optimizer.zero_grad(set_to_none=True)
        with self._device.autocast():
            loss, accuracy = self._loss(batch)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, config.gradient_norm_max)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return float(loss.detach()), float(accuracy)


def load_batches(batches: Dataset[Any], numbers: range, config: TrainConfig) -> Iterator[Any]:
    """Batches of some numbers, made ahead in other processes."""
    loader: DataLoader[Any] = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=config.loaders,
        prefetch_factor=4 if config.loaders else None,
        worker_init_fn=_start_loader,
    )
    return iter(loader)


def _start_loader(_number: int) -> None:
    cv2.setNumThreads(1)  # a loader a core: its threads would only take turns with the training's


def _rate_factor(step: int, config: StageConfig) -> float:
    warm = min((step + 1) / max(config.warmup_steps, 1), 1.0)
    if config.schedule == "constant":
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def _make_optimizer(model: Classifier, config: StageConfig) -> torch.optim.Optimizer:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = config.learning_rate * (1.0 if name.startswith("backbone.") else config.head_factor)
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    settings = [
        {"params": parameters, "rate": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()
    ]
    if config.optimizer == "adam":
        return torch.optim.Adam(settings, lr=config.learning_rate)
    return torch.optim.AdamW(settings, lr=config.learning_rate)
