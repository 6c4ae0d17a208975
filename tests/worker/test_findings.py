"""Findings: the detector's numbers in the schemas of the API."""

import pytest

from app.core.calibration import Calibration, TargetRates
from app.core.enums import ReasonCode, WarningCode
from tests.support.detectors import CURVE, TRAINED, FakeEngine, make_track
from worker.detector import scoring
from worker.detector.config import ScoringConfig
from worker.detector.pipeline import Analysis
from worker.detector.types import ClipInfo, ClipWarning, Coverage, Extraction
from worker.findings import hash_detector, to_attempt_result, to_calibration, to_finding

CLIP = ClipInfo(
    "mp4", "h264", 640, 480, 90, mirrored=False, duration_seconds=4.0, fps=25.0, bit_depth=10, high_dynamic_range=True
)
WARNING = ClipWarning(WarningCode.HIGH_DYNAMIC_RANGE, "The clip is HDR.")


@pytest.fixture
def analysis() -> Analysis:
    """Return the analysis of a clip with a manipulated track and a track that is too short."""
    tracks = [make_track([4.0] * 8), make_track([1.0], name="t1")]
    scores, frames = [], []
    for track in tracks:
        score = None
        if scoring.is_scorable(track, TRAINED.detector.faces):
            score = scoring.score_crops(FakeEngine(), track.usable, TRAINED.detector)
        scored, rows = scoring.score_track(track, score, TRAINED)
        scores.append(scored)
        frames.extend(rows)
    extraction = Extraction(CLIP, Coverage(16, 9, 2, 2, 2, 1.0, 4.0, 0.6, 1.0), tracks, [WARNING])
    return Analysis(TRAINED, extraction, scoring.score_clip(scores, frames), 0.5, 0.25)


def test_finding_has_the_numbers_of_the_clip_score(analysis: Analysis) -> None:
    finding, _ = to_finding(analysis)
    score = analysis.score
    assert (finding.probability, finding.decided_by, finding.reasons) == (score.probability, "t0", [])
    for track, expected in zip(finding.tracks, score.tracks, strict=True):
        assert (track.track_id, track.probability) == (expected.track_id, expected.probability)
        assert (track.logit, len(track.windows)) == (expected.logit, len(expected.windows))
        assert (track.first_seconds, track.last_seconds) == (expected.first_seconds, expected.last_seconds)
        assert (track.face_frames, track.usable_frames) == (expected.face_frames, expected.usable_frames)
        assert track.median_face_px == expected.median_face_px
    assert [reason.code for reason in finding.tracks[1].reasons] == [ReasonCode.TOO_FEW_FACE_FRAMES]


def test_finding_describes_clip_coverage_model_and_timings(analysis: Analysis) -> None:
    finding, _ = to_finding(analysis)
    clip, coverage, model = finding.clip, finding.coverage, finding.model
    assert (clip.codec, clip.width, clip.height, clip.rotation_degrees) == ("h264", 640, 480, 90)
    assert (clip.duration_seconds, clip.fps, clip.bit_depth) == (4.0, 25.0, 10)
    assert (coverage.frames_sampled, coverage.frames_with_face) == (16, 9)
    assert (coverage.faces_max, coverage.tracks, coverage.windows) == (2, 2, 2)
    assert (coverage.start_seconds, coverage.end_seconds) == (1.0, 4.0)
    assert (coverage.seconds_sampled, coverage.chance_of_5_seconds) == (0.6, 1.0)
    assert (model.name, model.version, model.weights_sha256) == ("test", "1", "0" * 64)
    assert (finding.timings.extract_seconds, finding.timings.score_seconds) == (0.5, 0.25)
    assert [warning.code for warning in finding.warnings] == [WarningCode.HIGH_DYNAMIC_RANGE]


def test_frames_have_the_numbers_of_the_frame_scores(analysis: Analysis) -> None:
    _, frames = to_finding(analysis)
    assert len(frames) == 9
    for frame, expected in zip(frames, analysis.score.frames, strict=True):
        assert (frame.track_id, frame.window) == (expected.track_id, expected.window)
        assert (frame.pts_seconds, frame.box.width) == (expected.pts_seconds, expected.box.width)
        assert (frame.logit, frame.probability) == (expected.logit, expected.probability)
        assert frame.contribution == expected.contribution
        assert (frame.sharpness, frame.brightness) == (expected.sharpness, expected.brightness)


def test_calibration_has_the_thresholds_of_the_model() -> None:
    calibration = to_calibration(TRAINED)
    assert (calibration.model, calibration.version) == ("test", "1")
    assert (calibration.thresholds.suspicious_at, calibration.thresholds.manipulated_at) == (0.4, 0.8)
    assert (calibration.lowest_false_positive_rate, calibration.curve) == (0.03, CURVE)


def test_attempt_result_is_json_with_the_digest_of_the_detector(analysis: Analysis) -> None:
    sha256 = hash_detector(TRAINED)
    result = to_attempt_result(analysis, sha256)
    assert result.detector_sha256 == sha256
    assert result.payload["decided_by"] == "t0"
    assert [frame["pts_seconds"] for frame in result.frames] == [frame.pts_seconds for frame in analysis.score.frames]
    assert result.calibration == to_calibration(TRAINED)


def test_digest_of_the_detector_depends_on_the_thresholds() -> None:
    stricter = ScoringConfig(clips=Calibration(curve=CURVE, rates=TargetRates(suspicious_false_positive_rate=0.04)))
    changed = TRAINED.model_copy(update={"detector": TRAINED.detector.model_copy(update={"scoring": stricter})})
    assert hash_detector(TRAINED) == hash_detector(TRAINED.model_copy())
    assert hash_detector(TRAINED) != hash_detector(changed)
