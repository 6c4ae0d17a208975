"""Each kind of clip through the real API, queue, worker and database: a verdict, or a reason."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.client.errors import ApiError
from app.core.calibration import to_log_odds
from app.core.enums import FailureCode, JobStatus, ReasonCode, Verdict
from app.schemas.results import Frame, Result, Segment, Track
from app.schemas.submissions import JobOptions
from tests.e2e.conftest import Service
from tests.support.catalogue import UNREADABLE

Clip = Callable[[str], Path]
pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.usefixtures("running_worker")]


@pytest.mark.parametrize(
    ("name", "tracks"),
    [
        ("speaker.mp4", 1),
        ("two_people.mp4", 2),
        ("rotated.mp4", 1),
        ("variable_frame_rate.mp4", 1),
        ("hevc_10_bit.mp4", 1),
        ("vp9.webm", 1),
        ("transport_stream.ts", 1),
    ],
)
def test_analyze_good_clip_stores_frames(service: Service, clip: Clip, name: str, tracks: int) -> None:
    job = service.wait_for_end(service.client.submit(clip(name), options=JobOptions(external_id=name)))
    assert (job.status, job.attempts) == (JobStatus.SUCCEEDED, 1)
    assert job.verdict is not Verdict.NOT_EVALUATED
    assert job.result is not None
    assert (job.result.model.trained, job.result.model.calibrated) == (True, True)
    assert len(job.result.tracks) == tracks
    frames = list(service.client.frames(job.id))
    assert len(frames) == 16 * tracks
    assert all(frame.probability is not None and 0 < frame.probability < 1 for frame in frames)
    assert [frame.pts_seconds for frame in frames] == sorted(frame.pts_seconds for frame in frames)
    require_one_scale(job.result, frames)


def require_one_scale(result: Result, frames: list[Frame]) -> None:
    """Check that the frames of the deciding track explain the clip, and that verdicts follow from the thresholds."""
    assert result.probability is not None
    odds = to_log_odds(result.probability)
    deciding = [frame for frame in frames if frame.track_id == result.decided_by]
    assert sum(frame.contribution or 0 for frame in deciding) == pytest.approx(odds, abs=1e-6)
    (track,) = (track for track in result.tracks if track.track_id == result.decided_by)
    windows = sum(window.usable_frames * to_log_odds(window.probability) for window in track.windows)
    assert windows / track.usable_frames == pytest.approx(odds, abs=1e-6)
    parts: list[Result | Track | Segment] = [result, *result.tracks, *result.segments]
    for part in parts:
        assert part.verdict is result.thresholds.decide(part.probability)
    assert result.margin == pytest.approx(odds - to_log_odds(result.thresholds.suspicious_at))
    assert result.evidence == result.verdict.evidence


def test_part_of_a_clip_is_analyzed_alone(service: Service, clip: Clip) -> None:
    options = JobOptions(start_seconds=2, end_seconds=3)
    job = service.wait_for_end(service.client.submit(clip("speaker.mp4"), options=options))
    assert job.result is not None
    coverage = job.result.coverage
    assert (coverage.start_seconds, coverage.end_seconds) == (2.0, 3.0)
    assert {2 <= frame.pts_seconds < 3.3 for frame in service.client.frames(job.id)} == {True}
    late = service.wait_for_end(service.client.submit(clip("speaker.mp4"), options=JobOptions(start_seconds=60)))
    assert late.failure is not None
    assert (late.failure.code, late.failure.retryable) == (FailureCode.PART_OUTSIDE, False)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_face.mp4", ReasonCode.NO_FACE),
        ("short.mp4", ReasonCode.TOO_FEW_FACE_FRAMES),
        ("tiny.mp4", ReasonCode.FACE_TOO_SMALL),
        ("dark.mp4", ReasonCode.LOW_QUALITY_DARK),
        ("blurred.mp4", ReasonCode.LOW_QUALITY_BLUR),
    ],
)
def test_analyze_clip_without_evidence_is_not_evaluated_with_reason(
    service: Service, clip: Clip, name: str, reason: ReasonCode
) -> None:
    job = service.wait_for_end(service.client.submit(clip(name)))
    assert (job.status, job.verdict) == (JobStatus.SUCCEEDED, Verdict.NOT_EVALUATED)
    assert job.result is not None
    assert [found.code for found in job.result.reasons] == [reason]
    assert job.result.probability is None


@pytest.mark.parametrize(("name", "code"), UNREADABLE)
def test_analyze_unreadable_clip_fails_with_code(service: Service, clip: Clip, name: str, code: FailureCode) -> None:
    job = service.wait_for_end(service.client.submit(clip(name)))
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert (job.failure.code, job.failure.retryable) == (code, False)


def test_submit_empty_clip_is_refused(service: Service, clip: Clip) -> None:
    with pytest.raises(ApiError) as caught:
        service.client.submit(clip("zero_bytes.mp4"))
    assert caught.value.problem.code == "unsupported_media"


def test_self_blended_copy_has_higher_probability_than_original(service: Service, clip: Clip) -> None:
    jobs = [service.client.submit(clip(name)) for name in ("speaker.mp4", "self_blended.mp4")]
    original, copy = (service.wait_for_end(job).result for job in jobs)
    assert original is not None
    assert copy is not None
    assert original.probability is not None
    assert copy.probability is not None
    assert copy.probability > original.probability


def test_many_concurrent_jobs_each_end_once(service: Service, clip: Clip) -> None:
    jobs = [service.client.submit(clip("short.mp4")) for _ in range(20)]
    assert {service.wait_for_end(job).status for job in jobs} == {JobStatus.SUCCEEDED}
    assert {service.count_results(job) for job in jobs} == {1}


def scan(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", "scan", "--url", service.url, *arguments],
        env=service.environment | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_scan_json_prints_one_object_per_clip(service: Service, clip: Clip) -> None:
    done = scan(service, "--json", str(clip("speaker.mp4")), str(clip("truncated.mp4")), str(clip("zero_bytes.mp4")))
    assert done.returncode == 1
    evaluated, broken, refused = (json.loads(line) for line in done.stdout.splitlines())
    assert (evaluated["status"], evaluated["reasons"]) == ("succeeded", [])
    assert evaluated["verdict"] != "NOT_EVALUATED"
    assert 0 < evaluated["probability"] < 1
    assert len(evaluated["tracks"]) == 1
    assert evaluated["job_id"].startswith("job_")
    assert (broken["status"], broken["error"]["code"]) == ("failed", "not_a_video")
    assert (refused["job_id"], refused["error"]["code"]) == (None, "unsupported_media")


def test_scan_prints_table(service: Service, clip: Clip) -> None:
    done = scan(service, str(clip("two_people.mp4")))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    rows = [line for line in lines if line.strip().startswith(("t0", "t1"))]
    assert len(rows) == 2
    assert all(set(row.split()[-1]) <= set("▁▂▃▄▅▆▇█") and len(row.split()[-1]) == 16 for row in rows)


def test_scan_with_wrong_key_reports_it(service: Service, clip: Clip) -> None:
    done = scan(service, "--key", "umk_wrong", str(clip("speaker.mp4")))
    assert done.returncode == 1
    assert "UNMASK_API_KEY" in done.stderr


def test_submit_same_bytes_reuses_result(service: Service, clip: Callable[[str], Path]) -> None:
    with service.worker(UNMASK_REUSE_RESULTS="true"):
        again = None
        for _ in range(10):  # the worker of the other tests, which reuses nothing, may be faster
            job = service.wait_for_end(service.client.submit(clip("speaker.mp4")))
            if job.deduplicated_from:
                again = job
                break
        assert again is not None
        source = service.client.get(str(again.deduplicated_from))
        assert source.deduplicated_from is None
        assert (again.result, again.verdict) == (source.result, source.verdict)
        assert list(service.client.frames(again.id)) == list(service.client.frames(source.id))
