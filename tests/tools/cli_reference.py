"""Write docs/reference/cli.md from the command lines: ``make docs``."""

import inspect
from collections.abc import Iterator
from enum import EnumType
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from app.cli.main import commands as unmask
from training.__main__ import commands as training

CLI_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"

_HEAD = """# Command line

`make docs` writes this page from the code. The commands are in `.venv/bin`.
"""


def render_cli_page() -> str:
    """Return the Markdown page with one section per command."""
    groups = {"unmask": get_command(unmask), "python -m training": get_command(training)}
    sections = [
        _render_command(name, command)
        for group_name, group in groups.items()
        for name, command in _iterate_commands(group_name, group)
    ]
    return "\n".join([_HEAD, *sections])


def _iterate_commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield the full name and the object of each command below a group."""
    for child_name, child in getattr(command, "commands", {}).items():
        full_name = f"{name} {child_name}"
        if hasattr(child, "commands"):
            yield from _iterate_commands(full_name, child)
        else:
            yield full_name, child


def _render_command(name: str, command: Any) -> str:
    usage = " ".join([name, *(_name_parameter(parameter) for parameter in command.params if _is_argument(parameter))])
    lines = [f"## `{usage}`", "", *inspect.cleandoc(command.help or "").splitlines(), ""]
    if command.params:
        lines += ["| parameter | description |", "|---|---|", *map(_render_parameter, command.params), ""]
    return "\n".join(lines)


def _render_parameter(parameter: Any) -> str:
    words = [*(parameter.help or "").split(), *(["Required."] if parameter.required else [])]
    if choices := _list_choices(parameter.type_descriptor.annotation):
        words.append(f"One of {', '.join(f'`{choice}`' for choice in choices)}.")
    if isinstance(parameter.show_default, str):
        words.append(f"Default: {parameter.show_default}.")
    elif isinstance(parameter.default, int | float | str) and not isinstance(parameter.default, bool):
        words.append(f"Default: `{parameter.default}`.")
    return f"| `{_name_parameter(parameter)}` | {' '.join(words)} |"


def _list_choices(annotation: Any) -> list[str]:
    """Return the values that a `Literal`, an enum or a list of either allows; an empty list for other types."""
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return list(annotation) if isinstance(annotation, EnumType) else []


def _name_parameter(parameter: Any) -> str:
    if _is_argument(parameter):
        name = parameter.metavar or parameter.name.upper()
        return name if parameter.required else f"[{name}...]"
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


if __name__ == "__main__":
    CLI_PAGE.write_text(render_cli_page())
