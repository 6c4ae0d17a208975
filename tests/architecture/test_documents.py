"""Documents agree with the code: settings, codes, errors, commands, links, examples."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from standardwebhooks import Webhook
from typer.main import get_command

from app.cli import main as cli
from app.core import errors
from app.core.calibration import Thresholds
from app.core.enums import EventType, FailureCode, JobStatus, ReasonCode, RecommendedAction, Verdict, WarningCode
from app.core.errors import UnmaskError
from app.schemas.jobs import Job
from tests.support.documents import (
    DOCUMENTS,
    ROOT,
    find_anchors,
    find_blocks,
    find_code_spans,
    find_inline_commands,
    find_links,
    get_block,
)
from tests.tools.cli_reference import CLI_PAGE, render_cli_page
from tests.tools.settings_reference import ENV_EXAMPLE, SETTINGS_PAGE, render_env_example, render_settings_page
from worker.settings import WorkerSettings

README = ROOT / "README.md"
README_LINES_MAX = 160
PLACEHOLDERS = ("things", "<name>", "receiver.py", "example.py", "real/", "fake/")
"""Paths of the documents that the reader creates."""

names_of = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)


@pytest.mark.parametrize(
    ("path", "render"),
    [(SETTINGS_PAGE, render_settings_page), (ENV_EXAMPLE, render_env_example), (CLI_PAGE, render_cli_page)],
    ids=["settings", "env", "cli"],
)
def test_generated_document_is_current(path: Path, render: Callable[[], str]) -> None:
    assert path.read_text() == render(), f"Run 'make docs', which writes {path.relative_to(ROOT)}."


def test_env_example_shows_defaults(tmp_path: Path) -> None:
    uncommented = re.sub(r"^# (UNMASK_)", r"\1", render_env_example(), flags=re.MULTILINE)
    (tmp_path / "env").write_text(uncommented)
    assert uncommented.count("\nUNMASK_") == len(WorkerSettings.model_fields)
    assert WorkerSettings(_env_file=tmp_path / "env") == WorkerSettings(_env_file=None)


@pytest.mark.parametrize(
    "codes", [EventType, FailureCode, JobStatus, ReasonCode, RecommendedAction, Verdict, WarningCode]
)
def test_results_page_explains_every_code(codes: type[StrEnum]) -> None:
    text = (ROOT / "docs/reference/results.md").read_text()
    assert [code for code in codes if f"`{code}`" not in text] == []


def test_error_tree_is_complete() -> None:
    drawn = re.findall(r"(\w+Error) +(\d{3}) (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted((leaf.__name__, str(leaf.status), leaf.code) for leaf in find_leaves(UnmaskError))


def find_leaves(kind: type[UnmaskError]) -> list[type[UnmaskError]]:
    children = [child for child in kind.__subclasses__() if child.__module__ == "app.core.errors"]
    return [leaf for child in children for leaf in find_leaves(child)] or [kind]


def test_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= README_LINES_MAX


def test_readme_example_is_a_shortened_job() -> None:
    example = json.loads(re.sub(r" +// .*", "", get_block(README, "jsonc")))
    schema = Job.model_json_schema()
    assert find_unknown(example, schema, schema["$defs"]) == []
    thresholds = Thresholds.model_validate(example["result"]["thresholds"])
    for part in (example | example["result"], *example["result"]["tracks"]):
        assert thresholds.decide(part["probability"]) == part["verdict"]


def find_unknown(value: Any, schema: dict[str, Any], definitions: dict[str, Any], path: str = "") -> list[str]:
    """Return the paths of the fields that the schema lacks, at any depth."""
    if isinstance(value, list):
        return [name for item in value for name in find_unknown(item, schema.get("items", {}), definitions, path)]
    if not isinstance(value, dict):
        return []
    choices = schema.get("anyOf", [schema])
    objects = [definitions[choice["$ref"].rpartition("/")[2]] if "$ref" in choice else choice for choice in choices]
    fields = {name: field for found in objects for name, field in found.get("properties", {}).items()}
    unknown = [f"{path}/{name}" for name in value if name not in fields]
    known = [name for name in value if name in fields]
    return unknown + [
        found for name in known for found in find_unknown(value[name], fields[name], definitions, f"{path}/{name}")
    ]


@names_of
def test_links_resolve(document: Path) -> None:
    broken = [
        f"{path.name}#{anchor}"
        for path, anchor in find_links(document)
        if not path.exists() or (anchor and anchor not in find_anchors(path))
    ]
    assert broken == []


def test_readme_links_every_document() -> None:
    linked = {path for path, _ in find_links(README)}
    assert [str(document) for document in DOCUMENTS if document not in linked | {README}] == []


@names_of
def test_mentioned_paths_exist(document: Path) -> None:
    paths = [span for span in find_code_spans(document) if re.fullmatch(r"[\w./<>-]+(\.(py|md|yaml|yml|toml)|/)", span)]
    missing = [
        path
        for path in paths
        if not any(name in path for name in PLACEHOLDERS)
        and not (ROOT / path).exists()
        and not any((ROOT / "app").rglob(path))
    ]
    assert missing == []


@names_of
def test_mentioned_names_exist(document: Path) -> None:
    spans = (re.fullmatch(r"([a-z_]+(?:/[a-z_]+)+)\.([A-Za-z_]+)", span) for span in find_code_spans(document))
    for module, name in (span.groups() for span in spans if span and span[2] not in {"py", "md", "json", "yaml"}):
        path = module if (ROOT / module).with_suffix(".py").exists() else f"app/{module}"
        assert hasattr(import_module(path.replace("/", ".")), name), f"{module}.{name}"


@names_of
def test_mentioned_commands_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    group = get_command(cli.commands)
    lines = [line for _, block in find_blocks(document, "sh") for line in block.splitlines()]
    for command in [*lines, *find_inline_commands(document)]:
        if found := re.search(r"(?:^| )make ([a-z-]+)", command):
            assert found[1] in targets, command
        if found := re.search(r"(?:^|[ (/])unmask ([a-z]+)", command):
            assert found[1] in group.commands, command  # type: ignore[attr-defined]


def test_webhook_receiver_accepts_only_signed_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    code = get_block(ROOT / "docs/how-to/receive-webhooks.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 (our own document)
    secret = "whsec_" + "A" * 43 + "="
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    now = datetime.now(UTC)
    body = '{"type": "job.succeeded", "data": {"external_id": "post-1", "verdict": "AUTHENTIC"}}'
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp()))}
    signed = headers | {"webhook-signature": Webhook(secret).sign("evt_1", now, body)}
    with TestClient(names["app"]) as receiver:
        assert receiver.post("/unmask", content=body, headers=signed).status_code == 204
        test = '{"type": "webhook.test", "data": {"endpoint_id": "we_1"}}'
        signed_test = headers | {"webhook-signature": Webhook(secret).sign("evt_1", now, test)}
        assert receiver.post("/unmask", content=test, headers=signed_test).status_code == 204
        assert receiver.post("/unmask", content=body + " ", headers=signed).status_code == 401
