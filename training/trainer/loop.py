"""One training stage: optimisation steps, validation, average of the weights, checkpoints, early stopping.

A killed run resumes from its last validation and gives the same result as an uninterrupted one: every step has its own
random seed.
"""

import csv
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track as show_progress
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from training.config import HISTORY_NAME, StageConfig, TrainConfig
from training.files import atomic_write
from training.trainer.distributed import Device
from worker.detector.model.classifier import Classifier

_LOG_EVERY = 20
_TIMED_STEPS_MAX = 2**31
"""Upper bound of the steps of a stage that ends after a time."""


@dataclass(frozen=True, slots=True)
class ValidationMetrics:
    """Metrics of the averaged weights on the early-stopping split."""

    f1: float
    auc: float


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Definition of a stage: its trainable parameters, batches, loss and validation."""

    name: str
    config: StageConfig
    make_batches: Callable[[], Dataset[Any]]
    """Make the batches, indexed by step; called only if a step is left to do."""
    make_loss: Callable[[Classifier], nn.Module]
    """Make a module that maps a batch to its loss and accuracy."""
    is_trainable: Callable[[str], bool]
    """Return whether the parameter of this name is trained."""
    validate: Callable[[Classifier], ValidationMetrics]
    """Return the metrics of a network on the early-stopping split."""


@dataclass(slots=True)
class _State:
    """Progress of a stage."""

    step: int = 0
    seconds: float = 0.0
    best_f1: float = -1.0
    best_auc: float = -1.0
    validations_without_gain: int = 0
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One row of the history of a run; metrics that were not measured at the step are None."""

    stage: str
    step: int
    loss: float | None = None
    accuracy: float | None = None
    validation_f1: float | None = None
    validation_auc: float | None = None


_HISTORY_COLUMNS = [field.name for field in fields(HistoryRow)]


