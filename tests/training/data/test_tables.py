"""CSV tables as spreadsheets write them."""

from pathlib import Path

import pytest

from training.data.tables import TableError, read_table


def test_byte_order_mark_and_carriage_returns_are_read(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"\xef\xbb\xbfpath,label\r\na.mp4,real\r\nb.mp4\r\n")
    rows = [(2, {"path": "a.mp4", "label": "real"}), (3, {"path": "b.mp4", "label": ""})]
    assert list(read_table(path, required=("path", "label"))) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\na,real\n".encode("utf-16"), "not in UTF-8"),
        ("path,label\ngrö,real\n".encode("latin-1"), "not in UTF-8"),
        (b"path;label\na;real\n", "line 1: column 'path' is missing"),
        (b"", "The columns are none"),
        (None, "cannot be read"),
    ],
)
def test_unusable_table_raises_with_the_cause(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "list.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TableError, match=message):
        list(read_table(path, required=("path", "label")))
