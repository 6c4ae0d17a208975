"""The reference of the API: complete, with examples that are true, and the same in the repository as in the code."""

import json
import re
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from app.api.examples import EXAMPLES
from app.schemas import audit as audit_schemas
from app.schemas import jobs as schemas
from app.schemas import policies as policy_schemas
from app.schemas import problems as problem_schemas
from app.schemas import submissions as submission_schemas
from app.schemas import webhooks as webhook_schemas

_WIRE = (schemas, submission_schemas, policy_schemas, webhook_schemas, audit_schemas, problem_schemas)


def test_the_documentation_needs_no_other_host(api: TestClient) -> None:
    page = api.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    (script,) = re.findall(r'<script src="([^"]+)"', page)
    assert len(api.get(script).content) > 100_000


def test_every_operation_is_documented(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation.get("description"), (method, path)
            assert has_example(document, operation), (method, path)
            if path.startswith("/v1") and "security" in operation:
                assert {"400", "401", "403", "429", "503"} <= set(operation["responses"]), (method, path)
                assert "HTTPValidationError" not in str(operation["responses"]), (method, path)
    assert document["components"]["securitySchemes"]
    public = {path for path, found in document["paths"].items() if not any("security" in one for one in found.values())}
    assert public == {"/livez", "/readyz", "/v1/direct-uploads/{secret}"}


def has_example(document: dict[str, Any], operation: dict[str, Any]) -> bool:
    """Whether each answer and body in JSON is of a schema with an example; errors have theirs in place."""
    bodies = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    bodies += [operation["requestBody"]] if "requestBody" in operation else []
    schemas = [
        body["content"]["application/json"]["schema"]
        for body in bodies
        if "application/json" in body.get("content", {})
    ]
    names = [schema["$ref"].rpartition("/")[2] for schema in schemas]
    return all(document["components"]["schemas"][name].get("examples") for name in names)


def test_the_examples_are_what_the_service_says() -> None:
    for name, example in EXAMPLES.items():
        model = next(getattr(module, name) for module in _WIRE if hasattr(module, name))
        model.model_validate(example)


def test_the_reference_in_the_repository_is_the_one_of_the_code(api: TestClient) -> None:
    stored = json.loads((Path(__file__).parents[2] / "app" / "api" / "reference" / "openapi.json").read_text())
    assert stored == api.get("/openapi.json").json(), "Run 'make openapi'."
