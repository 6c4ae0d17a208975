"""Sandbox of the tests: the default configuration with a short time limit."""

from worker.detector.config import DetectorConfig
from worker.detector.sandbox.parent import SandboxOptions

CONFIG = DetectorConfig()


def make_options(**changes: object) -> SandboxOptions:
    return SandboxOptions(**({"clip_timeout_seconds": 20.0} | changes))  # type: ignore[arg-type]
