"""The parts of the OpenAPI that FastAPI cannot read off a signature: bodies, formats, problems, examples."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app import schemas
from app.api.uploads import OPTIONS_HEADER

_SCHEMAS = "#/components/schemas/{model}"

_PROBLEM_DESCRIPTIONS = {
    400: "`invalid_request`: malformed; `errors` point at the fields",
    401: "`unauthorized`: the API key is missing or unknown",
    403: "`forbidden_scope`: the API key may not do this",
    404: "`not_found`: there is no such job",
    408: "`request_timeout`: the upload went silent",
    409: "`not_cancelable`, `no_result`, `endpoint_exists` or `idempotency_in_progress`: does not fit what there is",
    410: "`gone_deleted`: the job was deleted",
    413: "`clip_too_large`: more bytes than the service takes",
    415: "`unsupported_media`: not a video container that the service reads",
    422: "`idempotency_mismatch`: the Idempotency-Key was used for another submission",
    429: "`rate_limited`: more requests than the key may send; try again after `Retry-After`",
    503: "`overloaded`: the database does not answer; try again after `Retry-After`",
    507: "`storage_full`: there is no room for the clip",
}

_JOB_ID = "job_0199c1f27d0a7c3e8a51b0c2d3e4f506"
_JOB_EXAMPLE: dict[str, Any] = {
    "id": _JOB_ID,
    "object": "job",
    "status": "running",
    "verdict": None,
    "external_id": "post-123",
    "metadata": {"queue": "ugc"},
    "clip": {"name": "clip.mp4", "sha256": "9f86d081884c7d659a2feaa0c55ad015" * 2, "bytes": 1048576},
    "model": None,
    "attempts": 1,
    "deduplicated_from": None,
    "queue_position": None,
    "progress": {"phase": "extracting", "done": 8, "total": 16},
    "failure": None,
    "result": None,
    "created_at": "2026-11-23T17:00:00Z",
    "started_at": "2026-11-23T17:00:01Z",
    "finished_at": None,
    "links": {
        "self": f"/v1/jobs/{_JOB_ID}",
        "result": f"/v1/jobs/{_JOB_ID}/result",
        "frames": f"/v1/jobs/{_JOB_ID}/frames",
    },
}
_FRAME_EXAMPLE: dict[str, Any] = {
    "track_id": "t0",
    "window": 0,
    "pts_seconds": 0.04,
    "box": {"x": 311.0, "y": 96.5, "width": 180.2, "height": 180.2},
    "detection_confidence": 0.93,
    "sharpness": 0.071,
    "brightness": 131.5,
    "unusable": None,
    "logit": -0.31,
    "probability": 0.42,
}


def make_openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, without the 422 that we never answer, with our problems and the API key."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    components = document["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    problem = schemas.Problem.model_json_schema(ref_template=_SCHEMAS)
    components["schemas"] |= problem.pop("$defs") | {"Problem": problem}
    components["securitySchemes"] = {
        "ApiKey": {"type": "http", "scheme": "bearer", "description": "The API key, `umk_...`."}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
            if path.startswith("/v1"):
                operation["security"] = [{"ApiKey": []}]
    return document


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of these problem responses."""
    return {
        status: {
            "description": _PROBLEM_DESCRIPTIONS[status],
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": _SCHEMAS.format(model="Problem")},
                    "example": _problem_example(status),
                }
            },
        }
        for status in statuses
    }


def _problem_example(status: int) -> dict[str, Any]:
    code = _PROBLEM_DESCRIPTIONS[status].split("`")[1]
    return {
        "type": f"urn:unmask:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": _PROBLEM_DESCRIPTIONS[status].partition(": ")[2],
        "instance": f"/v1/jobs/{_JOB_ID}",
        "request_id": "req_0199c1f27d0a7c3e8a51b0c2d3e4f506",
        "retryable": status in {408, 429, 503, 507},
        "errors": [],
    }


def _job_response(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": _JOB_EXAMPLE}}}


SUBMIT: dict[str, Any] = {
    "response_model": schemas.Job,
    "responses": {202: _job_response("The job is queued")} | problems(408, 409, 413, 415, 422, 507),
    "openapi_extra": {
        "parameters": [
            {
                "name": OPTIONS_HEADER,
                "in": "header",
                "description": "The options as JSON, for a raw `application/octet-stream` upload.",
                "schema": {"type": "string"},
                "example": '{"external_id": "post-123"}',
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {"type": "string", "format": "binary", "description": "The clip."},
                            "options": schemas.JobOptions.model_json_schema(),
                        },
                    },
                    "encoding": {"options": {"contentType": "application/json"}},
                },
                "application/octet-stream": {
                    "schema": {"type": "string", "format": "binary", "description": "The clip."}
                },
            },
        },
    },
}
READ_JOB: dict[str, Any] = {
    "response_model": schemas.Job,
    "responses": {
        200: _job_response("The job; `ETag` identifies this state of it"),
        304: {"description": "The job is as `If-None-Match` knows it"},
    }
    | problems(404, 410),
}
READ_RESULT: dict[str, Any] = {"responses": problems(404, 409, 410)}
CANCEL: dict[str, Any] = {"responses": problems(404, 409, 410)}
READ_FRAMES: dict[str, Any] = {
    "response_model": schemas.FramePage,
    "responses": {
        200: {
            "description": 'A page of frames; `Link: rel="next"` leads to the next one',
            "content": {
                "application/json": {"example": {"items": [_FRAME_EXAMPLE], "next_cursor": None}},
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            },
        }
    }
    | problems(404, 409, 410),
}
