"""Words: one thing has one name (docs/explanation/glossary.md), and docstrings begin with a verb or a noun."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.documents import DOCUMENTS, ROOT
from worker.settings import WorkerSettings

FORBIDDEN = {
    r"doorbells?": "notifier",
    r"couriers?": "dispatcher",
    r"parcels?": "delivery request",
    r"tickets?": "claim",
    r"intakes?": "ingest, context",
    r"hook(s|ed|ing)?": "webhook",
    r"key_?rings?": "authenticator",
    r"bur(y|ies|ied|ying)": "mark as deleted",
    r"twins?": "reusable result",
    r"trembl(e|es|ed|ing)": "jitter",
    r"portraits?": "face image",
    r"judg(e|es|ed|ing|ement|ements|ment|ments)": "analyze, predict, decide, evaluate",
    r"whoever": "a client, an operator, ...",
}
"""Patterns of words, each with the terms to use instead. 'look' as a noun has rules of its own, below."""
NOUN_IN_NAME = r"(?<![a-z])look(s|ed|ing)?(?![a-z]|_up)"
"""'look' as a part of a name, but for 'look_up': a name has no verb 'look' with another preposition."""
NOUN_IN_TEXT = (
    r"\b((an?|each|every|this|one) ([a-z-]+ )?|(the|no|first|second|third|next|last) )look\b(?! up)"
    r"|\b(the|these|few|many|several|two|three|\d+) looks\b|\| *looks? *\|"
)
"""'look' in text behind a word that only nouns have, and as the head of a table's column; verbs are allowed."""
EXCEPTIONS = {
    ("tests/e2e/schemathesis_hooks.py", "hooks"): "the file that SCHEMATHESIS_HOOKS names",
    ("tests/e2e/test_contract.py", "hooks"): "the same",
    (".pre-commit-config.yaml", "hooks"): "a key of pre-commit's format",
}
"""Words that belong to other projects, by file, each with the reason."""

PACKAGES = ("alembic", "app", "tests", "training", "worker")
TEXTS = [
    *DOCUMENTS,
    *(
        ROOT / name
        for name in (
            ".env.example", ".pre-commit-config.yaml", "Dockerfile", "Dockerfile.gpu", "Makefile", "NOTICE",
            "app/api/reference/openapi.json", "app/api/reference/unmask.http", "app/integrations/coop/index.js",
            "docker-compose.yml", "pyproject.toml", "training/EXPERIMENTS.md", "worker/weights/unmask-b3/MODEL_CARD.md",
        )
    ),
    *sorted((ROOT / "training" / "configs").glob("*.yaml")),
]  # fmt: skip
FIRST_WORDS = re.compile(r"(What|Where|Who|Whose|Whoever|How|Whether)\b")
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def find_forbidden(text: str, *, path: Path, noun: str) -> list[str]:
    """Return the forbidden words of a text that are no exceptions in this file."""
    pattern = rf"(?<![a-z])(?:{'|'.join(FORBIDDEN)})(?![a-z])|{noun}"
    found = [match[0] for match in re.finditer(pattern, text, re.IGNORECASE)]
    name = str(path.relative_to(ROOT))
    return [word for word in found if (name, word.lower()) not in EXCEPTIONS]


def find_in_name(name: str, *, path: Path) -> list[str]:
    """Return the forbidden words of an identifier, which is split at underscores and capitals."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return find_forbidden(words, path=path, noun=NOUN_IN_NAME)


def find_in_text(text: str, *, path: Path) -> list[str]:
    """Return the forbidden words of prose; line breaks count as spaces."""
    return find_forbidden(re.sub(r"[\s#]+", " ", text), path=path, noun=NOUN_IN_TEXT)


@cache
def list_sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def at(path: Path, line: int, found: object) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {found}"


def list_names(node: ast.AST) -> list[str]:
    """Return the identifiers that a node of the syntax tree has itself."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.alias(name=name, asname=other):
            return [name, other or ""]
        case ast.keyword(arg=str(name)) | ast.ExceptHandler(name=str(name)) | ast.ImportFrom(module=str(name)):
            return [name]
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
        case _:
            return []


