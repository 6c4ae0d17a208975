"""``unmask scan``: exit codes, sparklines, JSON objects."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli.exit_codes import ExitCode, FailOn
from app.cli.main import commands
from app.cli.scan import ScanResult, _print_result, _scan_clip, sparkline, worst_exit_code
from app.client.client import Client
from app.core.enums import JobStatus, Priority, ReasonCode, Verdict
from app.schemas import jobs as schemas
from app.schemas.results import Reason
from app.schemas.submissions import JobOptions
from tests.support.factories import make_result


def make_scan_result(status: JobStatus, verdict: Verdict | None, **result: Any) -> ScanResult:
    job = schemas.Job(
        id="job_x",
        status=status,
        priority=Priority.LIVE,
        verdict=verdict,
        recommended_action=None,
        external_id=None,
        metadata={},
        model=None,
        start_seconds=None,
        end_seconds=None,
        policy_id=None,
        clip=schemas.ClipSummary(name=None, url=None, sha256="0" * 64, bytes=1, deleted_at=None),
        attempts=1,
        deduplicated_from=None,
        reanalysis_of=None,
        batch_id=None,
        queue_position=None,
        progress=None,
        failure=None,
        result=make_result().model_copy(update={"verdict": verdict, **result}) if verdict else None,
        start_before=None,
        created_at=datetime.now(UTC),
        started_at=None,
        finished_at=None,
        links=schemas.Links(self="", result="", frames="", events=""),
    )
    return ScanResult(Path("a.mp4"), 1.0, job)


EVALUATED = make_scan_result(JobStatus.SUCCEEDED, Verdict.MANIPULATED)
NOT_EVALUATED = make_scan_result(
    JobStatus.SUCCEEDED,
    Verdict.NOT_EVALUATED,
    probability=None,
    reasons=[Reason(code=ReasonCode.NO_FACE, detail="No face was found in the frames that were sampled.")],
)
FAILED = ScanResult(Path("a.mp4"), 0.1, error=("unsupported_media", "This is not a video."))


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([EVALUATED], ExitCode.EVALUATED),
        ([NOT_EVALUATED], ExitCode.NOT_EVALUATED),
        ([FAILED], ExitCode.FAILED),
        ([EVALUATED, NOT_EVALUATED], ExitCode.NOT_EVALUATED),
        ([NOT_EVALUATED, FAILED, EVALUATED], ExitCode.FAILED),
    ],
)
def test_exit_code_of_several_clips_is_the_worst(results: list[ScanResult], code: ExitCode) -> None:
    assert worst_exit_code(results) is code


def test_exit_code_by_the_verdict_ranks_below_a_failure() -> None:
    assert worst_exit_code([EVALUATED, NOT_EVALUATED], FailOn.BLOCK) is ExitCode.NOT_EVALUATED
    assert worst_exit_code([EVALUATED, NOT_EVALUATED], FailOn.MANIPULATED) is ExitCode.FOUND
    assert worst_exit_code([EVALUATED, FAILED], FailOn.MANIPULATED) is ExitCode.FAILED


def test_json_object_has_the_documented_fields() -> None:
    assert set(EVALUATED.as_json()) >= {
        "clip",
        "status",
        "verdict",
        "evidence",
        "probability",
        "thresholds",
        "tracks",
        "duration_seconds",
        "reasons",
        "warnings",
        "job_id",
        "seconds",
    }
    assert NOT_EVALUATED.as_json()["reasons"] == ["no_face"]
    assert FAILED.as_json()["error"] == {"code": "unsupported_media", "message": "This is not a video."}


def test_sparkline_has_one_block_per_frame_and_thins_long_series() -> None:
    assert sparkline([0.0, 0.5, None, 1.0]) == "▁▅·█"
    assert sparkline([]) == ""
    assert len(sparkline([0.1] * 64)) == 16


def test_scan_of_unreachable_service_names_the_next_step(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"x")
    done = CliRunner().invoke(commands, ["scan", str(clip), "--url", "http://127.0.0.1:9", "--key", "k"])
    assert done.exit_code == 1
    assert "make serve" in " ".join(done.output.split())


@pytest.mark.parametrize("key", ["schlüssel", "umk_a\nb", "umk_a b\x7f"])
def test_key_that_no_header_can_hold_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"x")
    done = CliRunner().invoke(commands, ["scan", str(clip), "--key", key])
    assert done.exit_code == 1
    assert "Copy it again" in done.output
    assert key not in done.output


def test_clip_that_cannot_be_opened_does_not_end_the_scan(tmp_path: Path) -> None:
    console = Console(record=True, width=100)
    with Client(url="http://127.0.0.1:9", api_key="umk_x\n") as client:
        result = _scan_clip(client, tmp_path, console, JobOptions())
    assert result.exit_code is ExitCode.FAILED
    assert result.error is not None
    assert str(tmp_path) in result.error[1]
    _print_result(console, result)
    assert "not analyzed" in console.export_text()
