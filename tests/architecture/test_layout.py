"""Layout of the tests: each test file of a package mirrors a source file."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST_FILES = [
    path for package in ("app", "training", "worker") for path in (ROOT / "tests" / package).rglob("test_*.py")
]


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_test_file_mirrors_source_file(path: Path) -> None:
    folder = ROOT / path.relative_to(ROOT / "tests").parent
    name = path.stem.removeprefix("test_")
    assert (folder / f"{name}.py").exists() or (folder / f"__{name}__.py").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_imports_no_test_file(path: Path) -> None:
    imports = [line for line in path.read_text().splitlines() if line.startswith(("from tests", "import tests"))]
    assert [line for line in imports if ".test_" in line] == []
