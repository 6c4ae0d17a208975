"""The command line of the service and its clients. Each command imports what it needs, and no more."""

# ruff: noqa: PLC0415 (a client machine has neither the API's packages nor the worker's)

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from app.settings import MissingSettingError, Settings, describe_invalid
from app.states import Scope

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_console = Console(stderr=True)
_commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Unmask tells whether the faces in a video are manipulated.",
)

_models = typer.Typer(no_args_is_help=True, help="The models that jobs may name, beside the default one.")
_commands.add_typer(_models, name="models")

_keys = typer.Typer(no_args_is_help=True, help="The API keys of clients, beside the operator's in UNMASK_API_KEY.")
_commands.add_typer(_keys, name="keys")

Clips = Annotated[list[Path], typer.Argument(help="Video files.", metavar="CLIP...")]
Url = Annotated[str | None, typer.Option(help="Where the API is; else UNMASK_API_HOST and UNMASK_API_PORT.")]
Key = Annotated[str | None, typer.Option(help="The API key; else UNMASK_API_KEY, else the one of 'unmask serve'.")]


@_commands.command()
def serve() -> None:
    """Run the whole service on this machine; PostgreSQL and Valkey are embedded unless settings name others."""
    from app.embedded import AlreadyServingError
    from app.serve import serve as run
    from app.supervisor import ChildKeepsDyingError

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
def courier() -> None:
    """Run a process that delivers webhooks."""
    from app.courier import run_courier

    run_courier(Settings())


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
    from app.registry import find_models

    for found in find_models(Settings().installed_models).values():
        print(f"{found.name}\t{found.version}\t{'trained' if found.trained else 'untrained'}")  # noqa: T201 (the output)


@_models.command()
def remove(name: Annotated[str, typer.Argument(help="As 'unmask models list' shows it.")]) -> None:
    """Remove an installed model; jobs that name it fail from now on."""
    import shutil

    from app.registry import find_models

    folder = Settings().installed_models
    if name not in find_models(folder):
        _give_up(f"There is no model {name!r} in {folder}.")
    shutil.rmtree(folder / name)


@_keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, as 'moderation pipeline'.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; several may be given.")],
    tenant: Annotated[str, typer.Option(help="Whose jobs it sees: tenants learn nothing of each other.")] = "default",
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; else never.")] = None,
    rate: Annotated[str | None, typer.Option(help="Requests, as 600/minute; else UNMASK_RATE_LIMIT.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Jobs a day; else UNMASK_JOBS_PER_DAY.")] = None,
    size: Annotated[int | None, typer.Option("--bytes", min=1, help="Bytes a day; else UNMASK_BYTES_PER_DAY.")] = None,
) -> None:
    """Make a key and print it: it is shown this once."""
    from datetime import timedelta

    from app.services import keys
    from app.settings import RATE

    if rate is not None and not re.fullmatch(RATE, rate):
        _give_up(f"--rate looks like 600/minute, not {rate!r}.")
    settings = Settings()
    request = keys.KeyRequest(
        name=name,
        scopes=scope,
        lifetime=timedelta(days=days) if days else None,
        rate_limit=rate,
        jobs_per_day=jobs,
        bytes_per_day=size,
    )
    pepper = _find_pepper(settings)
    with _database_session(settings) as session:
        _, text = keys.create_key(session, request, tenant=tenant, pepper=pepper)
    print(text)  # noqa: T201 (the command's output)


@_keys.command(name="list")
def list_keys() -> None:
    """List the keys: id, tenant, scopes, what became of it, name."""
    from app.services import keys

    with _database_session(Settings()) as session:
        for key in keys.list_keys(session):
            print(key.id, key.tenant, ",".join(key.scopes), keys.describe_validity(key), key.name, sep="\t")  # noqa: T201


@_keys.command()
def revoke(key_id: Annotated[str, typer.Argument(help="As 'unmask keys list' shows it.")]) -> None:
    """End a key at once."""
    from app.errors import NotFoundError
    from app.services import keys

    with _database_session(Settings()) as session:
        try:
            keys.revoke_key(session, key_id)
        except NotFoundError as error:
            _give_up(error)


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
    from app.db.migrations import migrate as run
    from app.settings import require_settings

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
    from app.calls import ApiError, UnreachableError
    from app.client import Client
    from app.scan import scan_clips, worst
    from app.serve import find_api_key

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
    from app.calls import ApiError, UnreachableError
    from app.demo import DemoError, run_demo

    try:
        code = run_demo(clips, Settings().data_dir.resolve() / "demo")
    except (ApiError, DemoError, UnreachableError) as error:
        _give_up(error)
    raise typer.Exit(code)


@contextmanager
def _database_session(settings: Settings) -> Iterator["Session"]:
    """A session on the database of the settings, or of the 'unmask serve' that runs in this folder."""
    from app.db.session import make_engine, make_sessions
    from app.serve import find_database_url
    from app.services.audit import Actor, act_as

    url = find_database_url(settings)
    if url is None:
        _give_up("There is no database. Set UNMASK_DATABASE_URL, or start 'unmask serve' in this folder.")
    engine = make_engine(url, pool_size=1)
    try:
        with make_sessions(engine)() as session:
            act_as(session, Actor("command line"))
            yield session
    finally:
        engine.dispose()


def _find_pepper(settings: Settings) -> str:
    from app.serve import find_api_key

    api_key = find_api_key(settings)
    if api_key is None and settings.key_pepper is None:
        _give_up("Set UNMASK_API_KEY or UNMASK_KEY_PEPPER as the API has it: keys are digested with it.")
    return settings.pepper(api_key or "")


def _give_up(error: Exception | str) -> NoReturn:
    _complain(str(error))
    raise typer.Exit(1)


def _complain(message: str) -> None:
    _console.print(message, style="red", markup=False, highlight=False)


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
