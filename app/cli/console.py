"""Console output of the command line."""

from typing import NoReturn

import typer
from rich.console import Console

_console = Console(stderr=True)


def _give_up(error: Exception | str) -> NoReturn:
    _complain(str(error))
    raise typer.Exit(1)


def _complain(message: str) -> None:
    _console.print(message, style="red", markup=False, highlight=False)