def list_docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string that stands alone: of modules, classes, functions and fields."""
    for node in ast.walk(parse(path)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text


def list_log_events(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each event that is given to a logger."""
    for node in ast.walk(parse(path)):
        match node:
            case ast.Call(func=ast.Attribute(value=logger, attr=method), args=[ast.Constant(value=str(event)), *_]):
                if method in LOG_METHODS and re.search(r"\blog$|_log$|logger", ast.unparse(logger).partition("(")[0]):
                    yield node.lineno, event


def test_identifiers_use_no_forbidden_word() -> None:
    offenders = [
        at(path, getattr(node, "lineno", 0), f"{name} ({word})")
        for path in list_sources()
        for node in ast.walk(parse(path))
        for name in list_names(node)
        for word in find_in_name(name, path=path)
    ]
    assert offenders == []


def test_file_names_use_no_forbidden_word() -> None:
    folders = [ROOT / name for name in (*PACKAGES, "docs", "requirements")]
    files = [path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts]
    offenders = [at(path, 0, word) for path in files for word in find_in_name(path.stem, path=path)]
    assert offenders == []


@pytest.mark.parametrize("name", WorkerSettings.model_fields)
def test_setting_uses_no_forbidden_word(name: str) -> None:
    path = Path(__file__)
    assert find_in_name(name, path=path) == []
    assert find_in_text(WorkerSettings.model_fields[name].description or "", path=path) == []


def test_log_events_use_no_forbidden_word() -> None:
    events = [(path, *event) for path in list_sources() for event in list_log_events(path)]
    assert len(events) > 20
    offenders = [at(path, line, event) for path, line, event in events if find_in_name(event, path=path)]
    assert offenders == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_document_uses_no_forbidden_word(path: Path) -> None:
    lines = path.read_text().splitlines()
    if path.name == "glossary.md":  # its third column names the words not to use
        lines = ["|".join(line.split("|")[:3]) for line in lines]
    assert list_offending_lines(path, lines) == []


def test_newest_changes_use_no_forbidden_word() -> None:
    path = ROOT / "CHANGELOG.md"
    _, newest, *_ = re.split(r"^(?=## )", path.read_text(), flags=re.MULTILINE)
    prose = re.sub(r"`[^`]*`", "", newest)  # code names what was renamed
    assert list_offending_lines(path, prose.splitlines()) == []


def list_offending_lines(path: Path, lines: list[str]) -> list[str]:
    return [at(path, 0, f"{word}: {line.strip()[:100]}") for line in lines for word in find_in_text(line, path=path)]


def test_docstrings_and_comments_use_no_forbidden_word() -> None:
    texts = []
    for path in list_sources():
        texts += [(path, line, text) for line, text in list_docstrings(path)]
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        texts += [(path, token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    offenders = [
        at(path, line, word)
        for path, line, text in texts
        if path != Path(__file__)  # which explains the words
        for word in find_in_text(text, path=path)
    ]
    assert offenders == []


def test_docstrings_begin_with_verb_or_noun() -> None:
    offenders = [
        at(path, line, text.splitlines()[0])
        for path in list_sources()
        for line, text in list_docstrings(path)
        if FIRST_WORDS.match(text.strip())
    ]
    assert offenders == []


@pytest.mark.parametrize(
    ("name", "is_allowed"),
    [
        ("webhook_endpoint", True),
        ("look_up_address", True),
        ("lookup", True),
        ("WebhookJobs", True),
        ("burst", True),
        ("intakes", False),
        ("KeyRing", False),
        ("keyring", False),
        ("last_look", False),
        ("looks_like_video", False),
        ("LookCount", False),
        ("on_hook", False),
        ("ClipJudge", False),
    ],
)
def test_rule_for_names(name: str, is_allowed: bool) -> None:
    assert (find_in_name(name, path=Path(__file__)) == []) == is_allowed


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("Webhooks are sent again.", True),
        ("Look at the frames.", True),
        ("It looks up the name. This looks wrong. Frames that look dark are skipped.", True),
        ("The second lookup fails.", True),
        ("before the\n    # next look", False),
        ("after three looks", False),
        ("| look | crops |", False),
        ("a closer look", False),
        ("Judged clips are kept.", False),
        ("pytest hooks", False),
        ("a look at the frames", False),
    ],
)
def test_rule_for_text(text: str, is_allowed: bool) -> None:
    assert (find_in_text(text, path=Path(__file__)) == []) == is_allowed
