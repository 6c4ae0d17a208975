"""Write docs/reference/settings.md and .env.example from the settings: ``make docs``."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from worker.detector.model.manifest import BUNDLED_MODEL
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
SETTINGS_PAGE = ROOT / "docs" / "reference" / "settings.md"
ENV_EXAMPLE = ROOT / ".env.example"

_HEAD = """# Settings

Environment variables, or lines of a file `.env`. Durations are seconds or ISO 8601 (`PT30S`). If the default is empty,
the setting is unset. `make docs` writes this page and `.env.example`.

| setting | default | description |
|---|---|---|
"""


def render_settings_page() -> str:
    """Return the Markdown page with one row per setting."""
    rows = []
    for name, field in WorkerSettings.model_fields.items():
        default = _format(field.default)
        shown = "bundled" if field.default == BUNDLED_MODEL else f"`{default}`" if default else ""
        rows.append(f"| `UNMASK_{name.upper()}` | {shown} | {' '.join((field.description or '').split())} |\n")
    return _HEAD + "".join(rows)


def render_env_example() -> str:
    """Return the template with one commented line per setting."""
    lines = [
        f"# UNMASK_{name.upper()}={'' if field.default == BUNDLED_MODEL else _format(field.default)}\n"
        for name, field in WorkerSettings.model_fields.items()
    ]
    head = "# Copy to .env and change what you need; every line shows its default.\n"
    return head + "# docs/reference/settings.md describes each setting. Written by 'make docs'.\n\n" + "".join(lines)


def _format(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case timedelta():
            return f"{value.total_seconds():g}" if value.total_seconds() < 1e6 else str(int(value.total_seconds()))
        case tuple():
            return json.dumps([item.total_seconds() if isinstance(item, timedelta) else str(item) for item in value])
        case SecretStr():
            return value.get_secret_value()
        case _:
            return str(value)


if __name__ == "__main__":
    SETTINGS_PAGE.write_text(render_settings_page())
    ENV_EXAMPLE.write_text(render_env_example())
