"""Opaque cursors: where a page begins."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from app.core.errors import FieldError, InvalidRequestError

Item = TypeVar("Item")
INTEGER, BIG_INTEGER = 2**31, 2**63
"""Numbers of these columns are below: PostgreSQL refuses to compare them with others."""


def _encode(position: UUID | int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def decode_uuid(cursor: str | None) -> UUID | None:
    """The id behind a cursor of jobs. Raises InvalidRequestError."""
    if cursor is None:
        return None
    try:
        return UUID(_decode(cursor))
    except ValueError as error:
        raise _bad_cursor() from error


def decode_position(cursor: str | None, *, below: int) -> int | None:
    """The number behind a cursor, None for the first page; ``below`` is what its column holds. Raises as the other."""
    if cursor is None:
        return None
    try:
        position = int(_decode(cursor))
    except ValueError as error:
        raise _bad_cursor() from error
    if not 0 <= position < below:
        raise _bad_cursor()
    return position


def cut_page(
    items: Sequence[Item], position: Callable[[Item], UUID | int], *, limit: int
) -> tuple[Sequence[Item], str | None]:
    """The page, and the cursor behind it where more follow. Ask for ``limit + 1`` items."""
    page = items[:limit]
    return page, _encode(position(page[-1])) if len(items) > limit else None


def _decode(cursor: str) -> str:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except binascii.Error as error:
        raise _bad_cursor() from error


def _bad_cursor() -> InvalidRequestError:
    return InvalidRequestError(
        "The cursor is not one of ours. Take it from 'next_cursor', or leave it out to start again.",
        errors=[FieldError(pointer="/query/cursor", detail="unknown cursor")],
    )
