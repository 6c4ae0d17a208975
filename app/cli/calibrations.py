"""``unmask calibrate`` and ``unmask calibrations``: calibrate the model on own real clips, activate, undo, list."""

# ruff: noqa: PLC0415 (imports inside commands: each imports only the modules that it needs)

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from app.cli.connection import Key, Url, connect
from app.cli.console import exit_with_error
from app.core.errors import describe_os_error

if TYPE_CHECKING:
    from app.client.client import Client
    from app.core.calibration import RateEstimate
    from app.schemas.calibrations import StoredCalibration

calibrations_commands = typer.Typer(no_args_is_help=True, help="List, activate and deactivate calibrations.")

Id = Annotated[str, typer.Argument(help="Id of the calibration: cal_...", metavar="ID")]


def calibrate(
    clips: Annotated[
        list[Path], typer.Argument(help="Real clips, or folders of them.", metavar="CLIP...", readable=False)
    ],
    activate: Annotated[bool, typer.Option("--activate", help="Decide later verdicts by it.")] = False,
    suspicious: Annotated[float, typer.Option(help="Largest share of real clips that are SUSPICIOUS.")] = 0.05,
    manipulated: Annotated[float, typer.Option(help="Largest share of real clips that are MANIPULATED.")] = 0.01,
    url: Url = None,
    key: Key = None,
) -> None:
    """Measure the false-positive rates of the model on real clips of yours: 60 clips for 5 %, 300 for 1 %."""
    from app.core.calibration import RATE_MIN, OperatingCurve, TargetRates
    from app.schemas.calibrations import CLIPS_MAX, CalibrationRequest

    if not RATE_MIN <= manipulated <= suspicious < 1:
        exit_with_error(f"Give rates with {RATE_MIN:g} <= --manipulated <= --suspicious < 1.")
    rates = TargetRates(suspicious_false_positive_rate=suspicious, manipulated_false_positive_rate=manipulated)
    files, needed = _find_clips(clips), OperatingCurve.count_needed(suspicious)
    if not needed <= len(files) <= CLIPS_MAX:
        exit_with_error(f"{suspicious:.1%} needs {needed} to {CLIPS_MAX} clips. There are {len(files)} files.")
    with connect(url, key) as client:
        job_ids = _analyze(client, files)
        if not job_ids:
            exit_with_error("No file is a clip with a face that can be evaluated. The lines above tell why.")
        made = client.create_calibration(CalibrationRequest(job_ids=job_ids, rates=rates))
        if activate:
            made = client.activate_calibration(made.id or "")
    print_calibrations([made])
    if made.thresholds.manipulated_false_positive_rate != manipulated:
        typer.echo(
            f"{made.curve.real_clips} clips cannot show {manipulated:.2%}: MANIPULATED begins above all of them. "
            f"{OperatingCurve.count_needed(manipulated)} clips can."
        )
    if not activate:
        typer.echo(f"Next: unmask calibrations activate {made.id}")


@calibrations_commands.command(name="list")
def list_calibrations(url: Url = None, key: Key = None) -> None:
    """List your own calibrations and those of the models."""
    with connect(url, key) as client:
        print_calibrations(client.calibrations().items)


@calibrations_commands.command()
def activate(calibration_id: Id, url: Url = None, key: Key = None) -> None:
    """Decide later verdicts by a calibration of yours."""
    with connect(url, key) as client:
        print_calibrations([client.activate_calibration(calibration_id)])


@calibrations_commands.command()
def deactivate(calibration_id: Id, url: Url = None, key: Key = None) -> None:
    """Decide later verdicts by the calibration of the model again."""
    with connect(url, key) as client:
        print_calibrations([client.deactivate_calibration(calibration_id)])


def print_calibrations(calibrations: "Iterable[StoredCalibration]") -> None:
    """Print a table per calibration: its thresholds and the rates that were measured at them."""
    console = Console()
    for calibration in calibrations:
        state = "active" if calibration.active else "not active"
        name = calibration.id or "calibration of the model"
        console.print(f"[bold]{name}[/bold]  {calibration.model} {calibration.version}, {state}", highlight=False)
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for heading in ("verdict", "from", "real clips above", "fakes above"):
            table.add_column(heading, no_wrap=True)
        points = {point.threshold: point for point in calibration.curve.points}
        thresholds = calibration.thresholds
        named = {
            "MANIPULATED": thresholds.manipulated_at,
            "SUSPICIOUS": thresholds.suspicious_at,
            "not AUTHENTIC": thresholds.clear_at,
        }
        for verdict, at in named.items():
            point = None if at is None else points.get(at)
            real = _format_rate(point.false_positive_rate if point else None)
            fake = _format_rate(point.true_positive_rate if point else None)
            table.add_row(verdict, "-" if at is None else f"{at:.1%}", real, fake)
        console.print(table)


def _format_rate(rate: "RateEstimate | None") -> str:
    return "-" if rate is None else f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%}) of {rate.clips}"


def _find_clips(paths: Iterable[Path]) -> list[Path]:
    """Return the files, and the files in the folders. Files that are no clips fail and count for nothing."""
    return [
        clip
        for path in paths
        for clip in (sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path])
    ]


def _analyze(client: "Client", clips: Iterable[Path]) -> list[str]:
    """Submit all clips, wait for the jobs, and return the ids of those with a score. The others are named."""
    from app.client.errors import ApiError
    from app.core.enums import Priority
    from app.schemas.submissions import JobOptions

    options = JobOptions(priority=Priority.BATCH)
    submitted: dict[str, Path] = {}
    for clip in track(list(clips), "submitting", transient=True):
        try:
            submitted[client.submit(clip, options=options).id] = clip
        except OSError as error:
            typer.echo(describe_os_error(error), err=True)
        except ApiError as error:
            if error.problem.code not in {"unsupported_media", "animated_webp", "clip_too_large"}:
                raise
            typer.echo(f"{clip}: {error.problem.detail}", err=True)
    scored = []
    for job_id, clip in track(submitted.items(), "analyzing", transient=True):
        job = client.wait(job_id)
        if job.result is not None and job.result.probability is not None:
            scored.append(job_id)
        else:
            reason = job.failure.message if job.failure else job.result.evidence if job.result else job.status
            typer.echo(f"{clip}: {reason}", err=True)
    return scored
