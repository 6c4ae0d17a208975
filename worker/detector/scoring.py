"""Probabilities and reasons from tracks and logits."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from app.core.calibration import Calibration, to_probability
from app.core.enums import ReasonCode
from worker.detector.config import DetectorConfig, FaceConfig
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
    WindowScore,
)

_EXPLANATIONS = {
    ReasonCode.NO_FACE: "No face was found in the frames that were sampled.",
    ReasonCode.TOO_FEW_FACE_FRAMES: "The face is visible in too few frames.",
    ReasonCode.FACE_TOO_SMALL: "The face is too small.",
    ReasonCode.LOW_QUALITY_DARK: "The face is too dark.",
    ReasonCode.LOW_QUALITY_BLUR: "The face is too blurred.",
    ReasonCode.MODEL_UNTRAINED: "The model is untrained, so its probabilities have no meaning.",
}


def score_sequence(engine: Engine, crops: Image, pts_seconds: Floats, detector: DetectorConfig) -> SequenceScore:
    """Score the usable crops of one person. A long sequence is split into parts of about equal length.

    Args:
        engine: Runs the classifier.
        crops: (N, S, S, 3) uint8, in order of time.
        pts_seconds: (N,), presentation times in seconds.
        detector: Maximum length of a sequence, and weight of the Transformer's correction.
    """
    count = math.ceil(len(crops) / detector.classifier.sequence_max)
    parts = np.array_split(np.arange(len(crops)), count)
    scores = [engine.score(crops[part], pts_seconds[part]) for part in parts]
    # Mean of logits, not of probabilities: otherwise one saturated part would hide the rest.
    logit = float(np.average([score.logit for score in scores], weights=[len(part) for part in parts]))
    frame_logits: Floats = np.concatenate([score.frame_logits for score in scores])
    mean_logit = float(frame_logits.mean(dtype=np.float64))
    return SequenceScore(frame_logits, mean_logit + detector.scoring.correction_weight * (logit - mean_logit))


def score_crops(engine: Engine, crops: Sequence[FaceCrop], detector: DetectorConfig) -> SequenceScore:
    """Score the crops of a track as one sequence."""
    times: Floats = np.array([crop.pts_seconds for crop in crops], np.float32)
    return score_sequence(engine, np.stack([crop.image for crop in crops]), times, detector)


def score_track(track: Track, score: SequenceScore | None, manifest: Manifest) -> tuple[TrackScore, list[FrameScore]]:
    """Return the score of one person, and one of each of its crops.

    Frames and windows have the scale of the clip: the mean of the log-odds of a track's frames is the log-odds of the
    track.

    Args:
        track: Crops of the person.
        score: Logits of the usable crops; None if the track has too few of them.
        manifest: Calibration of the model, and whether it is trained.
    """
    calibration = manifest.detector.scoring.clips
    frames = _score_frames(track, score, calibration)
    reasons = _collect_reasons(track, score, manifest)
    is_evaluated = score is not None and not reasons
    times = [crop.pts_seconds for crop in track.crops]
    scored = TrackScore(
        track_id=track.track_id,
        probability=calibration.to_probability(score.logit) if score and is_evaluated else None,
        logit=score.logit if score else None,
        reasons=reasons,
        first_seconds=min(times),
        last_seconds=max(times),
        face_frames=len(track.crops),
        usable_frames=len(track.usable),
        median_face_px=float(np.median([crop.face.box.width for crop in track.crops])),
        windows=_score_windows(frames) if is_evaluated else [],
    )
    return scored, frames


def score_clip(tracks: Sequence[TrackScore], frames: Sequence[FrameScore]) -> ClipScore:
    """Score a clip by its track with the highest probability."""
    evaluated = [(track.probability, track) for track in tracks if track.probability is not None]
    in_order = sorted(frames, key=lambda frame: (frame.pts_seconds, frame.track_id))
    if not evaluated:
        reasons = _make_reasons(_merge_reasons(tracks) or [ReasonCode.NO_FACE])
        return ClipScore(None, None, reasons, list(tracks), in_order)
    probability, worst = max(evaluated, key=lambda pair: pair[0])
    return ClipScore(probability, worst.track_id, [], list(tracks), in_order)


def is_scorable(track: Track, faces: FaceConfig) -> bool:
    """Return True if a track has enough usable crops for the classifier."""
    return len(track.usable) >= faces.frames_min


def _score_frames(track: Track, score: SequenceScore | None, calibration: Calibration) -> list[FrameScore]:
    logits = iter(score.frame_logits.tolist() if score else [])
    correction = score.logit - float(score.frame_logits.mean(dtype=np.float64)) if score else 0.0
    rows = []
    for crop in track.crops:
        logit = next(logits) if score and crop.unusable is None else None
        odds = None if logit is None else calibration.to_log_odds(logit + correction)
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
                probability=None if odds is None else to_probability(odds),
                contribution=None if odds is None else odds / len(track.usable),
            )
        )
    return rows


def _score_windows(frames: Sequence[FrameScore]) -> list[WindowScore]:
    usable = [frame for frame in frames if frame.contribution is not None]
    windows = []
    for window, group in groupby(usable, key=lambda frame: frame.window):
        members = list(group)
        odds = sum(frame.contribution or 0.0 for frame in members) * len(usable) / len(members)
        windows.append(
            WindowScore(window, members[0].pts_seconds, members[-1].pts_seconds, len(members), to_probability(odds))
        )
    return windows


def _collect_reasons(track: Track, score: SequenceScore | None, manifest: Manifest) -> list[Reason]:
    if score is not None:
        return _make_reasons([] if manifest.trained else [ReasonCode.MODEL_UNTRAINED])
    flaws = Counter(crop.unusable for crop in track.crops if crop.unusable is not None)
    # Quality flaws are the reason only if the track is long enough to be evaluated without them.
    if len(track.crops) < manifest.detector.faces.frames_min or not flaws:
        return _make_reasons([ReasonCode.TOO_FEW_FACE_FRAMES])
    return _make_reasons([code for code, _ in flaws.most_common()])


def _merge_reasons(tracks: Sequence[TrackScore]) -> list[ReasonCode]:
    """Return each reason once. An untrained model hides all others, because its tracks were otherwise evaluable."""
    codes = [reason.code for track in tracks for reason in track.reasons]
    if ReasonCode.MODEL_UNTRAINED in codes:
        return [ReasonCode.MODEL_UNTRAINED]
    return list(dict.fromkeys(codes))


def _make_reasons(codes: Sequence[ReasonCode]) -> list[Reason]:
    return [Reason(code, _EXPLANATIONS[code]) for code in codes]
