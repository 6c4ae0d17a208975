"""``unmask scan``: uploads clips, follows their jobs, shows verdicts."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.client.client import Client
from app.client.errors import ApiError
from app.core.enums import JobStatus, ReasonCode, Verdict
from app.schemas.jobs import Job
from app.schemas.results import Frame, Track
from app.schemas.submissions import JobOptions

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARKLINE_MAX = 16
_WAIT_SECONDS = 1
"""How long a request waits for the end of the job before the progress is shown again."""
_STYLES = {
    Verdict.MANIPULATED: "bold red",
    Verdict.SUSPICIOUS: "yellow",
    Verdict.AUTHENTIC: "green",
    Verdict.NOT_EVALUATED: "dim",
}


class ExitCode(IntEnum):
    """What ``unmask scan`` ends with; of several clips the worst: 1, then 3, then 0."""

    JUDGED = 0
    FAILED = 1
    NOT_EVALUATED = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one clip: a job that ended, or why there is none."""

    clip: Path
    seconds: float
    job: Job | None = None
    frames: tuple[Frame, ...] = ()
    error: tuple[str, str] | None = None
    """Code and message."""

    @property
    def exit_code(self) -> ExitCode:
        """ScanResult, not evaluated, or failed."""
        if self.job is None or self.job.status is not JobStatus.SUCCEEDED:
            return ExitCode.FAILED
        is_judged = self.job.verdict is not Verdict.NOT_EVALUATED
        return ExitCode.JUDGED if is_judged else ExitCode.NOT_EVALUATED

    @property
    def reasons(self) -> list[ReasonCode]:
        """Why the clip was not evaluated."""
        return [reason.code for reason in self.job.result.reasons] if self.job and self.job.result else []

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        result = self.job.result if self.job else None
        return {
            "clip": str(self.clip),
            "status": self.job.status if self.job else JobStatus.FAILED,
            "verdict": result.verdict if result else None,
            "probability": result.probability if result else None,
            "tracks": [track.model_dump(mode="json") for track in result.tracks] if result else [],
            "reasons": self.reasons,
            "error": dict(zip(("code", "message"), self.error, strict=True)) if self.error else None,
            "job_id": self.job.id if self.job else None,
            "seconds": round(self.seconds, 3),
        }


def worst(outcomes: Iterable[Outcome]) -> ExitCode:
    """The exit code of several clips."""
    codes = {outcome.exit_code for outcome in outcomes}
    order = (ExitCode.FAILED, ExitCode.NOT_EVALUATED)
    return next((code for code in order if code in codes), ExitCode.JUDGED)


def scan_clips(client: Client, clips: Iterable[Path], *, as_json: bool, model: str | None = None) -> list[Outcome]:
    """Judges clips one after the other and prints each as soon as it is judged.

    Raises:
        UnreachableError: The API does not answer.
        ApiError: The API key is not known.
    """
    # With --json stdout carries the objects; progress, for people, goes to stderr.
    console = Console(stderr=as_json)
    outcomes = []
    for clip in clips:
        outcome = _scan(client, clip, console, JobOptions(model=model))
        outcomes.append(outcome)
        if as_json:
            print(json.dumps(outcome.as_json()), flush=True)  # noqa: T201 (the command's output)
        else:
            _print(console, outcome)
    return outcomes


def _scan(client: Client, clip: Path, console: Console, options: JobOptions) -> Outcome:
    start = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(f"{escape(clip.name)}: uploading", total=None)
        try:
            progress.update(bar, total=clip.stat().st_size)
            job = client.submit(clip, options=options, on_bytes=lambda count: progress.advance(bar, count))
            while not job.status.is_final:
                job = client.get(job.id, wait_seconds=_WAIT_SECONDS)
                _show(progress, bar, clip, job)
        except OSError as error:
            return Outcome(clip, 0.0, error=("unreadable", error.strerror or str(error)))
        except ApiError as error:
            if error.problem.code == "unauthorized":
                raise
            return Outcome(clip, time.monotonic() - start, error=(error.problem.code, error.problem.detail))
    seconds = time.monotonic() - start
    if job.status is JobStatus.SUCCEEDED:
        return Outcome(clip, seconds, job, frames=tuple(client.frames(job.id)))
    failure = (job.failure.code, job.failure.message) if job.failure else (job.status, f"The job was {job.status}.")
    return Outcome(clip, seconds, job, error=failure)


def _show(progress: Progress, bar: Any, clip: Path, job: Job) -> None:
    if job.progress is not None:
        description = f"{escape(clip.name)}: {job.progress.phase}"
        progress.update(bar, description=description, completed=job.progress.done, total=job.progress.total)
    elif job.status is JobStatus.QUEUED:
        progress.update(bar, description=f"{escape(clip.name)}: {job.queue_position} in front", completed=0, total=None)


def _print(console: Console, outcome: Outcome) -> None:
    title = f"{escape(outcome.clip.name)}  ({outcome.seconds:.1f} s)"
    result = outcome.job.result if outcome.job else None
    if result is None:
        code, message = outcome.error or ("internal", "")
        console.print(f"[bold]{title}[/bold]  [red]failed[/red] {code}: {escape(message)}")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("track", "verdict", "P(fake)", "seconds", "face px", "frames", "per frame"):
        table.add_column(heading, no_wrap=True)
    for track in result.tracks:
        table.add_row(*_row(track, outcome.frames))
    verdict = f"[{_STYLES[result.verdict]}]{result.verdict}[/]"
    table.add_section()
    table.add_row("clip", verdict, _percent(result.probability), "", "", str(result.coverage.frames_sampled), "")
    console.print(table)
    notes: list[tuple[str, str]] = [(reason.code, reason.detail) for reason in result.reasons]
    notes += [(warning.code, warning.detail) for warning in result.warnings]
    for code, detail in notes:
        console.print(f"  {code}: {detail}")


def _row(track: Track, frames: Iterable[Frame]) -> list[str]:
    probabilities = [frame.probability for frame in frames if frame.track_id == track.track_id]
    return [
        track.track_id,
        f"[{_STYLES[track.verdict]}]{track.verdict}[/]",
        _percent(track.probability),
        f"{track.first_seconds:.1f}-{track.last_seconds:.1f}",
        f"{track.median_face_px:.0f}",
        f"{track.usable_frames}/{track.face_frames}",
        sparkline(probabilities),
    ]


def sparkline(probabilities: list[float | None]) -> str:
    """One block a frame, low to high; a dot where the classifier did not look. Long series are thinned."""
    step = max(1, -(-len(probabilities) // _SPARKLINE_MAX))
    return "".join(
        "·" if value is None else _BLOCKS[min(int(value * len(_BLOCKS)), len(_BLOCKS) - 1)]
        for value in probabilities[::step]
    )


def _percent(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.1%}"
