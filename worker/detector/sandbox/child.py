"""The process behind the wall, started by sandbox.py: gets open clips, returns crops, boxes and quality figures."""

import json
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import app
import worker
from app.core.enums import FailureCode
from worker.detector.config import ClipLimits, DetectorConfig
from worker.detector.extraction.extract import extract_tracks
from worker.detector.extraction.faces import FaceDetector
from worker.detector.sandbox.confinement import allow_cpu_seconds, confine, die_with_parent
from worker.detector.sandbox.protocol import pack_extraction, write_message
from worker.detector.types import ClipError

REQUEST_MAX_BYTES = 64 * 2**10


def main() -> None:
    """Serves one clip after the other until the parent closes the channel."""
    channel_fd, output_fd, parent_pid = map(int, sys.argv[1:])
    die_with_parent(parent_pid)
    channel = socket.socket(fileno=channel_fd)
    hello, _ = _receive(channel)
    silence = os.open(os.devnull, os.O_WRONLY)

    def send(head: dict[str, Any], pixels: bytes = b"") -> None:
        write_message(lambda data: _write_all(output_fd, data), head, pixels)

    try:
        readable = [Path(package.__path__[0]) for package in (app, worker)]
        layers = confine(memory_max_bytes=hello["memory_max_bytes"], readable=readable)
        config = DetectorConfig.model_validate(hello["config"])
        limits = ClipLimits.model_validate(hello["limits"])
        face_detector = FaceDetector(confidence_min=config.faces.confidence_min)
    except Exception as error:  # noqa: BLE001 (whatever it is, the parent must hear of it)
        send({"broken": f"{type(error).__name__}: {error}"})
        return
    os.dup2(silence, sys.stderr.fileno())  # nobody reads it from here on; a full pipe would block
    send({"ready": layers})
    while True:
        request, descriptor = _receive(channel)
        allow_cpu_seconds(request["cpu_seconds"])
        with os.fdopen(descriptor, "rb") as clip:
            try:
                extraction = extract_tracks(
                    clip, config, limits, face_detector, lambda done, total: send({"progress": [done, total]})
                )
            except ClipError as error:
                send({"error": [error.code, error.message]})
            except (MemoryError, BlockingIOError):  # EAGAIN: no memory for a thread of the decoder
                send({"error": [FailureCode.RESOURCE_LIMIT, "The clip needs more memory than a clip may."]})
            except Exception:  # noqa: BLE001 (a defect of ours: one job fails, and the log says where)
                send({"error": [FailureCode.INTERNAL, traceback.format_exc()]})
            else:
                send(*pack_extraction(extraction))


def _receive(channel: socket.socket) -> tuple[dict[str, Any], int]:
    """A request and the clip's descriptor; -1 where none came. Ends the process when the parent is gone."""
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
