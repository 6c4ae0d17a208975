"""Fixtures for tests of the worker: small models on disk, and a server with a clip."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clip_server import serve_clip


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a small model with random weights. Tests must not change it."""
    from tests.support.models import make_model  # noqa: PLC0415 (imports torch)

    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_model(folder)
    return folder


@pytest.fixture
def model_copy(model: Path, tmp_path: Path) -> Path:
    """Return a copy of the small model that a test may change."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def clip_server() -> Iterator[str]:
    """Yield the URL of a server with a clip."""
    with serve_clip() as url:
        yield url
