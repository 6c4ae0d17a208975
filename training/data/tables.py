"""Reading of CSV tables as spreadsheets write them."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.errors import TrainingError


class TableError(TrainingError):
    """The table cannot be read; the message names the line or the encoding."""


def read_table(path: Path, required: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells of each row. A missing cell is an empty text.

    Args:
        path: Table with a header, in UTF-8 with or without a byte order mark.
        required: Columns that the table must have.

    Raises:
        TableError: The table cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            columns = reader.fieldnames or []
            if missing := [name for name in required if name not in columns]:
                found = ", ".join(map(repr, columns)) or "none"
                raise TableError(
                    f"{path}, line 1: column {missing[0]!r} is missing. The columns are {found}. "
                    "Write them in the first line, separated by commas."
                )
            for cells in reader:
                cells.pop(None, None)  # cells without a column
                yield reader.line_num, cells
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not in UTF-8. Save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise TableError(f"{path} is not a CSV table: {error}. Save it as CSV in UTF-8.") from error
