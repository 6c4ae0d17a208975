"""Manifests of crops and lists of shards."""

from pathlib import Path

import pytest

from tests.support.training import make_row
from training.data.manifest import CropRow, ManifestError, load_crop_manifest, sequences_of, write_rows


def test_written_manifest_loads_equal(tmp_path: Path) -> None:
    rows = [make_row("a.png", label=1, box_x=-0.1, pts_seconds=0.04, window=2), make_row("b.png", person="p")]
    write_rows(tmp_path / "manifest.csv", CropRow, rows)
    assert load_crop_manifest(tmp_path / "manifest.csv") == rows


def test_list_of_shards_gets_times_and_windows_without_faceless_rows(tmp_path: Path) -> None:
    head = "shard,member,dataset,method,label,split,group,person,video,frame,box_x,box_y,box_w"
    lines = [f"s.tar,{frame}.jpg,d,,fake,val,g,p,v,{frame},0.1,0.2,0.8" for frame in (30, 29, 96, 97)]
    lines.append("s.tar,x.jpg,d,,real,val,g,p,v,98,,,")
    (tmp_path / "faces.csv").write_text("\n".join([head, *lines]))
    rows = load_crop_manifest(tmp_path / "faces.csv")
    assert [(row.path, row.window, row.label) for row in rows] == [
        ("s.tar/29.jpg", 0, 1),
        ("s.tar/30.jpg", 0, 1),
        ("s.tar/96.jpg", 1, 1),
        ("s.tar/97.jpg", 1, 1),
    ]
    assert rows[2].pts_seconds - rows[0].pts_seconds == pytest.approx(67 / 30)


def test_invalid_row_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "m.csv", CropRow, [make_row("a.png")])
    content = (tmp_path / "m.csv").read_text().replace(",0,val", ",maybe,val")
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(ManifestError, match=r"m\.csv, line 2.*maybe"):
        load_crop_manifest(tmp_path / "m.csv")


def test_sequences_of_groups_by_person_and_clip_in_time_order() -> None:
    rows = [make_row("b", clip="c", pts_seconds=1.0), make_row("a", clip="c"), make_row("x", clip="c", track_id="t1")]
    assert [[row.path for row in sequence] for sequence in sequences_of(rows)] == [["a", "b"], ["x"]]
