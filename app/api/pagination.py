"""Pages and their opaque cursors."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from app.core.errors import FieldError, InvalidRequestError

Item = TypeVar("Item")
INTEGER, BIG_INTEGER = 2**31, 2**63
"""Exclusive maximum of these column types: PostgreSQL refuses comparisons with larger numbers."""


def _encode(position: UUID | int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def decode_uuid(cursor: str | None) -> UUID | None:
    """Return the id in a cursor, None for the first page. Raises InvalidRequestError."""
    if cursor is None:
        return None
    try:
        return UUID(_decode(cursor))
    except ValueError as error:
        raise _make_cursor_error() from error


def decode_position(cursor: str | None, *, below: int) -> int | None:
    """Return the number in a cursor, None for the first page. Raises InvalidRequestError, also from ``below`` on."""
    if cursor is None:
        return None
    try:
        position = int(_decode(cursor))
    except ValueError as error:
        raise _make_cursor_error() from error
    if not 0 <= position < below:
        raise _make_cursor_error()
    return position


def cut_page(
    items: Sequence[Item], position: Callable[[Item], UUID | int], *, limit: int
) -> tuple[Sequence[Item], str | None]:
    """Return the page, and the cursor of the next page if there is one. Query ``limit + 1`` items."""
    page = items[:limit]
    return page, _encode(position(page[-1])) if len(items) > limit else None


def _decode(cursor: str) -> str:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except binascii.Error as error:
        raise _make_cursor_error() from error


def _make_cursor_error() -> InvalidRequestError:
    return InvalidRequestError(
        "The cursor is invalid. Use 'next_cursor' of a page, or leave it out to start again.",
        errors=[FieldError(pointer="/query/cursor", detail="unknown cursor")],
    )
