"""Commands for API keys."""

# ruff: noqa: PLC0415 (a client machine has neither the API's packages nor the worker's)

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.console import _give_up
from app.core.enums import Scope
from app.core.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_keys = typer.Typer(no_args_is_help=True, help="The API keys of clients, beside the operator's in UNMASK_API_KEY.")


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

    from app.core.settings import RATE
    from app.services import keys

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
    from app.core.errors import NotFoundError
    from app.services import keys

    with _database_session(Settings()) as session:
        try:
            keys.revoke_key(session, key_id)
        except NotFoundError as error:
            _give_up(error)


@contextmanager
def _database_session(settings: Settings) -> Iterator["Session"]:
    """A session on the database of the settings, or of the 'unmask serve' that runs in this folder."""
    from app.db.engine import make_engine, make_sessions
    from app.local.serve import find_database_url
    from app.services.audit import Actor, set_actor

    url = find_database_url(settings)
    if url is None:
        _give_up("There is no database. Set UNMASK_DATABASE_URL, or start 'unmask serve' in this folder.")
    engine = make_engine(url, pool_size=1)
    try:
        with make_sessions(engine)() as session:
            set_actor(session, Actor("command line"))
            yield session
    finally:
        engine.dispose()


def _find_pepper(settings: Settings) -> str:
    from app.local.serve import find_api_key

    api_key = find_api_key(settings)
    if api_key is None and settings.key_pepper is None:
        _give_up("Set UNMASK_API_KEY or UNMASK_KEY_PEPPER as the API has it: keys are digested with it.")
    return settings.pepper(api_key or "")
