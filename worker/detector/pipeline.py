"""The detector: analyzes an open clip."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from app.core.enums import Phase
from worker.detector import scoring
from worker.detector.model.engine import Device, Engine, make_engine
from worker.detector.model.manifest import Manifest, load_model_manifest
from worker.detector.sandbox.parent import Sandbox, SandboxOptions
from worker.detector.types import WHOLE_CLIP, ClipPart, ClipScore, Extraction

OnProgress = Callable[[Phase, int, int], None]
"""Callback with the phase, the units done and the units expected. An exception that it raises ends the analysis."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """Complete output of the detector for one clip."""

    manifest: Manifest
    extraction: Extraction
    score: ClipScore
    extract_seconds: float
    score_seconds: float


class Detector:
    """Analyzer of clips, one at a time. Not thread-safe. Close it, or use it as a context manager."""

    def __init__(self, manifest: Manifest, engine: Engine, sandbox: Sandbox) -> None:
        self.manifest = manifest
        self.sandbox = sandbox
        self._engine = engine

    def analyze(self, clip: BinaryIO, on_progress: OnProgress, part: ClipPart = WHOLE_CLIP) -> Analysis:
        """Extract and score the faces of a clip.

        Args:
            clip: An open, seekable file.
            on_progress: Called for each frame and each track.
            part: Part of the clip.

        Raises:
            ClipError: The clip cannot be decoded, exceeds a limit, or crashes the decoder.
            SandboxError: The decoder process cannot be started.
        """
        start = time.perf_counter()
        extraction = self.sandbox.extract(
            clip, lambda done, total: on_progress(Phase.EXTRACTING, done, total), part=part
        )
        extracted = time.perf_counter()
        score = self._score(extraction, on_progress)
        return Analysis(self.manifest, extraction, score, extracted - start, time.perf_counter() - extracted)

    def _score(self, extraction: Extraction, on_progress: OnProgress) -> ClipScore:
        config = self.manifest.detector
        tracks, frames = [], []
        for done, track in enumerate(extraction.tracks):
            on_progress(Phase.SCORING, done, len(extraction.tracks))
            score = None
            if scoring.is_scorable(track, config.faces):
                score = scoring.score_crops(self._engine, track.usable, config)
            scored, rows = scoring.score_track(track, score, self.manifest)
            tracks.append(scored)
            frames.extend(rows)
        return scoring.score_clip(tracks, frames)

    def close(self) -> None:
        """Stop the sandbox."""
        self.sandbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_detector(model_dir: Path, options: SandboxOptions, *, device: Device) -> Detector:
    """Return a detector with a model from disk. Its sandbox is started.

    Raises:
        CheckpointError: The directory is not a model that this version can run.
        EngineError: The device cannot be used.
        SandboxError: The decoder process cannot be started.
    """
    manifest = load_model_manifest(model_dir)
    sandbox = Sandbox(manifest.detector, options)
    sandbox.start()
    return Detector(manifest, make_engine(model_dir, manifest, device=device), sandbox)
