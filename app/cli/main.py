"""The command line of the service and its clients. Each command imports what it needs, and no more."""

# ruff: noqa: PLC0415 (a client machine has neither the API's packages nor the worker's)

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from app.cli.console import _complain, _give_up
from app.cli.keys import _keys
from app.cli.models import _models
from app.core.settings import MissingSettingError, Settings, describe_invalid

_commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Unmask tells whether the faces in a video are manipulated.",
)
_commands.add_typer(_models, name="models")
_commands.add_typer(_keys, name="keys")

Clips = Annotated[list[Path], typer.Argument(help="Video files.", metavar="CLIP...")]
Url = Annotated[str | None, typer.Option(help="Where the API is; else UNMASK_API_HOST and UNMASK_API_PORT.")]
Key = Annotated[str | None, typer.Option(help="The API key; else UNMASK_API_KEY, else the one of 'unmask serve'.")]


@_commands.command()
def serve() -> None:
    """Run the whole service on this machine; PostgreSQL and Valkey are embedded unless settings name others."""
    from app.local.embedded_servers import AlreadyServingError
    from app.local.serve import serve as run
    from app.local.supervisor import ChildKeepsDyingError

    try:
        run(Settings(), lambda line: print(line, flush=True))  # noqa: T201 (the command's output)
    except (AlreadyServingError, ChildKeepsDyingError) as error:
        _give_up(error)


@_commands.command()
def api() -> None:
    """Run the API process."""
    import uvicorn

    settings = Settings()
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,  # the request context logs one event a request
        server_header=False,
        timeout_graceful_shutdown=5,  # waiting clients ask again
    )


@_commands.command()
def worker() -> None:
    """Run a worker process."""
    # The service's packages never import the worker's.
    os.execv(sys.executable, [sys.executable, "-m", "worker"])  # noqa: S606 (our own module)


@_commands.command()
def dispatcher() -> None:
    """Run a process that delivers webhooks."""
    from app.webhook_dispatcher import run_dispatcher

    run_dispatcher(Settings())


@_commands.command()
def openapi() -> None:
    """Print the reference of the API (OpenAPI 3.1)."""
    import json

    from app.main import create_app

    nowhere = {"database_url": "postgresql:///", "redis_url": "redis://", "storage_url": "file:///", "api_key": "none"}
    document = create_app(Settings.model_validate(nowhere)).openapi()
    print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201 (the command's output)


@_commands.command()
def migrate() -> None:
    """Bring the database of UNMASK_DATABASE_URL to the newest schema."""
    from app.core.settings import require_settings
    from app.db.migrations import migrate as run

    (database_url,) = require_settings(Settings(), "database_url")
    run(database_url)


@_commands.command()
def scan(
    clips: Clips,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a clip and line.")] = False,
    url: Url = None,
    key: Key = None,
    model: Annotated[str | None, typer.Option(help="An installed model; else the workers' default.")] = None,
) -> None:
    """Judge clips. Ends with 0 where all were judged, 3 where one was not evaluated, 1 where one failed."""
    from app.cli.scan import scan_clips, worst
    from app.client.client import Client
    from app.client.errors import ApiError, UnreachableError
    from app.local.serve import find_api_key

    settings = Settings()
    api_key = key or find_api_key(settings)
    if api_key is None:
        _give_up("There is no API key. Give --key, set UNMASK_API_KEY, or start 'unmask serve' in this folder.")
    with Client(url=url or f"http://{settings.api_host}:{settings.api_port}", api_key=api_key) as client:
        try:
            outcomes = scan_clips(client, clips, as_json=as_json, model=model)
        except (ApiError, UnreachableError) as error:
            _give_up(error)
    raise typer.Exit(worst(outcomes))


@_commands.command()
def demo(clips: Clips) -> None:
    """Start a service of its own, judge clips over HTTP, stop the service. Ends as 'scan' does."""
    from app.cli.demo import DemoError, run_demo
    from app.client.errors import ApiError, UnreachableError

    try:
        code = run_demo(clips, Settings().data_dir.resolve() / "demo")
    except (ApiError, DemoError, UnreachableError) as error:
        _give_up(error)
    raise typer.Exit(code)


def main() -> None:
    """The entry point."""
    try:
        _commands()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except MissingSettingError as error:
        _complain(str(error))
        raise SystemExit(1) from None
    except ValidationError as error:
        _complain(describe_invalid(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
