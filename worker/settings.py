"""What an operator can set for workers, beside what all processes share."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from app.core.settings import Seconds, Settings
from worker.detector.config import ClipLimits
from worker.detector.model.manifest import BUNDLED_MODEL
from worker.detector.sandbox.parent import SandboxOptions

_SANDBOX, _LIMITS = SandboxOptions(), ClipLimits()


class WorkerSettings(Settings):
    """Settings of the worker process."""

    worker_processes: Annotated[int, Field(ge=0)] = 0
    """Clips judged at once, one process and one core each; 0: as many as there are cores. On a GPU set 1."""
    model_dir: Path = BUNDLED_MODEL
    """Directory of the model: a manifest and its weights."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the classifier runs; `auto` takes a GPU where there is one."""

    reuse_results: bool = True
    """Whether a clip that this detector has judged before is given the same result; jobs can ask for a new one."""
    clip_max_seconds: Annotated[float, Field(gt=0)] = _LIMITS.duration_max_seconds
    """Longest clip, by its own account: half an hour."""
    clip_max_pixels: Annotated[int, Field(gt=0)] = _LIMITS.pixels_max
    """Most pixels a frame: 4K. A frame is decoded whole, three bytes a pixel."""
    clip_max_packets: Annotated[int, Field(gt=0)] = _LIMITS.packets_max
    """Most packets decoded for one clip: more is an attack, or a clip without keyframes that costs too much."""
    decode_timeout: Seconds = timedelta(seconds=_SANDBOX.clip_timeout_seconds)
    """Longest that decoding a clip may take; ten seconds of 1080p take less than one."""
    attempt_timeout: Seconds = timedelta(seconds=600)
    """Longest that an attempt may take as a whole."""
    drain_timeout: Annotated[Seconds, Field(le=timedelta(seconds=25))] = timedelta(seconds=20)
    """On SIGTERM: how long to finish the jobs in hand before they are given back; `unmask serve` kills after 30."""

    sandbox: Literal["required", "best_effort"] = "best_effort"
    """`required`: refuse to decode where the kernel lacks Landlock. Without seccomp nothing is decoded on Linux."""
    sandbox_memory_bytes: Annotated[int, Field(gt=0)] = _SANDBOX.memory_max_bytes
    """Address space of the decoder process: 1.3 GB before the first clip, the rest for 4K frames."""
    sandbox_clips: Annotated[int, Field(gt=0)] = _SANDBOX.clips_max
    """Clips after which the decoder process is replaced: codecs and MediaPipe leak a little."""

    @property
    def processes(self) -> int:
        """``worker_processes``, resolved."""
        return self.worker_processes or os.cpu_count() or 1

    def sandbox_options(self) -> SandboxOptions:
        """The options of the decoder process."""
        layers = {"required": {"seccomp", "landlock", "limits"}, "best_effort": {"limits"}}[self.sandbox]
        return SandboxOptions(
            clip_timeout_seconds=self.decode_timeout.total_seconds(),
            memory_max_bytes=self.sandbox_memory_bytes,
            clips_max=self.sandbox_clips,
            layers_required=frozenset(layers),
            limits=ClipLimits(
                duration_max_seconds=self.clip_max_seconds,
                pixels_max=self.clip_max_pixels,
                packets_max=self.clip_max_packets,
            ),
        )
