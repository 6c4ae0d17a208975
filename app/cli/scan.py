"""``unmask scan``: upload clips, follow their jobs, show verdicts."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.cli.exit_codes import ExitCode, FailOn
from app.client.client import Client
from app.client.clip_file import name_of
from app.client.errors import ApiError
from app.core.calibration import RateEstimate
from app.core.enums import JobStatus, ReasonCode, Verdict
from app.core.errors import describe_os_error
from app.schemas.jobs import Job
from app.schemas.results import Frame, Result, Track
from app.schemas.submissions import JobOptions

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARKLINE_MAX = 16
_WAIT_SECONDS = 1
"""Time that a request waits for the end of the job before the progress is updated."""
_STYLES = {
    Verdict.MANIPULATED: "bold red",
    Verdict.SUSPICIOUS: "yellow",
    Verdict.INCONCLUSIVE: "cyan",
    Verdict.AUTHENTIC: "green",
    Verdict.NOT_EVALUATED: "dim",
}


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Result for one clip: its ended job, or the error that prevented one."""

    clip: Path
    seconds: float
    job: Job | None = None
    frames: tuple[Frame, ...] = ()
    error: tuple[str, str] | None = None
    """Code and message of the error."""

    @property
    def exit_code(self) -> ExitCode:
        """Exit code for this clip alone."""
        if self.job is None or self.job.status is not JobStatus.SUCCEEDED:
            return ExitCode.FAILED
        is_evaluated = self.job.verdict is not Verdict.NOT_EVALUATED
        return ExitCode.EVALUATED if is_evaluated else ExitCode.NOT_EVALUATED

    @property
    def reasons(self) -> list[ReasonCode]:
        """Reasons for which the clip was not evaluated."""
        return [reason.code for reason in self.job.result.reasons] if self.job and self.job.result else []

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        result = self.job.result if self.job else None
        return {
            "clip": str(self.clip),
            "status": self.job.status if self.job else JobStatus.FAILED,
            "verdict": result.verdict if result else None,
            "evidence": result.evidence if result else None,
            "probability": result.probability if result else None,
            "thresholds": result.thresholds.model_dump() if result else None,
            "duration_seconds": result.clip.duration_seconds if result else None,
            "tracks": [track.model_dump(mode="json") for track in result.tracks] if result else [],
            "reasons": self.reasons,
            "warnings": [warning.model_dump(mode="json") for warning in result.warnings] if result else [],
            "error": dict(zip(("code", "message"), self.error, strict=True)) if self.error else None,
            "job_id": self.job.id if self.job else None,
            "seconds": round(self.seconds, 3),
        }


def worst_exit_code(results: Sequence[ScanResult], fail_on: FailOn | None = None) -> ExitCode:
    """Return the exit code for several clips."""
    codes = {result.exit_code for result in results}
    if fail_on and any(
        result.job and fail_on.is_met_by(result.job.verdict, result.job.recommended_action) for result in results
    ):
        codes.add(ExitCode.FOUND)
    order = (ExitCode.FAILED, ExitCode.FOUND, ExitCode.NOT_EVALUATED)
    return next((code for code in order if code in codes), ExitCode.EVALUATED)


def scan_clips(
    client: Client,
    clips: Iterable[Path],
    *,
    as_json: bool,
    options: JobOptions = JobOptions(),  # noqa: B008 (immutable)
) -> list[ScanResult]:
    """Analyze clips one after the other and print each result at once.

    Raises:
        UnreachableError: The API does not answer.
        ApiError: The API key is unknown.
    """
    # With --json, stdout is for the objects, so the progress goes to stderr.
    console = Console(stderr=as_json)
    results = []
    for clip in clips:
        result = _scan_clip(client, clip, console, options)
        results.append(result)
        if as_json:
            print(json.dumps(result.as_json()), flush=True)  # noqa: T201 (the command's output)
        else:
            _print_result(console, result)
    return results


