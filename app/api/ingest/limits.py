"""Limits of one upload, and the mark of endpoints that read their body as a stream."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from app.core.settings import Settings
from app.services.uploads import UploadRules

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_STREAMS_BODY = "streams_body"


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Limits of one upload."""

    clip_max_bytes: int
    options_max_bytes: int
    json_max_bytes: int
    idle_timeout: timedelta
    total_timeout: timedelta


def make_limits(settings: Settings) -> UploadLimits:
    """Return the limits of the settings."""
    return UploadLimits(
        clip_max_bytes=settings.clip_max_bytes,
        options_max_bytes=settings.options_max_bytes,
        json_max_bytes=settings.json_max_bytes,
        idle_timeout=settings.upload_idle_timeout,
        total_timeout=settings.upload_timeout,
    )


def make_upload_rules(settings: Settings) -> UploadRules:
    """Return the rules of resumable uploads of the settings."""
    return UploadRules(settings.clip_max_bytes, settings.upload_url_lifetime, settings.upload_retention)


def streams_body(endpoint: Endpoint) -> Endpoint:
    """Mark an endpoint that reads its body as a stream and applies ``UploadLimits`` itself."""
    setattr(endpoint, _STREAMS_BODY, True)
    return endpoint


def is_streaming(endpoint: Callable[..., Any]) -> bool:
    """Return True if an endpoint is marked with ``streams_body``."""
    return getattr(endpoint, _STREAMS_BODY, False)
