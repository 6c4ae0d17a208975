"""Child process of the sandbox, started by ``parent.py``: receives open clips, returns crops, boxes and quality."""

import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2

import app
import worker
from app.core.enums import FailureCode
from worker.detector.config import ClipLimits, DetectorConfig
from worker.detector.extraction.extract import Callbacks, extract_tracks
from worker.detector.extraction.faces import FaceDetector
from worker.detector.sandbox.confinement import allow_cpu_seconds, confine, die_with_parent
from worker.detector.sandbox.protocol import pack_extraction, write_message
from worker.detector.types import ClipError, ClipPart, Extraction, Face, Frame

REQUEST_MAX_BYTES = 64 * 2**10
_MEMORY_MESSAGE = "Decoding the clip exceeds the memory limit. Scale the clip down."


class _Output:
    """Messages to the parent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, head: dict[str, Any], pixels: bytes = b"") -> None:
        write_message(lambda data: _write_all(self._descriptor, data), head, pixels)

    def send_progress(self, done: int, total: int) -> None:
        self.send({"progress": [done, total]})

    def send_image(self, frame: Frame, faces: Sequence[Face]) -> None:
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
        boxes = [[face.box.x, face.box.y, face.box.width, face.box.height] for face in faces]
        self.send({"image": [frame.pts_seconds, boxes]}, encoded.tobytes())


def main() -> None:
    """Extract one clip after the other until the parent closes the channel."""
    channel_fd, output_fd, parent_pid = map(int, sys.argv[1:])
    die_with_parent(parent_pid)
    channel, output = socket.socket(fileno=channel_fd), _Output(output_fd)
    setup, _ = _receive_request(channel)
    null = os.open(os.devnull, os.O_WRONLY)  # before the confinement denies it
    try:
        readable = [Path(package.__path__[0]) for package in (app, worker)]
        layers = confine(memory_max_bytes=setup["memory_max_bytes"], readable=readable)
        config = DetectorConfig.model_validate(setup["config"])
        limits = ClipLimits.model_validate(setup["limits"])
        face_detector = FaceDetector(confidence_min=config.faces.confidence_min)
    except Exception as error:  # noqa: BLE001 (the parent reports every kind of error)
        output.send({"start_error": f"{type(error).__name__}: {error}"})
        return
    os.dup2(null, sys.stderr.fileno())  # the parent reads it no longer, and a full pipe would block
    output.send({"ready": layers})
    while True:
        request, descriptor = _receive_request(channel)
        allow_cpu_seconds(request["cpu_seconds"])
        on_sampled = output.send_image if request["send_images"] else _ignore_image
        with os.fdopen(descriptor, "rb") as clip:
            _answer(
                output,
                partial(
                    extract_tracks,
                    clip,
                    config,
                    limits,
                    face_detector,
                    Callbacks(output.send_progress, on_sampled),
                    part=ClipPart(*request["part"]),
                ),
            )


def _answer(output: _Output, extract: Callable[[], Extraction]) -> None:
    """Send the extraction, or the reason for which there is none."""
    try:
        extraction = extract()
    except ClipError as error:
        output.send({"error": [error.code, error.message]})
    except (MemoryError, BlockingIOError):  # EAGAIN: no memory for a thread of the decoder
        output.send({"error": [FailureCode.RESOURCE_LIMIT, _MEMORY_MESSAGE]})
    except Exception:  # noqa: BLE001 (a defect of Unmask: one job fails, and the log has the traceback)
        output.send({"error": [FailureCode.INTERNAL, traceback.format_exc()]})
    else:
        output.send(*pack_extraction(extraction))


def _ignore_image(_frame: Frame, _faces: Sequence[Face]) -> None:
    pass


def _receive_request(channel: socket.socket) -> tuple[dict[str, Any], int]:
    """Receive a request and the descriptor of the clip, -1 without one. Exits if the parent closed the channel."""
    message, descriptors, _, _ = socket.recv_fds(channel, REQUEST_MAX_BYTES, 1)
    if not message:
        os._exit(0)
    return json.loads(message), descriptors[0] if descriptors else -1


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    main()
