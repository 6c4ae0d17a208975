"""Sandbox of tests: the default configuration with a short timeout."""

from worker.detector.config import DetectorConfig
from worker.detector.sandbox.parent import SandboxOptions

CONFIG = DetectorConfig()


def make_options(**changes: object) -> SandboxOptions:
    """Return options with a timeout of 20 s. ``changes`` override them."""
    return SandboxOptions(**({"clip_timeout_seconds": 20.0} | changes))  # type: ignore[arg-type]
