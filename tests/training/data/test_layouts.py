"""Layouts of data sets, as synthetic folders."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from training.data.extract import check_splits
from training.data.layouts import LayoutError, balance_clips, list_clips
from training.data.manifest import FailureRow


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def ffpp(tmp_path: Path) -> Path:
    pairs = {"train": [["000", "003"]], "val": [["010", "011"]], "test": [["020", "021"]]}
    for split, listed in pairs.items():
        touch(tmp_path, f"splits/{split}.json")
        (tmp_path / "splits" / f"{split}.json").write_text(json.dumps(listed))
        for first, second in listed:
            for compression in ("c23", "c40"):
                touch(tmp_path, *(f"original_sequences/youtube/{compression}/videos/{n}.mp4" for n in (first, second)))
                for method in ("Deepfakes", "FaceSwap"):
                    folder = f"manipulated_sequences/{method}/{compression}/videos"
                    touch(tmp_path, f"{folder}/{first}_{second}.mp4", f"{folder}/{second}_{first}.mp4")
    touch(tmp_path, "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__exit__X.mp4")
    return tmp_path


@pytest.mark.parametrize("compression", ["c23", "c40"])
def test_faceforensics_clips_get_the_official_splits(ffpp: Path, compression: str) -> None:
    clips = list_clips(ffpp, f"ffpp-{compression}").clips
    assert Counter((clip.split, clip.label) for clip in clips) == {
        (split, label): 2 if label == 0 else 4 for split in ("train", "val", "test") for label in (0, 1)
    }
    assert {clip.method for clip in clips} == {"", "Deepfakes", "FaceSwap"}
    assert {clip.group for clip in clips if clip.split == "train"} == {"ffpp-000-003"}
    assert all(f"/{compression}/" in str(clip.path) for clip in clips)
    check_splits(clips)


def test_balance_clips_keeps_equally_many_of_each_label(ffpp: Path) -> None:
    kept = balance_clips(list_clips(ffpp, "ffpp-c23").clips)
    assert set(Counter((clip.split, clip.label) for clip in kept).values()) == {2}


@pytest.fixture
def celeb_df(tmp_path: Path) -> Path:
    people = range(30)
    touch(tmp_path, *(f"Celeb-real/id{person}_000{clip}.mp4" for person in people for clip in (0, 1)))
    touch(tmp_path, *(f"YouTube-real/0000{index}.mp4" for index in range(10)))
    touch(tmp_path, *(f"Celeb-synthesis/id{a}_id{b}_0000.mp4" for a in people for b in people if a != b))
    tested = ["1 YouTube-real/00003.mp4", "0 Celeb-synthesis/id1_id2_0000.mp4", "1 Celeb-real/id1_0000.mp4"]
    (tmp_path / "List_of_testing_videos.txt").write_text("\n".join(tested))
    return tmp_path


def test_celeb_df_official_tests_on_its_list(celeb_df: Path) -> None:
    clips = list_clips(celeb_df, "celeb-df-official").clips
    tested = {f"{clip.path.parent.name}/{clip.path.name}" for clip in clips if clip.split == "test"}
    assert tested == {"YouTube-real/00003.mp4", "Celeb-synthesis/id1_id2_0000.mp4", "Celeb-real/id1_0000.mp4"}
    assert Counter(clip.label for clip in clips) == {0: 70, 1: 870}
    check_splits(clips)


def test_celeb_df_disjoint_has_each_person_in_one_split(celeb_df: Path) -> None:
    clips = list_clips(celeb_df, "celeb-df-disjoint").clips
    check_splits(clips)
    splits_of_person: dict[str, set[str]] = {}
    for clip in clips:
        for person in clip.path.stem.split("_")[:-1]:
            if clip.split != "unused":
                splits_of_person.setdefault(person, set()).add(clip.split)
    assert all(len(splits) == 1 for splits in splits_of_person.values())
    counts = Counter((clip.split, clip.label) for clip in clips)
    assert all(counts[split, label] > 0 for split in ("train", "val", "test") for label in (0, 1))


def test_dfdc_parts_get_splits_and_unlabelled_clips_are_failures(tmp_path: Path) -> None:
    for part in range(10):
        folder = f"dfdc_train_part_{part}"
        touch(tmp_path, f"{folder}/real{part}.mp4", f"{folder}/fake{part}.mp4")
        metadata: dict[str, dict[str, str]] = {
            f"real{part}.mp4": {"label": "REAL", "split": "train"},
            f"fake{part}.mp4": {"label": "FAKE", "split": "train", "original": f"real{part}.mp4"},
        }
        if part == 0:
            metadata["odd.mp4"] = {"label": "PERHAPS"}
        (tmp_path / folder / "metadata.json").write_text(json.dumps(metadata))
    touch(tmp_path, "test/t.mp4")
    (tmp_path / "test" / "metadata.json").write_text(json.dumps({"t.mp4": {"is_fake": 1}}))
    listing = list_clips(tmp_path, "dfdc")
    assert {clip.path.parent.name for clip in listing.clips if clip.split == "val"} == {
        f"dfdc_train_part_{n}" for n in (4, 9)
    }
    assert [clip.path.name for clip in listing.clips if clip.split == "test"] == ["t.mp4"]
    assert all(clip.group == f"dfdc-real{clip.path.parent.name[-1]}" for clip in listing.clips if clip.split != "test")
    assert [(failure.clip, failure.code) for failure in listing.failures] == [("dfdc_train_part_0/odd.mp4", "bad_row")]
    check_splits(listing.clips)


def test_csv_with_bad_rows_lists_them_as_failures(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    listed = tmp_path / "videos.csv"
    listed.write_text(
        "path,label,split,person\na.mp4,real,train,p\n,fake,train,\nb.mp4,perhaps,val,\nb.mp4,fake,val,q\n"
    )
    listing = list_clips(listed, "csv")
    assert [(clip.path.name, clip.label, clip.split, clip.person) for clip in listing.clips] == [
        ("a.mp4", 0, "train", "p"),
        ("b.mp4", 1, "val", "q"),
    ]
    assert [failure.clip for failure in listing.failures] == ["line 3", "b.mp4"]
    assert all(isinstance(failure, FailureRow) and failure.code == "bad_row" for failure in listing.failures)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("plain", "no videos"),
        ("ffpp-c23", "train.json is missing"),
        ("dfdc", "metadata.json"),
        ("celeb-df-official", "List_of"),
    ],
)
def test_folder_of_another_layout_raises_with_the_missing_name(tmp_path: Path, layout: str, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        list_clips(tmp_path, layout)


def test_layout_of_the_current_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "set/real/a.mp4")
    monkeypatch.chdir(tmp_path / "set/real")
    assert [clip.dataset for clip in list_clips(Path(".."), "plain").clips] == ["set"]
    monkeypatch.chdir(tmp_path / "set")
    assert [clip.dataset for clip in list_clips(Path(), "plain").clips] == ["set"]


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../../out", "/etc", "x" * 65])
def test_data_set_that_is_no_folder_name_raises(tmp_path: Path, name: str) -> None:
    listed = tmp_path / "videos.csv"
    listed.write_text(f"path,label,dataset\na.mp4,real,{name}\n")
    with pytest.raises(LayoutError, match="cannot name a data set"):
        list_clips(listed, "csv")


def test_list_of_bad_rows_alone_raises_with_the_first_one(tmp_path: Path) -> None:
    listed = tmp_path / "videos.csv"
    listed.write_text("path,label\na.mp4,REAL\n")
    with pytest.raises(LayoutError, match="Line 2 needs"):
        list_clips(listed, "csv")


def test_names_that_are_no_text_are_listed_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/clip\xff.mts")).touch()
    (clip,) = list_clips(tmp_path, "plain").clips
    assert clip.group == "clip\\xff"


@pytest.mark.parametrize("content", ["[1, 2]", '{"a.mp4": 1}', "null", "not json"])
def test_metadata_of_another_shape_raises_with_its_path(tmp_path: Path, content: str) -> None:
    touch(tmp_path, "part_0/metadata.json")
    (tmp_path / "part_0" / "metadata.json").write_text(content)
    with pytest.raises(LayoutError, match=r"metadata\.json"):
        list_clips(tmp_path, "dfdc")
