"""Commands of the documents, run against the real service in the order in which a reader runs them.

Each document becomes one bash script: its ``sh`` blocks, and its ``python`` blocks through ``.venv/bin/python -``.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.conftest import API_KEY
from tests.e2e.conftest import Process, Service
from tests.support import documents
from tests.support.documents import NOT_RUN, ROOT, find_inline_commands, find_not_run
from tests.support.scripts import make_checkout, make_script, run_script
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("documents")

DOCUMENTS = [path for path in documents.DOCUMENTS if path.name not in {"cli.md", "settings.md"}]
"""All but the generated pages, which tests/architecture compares with the code."""
BY_TEST_TRAINING = {ROOT / "docs/how-to/train-a-model.md", ROOT / "docs/how-to/add-a-model.md"}
"""Run by tests/e2e/test_training.py, which has the videos and the model that they need."""


@pytest.fixture(scope="module")
def warm_worker(running_worker: Process, service: Service, clip: Callable[[str], Path]) -> Process:
    """The worker after its first job, which takes longer: 'wait=60' waits five seconds in this service."""
    service.wait_for_end(service.client.submit(clip("speaker.mp4")))
    return running_worker


@pytest.fixture
def folder(tmp_path: Path, clip: Callable[[str], Path]) -> Path:
    """A checkout with a clip and with the key of 'unmask serve'."""
    make_checkout(tmp_path)
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "api-key").write_text(API_KEY)
    shutil.copy(clip("speaker.mp4"), tmp_path / "clip.mp4")
    return tmp_path


@pytest.mark.usefixtures("warm_worker")
@pytest.mark.parametrize(
    "document",
    [document for document in DOCUMENTS if document not in BY_TEST_TRAINING and make_script(document, without=NOT_RUN)],
    ids=lambda document: document.stem,
)
def test_commands_of_document_succeed(document: Path, folder: Path, service: Service) -> None:
    script = make_script(document, without=NOT_RUN)
    run_script(script, folder, service.environment | {"URL": service.url})
    remove_traces(service)


def remove_traces(service: Service) -> None:
    """Wait for the jobs of a document and delete its webhook endpoints, which other tests must not meet."""
    wait_until(lambda: not [*service.client.jobs(status="queued"), *service.client.jobs(status="running")])
    with httpx.Client(base_url=service.url, headers={"X-API-Key": API_KEY}) as api:
        for endpoint in api.get("/v1/webhook-endpoints").json()["items"]:
            api.delete(f"/v1/webhook-endpoints/{endpoint['id']}").raise_for_status()


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_pattern_of_list_matches_a_command(pattern: str) -> None:
    assert find_not_run(pattern), f"No document has a command that begins with {pattern!r}. Remove it from NOT_RUN."


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_inline_commands_are_on_the_list(document: Path) -> None:
    unlisted = [
        command
        for command in find_inline_commands(document)
        if not any(re.match(pattern, command) for pattern in NOT_RUN)
    ]
    assert unlisted == [], "Move them into a block, which is run, or add them to NOT_RUN with a reason."
