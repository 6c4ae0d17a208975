"""Build JSON responses and their pagination headers."""

from fastapi import Request, Response
from pydantic import BaseModel


def link_next(request: Request, cursor: str | None) -> dict[str, str]:
    """Return the ``Link`` header (RFC 8288) of the next page, if there is one."""
    if cursor is None:
        return {}
    return {"Link": f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'}


def respond_json(model: BaseModel, *, headers: dict[str, str], status_code: int = 200) -> Response:
    """Return a schema as a JSON response."""
    return Response(model.model_dump_json(), status_code=status_code, headers=headers, media_type="application/json")
