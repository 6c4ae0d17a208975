"""Splits of a crop manifest: by person, held out, left out."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from training.data.manifest import CropRow, is_one_of


def keep_data_sets(rows: Iterable[CropRow], *, without: Sequence[str]) -> list[CropRow]:
    """The rows of all data sets but those left out, by name or pattern."""
    return [row for row in rows if not is_one_of(row.dataset, without)]


Part = Literal["early_stopping", "calibrate", "report"]


def find_split_leaks(rows: Iterable[CropRow]) -> list[str]:
    """The groups and persons that are in more than one split, each with its splits: such a division is worthless."""
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.split in {"train", "val", "early_stopping", "test"}:
            splits[f"group {row.group}"].add(row.split)
            for person in row.person.split():
                splits[f"person {person}"].add(row.split)
    return [f"{name}: {', '.join(sorted(found))}" for name, found in sorted(splits.items()) if len(found) > 1]


def hold_out(rows: Iterable[CropRow], people: dict[str, int]) -> list[CropRow]:
    """Moves people of ``train`` to ``test``: so many of each data set named, chosen by the hash of their names."""
    rows = list(rows)
    held: set[tuple[str, str]] = set()
    for dataset, count in people.items():
        names = {row.person for row in rows if row.dataset == dataset and row.split == "train" and row.person}
        in_order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
        held |= {(dataset, name) for name in in_order[:count]}
    return [replace(row, split="test") if (row.dataset, row.person) in held else row for row in rows]


def part_of_val(rows: Sequence[CropRow]) -> dict[str, Part]:
    """Divides the people of ``val``: a quarter stops the training, a quarter calibrates, half is only reported.

    Whoever shares a group or a person stays together. The largest families are dealt first, each to the part that
    lacks most of its data sets and labels.

    Returns:
        The part of each group.
    """
    families = _find_families(rows)
    shares: dict[Part, float] = {"report": 0.5, "calibrate": 0.25, "early_stopping": 0.25}
    totals: dict[tuple[str, int], int] = defaultdict(int)
    for row in rows:
        totals[row.dataset, row.label] += 1
    filled: dict[Part, dict[tuple[str, int], float]] = {part: defaultdict(float) for part in shares}
    parts: dict[str, Part] = {}
    for family in sorted(families, key=lambda family: (-len(family), family[0].group)):
        kinds = sorted({(row.dataset, row.label) for row in family})
        lacks = {
            part: sum(1 - filled[part][kind] / (share * totals[kind]) for kind in kinds)
            for part, share in shares.items()
        }
        chosen = max(lacks, key=lambda part: lacks[part])
        for row in family:
            parts[row.group] = chosen
            filled[chosen][row.dataset, row.label] += 1
    return parts


def rows_of_part(rows: Iterable[CropRow], part: Part) -> list[CropRow]:
    """The rows of ``val`` in one of its parts, and the rows whose split names that part itself."""
    rows = list(rows)
    val = [row for row in rows if row.split == "val"]
    parts = part_of_val(val)
    return [row for row in rows if row.split == part or (row.split == "val" and parts[row.group] == part)]


def _find_families(rows: Iterable[CropRow]) -> list[list[CropRow]]:
    """Rows that are tied by a group or a person, directly or through others (union-find)."""
    parents: dict[str, str] = {}

    def find(name: str) -> str:
        parents.setdefault(name, name)
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    rows = list(rows)
    for row in rows:
        for person in row.person.split():
            parents[find(f"group {row.group}")] = find(f"person {person}")
    families: dict[str, list[CropRow]] = defaultdict(list)
    for row in rows:
        families[find(f"group {row.group}")].append(row)
    return list(families.values())
