"""CSV as spreadsheets write and read it: encodings, delimiters, line numbers, and cells that must not become formulas.

A cell that begins like a formula gets an apostrophe in front when it is written, and loses it when it is read; so
does one that begins with an apostrophe, hence whatever is written is read back the same.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from maitred.errors import ImportRefused

LARGEST_FILE = 20_000_000
MOST_ROWS = 100_000
_LONGEST_CELL = 10_000
_DELIMITERS = (",", ";", "\t")
_OTHER_ENCODINGS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"), (b"\x00\x00\xfe\xff", "UTF-32"))
# what spreadsheets take for the beginning of a formula, in their full-width forms too
_ACTIVE = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20'")


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row by column; `line` is the line of the file on which it begins, also after cells with line breaks."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a file. `line` None: with the file as a whole."""

    line: int | None
    column: str
    problem: str


def safe_cell(text: str) -> str:
    """The cell as it is written."""
    return f"'{text}" if text and text[0] in _ACTIVE else text


def plain_cell(text: str) -> str:
    """The cell as it was meant."""
    return text[1:] if len(text) > 1 and text[0] == "'" and text[1] in _ACTIVE else text


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The file's text: commas, CRLF, quotes where they are needed."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([safe_cell(cell) for cell in row])
    return out.getvalue()


def read_csv(content: bytes, needed: Collection[str], known: Collection[str]) -> tuple[list[CsvRow], list[Problem]]:
    """The rows, and what is wrong with single ones. Columns may come in any order; case doesn't count in their names.

    Raises ImportRefused for what makes the file unreadable as a whole: its encoding, its size, its columns.
    """
    text = _decoded(content)
    delimiter = _delimiter(text, known)
    rows: list[CsvRow] = []
    problems: list[Problem] = []
    records = _records(text, delimiter)
    first = next(records, None)
    if first is None:
        raise ImportRefused([(None, "file", "is empty")])
    columns = _columns(first, needed, known)
    for line, record in records:
        if len(rows) == MOST_ROWS:
            raise ImportRefused([(line, "file", f"has more than {MOST_ROWS:,} rows")])
        if not any(record):
            continue
        if len(record) != len(columns):
            problems.append(Problem(line, "row", f"has {len(record)} cells, the header has {len(columns)}"))
            continue
        cells = dict(zip(columns, (plain_cell(cell) for cell in record), strict=True))
        bad = next((column for column, cell in cells.items() if _unfit(cell)), None)
        if bad is not None:
            problems.append(Problem(line, bad, "has control characters, or is too long"))
            continue
        rows.append(CsvRow(line, cells))
    return rows, problems


def _decoded(content: bytes) -> str:
    if len(content) > LARGEST_FILE:
        raise ImportRefused([(None, "file", f"is above {LARGEST_FILE // 1_000_000} MB")])
    for mark, name in _OTHER_ENCODINGS:
        if content.startswith(mark):
            raise ImportRefused([(None, "encoding", f"is {name}: save it as UTF-8")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ImportRefused([(line, "encoding", "is not UTF-8: save it as CSV UTF-8")]) from None


def _delimiter(text: str, known: Collection[str]) -> str:
    """The one of comma, semicolon and tab by which the first line has most of the known columns."""
    header = text.split("\n", 1)[0][: 10 * _LONGEST_CELL]

    def found(delimiter: str) -> int:
        return sum(cell.strip().strip('"').casefold() in known for cell in header.rstrip("\r").split(delimiter))

    return max(_DELIMITERS, key=found)


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ImportRefused([(line, "row", f"is not CSV: {error}")]) from None
        yield line, record


def _columns(first: tuple[int, list[str]], needed: Collection[str], known: Collection[str]) -> list[str]:
    line, header = first
    columns = [cell.strip().casefold() for cell in header]
    problems = [(line, column, "is missing") for column in needed if column not in columns]
    for place, column in enumerate(columns):
        shown = column if column.isprintable() and len(column) <= 60 else "column"
        if column not in known:
            problems.append((line, shown, f"unknown column; there are {', '.join(sorted(known))}"))
        elif column in columns[:place]:
            problems.append((line, shown, "comes twice"))
    if problems:
        raise ImportRefused(problems[:20])
    return columns


def _unfit(cell: str) -> bool:
    return len(cell) > _LONGEST_CELL or any(each < " " and each not in "\n\r\t" for each in cell)