def _scan_clip(client: Client, clip: Path, console: Console, options: JobOptions) -> ScanResult:
    start = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"{escape(name_of(clip))}: uploading", total=None)
        try:
            progress.update(bar, total=clip.stat().st_size or None)
            job = client.submit(clip, options=options, on_bytes=lambda count: progress.advance(bar, count))
            while not job.status.is_final:
                job = client.get(job.id, wait_seconds=_WAIT_SECONDS)
                _show_progress(progress, bar, clip, job)
        except OSError as error:
            return ScanResult(clip, 0.0, error=("unreadable", describe_os_error(error)))
        except ApiError as error:
            if error.problem.code == "unauthorized":
                raise
            return ScanResult(clip, time.monotonic() - start, error=(error.problem.code, error.problem.detail))
    seconds = time.monotonic() - start
    if job.status is JobStatus.SUCCEEDED:
        return ScanResult(clip, seconds, job, frames=tuple(client.frames(job.id)))
    failure = (job.failure.code, job.failure.message) if job.failure else (job.status, f"The job was {job.status}.")
    return ScanResult(clip, seconds, job, error=failure)


def _show_progress(progress: Progress, bar: Any, clip: Path, job: Job) -> None:
    if job.progress is not None:
        description = f"{escape(name_of(clip))}: {job.progress.phase}"
        progress.update(bar, description=description, completed=job.progress.done, total=job.progress.total)
    elif job.status is JobStatus.QUEUED:
        progress.update(
            bar, description=f"{escape(name_of(clip))}: {job.queue_position} jobs ahead", completed=0, total=None
        )


def _print_result(console: Console, scanned: ScanResult) -> None:
    name = escape(name_of(scanned.clip))
    title = f"{name}  (analyzed in {scanned.seconds:.1f} s)" if scanned.job else f"{name}  (not analyzed)"
    result = scanned.job.result if scanned.job else None
    if result is None:
        code, message = scanned.error or ("internal", "")
        console.print(f"[bold]{title}[/bold]  [red]failed[/red] {code}: {escape(message)}")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("track", "verdict", "P(fake)", "from-to (s)", "px", "frames", "per frame"):
        table.add_column(heading, no_wrap=True)
    for track in result.tracks:
        table.add_row(*_format_track(track, scanned.frames))
    verdict = f"[{_STYLES[result.verdict]}]{result.verdict}[/]"
    table.add_section()
    length = "" if result.clip.duration_seconds is None else f"0.0-{result.clip.duration_seconds:.1f}"
    frames = str(result.coverage.frames_sampled)
    table.add_row("clip", verdict, _format_percent(result.probability), length, "", frames, "")
    console.print(table)
    for line in (result.evidence, _format_rate(result.false_positive_rate), _format_thresholds(result)):
        if line:
            console.print(f"  {escape(line)}", highlight=False)
    notes: list[tuple[str, str]] = [(reason.code, reason.detail) for reason in result.reasons]
    notes += [(warning.code, warning.detail) for warning in result.warnings]
    for code, detail in notes:
        console.print(f"  {code}: {detail}")


def _format_rate(rate: RateEstimate | None) -> str:
    """Return how often a real clip scores at least as high."""
    if rate is None:
        return ""
    interval = f"{rate.low:.1%} to {rate.high:.1%}, by {rate.clips} clips"
    return f"{rate.value:.1%} of real clips score this or more ({interval})"


def _format_thresholds(result: Result) -> str:
    thresholds = result.thresholds
    clear = "never" if thresholds.clear_at is None else f"below {thresholds.clear_at:.1%}"
    return (
        f"SUSPICIOUS from {thresholds.suspicious_at:.1%}, MANIPULATED from {thresholds.manipulated_at:.1%}, "
        f"AUTHENTIC {clear} ({result.policy.name})"
    )


def _format_track(track: Track, frames: Iterable[Frame]) -> list[str]:
    probabilities = [frame.probability for frame in frames if frame.track_id == track.track_id]
    return [
        track.track_id,
        f"[{_STYLES[track.verdict]}]{track.verdict}[/]",
        _format_percent(track.probability),
        f"{track.first_seconds:.1f}-{track.last_seconds:.1f}",
        f"{track.median_face_px:.0f}",
        f"{track.usable_frames}/{track.face_frames}",
        sparkline(probabilities),
    ]


def sparkline(probabilities: list[float | None]) -> str:
    """Return one block per frame, low to high, and a dot for a frame without a probability. Long series are thinned."""
    step = max(1, -(-len(probabilities) // _SPARKLINE_MAX))
    return "".join(
        "·" if value is None else _BLOCKS[min(int(value * len(_BLOCKS)), len(_BLOCKS) - 1)]
        for value in probabilities[::step]
    )


def _format_percent(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.1%}"
