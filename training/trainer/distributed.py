"""Device of a training process: a CPU or a GPU, alone or one of several processes under ``torchrun``."""

import os
from dataclasses import dataclass
from typing import Self

import torch
from torch import distributed, dtype
from torch.amp.autocast_mode import autocast

from training.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Device:
    """Device of a process, its rank and the number of processes."""

    torch: torch.device
    rank: int = 0
    count: int = 1

    @classmethod
    def start(cls, config: TrainConfig) -> Self:
        """Return the device of this process; under ``torchrun``, join the process group."""
        if config.threads:
            torch.set_num_threads(config.threads)
        count = int(os.environ.get("WORLD_SIZE", "1"))
        has_gpu = torch.cuda.is_available()
        if has_gpu:
            torch.backends.cudnn.benchmark = True  # the shapes of a stage never change
            torch.set_float32_matmul_precision("high")
        if count == 1:
            return cls(torch.device("cuda" if has_gpu else "cpu"))
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if has_gpu else "gloo")
        if has_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        return cls(torch.device("cuda" if has_gpu else "cpu"), distributed.get_rank(), count)

    def stop(self) -> None:
        """Leave the process group."""
        if self.count > 1:
            distributed.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """True for the process that validates and writes files."""
        return self.rank == 0

    @property
    def half_precision(self) -> dtype | None:
        """Data type of autocast: bfloat16 if the GPU supports it, else float16; None on a CPU, which gains nothing."""
        if self.torch.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

    def autocast(self) -> autocast:
        """Return a context of mixed precision in ``half_precision``."""
        return autocast(self.torch.type, self.half_precision, enabled=self.half_precision is not None)
