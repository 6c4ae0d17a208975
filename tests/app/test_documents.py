"""What the documents list is what there is; what a process misses is named."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from standardwebhooks import Webhook

from app.core import errors
from app.core.enums import EventType, FailureCode, JobStatus, ReasonCode, RecommendedAction, Verdict
from app.core.errors import UnmaskError
from app.core.settings import MissingSettingError, Settings, describe_invalid, require_settings
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]


def test_missing_servers_are_named() -> None:
    settings = Settings(_env_file=None, redis_url="redis://x")
    with pytest.raises(MissingSettingError, match=r"UNMASK_DATABASE_URL, UNMASK_API_KEY.*unmask serve"):
        require_settings(settings, "database_url", "redis_url", "api_key")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lease_duration": "0"}, "UNMASK_LEASE_DURATION is '0'"),
        ({"lease_duration": "soon"}, "UNMASK_LEASE_DURATION is 'soon'"),
        ({"lease_duration": "3", "heartbeat_interval": "2"}, "UNMASK_HEARTBEAT_INTERVAL must be"),
        ({"drain_timeout": "60"}, "UNMASK_DRAIN_TIMEOUT is '60'"),
        ({"device": "abacus"}, "UNMASK_DEVICE is 'abacus'"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WorkerSettings(_env_file=None, **settings)  # type: ignore[arg-type]
    assert said in describe_invalid(caught.value)


def test_durations_are_seconds_or_iso_8601() -> None:
    settings = Settings.model_validate({"lease_duration": "90", "wait_max": "PT1M"})
    assert (settings.lease_duration, settings.wait_max) == (timedelta(seconds=90), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("document", "line"), [(".env.example", r"^# ?(UNMASK_\w+)="), ("README.md", r"^\| `(UNMASK_\w+)` \|")]
)
def test_documents_list_every_setting_once(document: str, line: str) -> None:
    documented = re.findall(line, (ROOT / document).read_text(), flags=re.MULTILINE)
    assert documented == [f"UNMASK_{name.upper()}" for name in WorkerSettings.model_fields]


def test_the_readme_says_what_the_settings_say() -> None:
    text = (ROOT / "README.md").read_text()
    for name, field in WorkerSettings.model_fields.items():
        assert field.description is not None
        row = next(line for line in text.splitlines() if line.startswith(f"| `UNMASK_{name.upper()}` |"))
        assert field.description in row, name


@pytest.mark.parametrize("words", [EventType, FailureCode, JobStatus, ReasonCode, RecommendedAction, Verdict])
def test_the_readme_explains_every_word(words: type[StrEnum]) -> None:
    text = (ROOT / "README.md").read_text()
    assert [word for word in words if f"`{word}`" not in text] == []


def leaves(kind: type[UnmaskError]) -> list[type[UnmaskError]]:
    children = [child for child in kind.__subclasses__() if child.__module__ == "app.core.errors"]
    return [leaf for child in children for leaf in leaves(child)] or [kind]


def test_the_error_tree_is_drawn_in_full() -> None:
    drawn = re.findall(r"(\w+Error) +(\d{3}) (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted((leaf.__name__, str(leaf.status), leaf.code) for leaf in leaves(UnmaskError))


def test_the_receiver_of_the_readme_takes_what_is_signed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line.strip()]) <= 20
    names: dict[str, Any] = {}
    exec(code[1], names)  # noqa: S102 (our own README)
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
