"""The command line's words: exit codes, sparklines, objects."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import _commands
from app.cli.scan import ExitCode, Outcome, sparkline, worst
from app.core.enums import JobStatus, Priority, ReasonCode, Verdict
from app.schemas import jobs as schemas
from tests.support.factories import make_result


def make_outcome(status: JobStatus, verdict: Verdict | None, **result: Any) -> Outcome:
    job = schemas.Job(
        id="job_x",
        status=status,
        priority=Priority.LIVE,
        verdict=verdict,
        recommended_action=None,
        external_id=None,
        metadata={},
        model=None,
        policy_id=None,
        clip=schemas.ClipSummary(name=None, url=None, sha256="0" * 64, bytes=1, deleted_at=None),
        attempts=1,
        deduplicated_from=None,
        reanalysis_of=None,
        batch_id=None,
        queue_position=None,
        progress=None,
        failure=None,
        result=make_result(verdict=verdict, **result) if verdict else None,
        start_before=None,
        created_at=datetime.now(UTC),
        started_at=None,
        finished_at=None,
        links=schemas.Links(self="", result="", frames="", events=""),
    )
    return Outcome(Path("a.mp4"), 1.0, job)


JUDGED = make_outcome(JobStatus.SUCCEEDED, Verdict.MANIPULATED)
UNJUDGED = make_outcome(
    JobStatus.SUCCEEDED,
    Verdict.NOT_EVALUATED,
    probability=None,
    reasons=[{"code": ReasonCode.NO_FACE, "detail": "No face was found."}],
)
FAILED = Outcome(Path("a.mp4"), 0.1, error=("unsupported_media", "This is not a video."))


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([JUDGED], ExitCode.JUDGED),
        ([UNJUDGED], ExitCode.NOT_EVALUATED),
        ([FAILED], ExitCode.FAILED),
        ([JUDGED, UNJUDGED], ExitCode.NOT_EVALUATED),
        ([UNJUDGED, FAILED, JUDGED], ExitCode.FAILED),
    ],
)
def test_the_worst_clip_decides_the_exit_code(outcomes: list[Outcome], code: ExitCode) -> None:
    assert worst(outcomes) is code


def test_the_object_has_the_promised_fields() -> None:
    assert set(JUDGED.as_json()) >= {
        "clip",
        "status",
        "verdict",
        "probability",
        "tracks",
        "reasons",
        "job_id",
        "seconds",
    }
    assert UNJUDGED.as_json()["reasons"] == ["no_face"]
    assert FAILED.as_json()["error"] == {"code": "unsupported_media", "message": "This is not a video."}


def test_a_sparkline_has_a_block_for_each_frame_and_thins_long_series() -> None:
    assert sparkline([0.0, 0.5, None, 1.0]) == "▁▅·█"
    assert sparkline([]) == ""
    assert len(sparkline([0.1] * 64)) == 16


def test_scan_says_what_to_do_where_nothing_answers(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"x")
    done = CliRunner().invoke(_commands, ["scan", str(clip), "--url", "http://127.0.0.1:9", "--key", "k"])
    assert done.exit_code == 1
    assert "make serve" in " ".join(done.output.split())
