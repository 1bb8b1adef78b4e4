"""The cells of a file, whatever its encoding and separators."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from cotune._neutral import read_cell
from cotune.affinity.tables._numbers import is_missing, looks_numeric
from cotune.exceptions import InputError

LARGEST_BYTES = 500_000_000
"""Files beyond this are refused: a score table is read into memory."""

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_NOT_TABLES = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save the sheet as CSV",
    b"PK\x03\x04": "an Excel workbook or another zip file; save the sheet as CSV",
    b"\x93NUMPY": "a NumPy array; pass it to cotune.group in Python, or save it as CSV with task names",
    b"\x1f\x8b": "compressed; unpack it first",
    b"%PDF": "a PDF; save the table as CSV",
}
_LINES_TO_TELL = 100
"""Lines from which separators are told."""


@dataclass
class Sheet:
    """The cells of a file with their line numbers.

    Parameters
    ----------
    path : str
        Of the file, for errors.
    header : list of str
        Names of the columns, without spaces around.
    rows : list of list of str
        As many cells as the header has names.
    lines : list of int
        Line of every row.
    notes : list of str
        What was taken or passed over, a sentence each.
    """

    path: str
    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    notes: list[str] = field(default_factory=list)

    def column(self, at: int) -> list[str]:
        """Return the cells of a column."""
        return [row[at] for row in self.rows]


def read_sheet(path: Path) -> Sheet:
    """Read a file into cells.

    Raises
    ------
    InputError
        If it cannot be read, or holds no rows of one length under a header.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{path} is larger than {LARGEST_BYTES // 10**6} MB, too large for a table.")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"The file {path} cannot be read ({error.strerror}).") from error
    for begin, what in _NOT_TABLES.items():
        if content.startswith(begin):
            raise InputError(f"{path} is {what}.")
    if content.startswith(b"PAR1"):
        return _parquet(path)
    text, encoding = _decoded(content, path)
    sheet = _parsed(text, str(path))
    if encoding:
        sheet.notes.insert(0, f"read as {encoding}")
    return sheet


def _decoded(content: bytes, path: Path) -> tuple[str, str]:
    """Return the text, and the encoding where it is not UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _strict(content, "utf-16", path), "UTF-16"
    zeros = content[:1000].count(0)
    if zeros > len(content[:1000]) // 4:  # UTF-16 without a mark: every second byte of Latin letters is 0
        return _strict(content, "utf-16-le" if content[1:2] == b"\0" else "utf-16-be", path), "UTF-16"
    if zeros:
        raise InputError(f"{path} is no text; a table is CSV, TSV or Parquet.")
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "Latin-1, for it is not UTF-8"


def _strict(content: bytes, encoding: str, path: Path) -> str:
    try:
        return content.decode(encoding).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    except UnicodeDecodeError:
        raise InputError(f"{path} begins as UTF-16 text and is not.") from None


def _parsed(text: str, path: str) -> Sheet:
    if text.lstrip()[:1] in ("{", "["):
        raise InputError(f"{path} is JSON; a table is CSV, TSV or Parquet.")
    numbered = [(n, line) for n, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1) if line.strip()]
    separator = None
    if numbered and (found := re.match(r"sep=(.)$", numbered[0][1].strip())):
        separator, numbered = found[1], numbered[1:]
    comments, numbered = _comments(numbered)
    separator = separator or _separator([line for _, line in numbered])
    rows = [(n, cells) for n, cells in _cells(numbered, separator) if any(cells)]
    notes = []
    if comments:
        last = _cells(comments[-1:], separator)[0]
        names = [last[1][0].lstrip("# "), *last[1][1:]]
        if rows and len(names) == len(rows[0][1]) > 1 and all(map(_no_name, rows[0][1])):
            rows.insert(0, (last[0], names))
            comments = comments[:-1]
        notes += [f"passed over: {_counted(len(comments), 'comment line')}"] if comments else []
    rows, titles = _without_titles(rows)
    if titles:
        notes.append(f"passed over above the header: '{titles[0]}'")
    if len(rows) < 2:
        raise InputError(f"{path} holds no rows under a header of task names.")
    return _regular(path, rows, notes)


def _comments(
    numbered: list[tuple[int, str]],
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Part lines that begin with # from the others; #N/A is a cell."""
    comments = [
        (n, line)
        for n, line in numbered
        if line.lstrip().startswith("#") and not re.match(r"\s*#(n/a|na\b|div|value|ref|num)", line.lower())
    ]
    taken = {n for n, _ in comments}
    return comments, [(n, line) for n, line in numbered if n not in taken]


def _separator(lines: list[str]) -> str:
    """Return what parts most lines into equally many cells, and if several do, into the most; or spaces."""
    best, found = (0.0, 1), ","
    for separator in _SEPARATORS:
        lengths = [len(row) for row in csv.reader(lines[:_LINES_TO_TELL], delimiter=separator)]
        common = Counter(lengths).most_common(1)[0] if lengths else (1, 0)
        several = [length for length in lengths if length > 1]
        if not several:
            continue
        length = Counter(several).most_common(1)[0][0]
        share = lengths.count(length) / len(lengths)
        if (share, length) > best and common:
            best, found = (share, length), separator
    return found if best[0] else " "


def _cells(numbered: list[tuple[int, str]], separator: str) -> list[tuple[int, list[str]]]:
    lines = [line for _, line in numbered]
    if separator == " ":
        lines = [re.sub(r"\s+", " ", line.strip()) for line in lines]
    if separator == "|":
        lines = [line.strip().strip("|") if line.strip().startswith("|") else line for line in lines]
    result = []
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    for row in reader:
        cells = [read_cell(cell.strip()) for cell in row]
        if not all(re.fullmatch(r":?-{3,}:?", cell) for cell in cells):  # the rule of a Markdown table
            result.append((numbered[min(reader.line_num, len(numbered)) - 1][0], cells))
    return result


def _without_titles(
    rows: list[tuple[int, list[str]]],
) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """Leave out lines above the header that hold one text alone where most have several cells."""
    width = Counter(sum(1 for cell in cells if cell) for _, cells in rows).most_common(1)
    titles = []
    while len(rows) > 2 and width[0][0] > 1 and sum(1 for cell in rows[0][1] if cell) == 1:
        titles.append(next(cell for cell in rows[0][1] if cell))
        rows = rows[1:]
    return rows, titles


def _regular(path: str, rows: list[tuple[int, list[str]]], notes: list[str]) -> Sheet:
    (line, header), *body = rows
    lengths = {len(cells) for _, cells in body}
    if lengths == {len(header) + 1}:
        if all(not cells[-1] for _, cells in body):  # a separator at the end of every line but the header's
            body = [(n, cells[:-1]) for n, cells in body]
        else:  # row names without a name of their own, as R writes them
            header = ["", *header]
    for number, cells in body:
        if len(cells) != len(header):
            raise InputError(f"{path}, line {number}: {len(cells)} cells under a header of {len(header)}.")
    header, body = _one_header(header, body)
    if not body:
        raise InputError(f"{path} holds no rows under a header of task names.")
    if len(header) > 1 and all(looks_numeric(cell) for cell in header):
        raise InputError(f"{path}, line {line}: the first line must name the tasks, and holds numbers.")
    keep = [at for at, name in enumerate(header) if name or any(cells[at] for _, cells in body)]
    return Sheet(
        path,
        [header[at] for at in keep],
        [[cells[at] for at in keep] for _, cells in body],
        [number for number, _ in body],
        notes,
    )


def _one_header(
    header: list[str], body: list[tuple[int, list[str]]]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Join the two lines of names that pandas writes over columns of two levels, such as a task and mean."""
    if len(set(header)) == len(header) or not body:
        return header, body
    second = body[0][1]
    named = [bool(cell) and not looks_numeric(cell) and not is_missing(cell) for cell in second]
    filled = [at for at, cell in enumerate(second) if cell]
    if len(filled) < 2 or not all(named[at] for at in filled):
        return header, body
    joined = [f"{a}/{b}" if a and b else a or b for a, b in zip(header, second, strict=True)]
    body = body[1:]
    if body and sum(1 for cell in body[0][1] if cell) == 1 and body[0][1][0]:  # the name of the index
        joined[0], body = body[0][1][0], body[1:]
    return joined, body


def _no_name(cell: str) -> bool:
    return looks_numeric(cell) or is_missing(cell)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _parquet(path: Path) -> Sheet:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"{path} is a Parquet file, which needs pyarrow: pip install 'cotune[models]', or save it as CSV."
        ) from None
    try:
        table = parquet.read_table(io.BytesIO(path.read_bytes()))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file ({str(error).splitlines()[0]}).") from None
    columns = [
        ["" if value is None else _text(value) for value in column.to_pylist()] for column in table.columns
    ]
    header = [
        "" if re.fullmatch(r"__index_level_\d+__", name) else name.strip() for name in table.column_names
    ]
    if not header or not table.num_rows:
        raise InputError(f"{path} holds no rows under a header of task names.")
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    return Sheet(str(path), header, rows, list(range(1, len(rows) + 1)), ["read as Parquet"])


def _text(value: object) -> str:
    if isinstance(value, list):
        return "+".join(str(item) for item in value)
    if isinstance(value, float):
        return "" if value != value else repr(value)
    return str(value).strip()
