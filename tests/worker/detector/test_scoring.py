"""Scoring: probabilities, verdicts and reasons from logits."""

import math
from dataclasses import replace

import numpy as np
import pytest

from app.core.calibration import Calibration, to_log_odds
from app.core.enums import ReasonCode
from tests.support.detectors import TRAINED, FakeEngine, make_track
from worker.detector import scoring
from worker.detector.config import ClassifierConfig, DetectorConfig, ScoringConfig
from worker.detector.model.manifest import Manifest
from worker.detector.types import Floats, FrameScore, Image, SequenceScore, Track, TrackScore


def score(track: Track, manifest: Manifest = TRAINED) -> tuple[float | None, list[ReasonCode]]:
    result, _ = score_with_frames(track, manifest)
    return result.probability, [reason.code for reason in result.reasons]


def score_with_frames(track: Track, manifest: Manifest = TRAINED) -> tuple[TrackScore, list[FrameScore]]:
    sequence = None
    if scoring.is_scorable(track, manifest.detector.faces):
        sequence = scoring.score_crops(FakeEngine(), track.usable, manifest.detector)
    return scoring.score_track(track, sequence, manifest)


@pytest.mark.parametrize("logit", [-3.0, 0.0, 4.0])
def test_probability_is_that_of_the_logit(logit: float) -> None:
    probability, reasons = score(make_track([logit] * 8))
    assert reasons == []
    assert probability == pytest.approx(1 / (1 + math.exp(-logit)))


def test_long_track_is_split_without_losing_frames() -> None:
    track = make_track([float(index % 7) for index in range(61)])
    sequence = scoring.score_crops(FakeEngine(), track.usable, TRAINED.detector)
    assert sequence.frame_logits.tolist() == [index % 7 for index in range(61)]
    assert sequence.logit == pytest.approx(np.mean([index % 7 for index in range(61)]))


def test_untrained_model_is_not_evaluated() -> None:
    untrained = TRAINED.model_copy(update={"trained": False})
    assert score(make_track([5.0] * 8), untrained) == (None, [ReasonCode.MODEL_UNTRAINED])


def test_short_track_is_not_evaluated() -> None:
    assert score(make_track([5.0] * 7)) == (None, [ReasonCode.TOO_FEW_FACE_FRAMES])


@pytest.mark.parametrize("flaw", [ReasonCode.FACE_TOO_SMALL, ReasonCode.LOW_QUALITY_DARK, ReasonCode.LOW_QUALITY_BLUR])
def test_unusable_track_has_its_flaw_as_reason(flaw: ReasonCode) -> None:
    assert score(make_track([5.0] * 16, unusable=flaw)) == (None, [flaw])


def test_track_with_the_highest_probability_decides_the_clip() -> None:
    tracks = [make_track([-4.0] * 8, name="t0"), make_track([4.0] * 8, name="t1"), make_track([1.0], name="t2")]
    scores = [score_with_frames(track)[0] for track in tracks]
    clip = scoring.score_clip(scores, [])
    assert (clip.probability, clip.decided_by, clip.reasons) == (scores[1].probability, "t1", [])


def test_clip_without_tracks_has_reason_no_face() -> None:
    clip = scoring.score_clip([], [])
    assert (clip.probability, clip.decided_by) == (None, None)
    assert [reason.code for reason in clip.reasons] == [ReasonCode.NO_FACE]


def test_frames_keep_their_order_and_logits() -> None:
    track = make_track([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    short = DetectorConfig(classifier=ClassifierConfig(sequence_max=4))
    sequence = scoring.score_crops(FakeEngine(), track.usable, short)
    _, rows = scoring.score_track(track, sequence, TRAINED)
    assert [row.logit for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


class CorrectingEngine(FakeEngine):
    """Engine whose Transformer adds two."""

    def score(self, crops: Image, pts_seconds: Floats) -> SequenceScore:
        plain = super().score(crops, pts_seconds)
        return SequenceScore(plain.frame_logits, plain.logit + 2)


@pytest.mark.parametrize(("weight", "logit"), [(0.0, 3.0), (0.5, 4.0), (1.0, 5.0)])
def test_correction_is_weighted(weight: float, logit: float) -> None:
    detector = DetectorConfig(scoring=ScoringConfig(correction_weight=weight))
    sequence = scoring.score_crops(CorrectingEngine(), make_track([3.0] * 30).usable, detector)
    assert sequence.logit == pytest.approx(logit)


@pytest.mark.parametrize("correction_weight", [0.0, 0.6])
@pytest.mark.parametrize("frames", [8, 40])
def test_contributions_of_the_frames_add_up_to_the_log_odds_of_the_track(correction_weight: float, frames: int) -> None:
    scale = ScoringConfig(correction_weight=correction_weight, clips=Calibration(temperature=0.6, bias=-1.4))
    manifest = TRAINED.model_copy(update={"detector": TRAINED.detector.model_copy(update={"scoring": scale})})
    track = make_track(np.random.default_rng(0).normal(0, 2, frames).tolist())
    sequence = scoring.score_crops(CorrectingEngine(), track.usable, manifest.detector)
    scored, rows = scoring.score_track(track, sequence, manifest)
    assert scored.probability is not None
    expected = to_log_odds(scored.probability)
    odds = [to_log_odds(row.probability) for row in rows if row.probability is not None]
    assert np.mean(odds) == pytest.approx(expected, abs=1e-6)
    assert sum(row.contribution or 0 for row in rows) == pytest.approx(expected, abs=1e-6)


def test_windows_have_the_mean_of_their_frames() -> None:
    track = make_track([2.0] * 8 + [-1.0] * 4)
    track.crops = [replace(crop, window=number // 8) for number, crop in enumerate(track.crops)]
    track.crops[8] = replace(track.crops[8], unusable=ReasonCode.LOW_QUALITY_BLUR)
    scored, _ = score_with_frames(track)
    first, second = scored.windows
    assert (first.window, first.usable_frames, first.start_seconds) == (0, 8, 0.0)
    assert (second.window, second.usable_frames, second.end_seconds) == (1, 3, 11 / 25)
    assert to_log_odds(first.probability) == pytest.approx(2.0)
    assert to_log_odds(second.probability) == pytest.approx(-1.0)
