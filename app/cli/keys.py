"""``unmask keys``: create, list and revoke API keys."""

# ruff: noqa: PLC0415 (imports inside commands: a client machine lacks the packages of the API and the worker)

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.console import exit_with_error
from app.core.enums import Scope
from app.core.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

keys_commands = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys of clients.")


@keys_commands.command()
def create(
    name: Annotated[str, typer.Argument(help="Purpose of the key, for example 'moderation pipeline'.")],
    scope: Annotated[list[Scope], typer.Option(help="Scope of the key; repeat the option for several.")],
    tenant: Annotated[str, typer.Option(help="Tenant of the key; it sees only the jobs of this tenant.")] = "default",
    days: Annotated[int | None, typer.Option(min=1, help="Days until the key expires. Default: never.")] = None,
    rate: Annotated[
        str | None, typer.Option(help="Request rate, for example 600/minute. Default: UNMASK_RATE_LIMIT.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Jobs per day. Default: UNMASK_JOBS_PER_DAY.")] = None,
    size_bytes: Annotated[
        int | None, typer.Option("--bytes", min=1, help="Bytes per day. Default: UNMASK_BYTES_PER_DAY.")
    ] = None,
) -> None:
    """Create an API key and print it. It cannot be shown again."""
    from datetime import timedelta

    from app.core.settings import RATE
    from app.services import keys

    if rate is not None and not re.fullmatch(RATE, rate):
        exit_with_error(f"--rate is {rate!r}. Give a rate like 600/minute.")
    settings = Settings()
    request = keys.KeyRequest(
        name=name,
        scopes=scope,
        lifetime=timedelta(days=days) if days else None,
        rate_limit=rate,
        jobs_per_day=jobs,
        bytes_per_day=size_bytes,
    )
    pepper = _require_pepper(settings)
    with _database_session(settings) as session:
        _, text = keys.create_key(session, request, tenant=tenant, pepper=pepper)
    print(text)  # noqa: T201 (the command's output)


@keys_commands.command(name="list")
def list_keys() -> None:
    """List API keys: id, tenant, scopes, validity, name."""
    from app.services import keys

    with _database_session(Settings()) as session:
        for key in keys.list_keys(session):
            print(key.id, key.tenant, ",".join(key.scopes), keys.describe_validity(key), key.name, sep="\t")  # noqa: T201


@keys_commands.command()
def revoke(key_id: Annotated[str, typer.Argument(help="Id of the key, as 'unmask keys list' shows it.")]) -> None:
    """Revoke an API key at once."""
    from app.core.errors import NotFoundError
    from app.services import keys

    with _database_session(Settings()) as session:
        try:
            keys.revoke_key(session, key_id)
        except NotFoundError as error:
            exit_with_error(error)


@contextmanager
def _database_session(settings: Settings) -> Iterator["Session"]:
    """Open a session on the database of the settings, or of a running 'unmask serve' in this folder."""
    from app.db.engine import make_engine, make_sessions
    from app.local.serve import find_database_url
    from app.services.audit import Actor, set_actor

    url = find_database_url(settings)
    if url is None:
        exit_with_error("No database is configured. Set UNMASK_DATABASE_URL, or start 'unmask serve' in this folder.")
    engine = make_engine(url, pool_size=1)
    try:
        with make_sessions(engine)() as session:
            set_actor(session, Actor("command line"))
            yield session
    finally:
        engine.dispose()


def _require_pepper(settings: Settings) -> str:
    from app.local.serve import find_api_key

    api_key = find_api_key(settings)
    if api_key is None and settings.key_pepper is None:
        exit_with_error("Set UNMASK_API_KEY or UNMASK_KEY_PEPPER to the value of the API: key digests depend on it.")
    return settings.pepper(api_key or "")
