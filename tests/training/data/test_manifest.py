"""Lists of crops: read, checked, and divided so that nobody is on two sides."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.manifest import CropRow, ManifestError, load_manifest, sequences_of, write_rows
from training.data.splits import find_split_leaks, hold_out, part_of_val


def row(name: str, **changes: object) -> CropRow:
    values = {"path": name, "dataset": "d", "label": 0, "split": "val", "group": name, "clip": name}
    return CropRow(**(values | changes))  # type: ignore[arg-type]


def test_a_manifest_survives_the_disk(tmp_path: Path) -> None:
    rows = [row("a.png", label=1, box_x=-0.1, pts_seconds=0.04, window=2), row("b.png", person="p")]
    write_rows(tmp_path / "manifest.csv", CropRow, rows)
    assert load_manifest(tmp_path / "manifest.csv") == rows


def test_a_list_of_shards_gets_times_and_windows_and_loses_rows_without_a_face(tmp_path: Path) -> None:
    head = "shard,member,dataset,method,label,split,group,person,video,frame,box_x,box_y,box_w"
    lines = [f"s.tar,{frame}.jpg,d,,fake,val,g,p,v,{frame},0.1,0.2,0.8" for frame in (30, 29, 96, 97)]
    lines.append("s.tar,x.jpg,d,,real,val,g,p,v,98,,,")
    (tmp_path / "faces.csv").write_text("\n".join([head, *lines]))
    rows = load_manifest(tmp_path / "faces.csv")
    assert [(item.path, item.window, item.label) for item in rows] == [
        ("s.tar/29.jpg", 0, 1),
        ("s.tar/30.jpg", 0, 1),
        ("s.tar/96.jpg", 1, 1),
        ("s.tar/97.jpg", 1, 1),
    ]
    assert rows[2].pts_seconds - rows[0].pts_seconds == pytest.approx(67 / 30)


def test_a_wrong_row_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "m.csv", CropRow, [row("a.png")])
    content = (tmp_path / "m.csv").read_text().replace(",0,val", ",maybe,val")
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(ManifestError, match=r"m\.csv, line 2.*maybe"):
        load_manifest(tmp_path / "m.csv")


def test_a_person_or_group_in_two_splits_is_named() -> None:
    rows = [row("a", split="train", person="p"), row("b", split="val", person="p"), row("c", group="a", split="test")]
    assert find_split_leaks(rows) == ["group a: test, train", "person p: train, val"]
    assert find_split_leaks([row("a", split="unused", group="g"), row("b", group="g")]) == []


families = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 12), st.sampled_from(["d", "e"]), st.integers(0, 1)), min_size=1
)


@given(families)
def test_whoever_shares_a_group_or_a_person_stays_together(drawn: list[tuple[int, int, str, int]]) -> None:
    rows = [
        row(str(index), group=f"g{group}", person=f"p{person}" if person else "", dataset=dataset, label=label)
        for index, (group, person, dataset, label) in enumerate(drawn)
    ]
    parts = part_of_val(rows)
    for item in rows:
        partners = {parts[other.group] for other in rows if item.person and other.person == item.person}
        assert partners <= {parts[item.group]}


def test_val_is_divided_by_quarters_and_half() -> None:
    rows = [row(f"{label}-{index}", label=label) for label in (0, 1) for index in range(100)]
    parts = part_of_val(rows)
    for label in (0, 1):
        counts = [
            sum(parts[f"{label}-{index}"] == part for index in range(100))
            for part in ("early_stopping", "calibrate", "report")
        ]
        assert counts == [25, 25, 50]


def test_people_are_held_out_whole_and_always_the_same() -> None:
    rows = [row(f"{person}-{index}", split="train", person=f"p{person}") for person in range(9) for index in range(3)]
    held = {item.person for item in hold_out(rows, {"d": 4}) if item.split == "test"}
    assert len(held) == 4
    assert held == {item.person for item in hold_out(reversed(rows), {"d": 4}) if item.split == "test"}
    assert all(item.split == "train" for item in hold_out(rows, {"other": 4}))


def test_a_sequence_is_one_person_in_one_clip_in_the_order_of_time() -> None:
    rows = [row("b", clip="c", pts_seconds=1.0), row("a", clip="c"), row("x", clip="c", track_id="t1")]
    assert [[item.path for item in sequence] for sequence in sequences_of(rows)] == [["a", "b"], ["x"]]
