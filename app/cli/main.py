"""Command line of the service and its clients. Each command imports only the modules that it needs."""

# ruff: noqa: PLC0415 (imports inside commands: a client machine lacks the packages of the API and the worker)

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from app.cli.calibrations import calibrate, calibrations_commands
from app.cli.connection import Key, Url, connect
from app.cli.console import exit_with_error, print_error
from app.cli.exit_codes import FailOn
from app.cli.keys import keys_commands
from app.cli.models import models_commands
from app.core.errors import describe_os_error
from app.core.settings import MissingSettingError, Settings, describe_invalid

commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Detect face manipulation in videos.",
)
commands.add_typer(models_commands, name="models")
commands.add_typer(keys_commands, name="keys")
commands.add_typer(calibrations_commands, name="calibrations")
commands.command()(calibrate)

Clips = Annotated[list[Path], typer.Argument(help="Video files.", metavar="CLIP...", readable=False)]


@commands.command()
def serve() -> None:
    """Run the whole service, with embedded PostgreSQL and Valkey unless the settings name servers."""
    from app.core.shutdown import Stop

    stop = Stop.on_signals()  # before slow imports, in which Python may swallow a KeyboardInterrupt
    from app.local.embedded_servers import AlreadyServingError, ServerDiedError
    from app.local.serve import PortInUseError
    from app.local.serve import serve as run
    from app.local.supervisor import CrashLoopError

    try:
        run(Settings(), lambda line: print(line, flush=True), stop)  # noqa: T201 (the command's output)
    except (AlreadyServingError, CrashLoopError, PortInUseError, ServerDiedError) as error:
        exit_with_error(error)


@commands.command()
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
        access_log=False,  # the middleware logs one event per request
        server_header=False,
        timeout_graceful_shutdown=5,  # clients that wait for a job repeat their request
    )


@commands.command()
def worker() -> None:
    """Run a worker process."""
    # A process of its own: app must not import worker.
    os.execv(sys.executable, [sys.executable, "-m", "worker"])  # noqa: S606 (own module)


@commands.command()
def frames(
    clip: Annotated[Path, typer.Argument(help="Video file.", readable=False)],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
) -> None:
    """Write the frames that the detector samples from a clip, with the boxes of faces, and a contact sheet."""
    # A process of its own: app must not import worker.
    command = ["-m", "worker", "frames", "--out", str(out), "--", str(clip)]
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 (own module)


@commands.command()
def webhooks() -> None:
    """Run the process that delivers webhooks."""
    from app.webhook_dispatcher import run_dispatcher

    run_dispatcher(Settings())


@commands.command()
def openapi() -> None:
    """Print the OpenAPI document of the API."""
    import json

    from app.main import create_app

    placeholders = {
        "database_url": "postgresql:///",
        "redis_url": "redis://",
        "storage_url": "file:///",
        "api_key": "none",
    }
    document = create_app(Settings.model_validate(placeholders)).openapi()
    print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201 (the command's output)


@commands.command()
def migrate() -> None:
    """Migrate the database of UNMASK_DATABASE_URL to the newest schema."""
    from app.core.settings import require_settings
    from app.db.migrations import migrate as run

    (database_url,) = require_settings(Settings(), "database_url")
    run(database_url)


@commands.command()
def scan(
    clips: Clips,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per clip, each on one line.")] = False,
    url: Url = None,
    key: Key = None,
    model: Annotated[
        str | None, typer.Option(help="Name of an installed model. Default: the workers' default model.")
    ] = None,
    start: Annotated[float | None, typer.Option(min=0, help="Begin of the part to analyze, in seconds.")] = None,
    end: Annotated[float | None, typer.Option(min=0, help="End of the part to analyze, in seconds.")] = None,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Verdict, or action of the policy, from which on the exit code is 4.")
    ] = None,
) -> None:
    """Analyze clips. Exits with 0 if all were evaluated, 3 if one was not, 4 by --fail-on, 1 if one failed."""
    from app.cli.scan import scan_clips, worst_exit_code
    from app.schemas.submissions import JobOptions

    options = JobOptions(model=model, start_seconds=start, end_seconds=end)
    with connect(url, key) as client:
        results = scan_clips(client, clips, as_json=as_json, options=options)
    raise typer.Exit(worst_exit_code(results, fail_on))


@commands.command()
def listen(
    secret: Annotated[
        str,
        typer.Option(
            envvar="WEBHOOK_SECRET", help="Secret of the webhook endpoint, whsec_... Default: WEBHOOK_SECRET."
        ),
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 9000,
) -> None:
    """Receive webhooks on this machine, verify their signatures and print them, until Ctrl-C."""
    from app.cli.listen import ListenError, make_listener

    try:
        server = make_listener(secret, port=port, on_line=lambda line: print(line, flush=True))  # noqa: T201
    except ListenError as error:
        exit_with_error(error)
    with server:
        print(f"Listening on http://127.0.0.1:{port}. Press Ctrl-C to stop.", flush=True)  # noqa: T201
        server.serve_forever()


@commands.command()
def demo(clips: Clips) -> None:
    """Start a temporary service, analyze clips over HTTP, stop the service. Exits as 'scan' does."""
    from app.cli.demo import DemoError, run_demo
    from app.client.errors import ApiError, UnreachableError

    try:
        code = run_demo(clips, Settings().data_dir.resolve() / "demo")
    except (ApiError, DemoError, UnreachableError) as error:
        exit_with_error(error)
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    try:
        commands()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except MissingSettingError as error:
        print_error(str(error))
        raise SystemExit(1) from None
    except ValidationError as error:
        print_error(describe_invalid(error))
        raise SystemExit(1) from None
    except OSError as error:  # a data directory that cannot be used, a key file that cannot be read
        print_error(describe_os_error(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
