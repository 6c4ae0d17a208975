"""Time the pipeline against a naive one, alternating in one process: ``python -m tests.tools.bench FOLDER [CLIP]``.

Naive: ``cv2.VideoCapture`` reads every frame, MediaPipe searches every frame, the classifier gets one crop per call.
It is timed on the first 300 frames, and the time is scaled to the whole clip.
Ours: the detector as the worker runs it, with its sandbox.

Without a clip of your own, clips of 10 s, 1 min and 10 min of 1080p are rendered into the folder, the long ones by
repeating the packets of the short one.
"""

import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np

from tests.support.clips import FPS, encode, film, speaker
from worker.detector.config import DetectorConfig
from worker.detector.extraction.crops import make_crop
from worker.detector.extraction.faces import FaceDetector
from worker.detector.model.manifest import BUNDLED_MODEL
from worker.detector.model.torch_engine import TorchEngine
from worker.detector.pipeline import make_detector
from worker.detector.types import Frame
from worker.settings import WorkerSettings

_ROUNDS = 3
_NAIVE_FRAMES = 300
_SECONDS = 10
_REPEATS = {"10 s": 1, "1 min": 6, "10 min": 60}


def render_clips(folder: Path) -> dict[str, Path]:
    """Return the clips by their durations; render those that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"bench-{name.replace(' ', '-')}.mp4" for name in _REPEATS}
    first = paths["10 s"]
    if not first.exists():
        encode(first, film(lambda seconds: speaker(seconds, zoom=4, width=1920, height=1080), seconds=_SECONDS))
    for name, path in paths.items():
        if not path.exists():
            repeat_packets(first, path, _REPEATS[name])
    return paths


def repeat_packets(source: Path, target: Path, times: int) -> None:
    """Write a clip several times after itself, without decoding."""
    with av.open(target, "w") as output:
        copied = None
        for index in range(times):
            with av.open(source) as clip:
                stream = clip.streams.video[0]
                copied = copied or output.add_stream_from_template(stream)
                assert stream.time_base is not None
                offset = round(index * _SECONDS / stream.time_base)
                for packet in clip.demux(stream):
                    if packet.dts is not None and packet.pts is not None:
                        packet.stream = copied
                        packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                        output.mux(packet)


def analyze_naively(path: Path, faces: FaceDetector, engine: TorchEngine, config: DetectorConfig) -> int:
    """Predict the first face of each of the first frames and return the number of frames."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    for has_frame, image in islice(iter(capture.read, None), _NAIVE_FRAMES):
        if not has_frame:
            break
        frame = Frame(0, count / FPS, cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8))
        for face in faces.detect_faces(frame.image)[:1]:
            crop = make_crop(frame, face, config.crop, config.faces)
            engine.score(crop.image[None], np.array([frame.pts_seconds], np.float32))
        count += 1
    return count


def measure_seconds(work: Callable[[], object]) -> float:
    """Return the run time of a function in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def read_peak_mb(pid: int | None) -> int:
    """Return the peak resident memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def compare(name: str, path: Path) -> None:
    """Print the median times, and the ratio of each round's times with its spread."""
    capture = cv2.VideoCapture(str(path))
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    with make_detector(BUNDLED_MODEL, WorkerSettings(_env_file=None).make_sandbox_options(), device="cpu") as detector:
        config = detector.manifest.detector
        faces = FaceDetector(confidence_min=config.faces.confidence_min)
        engine = TorchEngine(BUNDLED_MODEL, detector.manifest, device="cpu")

        def analyze() -> None:
            with path.open("rb") as clip:
                detector.analyze(clip, lambda _phase, _done, _total: None)

        analyze()  # starts the decoder process and loads the graph
        ours, naive = [], []
        for _ in range(_ROUNDS):
            ours.append(measure_seconds(analyze))
            seconds = measure_seconds(lambda: analyze_naively(path, faces, engine, config))
            naive.append(seconds * frames / min(frames, _NAIVE_FRAMES))
        peak_mb = read_peak_mb(detector.sandbox.pid)
        faces.close()
    ratios = [slow / quick for quick, slow in zip(ours, naive, strict=True)]
    print(
        f"{name:>8}: ours {median(ours):6.2f} s, naive {median(naive):7.1f} s, {median(ratios):5.1f} times "
        f"({min(ratios):.1f} to {max(ratios):.1f}), decoder process at most {peak_mb} MB"
    )


def main(folder: Path, clip: Path | None) -> None:
    """Compare on the given clip, else on the rendered ones."""
    for name, path in ({clip.name: clip} if clip else render_clips(folder)).items():
        compare(name, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
