"""OpenAPI document: complete, with valid examples, and equal to the stored file."""

import json
import re
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from app.schemas.base import iterate_examples


def test_docs_page_needs_no_other_host(api: TestClient) -> None:
    page = api.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    (script,) = re.findall(r'<script src="([^"]+)"', page)
    assert len(api.get(script).content) > 100_000


def test_operations_are_documented(api: TestClient) -> None:
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
    """Return True if each JSON answer and body has a schema with an example."""
    bodies = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    bodies += [operation["requestBody"]] if "requestBody" in operation else []
    schemas = [
        body["content"]["application/json"]["schema"]
        for body in bodies
        if "application/json" in body.get("content", {})
    ]
    names = [schema["$ref"].rpartition("/")[2] for schema in schemas]
    return all(document["components"]["schemas"][name].get("examples") for name in names)


def test_examples_match_their_schema() -> None:
    checked = [schema.model_validate(example) for schema, example in iterate_examples()]
    assert len(checked) > 30


def test_stored_openapi_equals_code(api: TestClient) -> None:
    stored = json.loads((Path(__file__).parents[2] / "app" / "api" / "reference" / "openapi.json").read_text())
    assert stored == api.get("/openapi.json").json(), "Run 'make docs'."
