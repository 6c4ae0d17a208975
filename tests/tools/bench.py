"""Time the pipeline against a naive one, alternating in one process: ``python -m tests.tools.bench CLIP [ROUNDS]``.

Naive: ``cv2.VideoCapture`` reads every frame, MediaPipe searches every frame, the classifier gets one crop per call.
Ours: the detector as the worker runs it, with its sandbox.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from worker.detector.config import DetectorConfig
from worker.detector.extraction.crops import make_crop
from worker.detector.extraction.faces import FaceDetector
from worker.detector.model.manifest import BUNDLED_MODEL
from worker.detector.model.torch_engine import TorchEngine
from worker.detector.pipeline import make_detector
from worker.detector.sandbox.parent import SandboxOptions
from worker.detector.types import Frame
from worker.settings import WorkerSettings


def analyze_naively(path: Path, faces: FaceDetector, engine: TorchEngine, config: DetectorConfig) -> int:
    """Predict the first face of every frame and return the number of faces."""
    capture, scored = cv2.VideoCapture(str(path)), 0
    while True:
        has_frame, image = capture.read()
        if not has_frame:
            return scored
        frame = Frame(0, scored / 25, cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8))
        for face in faces.detect_faces(frame)[:1]:
            crop = make_crop(frame, face, config.crop, config.faces)
            engine.score(crop.image[None], np.array([frame.pts_seconds], np.float32))
            scored += 1


def measure_seconds(work: Callable[[], object]) -> float:
    """Return the run time of a function in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(path: Path, rounds: int) -> None:
    """Print the medians and their ratio."""
    options: SandboxOptions = WorkerSettings(_env_file=None).make_sandbox_options()
    with make_detector(BUNDLED_MODEL, options, device="cpu") as detector:
        config = detector.manifest.detector
        faces = FaceDetector(confidence_min=config.faces.confidence_min)
        engine = TorchEngine(BUNDLED_MODEL, detector.manifest, device="cpu")

        def analyze() -> None:
            with path.open("rb") as clip:
                detector.analyze(clip, lambda _phase, _done, _total: None)

        analyze()  # starts the decoder process and loads the graph
        pairs = [
            (measure_seconds(analyze), measure_seconds(lambda: analyze_naively(path, faces, engine, config)))
            for _ in range(rounds)
        ]
        faces.close()
    our_seconds, naive_seconds = (median(times) for times in zip(*pairs, strict=True))
    ratio = median(slow / quick for quick, slow in pairs)
    print(f"{path.name}: ours {our_seconds:.2f} s, naive {naive_seconds:.2f} s, {ratio:.1f} times")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
