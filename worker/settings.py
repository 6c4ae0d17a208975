"""Settings of workers, in addition to those that all processes share."""

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
    """Number of worker processes; each analyzes one clip at a time on one core. 0: one per core. With a GPU, set 1."""
    model_dir: Path = BUNDLED_MODEL
    """Directory of the default model: a manifest and its weights."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the classifier. `auto` uses a GPU if torch finds one, otherwise the CPU."""

    reuse_results: bool = True
    """True: a clip that the same detector has analyzed before gets the same result. Jobs can ask for a new analysis."""
    clip_max_seconds: Annotated[float, Field(gt=0)] = _LIMITS.duration_max_seconds
    """Maximum duration of a clip, measured without pauses: half an hour."""
    clip_max_pixels: Annotated[int, Field(gt=0)] = _LIMITS.pixels_max
    """Maximum number of pixels per frame: 4K. Bounds the memory, because a whole frame takes 3 bytes per pixel."""
    clip_max_packets: Annotated[int, Field(gt=0)] = _LIMITS.packets_max
    """Maximum number of packets decoded per clip. More indicate an attack, or a long clip without keyframes."""
    clip_max_listed_packets: Annotated[int, Field(gt=0)] = _LIMITS.listed_packets_max
    """Maximum number of packets listed per clip, 60 bytes each: half an hour at 500 frames per second. The rest of a
    longer clip is not analyzed, and a warning says so."""
    decode_timeout: Seconds = timedelta(seconds=_SANDBOX.clip_timeout_seconds)
    """Timeout of decoding a clip. Far above the normal time: ten seconds of 1080p take less than a second."""
    attempt_timeout: Seconds = timedelta(seconds=600)
    """Timeout of a whole attempt. Longer than the timeouts of fetch and decoding together, so that they apply first."""
    drain_timeout: Annotated[Seconds, Field(le=timedelta(seconds=25))] = timedelta(seconds=20)
    """Time to finish jobs after SIGTERM. Then they return to the queue. `unmask serve` kills workers after 30 s."""

    sandbox: Literal["required", "best_effort"] = "best_effort"
    """Strictness of the sandbox. `required`: the worker does not start if the kernel lacks Landlock. `best_effort`: it
    starts without Landlock. On Linux, seccomp is always required."""
    sandbox_memory_bytes: Annotated[int, Field(gt=0)] = _SANDBOX.memory_max_bytes
    """Maximum address space of the decoder process. It needs 0.9 GB before the first clip, 1.5 GB for HDR in 4K."""
    sandbox_clips: Annotated[int, Field(gt=0)] = _SANDBOX.clips_max
    """Number of clips after which the decoder process is replaced, because codecs and MediaPipe leak memory."""

    @property
    def processes(self) -> int:
        """Number of processes: ``worker_processes``, or the number of cores."""
        return self.worker_processes or os.cpu_count() or 1

    def make_sandbox_options(self) -> SandboxOptions:
        """Return the options of the decoder process."""
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
                listed_packets_max=self.clip_max_listed_packets,
            ),
        )
