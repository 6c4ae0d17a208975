"""From logits to verdicts and reasons."""

import math

import numpy as np
import pytest

from app.core.enums import ReasonCode, Verdict
from worker.detector import scoring
from worker.detector.config import ClassifierConfig, DetectorConfig, ScoringConfig
from worker.detector.model.manifest import Manifest
from worker.detector.types import Box, Face, FaceCrop, Floats, Image, SequenceScore, Track

TRAINED = Manifest(
    name="test",
    version="1",
    trained=True,
    files={"model.safetensors": "0" * 64, "model.onnx": "0" * 64},
    detector=DetectorConfig(scoring=ScoringConfig(suspicious_at=0.4, manipulated_at=0.8)),
)


class FakeEngine:
    """Says for each crop what its first pixel says, and the mean for the sequence."""

    def score(self, crops: Image, pts_seconds: Floats) -> SequenceScore:
        assert len(crops) == len(pts_seconds)
        logits = crops[:, 0, 0, 0].astype(np.float32) - 100
        return SequenceScore(logits, float(logits.mean()))


def make_track(logits: list[float], *, unusable: ReasonCode | None = None, name: str = "t0") -> Track:
    face = Face(Box(0, 0, 100, 100), 0.9)
    images = [np.full((2, 2, 3), logit + 100, np.uint8) for logit in logits]
    crops = [FaceCrop(0, index / 25, face, image, 1.0, 100.0, unusable) for index, image in enumerate(images)]
    return Track(name, crops)


def decide_verdict(track: Track, manifest: Manifest = TRAINED) -> tuple[Verdict, float | None, list[ReasonCode]]:
    score = None
    if scoring.is_scorable(track, manifest.detector.faces):
        score = scoring.score_crops(FakeEngine(), track.usable, TRAINED.detector)
    result = scoring.score_track(track, score, manifest)
    return result.verdict, result.probability, [reason.code for reason in result.reasons]


@pytest.mark.parametrize(
    ("logit", "verdict"), [(-3.0, Verdict.AUTHENTIC), (0.0, Verdict.SUSPICIOUS), (4.0, Verdict.MANIPULATED)]
)
def test_thresholds_make_the_verdict(logit: float, verdict: Verdict) -> None:
    found, probability, reasons = decide_verdict(make_track([logit] * 8))
    assert (found, reasons) == (verdict, [])
    assert probability == pytest.approx(1 / (1 + math.exp(-logit)))


def test_a_long_track_is_cut_and_no_frame_is_lost() -> None:
    track = make_track([float(index % 7) for index in range(61)])
    score = scoring.score_crops(FakeEngine(), track.usable, TRAINED.detector)
    assert score.frame_logits.tolist() == [index % 7 for index in range(61)]
    assert score.logit == pytest.approx(np.mean([index % 7 for index in range(61)]))


def test_an_untrained_model_gives_frames_but_no_verdict() -> None:
    untrained = TRAINED.model_copy(update={"trained": False})
    assert decide_verdict(make_track([5.0] * 8), untrained) == (
        Verdict.NOT_EVALUATED,
        None,
        [ReasonCode.MODEL_UNTRAINED],
    )


def test_a_short_track_is_not_judged() -> None:
    assert decide_verdict(make_track([5.0] * 7)) == (Verdict.NOT_EVALUATED, None, [ReasonCode.TOO_FEW_FACE_FRAMES])


@pytest.mark.parametrize("flaw", [ReasonCode.FACE_TOO_SMALL, ReasonCode.LOW_QUALITY_DARK, ReasonCode.LOW_QUALITY_BLUR])
def test_a_flawed_track_says_which_flaw(flaw: ReasonCode) -> None:
    assert decide_verdict(make_track([5.0] * 16, unusable=flaw)) == (Verdict.NOT_EVALUATED, None, [flaw])


def test_the_worst_track_decides_the_clip() -> None:
    tracks = [make_track([-4.0] * 8, name="t0"), make_track([4.0] * 8, name="t1"), make_track([1.0], name="t2")]
    scores = []
    for track in tracks:
        score = None
        if scoring.is_scorable(track, TRAINED.detector.faces):
            score = scoring.score_crops(FakeEngine(), track.usable, TRAINED.detector)
        scores.append(scoring.score_track(track, score, TRAINED))
    clip = scoring.score_clip(scores, [])
    assert (clip.verdict, clip.decided_by, clip.reasons) == (Verdict.MANIPULATED, "t1", [])


def test_a_clip_without_tracks_has_no_face() -> None:
    clip = scoring.score_clip([], [])
    assert clip.verdict is Verdict.NOT_EVALUATED
    assert [reason.code for reason in clip.reasons] == [ReasonCode.NO_FACE]


def test_frames_keep_the_order_of_the_clip_and_their_logits() -> None:
    track = make_track([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    short = DetectorConfig(classifier=ClassifierConfig(sequence_max=4))
    score = scoring.score_crops(FakeEngine(), track.usable, short)
    rows = scoring.score_frames(track, score, TRAINED.detector.scoring)
    assert [row.logit for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


class Corrected(FakeEngine):
    """Its Transformer adds two."""

    def score(self, crops: Image, pts_seconds: Floats) -> SequenceScore:
        plain = super().score(crops, pts_seconds)
        return SequenceScore(plain.frame_logits, plain.logit + 2)


@pytest.mark.parametrize(("weight", "logit"), [(0.0, 3.0), (0.5, 4.0), (1.0, 5.0)])
def test_the_correction_counts_as_far_as_the_model_says(weight: float, logit: float) -> None:
    detector = DetectorConfig(scoring=ScoringConfig(correction_weight=weight))
    score = scoring.score_crops(Corrected(), make_track([3.0] * 30).usable, detector)
    assert score.logit == pytest.approx(logit)


def test_temperature_and_bias_make_the_probability() -> None:
    found = scoring.to_probability(3.0, ScoringConfig(temperature=2.0, bias=-0.5))
    assert found == pytest.approx(1 / (1 + math.exp(-1.0)))


@pytest.mark.parametrize("logit", [-1e9, 1e9])
def test_an_extreme_logit_is_a_probability(logit: float) -> None:
    assert 0 <= scoring.to_probability(logit, ScoringConfig(temperature=0.01)) <= 1
