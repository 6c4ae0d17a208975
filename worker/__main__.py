"""Command line: ``python -m worker`` runs a worker, ``python -m worker models add DIR`` installs a model."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from app.core.errors import ClipRejectedError, describe_os_error
from app.core.settings import MissingSettingError, describe_invalid
from worker.detector.model.engine import EngineError
from worker.detector.model.manifest import CheckpointError
from worker.detector.sandbox.parent import SandboxError
from worker.detector.types import ClipError
from worker.settings import WorkerSettings

_commands = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_models = typer.Typer(no_args_is_help=True, help="Manage the models that jobs may name.")
_commands.add_typer(_models, name="models")


@_commands.callback(invoke_without_command=True)
def run(context: typer.Context) -> None:
    """Run a worker until SIGTERM."""
    if context.invoked_subcommand is None:
        from worker.celery import run_worker  # noqa: PLC0415 (other commands need no Celery)

        run_worker()


@_models.command()
def add(model: Annotated[Path, typer.Argument(help="Directory of a released model.", metavar="DIR")]) -> None:
    """Install a released model under its own name. An installed model of the same name is replaced."""
    from worker.model_install import install_model  # noqa: PLC0415 (imports an engine)

    settings = WorkerSettings()
    layers = settings.make_sandbox_options().layers_required
    manifest = install_model(model, settings.installed_models, layers_required=layers)
    name = manifest.name
    typer.echo(f"{name} {manifest.version} is installed. Jobs select it with options.model = {name!r}.")


@_commands.command()
def frames(
    clip: Annotated[Path, typer.Argument(help="Video file.", readable=False)],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
) -> None:
    """Write the frames that the detector samples from a clip, with the boxes of faces, and a contact sheet."""
    from worker.frames import FramesError, write_frames  # noqa: PLC0415 (imports OpenCV)

    try:
        extraction, count = write_frames(clip, out, WorkerSettings())
    except FramesError as error:
        _exit_with_error(str(error))
    coverage = extraction.coverage
    typer.echo(
        f"{count} frames of {extraction.clip.duration_seconds:.1f} s in {out}, {coverage.frames_with_face} with a face."
    )
    for warning in extraction.warnings:
        typer.echo(f"{warning.code}: {warning.detail}")


def _exit_with_error(message: str) -> NoReturn:
    typer.secho(message, err=True)
    raise SystemExit(1)


if __name__ == "__main__":
    try:
        _commands()
    except ValidationError as error:
        _exit_with_error(describe_invalid(error))
    except (
        CheckpointError,
        ClipError,
        ClipRejectedError,
        EngineError,
        MissingSettingError,
        SandboxError,
    ) as error:
        _exit_with_error(str(error))
    except OSError as error:
        _exit_with_error(describe_os_error(error))
