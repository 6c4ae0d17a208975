"""Scoring: probabilities, verdicts and reasons from logits."""

import math

import numpy as np
import pytest

from app.core.enums import ReasonCode, Verdict
from tests.support.detectors import TRAINED, FakeEngine, make_track
from worker.detector import scoring
from worker.detector.config import ClassifierConfig, DetectorConfig, ScoringConfig
from worker.detector.model.manifest import Manifest
from worker.detector.types import Floats, Image, SequenceScore, Track


def score(track: Track, manifest: Manifest = TRAINED) -> tuple[Verdict, float | None, list[ReasonCode]]:
    sequence = None
    if scoring.is_scorable(track, manifest.detector.faces):
        sequence = scoring.score_crops(FakeEngine(), track.usable, TRAINED.detector)
    result = scoring.score_track(track, sequence, manifest)
    return result.verdict, result.probability, [reason.code for reason in result.reasons]


@pytest.mark.parametrize(
    ("logit", "verdict"), [(-3.0, Verdict.AUTHENTIC), (0.0, Verdict.SUSPICIOUS), (4.0, Verdict.MANIPULATED)]
)
def test_verdict_depends_on_the_thresholds(logit: float, verdict: Verdict) -> None:
    found, probability, reasons = score(make_track([logit] * 8))
    assert (found, reasons) == (verdict, [])
    assert probability == pytest.approx(1 / (1 + math.exp(-logit)))


def test_long_track_is_split_without_losing_frames() -> None:
    track = make_track([float(index % 7) for index in range(61)])
    sequence = scoring.score_crops(FakeEngine(), track.usable, TRAINED.detector)
    assert sequence.frame_logits.tolist() == [index % 7 for index in range(61)]
    assert sequence.logit == pytest.approx(np.mean([index % 7 for index in range(61)]))


def test_untrained_model_is_not_evaluated() -> None:
    untrained = TRAINED.model_copy(update={"trained": False})
    assert score(make_track([5.0] * 8), untrained) == (
        Verdict.NOT_EVALUATED,
        None,
        [ReasonCode.MODEL_UNTRAINED],
    )


def test_short_track_is_not_evaluated() -> None:
    assert score(make_track([5.0] * 7)) == (Verdict.NOT_EVALUATED, None, [ReasonCode.TOO_FEW_FACE_FRAMES])


@pytest.mark.parametrize("flaw", [ReasonCode.FACE_TOO_SMALL, ReasonCode.LOW_QUALITY_DARK, ReasonCode.LOW_QUALITY_BLUR])
def test_unusable_track_has_its_flaw_as_reason(flaw: ReasonCode) -> None:
    assert score(make_track([5.0] * 16, unusable=flaw)) == (Verdict.NOT_EVALUATED, None, [flaw])


def test_track_with_the_highest_probability_decides_the_clip() -> None:
    tracks = [make_track([-4.0] * 8, name="t0"), make_track([4.0] * 8, name="t1"), make_track([1.0], name="t2")]
    scores = []
    for track in tracks:
        sequence = None
        if scoring.is_scorable(track, TRAINED.detector.faces):
            sequence = scoring.score_crops(FakeEngine(), track.usable, TRAINED.detector)
        scores.append(scoring.score_track(track, sequence, TRAINED))
    clip = scoring.score_clip(scores, [])
    assert (clip.verdict, clip.decided_by, clip.reasons) == (Verdict.MANIPULATED, "t1", [])


def test_clip_without_tracks_has_reason_no_face() -> None:
    clip = scoring.score_clip([], [])
    assert clip.verdict is Verdict.NOT_EVALUATED
    assert [reason.code for reason in clip.reasons] == [ReasonCode.NO_FACE]


def test_frames_keep_their_order_and_logits() -> None:
    track = make_track([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    short = DetectorConfig(classifier=ClassifierConfig(sequence_max=4))
    sequence = scoring.score_crops(FakeEngine(), track.usable, short)
    rows = scoring.score_frames(track, sequence, TRAINED.detector.scoring)
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


def test_probability_applies_temperature_and_bias() -> None:
    probability = scoring.to_probability(3.0, ScoringConfig(temperature=2.0, bias=-0.5))
    assert probability == pytest.approx(1 / (1 + math.exp(-1.0)))


@pytest.mark.parametrize("logit", [-1e9, 1e9])
def test_extreme_logit_gives_a_probability_within_0_and_1(logit: float) -> None:
    assert 0 <= scoring.to_probability(logit, ScoringConfig(temperature=0.01)) <= 1


@pytest.mark.parametrize("correction_weight", [0.0, 0.6])
@pytest.mark.parametrize("frames", [8, 40])
def test_mean_of_the_log_odds_of_the_frames_is_that_of_the_track(correction_weight: float, frames: int) -> None:
    scale = ScoringConfig(temperature=0.6, bias=-1.4, correction_weight=correction_weight)
    manifest = TRAINED.model_copy(update={"detector": TRAINED.detector.model_copy(update={"scoring": scale})})
    track = make_track(np.random.default_rng(0).normal(0, 2, frames).tolist())
    sequence = scoring.score_crops(CorrectingEngine(), track.usable, manifest.detector)
    scored = scoring.score_track(track, sequence, manifest)
    rows = scoring.score_frames(track, sequence, scale)
    odds = [math.log(row.probability / (1 - row.probability)) for row in rows if row.probability is not None]
    assert scored.probability is not None
    assert np.mean(odds) == pytest.approx(math.log(scored.probability / (1 - scored.probability)), abs=1e-6)
