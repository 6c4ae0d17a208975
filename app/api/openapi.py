"""The parts of the OpenAPI that FastAPI cannot read off a signature: bodies, formats, problems, examples."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from app.api.examples import EXAMPLES, JOB_ID
from app.api.ingest.multipart import OPTIONS_HEADER
from app.api.ingest.tus import CHUNK_MEDIA_TYPE
from app.api.middleware.authentication import UPLOAD_URLS
from app.schemas import jobs as job_schemas
from app.schemas import problems as problem_schemas
from app.schemas import results as result_schemas

_SCHEMAS = "#/components/schemas/{model}"
_ID_SOURCES = {
    ("/v1/jobs", "post", "202"): "job_id",
    ("/v1/batches", "post", "202"): "batch_id",
    ("/v1/policies", "post", "201"): "policy_id",
    ("/v1/uploads", "post", "201"): "upload_id",
    ("/v1/webhook-endpoints", "post", "201"): "endpoint_id",
    ("/v1/webhook-endpoints/{endpoint_id}:test", "post", "202"): "event_id",
}
"""Operations whose answer has the id that others take."""

_PROBLEM_DESCRIPTIONS = {
    400: "`invalid_request`: malformed; `errors` point at the fields",
    401: "`unauthorized`: the API key is missing or unknown",
    403: "`forbidden_scope`: the API key may not do this",
    404: "`not_found`: there is no such thing, or it belongs to somebody else",
    408: "`request_timeout`: the upload went silent",
    409: "`not_cancelable`, `no_result`, `upload_incomplete` and others: does not fit what there is",
    410: "`gone_deleted`: the job was deleted",
    413: "`clip_too_large` or `request_too_large`: more bytes than the service takes",
    415: "`unsupported_media`: not a video container that the service reads",
    422: "`idempotency_mismatch` or `checksum_mismatch`: not what was sent or announced before",
    429: "`rate_limited` or `quota_exceeded`: more than the key may send; try again after `Retry-After`",
    503: "`overloaded`: the database does not answer; try again after `Retry-After`",
    507: "`storage_full`: there is no room for the clip",
}


def make_openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, without the 422 that we never answer, with our problems and the API key."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    components = document["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    problem = problem_schemas.Problem.model_json_schema(ref_template=_SCHEMAS)
    components["schemas"] |= problem.pop("$defs") | {"Problem": problem}
    components["securitySchemes"] = {
        "ApiKey": {"type": "http", "scheme": "bearer", "description": "The API key, `umk_...`."}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(operation, needs_key=path.startswith("/v1") and not path.startswith(UPLOAD_URLS))
            _share_problems(operation["responses"], components.setdefault("responses", {}))
    for name, example in EXAMPLES.items():
        components["schemas"][name]["examples"] = [example]
    for (path, method, status), parameter in _ID_SOURCES.items():
        document["paths"][path][method]["responses"][status]["links"] = _links(document, parameter)
    return document


def _complete(operation: dict[str, Any], *, needs_key: bool) -> None:
    """What holds for every operation."""
    if "HTTPValidationError" in str(operation["responses"].get("422")):
        del operation["responses"]["422"]
    if "requestBody" in operation:
        operation["responses"].setdefault("413", problems(413)[413])
    if needs_key:
        operation["security"] = [{"ApiKey": []}]


def _share_problems(responses: dict[str, Any], shared: dict[str, Any]) -> None:
    """Says each problem once: operations refer to it."""
    for status, response in responses.items():
        if "application/problem+json" in response.get("content", {}):
            shared[f"Problem{status}"] = response
            responses[status] = {"$ref": f"#/components/responses/Problem{status}"}


def _links(document: dict[str, Any], parameter: str) -> dict[str, Any]:
    """Where the id of an answer leads (OpenAPI 3.1, Link Object)."""
    return {
        operation["operationId"]: {
            "operationId": operation["operationId"],
            "parameters": {parameter: "$response.body#/id"},
        }
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if f"{{{parameter}}}" in path
    }


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
        "instance": f"/v1/jobs/{JOB_ID}",
        "request_id": "req_0199c1f27d0a7c3e8a51b0c2d3e4f506",
        "retryable": status in {408, 429, 503, 507},
        "errors": [],
    }


COMMON_ERRORS = problems(400, 401, 403, 429, 503)
"""Of each operation that needs a key."""
SUBMIT: dict[str, Any] = {
    "response_model": job_schemas.Job,
    "responses": {
        200: {"model": job_schemas.Job, "description": "The job has ended within the time of `Prefer`"},
        202: {"description": "The job is queued"},
    }
    | problems(404, 408, 409, 410, 413, 415, 422, 507),
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
                            "options": {"$ref": _SCHEMAS.format(model="JobOptions")},
                        },
                    },
                    "encoding": {"options": {"contentType": "application/json"}},
                },
                "application/json": {"schema": {"$ref": _SCHEMAS.format(model="JobRequest")}},
                "application/octet-stream": {
                    "schema": {"type": "string", "format": "binary", "description": "The clip."}
                },
            },
        },
    },
}
READ_JOB: dict[str, Any] = {
    "response_model": job_schemas.Job,
    "responses": {
        200: {"description": "The job; `ETag` identifies this state of it"},
        304: {"description": "The job is as `If-None-Match` knows it"},
    }
    | problems(404, 410),
}
READ_RESULT: dict[str, Any] = {"responses": problems(404, 409, 410)}
FEEDBACK: dict[str, Any] = {"responses": problems(404, 410)}
REANALYZE: dict[str, Any] = {
    "response_model": job_schemas.Job,
    "responses": {
        200: {"model": job_schemas.Job, "description": "The new job has ended: a policy judged what was there"},
        202: {"description": "The new job is queued"},
    }
    | problems(404, 409, 410, 422),
}
_OFFSETS: dict[str, Any] = {
    "Upload-Offset": {"description": "Bytes that are there.", "schema": {"type": "integer"}},
    "Upload-Length": {"description": "Bytes that there will be.", "schema": {"type": "integer"}},
}
ASK_OFFSET: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"description": "How far the upload is", "headers": _OFFSETS}} | problems(415, 422),
}
SEND_CHUNK: dict[str, Any] = {
    "response_class": Response,
    "responses": {204: {"description": "The piece is stored", "headers": _OFFSETS}}
    | problems(408, 409, 413, 415, 422, 507),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                CHUNK_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary", "description": "The piece."}}
            },
        }
    },
}
CANCEL: dict[str, Any] = {"responses": problems(404, 409, 410)}
READ_FRAMES: dict[str, Any] = {
    "response_model": result_schemas.FramePage,
    "responses": {
        200: {
            "description": 'A page of frames; `Link: rel="next"` leads to the next one',
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            },
        }
    }
    | problems(404, 409, 410),
}
