"""The command line."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def worker() -> None:
    """Run one worker."""
    from worker.celery import run_worker  # noqa: PLC0415

    run_worker()


@app.command()
def api() -> None:
    """Run the API."""


def main() -> None:
    """Entry point."""
    app()
