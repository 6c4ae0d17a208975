"""Limits of one upload."""

from dataclasses import dataclass
from datetime import timedelta

from app.core.settings import Settings


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Caps of one upload."""

    clip_max_bytes: int
    options_max_bytes: int
    idle_timeout: timedelta
    total_timeout: timedelta


def limits_of(settings: Settings) -> UploadLimits:
    """The caps that the operator set."""
    return UploadLimits(
        clip_max_bytes=settings.clip_max_bytes,
        options_max_bytes=settings.options_max_bytes,
        idle_timeout=settings.upload_idle_timeout,
        total_timeout=settings.upload_timeout,
    )
