"""Settings of the operator: environment variables with the prefix UNMASK_, or a .env file."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _parse_seconds(value: object) -> object:
    """Convert a number to seconds. Environment variables are text, and pydantic reads a bare number as days."""
    try:
        return timedelta(seconds=float(value)) if isinstance(value, str | int | float) else value
    except ValueError:
        return value


RATE = r"^[1-9]\d*/(second|minute|hour|day)$"
Seconds = Annotated[timedelta, BeforeValidator(_parse_seconds), Field(gt=timedelta(0))]


class Settings(BaseSettings):
    """Settings that every process of the service shares. Durations are seconds, or ISO 8601 (``PT30S``)."""

    model_config = SettingsConfigDict(
        env_prefix="UNMASK_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        use_attribute_docstrings=True,
        frozen=True,
    )

    data_dir: Path = Path(".data")
    """Data directory of the embedded stack: database, queue, clips, API key."""
    database_url: str | None = None
    """URL of PostgreSQL, `postgresql://user:password@host/name`. Empty: `unmask serve` starts an embedded server."""
    redis_url: str | None = None
    """URL of Redis or Valkey, `redis://host:6379/0`. Empty: `unmask serve` starts an embedded server."""
    storage_url: str | None = None
    """URL of the clip storage, `file:///path`. Empty: the folder `clips` in the data directory."""

    models_dir: Path | None = None
    """Directory of models that `unmask models add` installs; the API and the workers share it. Empty: `models` in the
    data directory."""

    model_max_bytes: Annotated[int, Field(gt=0)] = 200 * 2**20
    """Maximum size of a model that is added over the API, packed and unpacked. A released model has less than 30 MB."""

    api_key: SecretStr | None = None
    """API key of the operator for `Authorization: Bearer`, with all scopes. Empty: `unmask serve` creates one."""
    key_pepper: SecretStr | None = None
    """Secret for the digests of API keys. Changing it invalidates all existing keys. Empty: the operator's key."""
    rate_limit: Annotated[str, Field(pattern=RATE)] = "6000/minute"
    """Maximum request rate per API key. Well above normal polling, low enough to contain a faulty client."""
    jobs_per_day: Annotated[int, Field(gt=0)] = 100_000
    """Maximum number of jobs per API key and day. `unmask keys create --jobs` overrides it for one key."""
    bytes_per_day: Annotated[int, Field(gt=0)] = 500 * 2**30
    """Maximum number of bytes uploaded per API key and day; clips from URLs are not counted.
    `unmask keys create --bytes` overrides it for one key."""
    audit_retention: Seconds = timedelta(days=365)
    """Retention of audit events."""
    cors_origins: tuple[str, ...] = ()
    """Origins of web pages that may send resumable uploads, as JSON: `["https://app.example.com"]`. Empty: none."""
    public_url: Annotated[str, Field(pattern=r"^(https?://[^?#]*[^/?#])?$")] = ""
    """URL under which clients reach the API, `https://unmask.example.com`, without a slash at its end. Links in answers
    and webhooks begin with it. Empty: links are paths."""
    api_host: str = "127.0.0.1"
    """Address that the API listens on. Loopback by default: use a TLS proxy to serve other machines."""
    api_port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port that the API listens on."""

    clip_max_bytes: Annotated[int, Field(gt=0)] = 512 * 2**20
    """Maximum size of a clip. Fits half an hour of phone video at 2 Mbit/s, and limits the disk space of one upload."""
    options_max_bytes: Annotated[int, Field(gt=0)] = 64 * 2**10
    """Maximum size of the `options` part of an upload, which is parsed in memory."""
    json_max_bytes: Annotated[int, Field(gt=0)] = 16 * 2**20
    """Maximum size of a JSON body, which is parsed in memory. Fits a batch of 100 jobs with full metadata."""
    upload_idle_timeout: Seconds = timedelta(seconds=30)
    """Maximum time without data during an upload. A stalled client must not block a connection."""
    upload_timeout: Seconds = timedelta(seconds=1800)
    """Maximum duration of an upload. Fits half a gigabyte at 300 kB/s."""
    storage_reserve_bytes: Annotated[int, Field(ge=0)] = 256 * 2**20
    """Disk space that uploads and downloads leave free. A database on the same disk must still be able to write."""
    clip_retention: Seconds = timedelta(days=7)
    """Retention of a clip after the end of its job. A week leaves time to review the clip or to reanalyze it."""
    result_retention: Seconds | None = None
    """Retention of a job and its result after its end; afterwards the API answers 410. Empty: no limit."""
    upload_url_lifetime: Seconds = timedelta(seconds=600)
    """Lifetime of the URL of a resumable upload. Long enough for half a gigabyte; a leaked URL soon expires."""
    upload_retention: Seconds = timedelta(days=1)
    """Retention of a resumable upload that no job uses. A day leaves time to resume it."""
    fetch_timeout: Seconds = timedelta(seconds=120)
    """Maximum duration of a download from a URL. A slow server must not block a worker."""
    wait_max: Seconds = timedelta(seconds=60)
    """Maximum value of `?wait=`. Proxies commonly close an idle connection after a minute."""

    webhook_timeout: Seconds = timedelta(seconds=15)
    """Timeout of a webhook delivery. A receiver should store the event and answer at once."""
    webhook_retry_delays: tuple[Seconds, ...] = tuple(
        timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    )
    """Delays in seconds before the retries of a webhook delivery, as JSON. Three days in all, as Standard Webhooks
    proposes."""
    webhook_disable_after: Seconds = timedelta(days=5)
    """Time after which a webhook endpoint is disabled if all deliveries fail. Longer than the retries of one event."""
    webhook_concurrency: Annotated[int, Field(gt=0)] = 16
    """Maximum number of concurrent deliveries per dispatcher. Deliveries mostly wait, so more than cores."""
    webhook_endpoint_concurrency: Annotated[int, Field(gt=0)] = 4
    """Maximum number of concurrent deliveries per webhook endpoint. A slow endpoint must not delay the others."""
    webhook_retention: Seconds = timedelta(days=30)
    """Retention of finished webhook events and their deliveries. Until then they can be inspected and redelivered."""
    egress_allow: tuple[IPv4Network | IPv6Network, ...] = ()
    """Private networks that webhooks and downloads may reach, as JSON: `["10.0.0.0/8"]`. Empty: public addresses
    only, to protect internal services (SSRF)."""

    batch_delay: Seconds = timedelta(seconds=600)
    """Time for which a `batch` job yields to newer `live` jobs. The limit prevents starvation."""
    lease_duration: Seconds = timedelta(seconds=60)
    """Time without a heartbeat after which a job goes to another worker. A minute tolerates a short outage."""
    heartbeat_interval: Seconds = timedelta(seconds=1)
    """Interval at which a worker renews its lease, reports progress and checks for a cancellation."""
    sweep_interval: Seconds = timedelta(seconds=10)
    """Interval of the maintenance task that requeues jobs with expired leases and re-sends lost queue messages."""
    max_attempts: Annotated[int, Field(gt=0)] = 3
    """Number of lost workers after which a job fails. A clip that crashes workers must not be retried without end."""

    log_format: Literal["console", "json"] = "console"
    """Format of the log, one event per line: `console` for people, `json` for machines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum severity of logged events."""

    def pepper(self, api_key: str) -> str:
        """Return the secret for the digests of API keys: ``key_pepper``, else the operator's key."""
        return self.key_pepper.get_secret_value() if self.key_pepper else api_key

    @property
    def installed_models(self) -> Path:
        """Directory of installed models: ``models_dir``, or ``models`` in the data directory."""
        return self.models_dir or self.data_dir / "models"

    @model_validator(mode="after")
    def _require_heartbeat_within_lease(self) -> Self:
        if 2 * self.heartbeat_interval > self.lease_duration:
            raise ValueError("UNMASK_HEARTBEAT_INTERVAL must be at most half of UNMASK_LEASE_DURATION")
        return self


class MissingSettingError(Exception):
    """Setting that the process requires and that is empty; the message names the variables."""


def require_settings(settings: Settings, *names: str) -> list[str]:
    """Return the values of these settings. Raises MissingSettingError if one is empty."""
    values = [getattr(settings, name) for name in names]
    missing = [f"UNMASK_{name.upper()}" for name, value in zip(names, values, strict=True) if not value]
    if missing:
        raise MissingSettingError(f"Set {', '.join(missing)}, or run 'unmask serve', which starts its own servers.")
    return [value.get_secret_value() if isinstance(value, SecretStr) else str(value) for value in values]


def describe_invalid(error: ValidationError) -> str:
    """Return one line for each setting with an invalid value."""
    lines = []
    for wrong in error.errors():
        name = "_".join(map(str, wrong["loc"])).upper()
        lines.append(f"UNMASK_{name} is {wrong['input']!r}: {wrong['msg']}" if name else wrong["msg"])
    return "\n".join(lines)
