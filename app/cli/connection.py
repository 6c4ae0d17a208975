"""Connection of a command to the API: its options and its errors."""

# ruff: noqa: PLC0415 (imports inside: other commands run without the packages of the client)

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.console import exit_with_error
from app.core.settings import Settings

if TYPE_CHECKING:
    from app.client.client import Client

Url = Annotated[str | None, typer.Option(help="URL of the API. Default: from UNMASK_API_HOST and UNMASK_API_PORT.")]
Key = Annotated[str | None, typer.Option(help="API key. Default: UNMASK_API_KEY, else the key of 'unmask serve'.")]


@contextmanager
def connect(url: str | None, key: str | None) -> Iterator["Client"]:
    """Yield a client of the API. An error of the API, or no answer, ends the command with a message."""
    from app.client.client import Client
    from app.client.errors import ApiError, InvalidApiKeyError, UnreachableError
    from app.local.serve import find_api_key

    settings = Settings()
    api_key = key or find_api_key(settings)
    if api_key is None:
        exit_with_error(
            "No API key is configured. Give --key, set UNMASK_API_KEY, or start 'unmask serve' in this folder."
        )
    try:
        with Client(url=url or f"http://{settings.api_host}:{settings.api_port}", api_key=api_key) as client:
            yield client
    except (ApiError, InvalidApiKeyError, UnreachableError) as error:
        exit_with_error(error)
