"""Sandbox: extracts clips in a warm child process without network. A crash or hang of the child is contained."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import worker
from app.core.enums import FailureCode
from worker.detector.config import ClipLimits, DetectorConfig
from worker.detector.sandbox import protocol
from worker.detector.sandbox.confinement import SINGLE_THREAD_ENVIRONMENT
from worker.detector.types import WHOLE_CLIP, ClipError, ClipPart, Extraction

OnFrame = Callable[[int, int], None]
OnImage = Callable[[protocol.SampledFrame], None]

_START_TIMEOUT_SECONDS = 60.0
_IDLE_SECONDS = 0.25
"""Interval of the progress callback while the child is silent. The callback can end the work."""
_TRIES = 2
"""Runs per clip. The first crash may have another cause (out of memory); the second is attributed to the clip."""
_PASSED_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG")
"""Variables that the child inherits. No others, because the worker's environment contains passwords."""


class SandboxError(Exception):
    """The sandbox cannot be started on this machine. The message names the cause."""


class _ChildDiedError(Exception):
    """The child ended during a clip."""


class _ChildTimeoutError(Exception):
    """The child did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Limits of the child process."""

    clip_timeout_seconds: float = 120.0
    memory_max_bytes: int = 2 * 2**30
    clips_max: int = 100
    layers_required: frozenset[str] = frozenset({"limits"})
    """Subset of ``seccomp``, ``landlock``, ``limits``. The sandbox does not start without these layers."""
    limits: ClipLimits = field(default_factory=ClipLimits)


class Sandbox:
    """One child process, replaced after a number of clips or any fault. A context manager. Not thread-safe."""

    def __init__(self, config: DetectorConfig, options: SandboxOptions) -> None:
        self._config = config
        self._options = options
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child, None if it does not run."""
        return self._child.pid if self._child else None

    def start(self) -> list[str]:
        """Start the child if it does not run. Returns the active layers of its confinement. Raises SandboxError."""
        if self._child is None:
            self._child = _Child(self._config, self._options)
        return self._child.layers

    def extract(
        self, clip: BinaryIO, on_frame: OnFrame, *, on_image: OnImage | None = None, part: ClipPart = WHOLE_CLIP
    ) -> Extraction:
        """Extract the faces of a clip.

        Args:
            clip: An open file. The child receives its descriptor, never a path.
            on_frame: Called with the frames done and expected, also while the child is silent. An exception that it
                raises ends the work.
            on_image: Called with each sampled frame, whose encoding takes time.
            part: Part of the clip.

        Raises:
            ClipError: As ``extract_tracks``, or the child crashed, timed out or exceeded a resource limit.
            SandboxError: The child cannot be started.
        """
        for _ in range(_TRIES):
            try:
                return self._extract_once(clip, on_frame, on_image, part)
            except _ChildDiedError:
                continue
            except _ChildTimeoutError as error:
                message = f"Decoding took longer than {self._options.clip_timeout_seconds:g} s. Cut the clip."
                raise ClipError(FailureCode.DECODE_TIMEOUT, message) from error
        raise ClipError(FailureCode.DECODER_CRASHED, "The clip crashes the decoder. Encode it again.")

    def close(self) -> None:
        """Stop the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _extract_once(self, clip: BinaryIO, on_frame: OnFrame, on_image: OnImage | None, part: ClipPart) -> Extraction:
        self.start()
        child = self._child
        assert child is not None
        try:
            extraction = child.extract(clip, on_frame, on_image, part)
        except ClipError as error:
            if error.code in {FailureCode.RESOURCE_LIMIT, FailureCode.INTERNAL}:
                self.close()  # the state of its memory is unknown
            raise
        except BaseException:
            self.close()
            raise
        if child.clips_done >= self._options.clips_max:
            self.close()  # MediaPipe and codecs leak memory; the next clip gets a new child
        return extraction


