"""The running API matches its OpenAPI: Schemathesis sends valid and invalid requests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.enums import Scope
from app.db.engine import make_engine, make_sessions
from app.services.keys import KeyRequest, create_key
from tests.conftest import API_KEY
from tests.e2e.conftest import Service

# With a worker, so that jobs end and their streams of events, too.
pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("running_worker"),
]
ROOT = Path(__file__).parents[2]
EXAMPLES = os.environ.get("UNMASK_FUZZ_EXAMPLES", "5")
"""Number of cases per operation and phase; `make fuzz` sets more."""


def make_key(service: Service) -> str:
    """Create a key of a separate tenant: a default policy that is created here must not affect other tests."""
    engine = make_engine(service.environment["UNMASK_DATABASE_URL"])
    with make_sessions(engine)() as session:
        request = KeyRequest(name="fuzz", scopes=[Scope.ADMIN])
        _, text = create_key(session, request, tenant="fuzz", pepper=API_KEY)
    engine.dispose()
    return text


def test_responses_match_openapi(service: Service, tmp_path: Path) -> None:
    """Run all checks: no 5xx, no undocumented status or body, no ignored key, and others."""
    config = Path(__file__).with_name("schemathesis.toml")
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"]
    done = subprocess.run(
        [*command, f"{service.url}/openapi.json", "--header", f"Authorization: Bearer {make_key(service)}",
         "--max-examples", EXAMPLES, "--checks", "all", "--seed", "1", "--no-color"],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.e2e.schemathesis_hooks", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
