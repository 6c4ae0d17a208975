"""Splits of a crop manifest: leaks between them, held-out people, left-out data sets, and the parts of ``val``."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from training.config import DataConfig
from training.data.manifest import CropRow, is_one_of, load_crop_manifest

Part = Literal["early_stopping", "calibrate", "report"]
"""Part of ``val``."""


def keep_data_sets(rows: Iterable[CropRow], *, without: Sequence[str]) -> list[CropRow]:
    """Return the rows of all data sets except those left out, by name or pattern."""
    return [row for row in rows if not is_one_of(row.dataset, without)]


def load_kept_rows(data: DataConfig) -> list[CropRow]:
    """Load the manifest of a configuration, without its left-out data sets, and with its people held out."""
    return keep_data_sets(hold_out(load_crop_manifest(data.manifest), data.hold_out), without=data.without)


def find_split_leaks(rows: Iterable[CropRow]) -> list[str]:
    """Return the groups and persons that are in more than one split, each with its splits."""
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.split in {"train", "val", "early_stopping", "test"}:
            splits[f"group {row.group}"].add(row.split)
            for person in row.person.split():
                splits[f"person {person}"].add(row.split)
    return [f"{name}: {', '.join(sorted(names))}" for name, names in sorted(splits.items()) if len(names) > 1]


def hold_out(rows: Iterable[CropRow], people: dict[str, int]) -> list[CropRow]:
    """Move a number of people per data set from ``train`` to ``test``, chosen by the hash of their names."""
    rows = list(rows)
    held_out: set[tuple[str, str]] = set()
    for dataset, count in people.items():
        names = {row.person for row in rows if row.dataset == dataset and row.split == "train" and row.person}
        in_order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
        held_out |= {(dataset, name) for name in in_order[:count]}
    return [replace(row, split="test") if (row.dataset, row.person) in held_out else row for row in rows]


def divide_val(rows: Sequence[CropRow]) -> dict[str, Part]:
    """Divide ``val``: a quarter for early stopping, a quarter for calibration, half for the report.

    Rows that share a group or a person stay together, as a family. The largest families are assigned first, each to the
    part that lacks most of its data sets and labels.

    Returns:
        The part per group.
    """
    families = _group_families(rows)
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
    """Return the rows of a part of ``val``, and the rows whose split has the name of this part."""
    rows = list(rows)
    val = [row for row in rows if row.split == "val"]
    parts = divide_val(val)
    return [row for row in rows if row.split == part or (row.split == "val" and parts[row.group] == part)]


def _group_families(rows: Iterable[CropRow]) -> list[list[CropRow]]:
    """Return the rows by family: connected by a group or a person, directly or indirectly (union-find)."""
    parents: dict[str, str] = {}

    def find_root(name: str) -> str:
        parents.setdefault(name, name)
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    rows = list(rows)
    for row in rows:
        for person in row.person.split():
            parents[find_root(f"group {row.group}")] = find_root(f"person {person}")
    families: dict[str, list[CropRow]] = defaultdict(list)
    for row in rows:
        families[find_root(f"group {row.group}")].append(row)
    return list(families.values())
