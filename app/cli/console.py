"""Error messages of the command line."""

from typing import NoReturn

import typer
from rich.console import Console

_console = Console(stderr=True)


def exit_with_error(error: Exception | str) -> NoReturn:
    """Print an error and exit with code 1."""
    print_error(str(error))
    raise typer.Exit(1)


def describe_os_error(error: OSError) -> str:
    """Return a sentence with the path, the reason and the next step."""
    if error.filename is None:
        return f"{error.strerror or error}."
    return f"{error.filename}: {error.strerror or error}. Check the path and its permissions."


def print_error(message: str) -> None:
    """Print an error message to stderr in red."""
    _console.print(message, style="red", markup=False, highlight=False)
