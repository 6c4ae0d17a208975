"""Folder layouts of data sets: their videos with labels and splits.

FaceForensics++ (Rössler et al., ICCV 2019), Celeb-DF v2 (Li et al., CVPR 2020), DFDC (Dolhansky et al., 2020), plain
folders ``real/`` and ``fake/``, and a CSV.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.data.manifest import LABELS, FailureRow
from training.data.tables import read_table
from training.errors import TrainingError

VIDEO_SUFFIXES = {
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".vob",
    ".webm",
}  # fmt: skip
BAD_ROW = "bad_row"
_VAL_SHARE, _TEST_SHARE = 0.2, 0.2
_DATASET_MAX_BYTES = 64
_OFFICIAL_LIST = "List_of_testing_videos.txt"


class LayoutError(TrainingError):
    """The folder does not have the given layout; the message names the missing file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledClip:
    """A video with its labels. Label 1 is fake, 0 is real."""

    path: Path
    dataset: str
    label: int
    split: str
    group: str
    method: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class DatasetListing:
    """Videos of a data set, and the unusable rows of its lists."""

    clips: list[LabelledClip]
    failures: list[FailureRow]


def list_clips(root: Path, layout: str) -> DatasetListing:
    """List the videos of a data set in a stable order.

    Args:
        root: Folder of the data set; for ``csv`` the list.
        layout: One of ``LAYOUTS``.

    Raises:
        LayoutError: The folder does not have this layout.
    """
    if not root.exists():
        raise LayoutError(f"{root} does not exist.")
    clips, failures = [], []
    for entry in LAYOUTS[layout](root):
        if isinstance(entry, FailureRow):
            failures.append(entry)
        else:
            clips.append(entry)
    if not clips:
        reason = failures[0].message if failures else "Look at the folders of this layout in 'extract --help'."
        raise LayoutError(f"{root} has no videos where layout {layout!r} has them. {reason}")
    for clip in clips:
        check_dataset_name(clip.dataset)
    return DatasetListing(sorted(clips, key=lambda clip: str(clip.path)), failures)


def check_dataset_name(name: str) -> None:
    """Raise LayoutError if a name of a data set cannot be the name of a folder."""
    if name in {"", ".", ".."} or not name.isprintable() or "/" in name or len(name.encode()) > _DATASET_MAX_BYTES:
        raise LayoutError(
            f"{name!r} cannot name a data set. Use at most {_DATASET_MAX_BYTES} bytes without '/', and not '.' or '..'."
        )


