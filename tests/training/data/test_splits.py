"""Splits of a manifest."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.training import make_row
from training.data.splits import divide_val, find_split_leaks, hold_out, keep_data_sets


def test_person_or_group_in_two_splits_is_found() -> None:
    rows = [
        make_row("a", split="train", person="p"),
        make_row("b", split="val", person="p"),
        make_row("c", group="a", split="test"),
    ]
    assert find_split_leaks(rows) == ["group a: test, train", "person p: train, val"]
    assert find_split_leaks([make_row("a", split="unused", group="g"), make_row("b", group="g")]) == []


families = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 12), st.sampled_from(["d", "e"]), st.integers(0, 1)), min_size=1
)


@given(families)
def test_divide_val_keeps_groups_and_persons_together(drawn: list[tuple[int, int, str, int]]) -> None:
    rows = [
        make_row(str(index), group=f"g{group}", person=f"p{person}" if person else "", dataset=dataset, label=label)
        for index, (group, person, dataset, label) in enumerate(drawn)
    ]
    parts = divide_val(rows)
    for row in rows:
        partners = {parts[other.group] for other in rows if row.person and other.person == row.person}
        assert partners <= {parts[row.group]}


def test_divide_val_gives_two_quarters_and_a_half() -> None:
    rows = [make_row(f"{label}-{index}", label=label) for label in (0, 1) for index in range(100)]
    parts = divide_val(rows)
    for label in (0, 1):
        counts = [
            sum(parts[f"{label}-{index}"] == part for index in range(100))
            for part in ("early_stopping", "calibrate", "report")
        ]
        assert counts == [25, 25, 50]


def test_hold_out_moves_whole_people_reproducibly() -> None:
    rows = [
        make_row(f"{person}-{index}", split="train", person=f"p{person}") for person in range(9) for index in range(3)
    ]
    held = {row.person for row in hold_out(rows, {"d": 4}) if row.split == "test"}
    assert len(held) == 4
    assert held == {row.person for row in hold_out(reversed(rows), {"d": 4}) if row.split == "test"}
    assert all(row.split == "train" for row in hold_out(rows, {"other": 4}))


def test_keep_data_sets_excludes_names_and_patterns() -> None:
    rows = [make_row(f"{dataset}-{index}", dataset=dataset) for dataset in ("a", "b") for index in range(3)]
    assert {row.dataset for row in keep_data_sets(rows, without=["a"])} == {"b"}
    assert keep_data_sets(rows, without=["*"]) == []
