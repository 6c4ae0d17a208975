"""Complete FastAPI's OpenAPI document: problems, API key, links."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.paths import UPLOAD_URLS
from app.schemas.base import EXAMPLE_JOB_ID, EXAMPLE_REQUEST_ID, iterate_examples
from app.schemas.problems import Problem

_SCHEMAS = "#/components/schemas/{model}"
_ID_SOURCES = {
    ("/v1/jobs", "post", "202"): "job_id",
    ("/v1/batches", "post", "202"): "batch_id",
    ("/v1/policies", "post", "201"): "policy_id",
    ("/v1/calibrations", "post", "201"): "calibration_id",
    ("/v1/models", "post", "202"): "import_id",
    ("/v1/uploads", "post", "201"): "upload_id",
    ("/v1/webhook-endpoints", "post", "201"): "endpoint_id",
    ("/v1/webhook-endpoints/{endpoint_id}:test", "post", "202"): "event_id",
}
"""Parameter of other operations that is the id in the answer of an operation."""

_PROBLEM_DESCRIPTIONS = {
    400: "`invalid_request`, `rate_not_supported`, `too_few_clips`: the request is malformed or asks for too much",
    401: "`unauthorized`: the API key is missing or unknown",
    403: "`forbidden_scope`: the API key lacks the scope",
    404: "`not_found`: the object does not exist in this tenant",
    408: "`request_timeout`: the upload stalled",
    409: "`not_cancelable`, `no_result`, `upload_incomplete` and others: conflict with the current state",
    410: "`gone_deleted`: the job was deleted",
    412: "`tus_version_unsupported`: send `Tus-Resumable: 1.0.0`, or no such header",
    413: "`clip_too_large`, `request_too_large` or `model_too_large`: the body exceeds the limit",
    415: "`unsupported_media` or `animated_webp`: not a supported video container",
    422: "`idempotency_mismatch`, `checksum_mismatch`: differs from what was announced; `invalid_archive`: is no model",
    429: "`rate_limited` or `quota_exceeded`: the key is over its limit; try again after `Retry-After`",
    503: "`overloaded`: the database is unreachable; try again after `Retry-After`",
    507: "`storage_full`: there is no room for the clip",
}


def make_openapi(app: FastAPI) -> dict[str, Any]:
    """Return FastAPI's document with our problems and the API key, without the 422 that is never sent."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    components = document["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    problem = Problem.model_json_schema(ref_template=_SCHEMAS)
    components["schemas"] |= problem.pop("$defs") | {"Problem": problem}
    components["securitySchemes"] = {
        "ApiKey": {"type": "http", "scheme": "bearer", "description": "The API key, `umk_...`."}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(operation, needs_key=path.startswith("/v1") and not path.startswith(UPLOAD_URLS))
            _share_problems(operation["responses"], components.setdefault("responses", {}))
    for schema, example in iterate_examples():
        if schema.__name__ in components["schemas"]:  # FastAPI drops null fields from examples
            components["schemas"][schema.__name__]["examples"] = [example]
    for (path, method, status), parameter in _ID_SOURCES.items():
        document["paths"][path][method]["responses"][status]["links"] = _links(document, parameter)
    return document


def _complete(operation: dict[str, Any], *, needs_key: bool) -> None:
    """Add security and common errors to an operation."""
    if "HTTPValidationError" in str(operation["responses"].get("422")):
        del operation["responses"]["422"]
    if "requestBody" in operation:
        operation["responses"].setdefault("413", problems(413)[413])
    if needs_key:
        operation["security"] = [{"ApiKey": []}]


def _share_problems(responses: dict[str, Any], shared: dict[str, Any]) -> None:
    """Replace problems by references to shared ones."""
    for status, response in responses.items():
        if "application/problem+json" in response.get("content", {}):
            shared[f"Problem{status}"] = response
            responses[status] = {"$ref": f"#/components/responses/Problem{status}"}


def _links(document: dict[str, Any], parameter: str) -> dict[str, Any]:
    """Return links from an answer to the operations that take its id (OpenAPI 3.1, Link Object)."""
    return {
        operation["operationId"]: {
            "operationId": operation["operationId"],
            "parameters": {parameter: "$response.body#/id"},
        }
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if f"{{{parameter}}}" in path
    }


def schema_ref(model: str) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": _SCHEMAS.format(model=model)}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of problem responses."""
    return {
        status: {
            "description": _PROBLEM_DESCRIPTIONS[status],
            "content": {
                "application/problem+json": {
                    "schema": schema_ref("Problem"),
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
        "instance": f"/v1/jobs/{EXAMPLE_JOB_ID}",
        "request_id": EXAMPLE_REQUEST_ID,
        "retryable": status in {408, 429, 503, 507},
        "errors": [],
    }


COMMON_ERRORS = problems(400, 401, 403, 429, 503)
"""Errors of each operation that needs a key."""
