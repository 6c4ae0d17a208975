"""The folders in which data sets come: which videos there are, what they show, in which split they belong.

FaceForensics++ (Rössler et al., ICCV 2019), Celeb-DF v2 (Li et al., CVPR 2020), DFDC (Dolhansky et al., 2020), plain
folders ``real/`` and ``fake/``, and a CSV of one's own.
"""

import csv
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.data.manifest import LABELS, FailureRow
from training.errors import TrainingError

VIDEO_SUFFIXES = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".3gp"}
BAD_ROW = "bad_row"
_VAL_SHARE, _TEST_SHARE = 0.2, 0.2
_OFFICIAL_LIST = "List_of_testing_videos.txt"


class LayoutError(TrainingError):
    """The folder is not laid out as was said; the message names what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledClip:
    """A video and what is known of it. Label 1 is fake, 0 is real."""

    path: Path
    dataset: str
    label: int
    split: str
    group: str
    method: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class DatasetListing:
    """The videos of a data set, and the rows of its lists that say nothing useful."""

    clips: list[LabelledClip]
    failures: list[FailureRow]


def find_clips(root: Path, layout: str) -> DatasetListing:
    """The videos of a data set in a stable order.

    Args:
        root: Its folder; for ``csv`` the list.
        layout: One of ``LAYOUTS``.

    Raises:
        LayoutError: The folder is not laid out so.
    """
    if not root.exists():
        raise LayoutError(f"{root} does not exist.")
    clips, failures = [], []
    for found in LAYOUTS[layout](root):
        if isinstance(found, FailureRow):
            failures.append(found)
        else:
            clips.append(found)
    if not clips:
        raise LayoutError(f"{root} has no videos where the layout {layout!r} has them.")
    return DatasetListing(sorted(clips, key=lambda clip: str(clip.path)), failures)


def balance(clips: Iterable[LabelledClip]) -> list[LabelledClip]:
    """As many clips of each label within a data set and split, chosen by the hash of their names."""
    kinds: dict[tuple[str, str], dict[int, list[LabelledClip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        kinds[clip.dataset, clip.split][clip.label].append(clip)
    kept: list[LabelledClip] = []
    for labels in kinds.values():
        count = min((len(members) for members in labels.values()), default=0) if len(labels) > 1 else None
        for members in labels.values():
            kept += sorted(members, key=lambda clip: _hash(clip.path.name))[:count]
    return sorted(kept, key=lambda clip: str(clip.path))


def _read_plain(root: Path) -> Iterator[LabelledClip]:
    for name in ("real", "fake"):
        for path in _videos(root / name):
            group = path.stem
            yield LabelledClip(path=path, dataset=root.name, label=LABELS[name], split=_split_of(group), group=group)


def _read_csv(listed: Path) -> Iterator[LabelledClip | FailureRow]:
    """Columns ``path,label`` and perhaps ``dataset,method,split,group,person``."""
    with listed.open(newline="") as file:
        for line, cells in enumerate(csv.DictReader(file), 2):
            path, label = cells.get("path") or "", cells.get("label") or ""
            if not path or label not in LABELS:
                message = f"Line {line} needs 'path' and 'label' (real or fake), not {path!r} and {label!r}."
                yield FailureRow(path or f"line {line}", BAD_ROW, message)
                continue
            group = cells.get("group") or Path(path).stem
            yield LabelledClip(
                path=listed.parent / path,
                dataset=cells.get("dataset") or listed.stem,
                label=LABELS[label],
                split=cells.get("split") or _split_of(group),
                group=group,
                method=cells.get("method") or "",
                person=cells.get("person") or "",
            )


def _read_ffpp(root: Path, compression: str) -> Iterator[LabelledClip]:
    """Official splits: ``splits/train.json`` and so on list pairs; all clips of a pair are one group."""
    splits, groups = {}, {}
    for split in ("train", "val", "test"):
        for first, second in _read_json(root / "splits" / f"{split}.json"):
            group = "-".join(sorted((first, second)))
            for name in (first, second):
                splits[name], groups[name] = split, group
    sources = {"": root / "original_sequences" / "youtube"}
    made = root / "manipulated_sequences"
    sources |= {folder.name: folder for folder in sorted(made.glob("*")) if folder.name != "DeepFakeDetection"}
    for method, folder in sources.items():
        for path in _videos(folder / compression / "videos"):
            name = path.stem.split("_")[0]
            if name in splits:
                dataset = f"ffpp-{compression}"
                group, split = f"ffpp-{groups[name]}", splits[name]
                yield LabelledClip(
                    path=path, dataset=dataset, label=int(bool(method)), split=split, group=group, method=method
                )


def _read_celeb_df(root: Path) -> Iterator[LabelledClip]:
    """All clips, each person in ``person``; what ``Celeb-real/id3_0001`` shows is ``id3``, a fake shows two."""
    for folder, label in (("Celeb-real", 0), ("YouTube-real", 0), ("Celeb-synthesis", 1)):
        for path in _videos(root / folder):
            people = re.findall(r"id\d+", path.stem) or [f"youtube-{path.stem}"]
            yield LabelledClip(
                path=path,
                dataset="celeb-df-v2",
                label=label,
                split="",
                group=f"celeb-df-{people[0]}",
                method="Celeb-DF" if label else "",
                person=" ".join(people),
            )


def _read_celeb_df_official(root: Path) -> Iterator[LabelledClip]:
    """The official test list. Most of its people are in training too, so people and groups are not told apart."""
    listed = root / _OFFICIAL_LIST
    if not listed.exists():
        raise LayoutError(f"{listed} is missing: it is the official list.")
    tested = {line.split()[-1] for line in listed.read_text().splitlines() if line.strip()}
    for clip in _read_celeb_df(root):
        name = f"{clip.path.parent.name}/{clip.path.name}"
        own = f"celeb-df-{clip.path.parent.name}-{clip.path.stem}"
        split = "test" if name in tested else ("val" if _share(own) < _VAL_SHARE / 2 else "train")
        yield replace(clip, split=split, group=own, person="")


def _read_celeb_df_disjoint(root: Path) -> Iterator[LabelledClip]:
    """Nobody is in two splits; a fake of two people of different splits is left out (``unused``)."""
    for clip in _read_celeb_df(root):
        people = clip.person.split()
        splits = {_split_of(person, test_share=_TEST_SHARE) for person in people}
        split = splits.pop() if len(splits) == 1 else "unused"
        yield replace(clip, split=split)


def _read_dfdc(root: Path) -> Iterator[LabelledClip | FailureRow]:
    """Parts with a ``metadata.json``; every fifth part is ``val``, a folder ``test`` is ``test``."""
    described = sorted(root.rglob("metadata.json"))
    if not described:
        raise LayoutError(f"{root} has no part with a metadata.json.")
    for listed in described:
        part = listed.parent
        number = int(match[1]) if (match := re.search(r"(\d+)$", part.name)) else None
        for name, facts in sorted(_read_json(listed).items()):
            label = {"FAKE": 1, "REAL": 0, 1: 1, 0: 0}.get(facts.get("label", facts.get("is_fake")))
            if label is None:
                yield FailureRow(f"{part.name}/{name}", BAD_ROW, f"{listed} does not say whether it is FAKE or REAL.")
                continue
            group = f"dfdc-{Path(facts.get('original') or name).stem}"
            if part.name.startswith("test") or facts.get("split") == "test":
                split = "test"
            elif number is None or len(described) < 5:
                split = _split_of(group)
            else:
                split = "val" if number % 5 == 4 else "train"
            yield LabelledClip(path=part / name, dataset="dfdc", label=label, split=split, group=group)


LAYOUTS: dict[str, Callable[[Path], Iterator[LabelledClip | FailureRow]]] = {
    "plain": _read_plain,
    "csv": _read_csv,
    "ffpp-c23": lambda root: _read_ffpp(root, "c23"),
    "ffpp-c40": lambda root: _read_ffpp(root, "c40"),
    "celeb-df-official": _read_celeb_df_official,
    "celeb-df-disjoint": _read_celeb_df_disjoint,
    "dfdc": _read_dfdc,
}


def _videos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise LayoutError(f"{path} is missing: it is the official list.") from error
    except ValueError as error:
        raise LayoutError(f"{path} is no JSON: {error}.") from error


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _share(name: str) -> float:
    """A number in 0..1 that depends on the name alone."""
    return _hash(name) / 2**64


def _split_of(name: str, *, test_share: float = 0.0) -> str:
    place = _share(name)
    if place < test_share:
        return "test"
    return "val" if place < test_share + _VAL_SHARE else "train"
