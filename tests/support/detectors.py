"""Parts of a detector for tests that need no network: a fake engine, tracks, a detector with an idle sandbox."""

import numpy as np

from app.core.calibration import Calibration
from app.core.enums import ReasonCode
from tests.support.factories import make_curve
from tests.support.sandbox import make_options
from worker.detector.config import DetectorConfig, ScoringConfig
from worker.detector.model.manifest import Manifest
from worker.detector.pipeline import Detector
from worker.detector.sandbox.parent import Sandbox
from worker.detector.types import Box, Face, FaceCrop, Floats, Image, SequenceScore, Track

CURVE = make_curve([(0.8, 0, 0.5), (0.4, 0.05, 0.8), (0.3, 0.2, 0.9), (0, 1, 1)], reals=100)
"""One in twenty of 100 real clips reaches 0.4, none 0.8; nine in ten fakes reach 0.3."""
TRAINED = Manifest(
    name="test",
    version="1",
    trained=True,
    files={"model.safetensors": "0" * 64, "model.onnx": "0" * 64},
    detector=DetectorConfig(scoring=ScoringConfig(clips=Calibration(curve=CURVE))),
)


class FakeEngine:
    """Engine that reads the logit of a crop from its first pixel. The logit of a sequence is their mean."""

    def score(self, crops: Image, pts_seconds: Floats) -> SequenceScore:
        assert len(crops) == len(pts_seconds)
        logits = crops[:, 0, 0, 0].astype(np.float32) - 100
        return SequenceScore(logits, float(logits.mean()))


def make_track(logits: list[float], *, unusable: ReasonCode | None = None, name: str = "t0") -> Track:
    """Return a track whose crops get these logits from ``FakeEngine``."""
    face = Face(Box(0, 0, 100, 100), 0.9)
    images = [np.full((2, 2, 3), logit + 100, np.uint8) for logit in logits]
    crops = [FaceCrop(0, index / 25, face, image, 1.0, 100.0, unusable) for index, image in enumerate(images)]
    return Track(name, crops)


def make_idle_detector(manifest: Manifest = TRAINED) -> Detector:
    """Return a detector whose sandbox is not started."""
    return Detector(manifest, FakeEngine(), Sandbox(manifest.detector, make_options()))
