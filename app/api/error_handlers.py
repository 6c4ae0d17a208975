"""Exception handlers: each error becomes a problem document (RFC 9457)."""

from collections.abc import Sequence

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic_core import ErrorDetails
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from app.core.errors import (
    FieldError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    OverloadedError,
    RequestTooLargeError,
    UnmaskError,
)
from app.core.logging import make_logger
from app.schemas.problems import Problem, ProblemField

MEDIA_TYPE = "application/problem+json"

DATABASE_ERRORS = (OperationalError, InterfaceError, PoolTimeoutError)
"""Errors of SQLAlchemy while the database is unreachable."""


def problem_response(error: UnmaskError, *, path: str) -> JSONResponse:
    """Return the response for an error. The request id comes from the log context."""
    problem = Problem(
        type=f"urn:unmask:problem:{error.code}",
        title=error.title,
        status=error.status,
        code=error.code,
        detail=error.detail,
        instance=path,
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
        retryable=error.retryable,
        errors=[ProblemField(pointer=field.pointer, detail=field.detail) for field in error.errors],
    )
    response = JSONResponse(problem.model_dump(mode="json"), status_code=error.status, media_type=MEDIA_TYPE)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def field_errors(errors: list[ErrorDetails], *, prefix: str = "") -> list[FieldError]:
    """Convert errors of pydantic to pointers; ``prefix`` is the pointer of the validated value in the request."""
    return [FieldError(pointer=prefix + _pointer(error), detail=_detail(error)) for error in errors]


def _detail(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "This field does not exist. Remove it, or check its spelling."
    if error["type"] == "missing" and error["loc"] == ("body",):
        return "Send a JSON object with Content-Type: application/json. /docs shows its fields."
    return error["msg"]


def _pointer(error: ErrorDetails) -> str:
    """Return a pointer into the body, or one that begins with ``/query``, ``/header`` or ``/path``."""
    if error["type"] == "json_invalid":
        return ""  # FastAPI reports the position of a character
    loc = error["loc"]
    return "".join(f"/{part}" for part in (loc[1:] if loc[:1] == ("body",) else loc))


def _allowed_methods(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """Return all methods of a path (RFC 9110, 10.2.1). The router reports those of the first route only."""
    matching = [route for route in routes if isinstance(route, APIRoute) and route.path_regex.match(path)]
    # '/jobs/{id}:cancel' also looks like '/jobs/{id}'.
    closest = max((route.path for route in matching), key=len, default="")
    methods = {method for route in matching if route.path == closest for method in route.methods or ()}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)  # RequestLineMiddleware answers HEAD


def make_database_error(error: Exception) -> OverloadedError:
    """Return the error for an unreachable database. The reason goes to the log."""
    make_logger(part="api").error("database_unreachable", error=str(error))
    return OverloadedError("The database is unreachable. Try again.", retry_after_seconds=5)


def _has_unknown_action(routes: Sequence[BaseRoute], path: str) -> bool:
    """Return whether a path such as ``/jobs/{id}:action`` ends with an action that no route has."""
    _, colon, action = path.rpartition("/")[2].rpartition(":")
    return bool(colon) and not any(
        isinstance(route, APIRoute) and route.path.endswith(":" + action) for route in routes
    )


def _translate(error: HTTPException, request: Request, routes: Sequence[BaseRoute]) -> UnmaskError:
    """Convert an error that FastAPI raises."""
    if isinstance(error.__cause__, UnmaskError):  # raised while FastAPI read the body
        return error.__cause__
    path = request.url.path
    if error.status_code == 400:
        return InvalidRequestError("The body is not JSON in UTF-8.")
    if error.status_code == 405 and not _has_unknown_action(routes, path):
        return MethodNotAllowedError(f"{path} does not support the method {request.method}. See 'Allow' and /docs.")
    return NotFoundError(f"The path {path} does not exist. See /docs.")


def add_error_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Register the handlers; ``routes`` are those of the application."""

    @app.exception_handler(UnmaskError)
    def _ours(request: Request, error: UnmaskError) -> JSONResponse:
        response = problem_response(error, path=request.url.path)
        if isinstance(error, RequestTooLargeError):
            response.headers["Connection"] = "close"  # the rest of the body is not read
        return response

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        invalid = InvalidRequestError(
            "Some fields are invalid; 'errors' names them.", errors=field_errors(list(error.errors()))
        )
        return problem_response(invalid, path=request.url.path)

    @app.exception_handler(HTTPException)
    def _routing(request: Request, error: HTTPException) -> JSONResponse:
        path = request.url.path
        response = problem_response(_translate(error, request, routes), path=path)
        if response.status_code == 405:
            response.headers["Allow"] = ", ".join(_allowed_methods(routes, path))
        return response

    def _database_away(request: Request, error: Exception) -> JSONResponse:
        return problem_response(make_database_error(error), path=request.url.path)

    for kind in DATABASE_ERRORS:
        app.add_exception_handler(kind, _database_away)
