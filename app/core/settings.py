"""What an operator can set: environment variables with the prefix UNMASK_, or a .env file."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _parse_seconds(value: object) -> object:
    """Environment variables are text, and pydantic takes a bare number for days."""
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
    """Where the embedded stack keeps its data: database, queue, clips, API key."""
    database_url: str | None = None
    """PostgreSQL, `postgresql://user:password@host/name`. Empty: `unmask serve` starts an embedded one."""
    redis_url: str | None = None
    """Redis or Valkey, `redis://host:6379/0`. Empty: `unmask serve` starts an embedded one."""
    storage_url: str | None = None
    """Where clips are kept, `file:///path`. Empty: `clips` in the data directory."""

    models_dir: Path | None = None
    """Where `unmask models add` puts models that jobs name; the same for API and workers. Empty: in the data folder."""

    api_key: SecretStr | None = None
    """The operator's key for `Authorization: Bearer`; it may do all. Empty: `unmask serve` creates one."""
    key_pepper: SecretStr | None = None
    """Secret with which keys of `unmask keys` are digested; a new one makes them void. Empty: the operator's key."""
    rate_limit: Annotated[str, Field(pattern=RATE)] = "6000/minute"
    """Requests that one key may send. More than a pipeline polls; a client that runs wild must not slow the others."""
    jobs_per_day: Annotated[int, Field(gt=0)] = 100_000
    """Jobs that one key may submit in a day; `unmask keys create` may say otherwise for a key, as for the next one."""
    bytes_per_day: Annotated[int, Field(gt=0)] = 500 * 2**30
    """Bytes that one key may upload in a day. Clips from URLs count as jobs alone; the disk's reserve holds for all."""
    audit_retention: Seconds = timedelta(days=365)
    """How long the log of who changed what is kept."""
    cors_origins: tuple[str, ...] = ()
    """Web pages that may upload in pieces from a browser, as JSON: `["https://app.example.com"]`. Empty: none."""
    api_host: str = "127.0.0.1"
    """Address that the API listens on. Loopback by default: put a TLS proxy in front of anything wider."""
    api_port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port that the API listens on."""

    clip_max_bytes: Annotated[int, Field(gt=0)] = 512 * 2**20
    """Largest clip. Covers half an hour of phone video at 2 Mbit/s and bounds what a client can store."""
    options_max_bytes: Annotated[int, Field(gt=0)] = 64 * 2**10
    """Largest `options` part: it is parsed in memory."""
    json_max_bytes: Annotated[int, Field(gt=0)] = 16 * 2**20
    """Largest JSON body, parsed in memory: a hundred jobs of a batch with all that may be said of them."""
    upload_idle_timeout: Seconds = timedelta(seconds=30)
    """How long an upload may stay silent before it is refused: a stalled client must not hold a connection."""
    upload_timeout: Seconds = timedelta(seconds=1800)
    """How long an upload may take as a whole: half a gigabyte at 300 kB/s."""
    storage_reserve_bytes: Annotated[int, Field(ge=0)] = 256 * 2**20
    """Disk space that uploads leave free, so that the database beside them can go on writing."""
    clip_retention: Seconds = timedelta(days=7)
    """How long a clip is kept after its job has ended: a week to look at it, or to judge it anew."""
    result_retention: Seconds | None = None
    """How long a job is kept after its end, with its result; afterwards it answers 410. Empty: until it is deleted."""
    upload_url_lifetime: Seconds = timedelta(seconds=600)
    """How long the one-time URL of an upload in pieces is good: long enough for half a gigabyte, too short to leak."""
    upload_retention: Seconds = timedelta(days=1)
    """How long an upload in pieces is kept that no job names."""
    fetch_timeout: Seconds = timedelta(seconds=120)
    """How long getting a clip from a URL may take as a whole: a server that drips must not hold a worker."""
    wait_max: Seconds = timedelta(seconds=60)
    """Longest `?wait=`: proxies commonly cut a silent connection after a minute."""

    webhook_timeout: Seconds = timedelta(seconds=15)
    """How long a webhook's receiver may take: it should note the event and answer."""
    webhook_retry_delays: tuple[Seconds, ...] = tuple(
        timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    )
    """Seconds before each further delivery of a webhook, as JSON: three days, as Standard Webhooks proposes."""
    webhook_disable_after: Seconds = timedelta(days=5)
    """A webhook endpoint that only fails for so long is disabled: it is not coming back."""
    webhook_concurrency: Annotated[int, Field(gt=0)] = 16
    """Webhooks that a dispatcher has on their way at a time: it waits more than it computes."""
    webhook_endpoint_concurrency: Annotated[int, Field(gt=0)] = 4
    """Of these to one endpoint: one that hangs must not hold up the others."""
    webhook_retention: Seconds = timedelta(days=30)
    """How long webhook events and their deliveries are kept once they are done: to look at, and to send again."""
    egress_allow: tuple[IPv4Network | IPv6Network, ...] = ()
    """Private networks that webhooks and URLs may reach, as JSON: `["10.0.0.0/8"]`. Clients must not reach others."""

    batch_delay: Seconds = timedelta(seconds=600)
    """How long a `batch` job lets `live` ones pass that came after it: no longer, so that it does not starve."""
    lease_duration: Seconds = timedelta(seconds=60)
    """How long a worker may be silent before its job goes to another one."""
    heartbeat_interval: Seconds = timedelta(seconds=1)
    """How often a worker renews its lease, reports progress and learns of a cancellation."""
    sweep_interval: Seconds = timedelta(seconds=10)
    """How often lost jobs are looked for, and doorbells that Redis lost are rung again."""
    max_attempts: Annotated[int, Field(gt=0)] = 3
    """How many workers a job may lose before it fails: a clip that kills workers must not go round for ever."""

    log_format: Literal["console", "json"] = "console"
    """`console` for people, `json` for machines: one event a line."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe event that is logged."""

    def pepper(self, api_key: str) -> str:
        """The secret of the digests of keys: ``key_pepper``, else the operator's key."""
        return self.key_pepper.get_secret_value() if self.key_pepper else api_key

    @property
    def installed_models(self) -> Path:
        """``models_dir``, resolved."""
        return self.models_dir or self.data_dir / "models"

    @model_validator(mode="after")
    def _beats_within_lease(self) -> Self:
        if 2 * self.heartbeat_interval > self.lease_duration:
            raise ValueError("UNMASK_HEARTBEAT_INTERVAL must be at most half of UNMASK_LEASE_DURATION")
        return self


class MissingSettingError(Exception):
    """A process of its own needs to be told where its servers are; the message names the variables."""


def require_settings(settings: Settings, *names: str) -> list[str]:
    """The values of these settings. Raises MissingSettingError where one is empty."""
    values = [getattr(settings, name) for name in names]
    missing = [f"UNMASK_{name.upper()}" for name, value in zip(names, values, strict=True) if not value]
    if missing:
        raise MissingSettingError(
            f"Set {', '.join(missing)}, or run 'unmask serve', which starts all it needs by itself."
        )
    return [value.get_secret_value() if isinstance(value, SecretStr) else str(value) for value in values]


def describe_invalid(error: ValidationError) -> str:
    """One line for each setting that has a wrong value."""
    lines = []
    for wrong in error.errors():
        name = "_".join(map(str, wrong["loc"])).upper()
        lines.append(f"UNMASK_{name} is {wrong['input']!r}: {wrong['msg']}" if name else wrong["msg"])
    return "\n".join(lines)
