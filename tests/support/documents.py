"""Documents of the repository: their code blocks, commands, links and headings."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:make|unmask|docker compose|apt-get|\.venv/bin/\S+)\b")


def find_blocks(document: Path, *languages: str) -> list[tuple[str, str]]:
    """Return the code blocks in one of the languages as (language, text), in order."""
    return [(language, text) for language, text in _BLOCK.findall(document.read_text()) if language in languages]


def get_block(document: Path, language: str) -> str:
    """Return the only code block in a language. Raises ValueError if there is another number of them."""
    ((_, text),) = find_blocks(document, language)
    return text


def find_inline_commands(document: Path) -> list[str]:
    """Return the code spans of the prose that are commands."""
    return [span for span in find_code_spans(document) if _COMMAND.match(span)]


def find_code_spans(document: Path) -> list[str]:
    """Return the code spans of the prose, in order."""
    return _SPAN.findall(_without_blocks(document))


def find_links(document: Path) -> Iterator[tuple[Path, str]]:
    """Yield the target and the anchor of each relative link."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_blocks(document)):
        path, _, anchor = target.partition("#")
        if not re.match(r"https?:|mailto:", target):
            yield (document.parent / path).resolve() if path else document, anchor


def find_anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a Markdown file."""
    headings = re.findall(r"^#+ (.+)$", _without_blocks(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _without_blocks(document: Path) -> str:
    return _BLOCK.sub("", document.read_text())


NOT_RUN = {
    r"make setup": "installs packages",
    r"make demo": "installs packages; tests/e2e/test_serve.py runs 'unmask demo'",
    r"(UNMASK_EGRESS_ALLOW=\S+ )?make serve|unmask serve": "runs until Ctrl-C; tests/e2e/test_serve.py runs it",
    r"unmask (api|worker|webhooks|migrate)$": "runs until SIGTERM, or once per version; fixtures of tests/e2e run it",
    r"make test": "would run this test",
    r"unmask calibrate": "needs 60 real clips; tests/e2e/test_calibrations.py runs it on fewer",
    r"unmask calibrations": "needs a calibration; tests/e2e/test_calibrations.py runs it",
    r"make check": "CI runs it before the tests",
    r"make bench": "takes minutes and changes nothing",
    r"make +#": "lists the targets; tests/architecture checks each target that a document names",
    r"make docs": "writes into the checkout; tests/architecture compares its output",
    r"make migration": "writes into the checkout",
    r"apt-get": "needs root",
    r"docker compose": "needs Docker",
    r"echo .*openssl": "writes secrets for docker compose",
    r"\.venv/bin/torchrun": "needs several GPUs",
    r"\.venv/bin/python example\.py": "the Python block that it names is run",
    r"WEBHOOK_SECRET=\S+ \.venv/bin/uvicorn": "runs until Ctrl-C; tests/architecture calls the receiver",
    r"WEBHOOK_SECRET=\S+ \.venv/bin/unmask listen": "runs until Ctrl-C; tests/app/cli calls the receiver",
}
"""Commands that no test runs as they are, as patterns of their beginnings, each with the reason. The summary of pytest
prints the list (tests/conftest.py)."""


def find_not_run(pattern: str) -> dict[str, set[str]]:
    """Return the documents that have a command of the list, with the command."""
    found: dict[str, set[str]] = {}
    for document in DOCUMENTS:
        lines = [line for _, block in find_blocks(document, "sh") for line in block.splitlines()]
        for command in [*lines, *find_inline_commands(document)]:
            if re.match(pattern, command):
                found.setdefault(document.stem, set()).add(re.sub(r" +#.*", "", command))
    return found
