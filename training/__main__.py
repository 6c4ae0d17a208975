"""``python -m training``: the offline job that prepares data; training itself follows."""

from pathlib import Path
from typing import Annotated

import typer

from training.extract import EmptyFolderError, extract
from worker.detector.config import DetectorConfig
from worker.detector.sandbox import Sandbox, SandboxOptions

_commands = typer.Typer(no_args_is_help=True, add_completion=False, help="Prepare data for the detector.")


@_commands.callback()
def _training() -> None:
    """Keeps 'extract' a command of its own, though it is the only one."""


@_commands.command(name="extract")
def extract_command(
    videos: Annotated[Path, typer.Argument(help="Folder with the folders 'real' and 'fake'.")],
    out: Annotated[Path, typer.Argument(help="Gets the crops, manifest.csv and failures.csv.")],
) -> None:
    """Cut the faces out of folders of videos, exactly as the service does."""
    sandbox = Sandbox(DetectorConfig(), SandboxOptions())
    try:
        crops, failures = extract(videos, out, sandbox)
    except EmptyFolderError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    finally:
        sandbox.close()
    typer.echo(f"{crops} crops; {failures} clips gave none (see failures.csv).")


if __name__ == "__main__":
    _commands()
