"""Commands for installed models."""

# ruff: noqa: PLC0415 (a client machine has neither the API's packages nor the worker's)

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import _give_up
from app.core.settings import Settings

_models = typer.Typer(no_args_is_help=True, help="The models that jobs may name, beside the default one.")


@_models.command()
def add(
    model: Annotated[Path, typer.Argument(help="A directory that 'python -m training release' wrote.", metavar="DIR")],
) -> None:
    """Install a model, so that jobs can name it. Its manifest and files are checked, and it is run once."""
    # The service's packages never import the worker's.
    os.execv(sys.executable, [sys.executable, "-m", "worker", "models", "add", str(model)])  # noqa: S606 (our own module)


@_models.command(name="list")
def list_models() -> None:
    """List the installed models."""
    from app.infra.model_registry import find_models

    for found in find_models(Settings().installed_models).values():
        print(f"{found.name}\t{found.version}\t{'trained' if found.trained else 'untrained'}")  # noqa: T201 (the output)


@_models.command()
def remove(name: Annotated[str, typer.Argument(help="As 'unmask models list' shows it.")]) -> None:
    """Remove an installed model; jobs that name it fail from now on."""
    import shutil

    from app.infra.model_registry import find_models

    folder = Settings().installed_models
    if name not in find_models(folder):
        _give_up(f"There is no model {name!r} in {folder}.")
    shutil.rmtree(folder / name)