class _Child:
    """Running child process with its two channels."""

    def __init__(self, config: DetectorConfig, options: SandboxOptions) -> None:
        self._config = config
        self._options = options
        self.clips_done = 0
        self._channel, child_channel = socket.socketpair()
        self._output, child_output = os.pipe()
        with child_channel:
            arguments = [child_channel.fileno(), child_output, os.getpid()]
            self._process = subprocess.Popen(  # noqa: S603 (our own module; no input from outside)
                [sys.executable, "-P", "-m", "worker.detector.sandbox.child", *map(str, arguments)],
                pass_fds=arguments[:2],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,  # explains a failed start; the child closes it once it is ready
                cwd="/",
                env=make_environment(),
            )
        os.close(child_output)
        try:
            self.layers = self._configure()
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def extract(self, clip: BinaryIO, on_frame: OnFrame, on_image: OnImage | None, part: ClipPart) -> Extraction:
        timeout = self._options.clip_timeout_seconds
        deadline = time.monotonic() + timeout
        last = [0, 0]
        try:
            # All cores for the whole time: the deadline ends a hang first, this limit ends a child without a parent.
            request = {
                "cpu_seconds": timeout * (os.cpu_count() or 1),
                "send_images": on_image is not None,
                "part": [part.start_seconds, part.end_seconds],
            }
            socket.send_fds(self._channel, [json.dumps(request).encode()], [clip.fileno()])
            while True:
                head, pixels = self._read_message(deadline, on_idle=lambda: on_frame(*last))
                if "progress" in head:
                    last[:] = protocol.parse_progress(head)
                    on_frame(*last)
                elif "image" in head and on_image is not None:
                    on_image(protocol.parse_image(head, pixels))
                elif "error" in head:
                    raise protocol.parse_error(head)
                else:
                    break
            extraction = protocol.unpack_extraction(head, pixels, size_px=self._config.crop.size_px)
        except (protocol.ProtocolError, BrokenPipeError, ConnectionResetError) as error:
            raise _ChildDiedError from error
        self.clips_done += 1
        return extraction

    def kill(self) -> None:
        self._channel.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
        os.close(self._output)

    def _configure(self) -> list[str]:
        setup = {
            "config": self._config.model_dump(mode="json"),
            "limits": self._options.limits.model_dump(mode="json"),
            "memory_max_bytes": self._options.memory_max_bytes,
        }
        try:
            socket.send_fds(self._channel, [json.dumps(setup).encode()], [])
            head, _ = self._read_message(time.monotonic() + _START_TIMEOUT_SECONDS)
        except (OSError, protocol.ProtocolError, _ChildDiedError, _ChildTimeoutError) as error:
            self._process.kill()
            assert self._process.stderr is not None
            output = self._process.stderr.read().decode(errors="replace").strip()
            raise SandboxError(
                f"The decoder process does not start. Its last output: {output[-500:] or 'none'}"
            ) from error
        if "start_error" in head:
            raise SandboxError(f"The decoder process cannot be confined or set up: {head['start_error']}")
        layers = list(head["ready"])
        if missing := self._options.layers_required.difference(layers):
            raise SandboxError(f"This machine lacks {', '.join(sorted(missing))}, which UNMASK_SANDBOX requires.")
        return layers

    def _read_message(
        self, deadline: float, on_idle: Callable[[], None] = lambda: None
    ) -> tuple[dict[str, Any], bytes]:
        return protocol.read_message(lambda count: self._read_exactly(count, deadline, on_idle))

    def _read_exactly(self, count: int, deadline: float, on_idle: Callable[[], None]) -> bytes:
        data = bytearray()
        while len(data) < count:
            if time.monotonic() > deadline:
                raise _ChildTimeoutError
            readable, _, _ = select.select([self._output], [], [], _IDLE_SECONDS)
            if not readable:
                on_idle()
                continue
            chunk = os.read(self._output, min(count - len(data), 2**20))
            if not chunk:
                raise _ChildDiedError
            data += chunk
        return bytes(data)


def make_environment() -> dict[str, str]:
    """Return the environment of a confined process: few variables, without passwords."""
    passed = {name: os.environ[name] for name in _PASSED_ENVIRONMENT if name in os.environ}
    own_code = {"PYTHONPATH": str(Path(worker.__path__[0]).parent)}
    return passed | own_code | SINGLE_THREAD_ENVIRONMENT
