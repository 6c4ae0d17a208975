"""``unmask models``: install, list and remove models."""

# ruff: noqa: PLC0415 (imports inside commands: a client machine lacks the packages of the API and the worker)

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import exit_with_error
from app.core.settings import Settings

models_commands = typer.Typer(no_args_is_help=True, help="Install, list and remove models that jobs can select.")


@models_commands.command()
def add(
    model: Annotated[Path, typer.Argument(help="Directory that 'python -m training release' wrote.", metavar="DIR")],
) -> None:
    """Install a model after a check of its manifest and files and a test run."""
    # A process of its own: app must not import worker.
    os.execv(sys.executable, [sys.executable, "-m", "worker", "models", "add", str(model)])  # noqa: S606 (own module)


@models_commands.command(name="list")
def list_models() -> None:
    """List the installed models."""
    from app.infra.model_registry import list_unreadable_models, load_installed_models

    folder = Settings().installed_models
    models, unreadable = load_installed_models(folder), list_unreadable_models(folder)
    for name in unreadable:
        typer.echo(
            f"{name}: its manifest does not fit this version. Calibrate it again with 'python -m training calibrate "
            f"--model {folder / name} --manifest LIST', or remove it.",
            err=True,
        )
    if not models and not unreadable:
        typer.echo(f"No model is installed in {folder}. Workers use the default model (UNMASK_MODEL_DIR).", err=True)
    for model in models.values():
        print(f"{model.name}\t{model.version}\t{'trained' if model.trained else 'untrained'}")  # noqa: T201 (the output)


@models_commands.command()
def remove(name: Annotated[str, typer.Argument(help="Name of the model, as 'unmask models list' shows it.")]) -> None:
    """Remove an installed model. Queued jobs that select it will fail."""
    import shutil

    from app.infra.model_registry import list_unreadable_models, load_installed_models

    folder = Settings().installed_models
    if name not in [*load_installed_models(folder), *list_unreadable_models(folder)]:
        exit_with_error(f"No model {name!r} is installed in {folder}. See 'unmask models list'.")
    shutil.rmtree(folder / name)
