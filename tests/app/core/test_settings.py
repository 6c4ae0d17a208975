"""Settings: missing and invalid values are named, durations have two notations."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from app.core.settings import MissingSettingError, Settings, describe_invalid, require_settings
from worker.settings import WorkerSettings


def test_missing_settings_are_named() -> None:
    settings = Settings(_env_file=None, redis_url="redis://x")
    with pytest.raises(MissingSettingError, match=r"UNMASK_DATABASE_URL, UNMASK_API_KEY.*unmask serve"):
        require_settings(settings, "database_url", "redis_url", "api_key")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lease_duration": "0"}, "UNMASK_LEASE_DURATION is '0'"),
        ({"lease_duration": "soon"}, "UNMASK_LEASE_DURATION is 'soon'"),
        ({"lease_duration": "3", "heartbeat_interval": "2"}, "UNMASK_HEARTBEAT_INTERVAL must be"),
        ({"drain_timeout": "60"}, "UNMASK_DRAIN_TIMEOUT is '60'"),
        ({"device": "abacus"}, "UNMASK_DEVICE is 'abacus'"),
    ],
)
def test_invalid_setting_is_named(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WorkerSettings(_env_file=None, **settings)  # type: ignore[arg-type]
    assert message in describe_invalid(caught.value)


def test_durations_are_seconds_or_iso_8601() -> None:
    settings = Settings.model_validate({"lease_duration": "90", "wait_max": "PT1M"})
    assert (settings.lease_duration, settings.wait_max) == (timedelta(seconds=90), timedelta(minutes=1))
