"""Error messages of the command line."""

from typing import NoReturn

import typer
from rich.console import Console

_console = Console(stderr=True)


def exit_with_error(error: Exception | str) -> NoReturn:
    """Print an error and exit with code 1."""
    print_error(str(error))
    raise typer.Exit(1)


def print_error(message: str) -> None:
    """Print an error message to stderr in red."""
    _console.print(message, style="red", markup=False, highlight=False)