def to_text(path: str) -> str:
    """Return a file name, or a part of one, as text that can be stored; bytes that are no UTF-8 are escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")


def balance_clips(clips: Iterable[LabelledClip]) -> list[LabelledClip]:
    """Return equally many clips of each label per data set and split, chosen by the hash of their names."""
    kinds: dict[tuple[str, str], dict[int, list[LabelledClip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        kinds[clip.dataset, clip.split][clip.label].append(clip)
    kept: list[LabelledClip] = []
    for labels in kinds.values():
        count = min((len(members) for members in labels.values()), default=0) if len(labels) > 1 else None
        for members in labels.values():
            kept += sorted(members, key=lambda clip: _hash(clip.path.name))[:count]
    return sorted(kept, key=lambda clip: str(clip.path))


def _load_plain(root: Path) -> Iterator[LabelledClip]:
    dataset = to_text(root.resolve().name)
    for name in ("real", "fake"):
        for path in _list_videos(root / name):
            group = to_text(path.stem)
            yield LabelledClip(path=path, dataset=dataset, label=LABELS[name], split=_split_of(group), group=group)


def _load_csv(list_path: Path) -> Iterator[LabelledClip | FailureRow]:
    """Yield the rows of a CSV with columns ``path,label`` and optional ``dataset,method,split,group,person``."""
    for line, cells in read_table(list_path, required=("path", "label")):
        path, label = cells["path"], cells["label"]
        if not path or label not in LABELS:
            message = f"Line {line} needs 'path' and 'label' (real or fake), not {path!r} and {label!r}."
            yield FailureRow(path or f"line {line}", BAD_ROW, message)
            continue
        group = cells.get("group") or Path(path).stem
        yield LabelledClip(
            path=list_path.parent / path,
            dataset=cells.get("dataset") or list_path.stem,
            label=LABELS[label],
            split=cells.get("split") or _split_of(group),
            group=group,
            method=cells.get("method") or "",
            person=cells.get("person") or "",
        )


def _load_ffpp(root: Path, compression: str) -> Iterator[LabelledClip]:
    """Yield clips with the official splits: ``splits/train.json`` etc. list pairs, each of which is a group."""
    splits, groups = {}, {}
    for split in ("train", "val", "test"):
        for first, second in _load_pairs(root / "splits" / f"{split}.json"):
            group = "-".join(sorted((first, second)))
            for name in (first, second):
                splits[name], groups[name] = split, group
    sources = {"": root / "original_sequences" / "youtube"}
    made = root / "manipulated_sequences"
    sources |= {folder.name: folder for folder in sorted(made.glob("*")) if folder.name != "DeepFakeDetection"}
    for method, folder in sources.items():
        for path in _list_videos(folder / compression / "videos"):
            name = path.stem.split("_")[0]
            if name in splits:
                dataset = f"ffpp-{compression}"
                group, split = f"ffpp-{groups[name]}", splits[name]
                yield LabelledClip(
                    path=path, dataset=dataset, label=int(bool(method)), split=split, group=group, method=method
                )


def _load_celeb_df(root: Path) -> Iterator[LabelledClip]:
    """Yield all clips with their persons: ``Celeb-real/id3_0001`` shows ``id3``, and a fake shows two persons."""
    for folder, label in (("Celeb-real", 0), ("YouTube-real", 0), ("Celeb-synthesis", 1)):
        for path in _list_videos(root / folder):
            people = re.findall(r"id\d+", path.stem) or [f"youtube-{to_text(path.stem)}"]
            yield LabelledClip(
                path=path,
                dataset="celeb-df-v2",
                label=label,
                split="",
                group=f"celeb-df-{people[0]}",
                method="Celeb-DF" if label else "",
                person=" ".join(people),
            )


def _load_celeb_df_official(root: Path) -> Iterator[LabelledClip]:
    """Yield clips with the official test list.

    Most of its people are in training, too, so ``person`` is empty and each clip is a group.
    """
    list_path = root / _OFFICIAL_LIST
    if not list_path.exists():
        raise LayoutError(f"{list_path} is missing. Copy the official list there.")
    lines = list_path.read_text(errors="replace").splitlines()
    tested = {line.split()[-1] for line in lines if line.strip()}
    for clip in _load_celeb_df(root):
        name = f"{clip.path.parent.name}/{clip.path.name}"
        own = f"celeb-df-{clip.path.parent.name}-{to_text(clip.path.stem)}"
        split = "test" if name in tested else ("val" if _share(own) < _VAL_SHARE / 2 else "train")
        yield replace(clip, split=split, group=own, person="")


def _load_celeb_df_disjoint(root: Path) -> Iterator[LabelledClip]:
    """Yield clips with each person in one split; a fake of people of different splits is ``unused``."""
    for clip in _load_celeb_df(root):
        people = clip.person.split()
        splits = {_split_of(person, test_share=_TEST_SHARE) for person in people}
        split = splits.pop() if len(splits) == 1 else "unused"
        yield replace(clip, split=split)


def _load_dfdc(root: Path) -> Iterator[LabelledClip | FailureRow]:
    """Yield the clips of parts with a ``metadata.json``; every fifth part is ``val``, a folder ``test`` is ``test``."""
    metadata_paths = sorted(root.rglob("metadata.json"))
    if not metadata_paths:
        raise LayoutError(f"{root} has no part with a metadata.json.")
    for metadata_path in metadata_paths:
        part = metadata_path.parent
        number = int(match[1]) if (match := re.search(r"(\d+)$", part.name)) else None
        for name, metadata in sorted(_load_metadata(metadata_path).items()):
            label = {"FAKE": 1, "REAL": 0, 1: 1, 0: 0}.get(metadata.get("label", metadata.get("is_fake")))
            if label is None:
                yield FailureRow(
                    f"{part.name}/{name}", BAD_ROW, f"{metadata_path} does not say whether it is FAKE or REAL."
                )
                continue
            group = f"dfdc-{Path(metadata.get('original') or name).stem}"
            if part.name.startswith("test") or metadata.get("split") == "test":
                split = "test"
            elif number is None or len(metadata_paths) < 5:
                split = _split_of(group)
            else:
                split = "val" if number % 5 == 4 else "train"
            yield LabelledClip(path=part / name, dataset="dfdc", label=label, split=split, group=group)


LAYOUTS: dict[str, Callable[[Path], Iterator[LabelledClip | FailureRow]]] = {
    "plain": _load_plain,
    "csv": _load_csv,
    "ffpp-c23": lambda root: _load_ffpp(root, "c23"),
    "ffpp-c40": lambda root: _load_ffpp(root, "c40"),
    "celeb-df-official": _load_celeb_df_official,
    "celeb-df-disjoint": _load_celeb_df_disjoint,
    "dfdc": _load_dfdc,
}


def _list_videos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)


def _load_pairs(path: Path) -> list[tuple[str, str]]:
    pairs = _load_json(path)
    try:
        return [(str(first), str(second)) for first, second in pairs]
    except (TypeError, ValueError) as error:
        raise LayoutError(f"{path} is not a list of pairs of names. Copy the official list there.") from error


def _load_metadata(path: Path) -> dict[str, dict[str, Any]]:
    metadata = _load_json(path)
    if not isinstance(metadata, dict) or not all(isinstance(value, dict) for value in metadata.values()):
        raise LayoutError(f"{path} does not describe clips by their names. Copy the official file there.")
    return metadata


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise LayoutError(f"{path} is missing. Copy the official list there.") from error
    except ValueError as error:
        raise LayoutError(f"{path} is not valid JSON: {error}.") from error


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")


def _share(name: str) -> float:
    """Return a number from 0 to 1 that depends only on the name."""
    return _hash(name) / 2**64


def _split_of(name: str, *, test_share: float = 0.0) -> str:
    place = _share(name)
    if place < test_share:
        return "test"
    return "val" if place < test_share + _VAL_SHARE else "train"