def run_stage(
    stage: Stage, model: Classifier, *, config: TrainConfig, out: Path, device: Device, console: Console
) -> None:
    """Train a stage to its end, or resume it. Afterwards the model has the weights of the best validation.

    Args:
        stage: Definition of the stage.
        model: Network; it is changed in place.
        config: Configuration of the whole run.
        out: Folder for ``<stage>.pt``, the history and TensorBoard's events.
        device: Device of this process.
        console: Console for the metrics of each validation.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(stage.is_trainable(name))
    history = _History(out, stage.name) if device.is_first else None
    runner = _Runner(stage, model, config, device, history=history, path=out / f"{stage.name}.pt")
    runner.resume()
    if not runner.state.is_done:
        steps = stage.config.steps if stage.config.minutes is None else _TIMED_STEPS_MAX
        loaded = load_batches(stage.make_batches(), range(runner.state.step, steps), config, device)
        while not runner.state.is_done:
            count = min(stage.config.evaluate_every, steps - runner.state.step)
            description = f"{stage.name} {runner.state.step + count}"
            runner.advance(show_progress(islice(loaded, count), description, count, console=console))
            metrics = runner.validate()
            console.print(
                f"{stage.name} {runner.state.step}: F1 {metrics.f1:.4f}, AUC {metrics.auc:.4f}, "
                f"{runner.state.seconds:.0f} s"
            )
    model.load_state_dict(runner.best)


class _History:
    """History of a stage, as a CSV file and for TensorBoard."""

    def __init__(self, out: Path, stage: str) -> None:
        self._out, self._stage = out, stage
        self._path = out / HISTORY_NAME

    def start(self, step: int) -> None:
        """Open the history after a step; drop later rows of the stage, whose steps run again."""
        kept = []
        if self._path.exists():
            with self._path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            kept = [row for row in rows if row["stage"] != self._stage or int(row["step"]) <= step]
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, _HISTORY_COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        self._tensorboard = SummaryWriter(str(self._out / "tensorboard"), purge_step=step + 1)

    def add(self, row: HistoryRow) -> None:
        """Append a row."""
        values = asdict(row)
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, _HISTORY_COLUMNS).writerow(values)
        for name, value in values.items():
            if isinstance(value, float):
                self._tensorboard.add_scalar(f"{row.stage}/{name}", value, row.step)


class _Runner:
    """Mutable state of a stage: weights, their average, the optimiser and the progress."""

    def __init__(
        self,
        stage: Stage,
        model: Classifier,
        config: TrainConfig,
        device: Device,
        *,
        history: _History | None,
        path: Path,
    ) -> None:
        self._stage, self._model, self._seed, self._device = stage, model, config.seed, device
        self._history, self._path = history, path
        self._average = ModelEmaV3(model, decay=stage.config.ema_decay, use_warmup=True, warmup_power=2 / 3)
        self._optimizer = _make_optimizer(model, stage.config)
        self._scaler = torch.amp.GradScaler(device.torch.type, enabled=device.half_precision is torch.float16)
        loss = stage.make_loss(model)
        self._loss = loss if device.count == 1 else DistributedDataParallel(loss)
        self._clock_start = time.monotonic()
        self.state = _State()
        self.best: dict[str, Tensor] = {}

    def resume(self) -> None:
        """Restore the checkpoint of the last validation, if there is one."""
        if self._path.exists():
            saved = torch.load(self._path, map_location=self._device.torch, weights_only=True)
            self.state, self.best = _State(**saved["state"]), saved["best"]
            for name, part in self._parts().items():
                part.load_state_dict(saved[name])
        if self._history:
            self._history.start(self.state.step)
        self._clock_start = time.monotonic() - self.state.seconds

    def advance(self, batches: Iterable[Any]) -> None:
        """Do one step per batch; a stage with ``minutes`` ends when they are over."""
        self._model.train()
        recent: list[Tensor] = []
        for batch in batches:
            # Seeded by the step, so that dropout is the same in a resumed run.
            torch.manual_seed(hash((self._seed, self.state.step, self._device.rank)) % 2**31)
            recent.append(self._step(batch))
            self.state.step += 1
            self._average.update(self._model, step=self.state.step)
            if self._history and self.state.step % _LOG_EVERY == 0:
                loss, accuracy = torch.stack(recent).mean(0).tolist()
                self._history.add(HistoryRow(self._stage.name, self.state.step, loss=loss, accuracy=accuracy))
                recent.clear()
            if self._share_done() >= 1:
                break

    def validate(self) -> ValidationMetrics:
        """Validate the averaged weights, keep them if they are the best, and write a checkpoint."""
        state, config = self.state, self._stage.config
        metrics = self._compute_metrics()
        is_better = metrics.f1 > state.best_f1
        state.validations_without_gain = (
            0 if is_better or metrics.auc > state.best_auc else state.validations_without_gain + 1
        )
        if is_better:
            self.best = {name: tensor.clone() for name, tensor in self._average.module.state_dict().items()}
        state.best_f1, state.best_auc = max(state.best_f1, metrics.f1), max(state.best_auc, metrics.auc)
        state.seconds = time.monotonic() - self._clock_start
        state.is_done = self._share_done() >= 1 or state.validations_without_gain >= config.patience
        if self._history:
            self._history.add(
                HistoryRow(self._stage.name, state.step, validation_f1=metrics.f1, validation_auc=metrics.auc)
            )
            content = {name: part.state_dict() for name, part in self._parts().items()}
            with atomic_write(self._path) as unfinished:
                torch.save(content | {"state": asdict(state), "best": self.best}, unfinished)
        return metrics

    def _compute_metrics(self) -> ValidationMetrics:
        """Validate in the first process and share the metrics: all processes must stop at the same step."""
        metrics = [self._stage.validate(self._average.module) if self._device.is_first else None]
        if self._device.count > 1:
            distributed.broadcast_object_list(metrics, device=self._device.torch)
        assert metrics[0] is not None
        return metrics[0]

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self._model,
            "average": self._average.module,
            "optimizer": self._optimizer,
            "scaler": self._scaler,
        }

    def _share_done(self) -> float:
        """Return the completed share of the stage, by its steps or by the elapsed time."""
        config = self._stage.config
        if config.minutes is None:
            return self.state.step / config.steps
        return (time.monotonic() - self._clock_start) / (60 * config.minutes)

    def _step(self, batch: Any) -> Tensor:
        """Do one step; return loss and accuracy, (2,), on the device, because reading them would wait for the GPU."""
        config = self._stage.config
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * _rate_factor(self.state.step, self._share_done(), config)
        self._optimizer.zero_grad(set_to_none=True)
        with self._device.autocast():
            loss, accuracy = self._loss(batch)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, config.gradient_norm_max)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return torch.stack([loss.detach().float(), accuracy])


def load_batches(batches: Dataset[Any], numbers: range, config: TrainConfig, device: Device) -> Iterator[Any]:
    """Return an iterator over the batches with these numbers, prefetched by other processes."""
    loader: DataLoader[Any] = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=config.loaders,
        prefetch_factor=4 if config.loaders else None,
        pin_memory=device.torch.type == "cuda",
    )
    return iter(loader)


def _rate_factor(step: int, share_done: float, config: StageConfig) -> float:
    warm = min((step + 1) / max(config.warmup_steps, 1), 1.0)
    if config.schedule == "constant":
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * min(share_done, 1.0)))


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
