"""Runs the commands of a document as a reader would."""

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.documents import ROOT, find_blocks

_TIMEOUT_SECONDS = 300


def make_checkout(folder: Path) -> Path:
    """Make a folder that looks like the checkout to the commands of a document, and return it."""
    for name in ("app", "pyproject.toml", "tests", "training", "worker"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def make_script(document: Path, *, without: Iterable[str] = ()) -> str:
    """Return the commands of a document as one bash script.

    Args:
        document: Its ``sh`` blocks are taken as they are, ``python`` blocks are given to ``.venv/bin/python``.
        without: Patterns of the beginnings of lines that are left out.
    """
    lines = []
    for language, block in find_blocks(document, "sh", "python"):
        if language == "python":
            lines.append(f".venv/bin/python - <<'END_OF_PYTHON'\n{block}END_OF_PYTHON")
            continue
        lines += [line for line in block.splitlines() if not any(re.match(pattern, line) for pattern in without)]
    return "\n".join(lines)


def run_script(script: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a script in a folder and return its output. Raises AssertionError with the trace if a command fails."""
    done = subprocess.run(
        ["bash", "-c", f"set -euxo pipefail\n{script}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
