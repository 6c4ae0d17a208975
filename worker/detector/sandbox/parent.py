"""Runs the extraction of clips in a warm child process that has no network and may crash or hang without harm."""

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
from worker.detector.types import ClipError, Extraction

OnFrame = Callable[[int, int], None]

_START_TIMEOUT_SECONDS = 60.0
_IDLE_SECONDS = 0.25
"""How often the caller may end the work while the child is silent."""
_TRIES = 2
"""A crash may be the kernel's doing (out of memory); a second one on the same clip is the clip's."""
_PASSED_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG")
"""Nothing else: the worker's environment holds passwords."""


class SandboxError(Exception):
    """The sandbox cannot be started on this machine; the message says what is missing."""


class _ChildDiedError(Exception):
    """The child ended in the middle of a clip."""


class _ChildHangsError(Exception):
    """The child did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How much a clip may cost."""

    clip_timeout_seconds: float = 120.0
    memory_max_bytes: int = 3 * 2**30
    clips_max: int = 100
    layers_required: frozenset[str] = frozenset({"limits"})
    """Of ``seccomp``, ``landlock``, ``limits``: without them no clip is opened."""
    limits: ClipLimits = field(default_factory=ClipLimits)


class Sandbox:
    """One child, replaced after a number of clips or on any fault; a context. Not thread-safe."""

    def __init__(self, config: DetectorConfig, options: SandboxOptions) -> None:
        self._config = config
        self._options = options
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child else None

    def start(self) -> list[str]:
        """Warms the child up; returns the active layers of its confinement. Raises SandboxError."""
        if self._child is None:
            self._child = _Child(self._config, self._options)
        return self._child.layers

    def extract(self, clip: BinaryIO, on_frame: OnFrame) -> Extraction:
        """Extracts the faces of a clip.

        Args:
            clip: An open file; the child gets its descriptor, never a path.
            on_frame: Called with the frames done and expected, and while nothing moves; what it raises ends the work.

        Raises:
            ClipError: As ``extract_tracks``, or the child crashed, hung or ran out of resources.
            SandboxError: The child cannot be started.
        """
        for _ in range(_TRIES):
            try:
                return self._extract_once(clip, on_frame)
            except _ChildDiedError:
                continue
            except _ChildHangsError as error:
                message = f"Decoding took longer than {self._options.clip_timeout_seconds:g} s."
                raise ClipError(FailureCode.DECODE_TIMEOUT, message) from error
        raise ClipError(FailureCode.DECODER_CRASHED, "The clip crashes the decoder. Encode it again.")

    def close(self) -> None:
        """Ends the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _extract_once(self, clip: BinaryIO, on_frame: OnFrame) -> Extraction:
        self.start()
        child = self._child
        assert child is not None
        try:
            extraction = child.extract(clip, on_frame)
        except ClipError as error:
            if error.code in {FailureCode.RESOURCE_LIMIT, FailureCode.INTERNAL}:
                self.close()  # its memory is not to be trusted any more
            raise
        except BaseException:
            self.close()
            raise
        if child.clips_done >= self._options.clips_max:
            self.close()  # MediaPipe and codecs leak a little; the next clip gets a new child
        return extraction


class _Child:
    """A running child process and the two channels to it."""

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
                stderr=subprocess.PIPE,  # says why a start failed; the child turns it off once it is ready
                cwd="/",
                env=_environment(),
            )
        os.close(child_output)
        try:
            self.layers = self._greet()
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def extract(self, clip: BinaryIO, on_frame: OnFrame) -> Extraction:
        timeout = self._options.clip_timeout_seconds
        deadline = time.monotonic() + timeout
        last = [0, 0]
        try:
            # All cores for the whole time: our clock ends a hang first, this limit ends a child that we lost.
            request = {"cpu_seconds": timeout * (os.cpu_count() or 1)}
            socket.send_fds(self._channel, [json.dumps(request).encode()], [clip.fileno()])
            while True:
                head, pixels = self._read_message(deadline, on_idle=lambda: on_frame(*last))
                if "progress" in head:
                    last[:] = map(int, head["progress"])
                    on_frame(*last)
                elif "error" in head:
                    code, message = head["error"]
                    raise ClipError(FailureCode(code), message)
                else:
                    break
            extraction = protocol.unpack_extraction(head, pixels, size_px=self._config.crop.size_px)
        except (protocol.WireError, BrokenPipeError, ConnectionResetError) as error:
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

    def _greet(self) -> list[str]:
        hello = {
            "config": self._config.model_dump(mode="json"),
            "limits": self._options.limits.model_dump(mode="json"),
            "memory_max_bytes": self._options.memory_max_bytes,
        }
        try:
            socket.send_fds(self._channel, [json.dumps(hello).encode()], [])
            head, _ = self._read_message(time.monotonic() + _START_TIMEOUT_SECONDS)
        except (OSError, protocol.WireError, _ChildDiedError, _ChildHangsError) as error:
            self._process.kill()
            assert self._process.stderr is not None
            said = self._process.stderr.read().decode(errors="replace").strip()
            raise SandboxError(
                f"The decoder process does not start. Its last words: {said[-500:] or 'none'}"
            ) from error
        if "broken" in head:
            raise SandboxError(f"The decoder process cannot work here: {head['broken']}")
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
                raise _ChildHangsError
            readable, _, _ = select.select([self._output], [], [], _IDLE_SECONDS)
            if not readable:
                on_idle()
                continue
            piece = os.read(self._output, min(count - len(data), 2**20))
            if not piece:
                raise _ChildDiedError
            data += piece
        return bytes(data)


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ENVIRONMENT if name in os.environ}
    # A thread that a library starts at import would escape the confinement.
    own_code = {"PYTHONPATH": str(Path(worker.__path__[0]).parent)}
    return passed | own_code | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
