"""Names of strangers in tables and on terminals: nothing is computed or obeyed, and numbers stay numbers."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune._files import csv_text
from cotune._neutral import VisibleStream, csv_cell, read_cell, visible
from cotune.affinity import read_table

FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", "'=1", "''=1", "\uff1d1", "-x", "+"]
SAFE = ["", "x", "a=1", "'x", "x-1", "1.5", "-1.5", "+2", "-1e-05", "-inf", "nan", "-.5", "±1"]
CONTROL = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "a\rb",
    "a\0",
    "\x9b2J",
    "\u202eevil",
    "\u2066",
    "\ud800",
]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_name_that_begins_as_a_formula_is_a_text_and_is_read_again(name):
    (written,), *_ = csv.reader(io.StringIO(csv_text([name], [])))
    assert written == f"'{name}"
    assert read_cell(written) == name


@pytest.mark.parametrize("name", SAFE)
def test_numbers_and_other_names_stay_as_they_are(name):
    assert csv_cell(name) == name
    assert read_cell(name) == name


def test_numbers_that_are_no_texts_stay_what_they_are():
    assert [csv_cell(value) for value in (-1, -0.5, None, True)] == [-1, -0.5, None, True]


@given(st.text())
def test_every_cell_is_read_as_it_was_but_for_characters_that_nobody_sees(text):
    (row,) = csv.reader(io.StringIO(csv_text([text], [])))
    assert read_cell(row[0] if row else "") == visible(text, one_line=True)
    assert csv_text([text], []).count("\n") == 1


@pytest.mark.parametrize("text", CONTROL)
def test_control_characters_are_seen_and_not_obeyed(text):
    shown = visible(text)
    assert shown.isprintable()
    assert json.loads(f'"{shown}"') == text, "as JSON escapes them"
    assert csv_cell(f"={text}") == f"'={shown}"


@given(st.text())
def test_what_is_shown_holds_nothing_else(text):
    assert all(sign in "\n\t" or not "\0" <= sign < " " for sign in visible(text))
    assert "\n" not in visible(text, one_line=True)
    visible(text).encode()


def test_a_stream_shows_what_it_is_given_in_the_bytes_that_it_has():
    raw = io.BytesIO()
    stream = VisibleStream(io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    print("\x1b[2Jé", file=stream, flush=True)
    assert raw.getvalue() == b"\\u001b[2J\\xe9\n"
    assert stream.encoding == "ascii"
    assert not stream.isatty()


def test_a_table_of_ours_is_read_with_the_names_that_it_was_written_with(tmp_path):
    names = ["=1+1", "-x", "@SUM(A1)", "'=1", "plain, with a comma", "\u202eturned"]
    rows = [[f"{0.5 + 0.01 * (i * j % 7)}" if (i + j) % 3 else "" for j in range(6)] for i in range(12)]
    file = tmp_path / "scores.csv"
    file.write_text(csv_text(names, rows), encoding="utf-8")
    table = read_table(file, kind="score table")
    assert list(table.tasks) == [visible(name, one_line=True) for name in names]
    assert np.nanmin(table.scores) >= 0.5
    negative = tmp_path / "losses.csv"
    negative.write_text(csv_text(["a", "b"], [["-0.5", "-1e-3"], ["-0.25", ""], ["", "-2"]]))
    assert np.nanmin(read_table(negative, kind="score table").scores) == -2
