"""Tracks and logits to probabilities, verdicts and reasons."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from app.core.enums import ReasonCode, Verdict
from worker.detector.config import DetectorConfig, FaceConfig, ScoringConfig
from worker.detector.model.engine import Engine
from worker.detector.model.manifest import Manifest
from worker.detector.types import (
    ClipScore,
    FaceCrop,
    Floats,
    FrameScore,
    Image,
    Reason,
    SequenceScore,
    Track,
    TrackScore,
)

_EXPLANATIONS = {
    ReasonCode.NO_FACE: "No face was found.",
    ReasonCode.TOO_FEW_FACE_FRAMES: "The face is visible in too few frames.",
    ReasonCode.FACE_TOO_SMALL: "The face is too small.",
    ReasonCode.LOW_QUALITY_DARK: "The face is too dark.",
    ReasonCode.LOW_QUALITY_BLUR: "The face is too blurred.",
    ReasonCode.MODEL_UNTRAINED: "The model has not been trained: its numbers mean nothing.",
}


def score_sequence(engine: Engine, crops: Image, pts_seconds: Floats, detector: DetectorConfig) -> SequenceScore:
    """Scores one person's usable crops; a long sequence is cut into several of about equal length.

    Args:
        engine: Runs the classifier.
        crops: (N, S, S, 3) uint8, in the order of time.
        pts_seconds: (N,), their times.
        detector: Longest sequence, and how far the Transformer's correction counts.
    """
    count = math.ceil(len(crops) / detector.classifier.sequence_max)
    parts = np.array_split(np.arange(len(crops)), count)
    scores = [engine.score(crops[part], pts_seconds[part]) for part in parts]
    # Mean of logits, not of probabilities: one saturated part must not hide the rest.
    logit = float(np.average([score.logit for score in scores], weights=[len(part) for part in parts]))
    frame_logits: Floats = np.concatenate([score.frame_logits for score in scores])
    mean_logit = float(frame_logits.mean())
    return SequenceScore(frame_logits, mean_logit + detector.scoring.correction_weight * (logit - mean_logit))


def score_crops(engine: Engine, crops: Sequence[FaceCrop], detector: DetectorConfig) -> SequenceScore:
    """The same for crops of a track."""
    times: Floats = np.array([crop.pts_seconds for crop in crops], np.float32)
    return score_sequence(engine, np.stack([crop.image for crop in crops]), times, detector)


def score_track(track: Track, score: SequenceScore | None, manifest: Manifest) -> TrackScore:
    """The verdict on one person; ``score`` is None where the track has too few usable crops."""
    scoring = manifest.detector.scoring
    reasons = _why_not(track, score, manifest)
    probability = to_probability(score.logit, scoring) if score and not reasons else None
    times = [crop.pts_seconds for crop in track.crops]
    return TrackScore(
        track_id=track.track_id,
        verdict=Verdict.NOT_EVALUATED if probability is None else decide_verdict(probability, scoring),
        probability=probability,
        logit=score.logit if score else None,
        reasons=reasons,
        first_seconds=min(times),
        last_seconds=max(times),
        face_frames=len(track.crops),
        usable_frames=len(track.usable),
        median_face_px=float(np.median([crop.face.box.width for crop in track.crops])),
    )


def score_frames(track: Track, score: SequenceScore | None, scoring: ScoringConfig) -> list[FrameScore]:
    """One row for each crop of a track, with a logit where the classifier saw it."""
    logits = iter(score.frame_logits.tolist() if score else [])
    rows = []
    for crop in track.crops:
        logit = next(logits) if score and crop.unusable is None else None
        rows.append(
            FrameScore(
                track_id=track.track_id,
                window=crop.window,
                pts_seconds=crop.pts_seconds,
                box=crop.face.box,
                detection_confidence=crop.face.confidence,
                sharpness=crop.sharpness,
                brightness=crop.brightness,
                unusable=crop.unusable,
                logit=logit,
                probability=None if logit is None else to_frame_probability(logit, scoring),
            )
        )
    return rows


def score_clip(tracks: Sequence[TrackScore], frames: Sequence[FrameScore]) -> ClipScore:
    """The clip is as manipulated as its most manipulated track."""
    judged = [(track.probability, track) for track in tracks if track.probability is not None]
    in_order = sorted(frames, key=lambda frame: (frame.pts_seconds, frame.track_id))
    if not judged:
        reasons = _explain(_reasons_of(tracks) or [ReasonCode.NO_FACE])
        return ClipScore(Verdict.NOT_EVALUATED, None, None, reasons, list(tracks), in_order)
    probability, worst = max(judged, key=lambda pair: pair[0])
    return ClipScore(worst.verdict, probability, worst.track_id, [], list(tracks), in_order)


def to_probability(logit: float, scoring: ScoringConfig) -> float:
    """Calibrated P(fake) of a track."""
    return _sigmoid(logit / scoring.temperature + scoring.bias)


def to_frame_probability(logit: float, scoring: ScoringConfig) -> float:
    """Calibrated P(fake) of one frame, seen by itself."""
    return _sigmoid(logit / scoring.frame_temperature + scoring.frame_bias)


def is_scorable(track: Track, faces: FaceConfig) -> bool:
    """Whether a track has enough usable crops for the classifier."""
    return len(track.usable) >= faces.frames_min


def decide_verdict(probability: float, scoring: ScoringConfig) -> Verdict:
    """The verdict on the probability of a track."""
    return Verdict.of(probability, suspicious_at=scoring.suspicious_at, manipulated_at=scoring.manipulated_at)


def decide_frame_verdict(probability: float, scoring: ScoringConfig) -> Verdict:
    """The verdict on the probability of one frame, seen by itself."""
    at = {"suspicious_at": scoring.frame_suspicious_at, "manipulated_at": scoring.frame_manipulated_at}
    return Verdict.of(probability, **at)


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(min(logit, 700.0), -700.0)))


def _why_not(track: Track, score: SequenceScore | None, manifest: Manifest) -> list[Reason]:
    if score is not None:
        return _explain([] if manifest.trained else [ReasonCode.MODEL_UNTRAINED])
    flaws = Counter(crop.unusable for crop in track.crops if crop.unusable is not None)
    # Only flaws that, mended, would have made the track judgeable; a short track is short whatever its light.
    if len(track.crops) < manifest.detector.faces.frames_min or not flaws:
        return _explain([ReasonCode.TOO_FEW_FACE_FRAMES])
    return _explain([code for code, _ in flaws.most_common()])


def _reasons_of(tracks: Sequence[TrackScore]) -> list[ReasonCode]:
    """Each reason once: those of tracks that came nearest to a verdict."""
    codes = [reason.code for track in tracks for reason in track.reasons]
    if ReasonCode.MODEL_UNTRAINED in codes:
        return [ReasonCode.MODEL_UNTRAINED]
    return list(dict.fromkeys(codes))


def _explain(codes: Sequence[ReasonCode]) -> list[Reason]:
    return [Reason(code, _EXPLANATIONS[code]) for code in codes]
