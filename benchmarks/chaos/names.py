"""Hostile names of tasks, labels, arms, columns, studies and files: none leaves its folder, none is executed.

Ten at a time go through ``cotune group`` (columns), ``cotune run`` (the study and its arms) and ``cotune
preview`` (tasks, instructions, answers and files); then what was written and printed is looked at.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import yaml

from chaos.part import Outcome, Part, Setup, in_forks
from chaos.works import load
from cotune._neutral import read_cell, visible
from cotune.lab.toy_language import TOY_CHECKPOINT

_AT_ONCE = 10
_ENDS = {0: "batches of ten taken", 2: "batches refused in a sentence"}
"""What a command may end with, by status."""
_HARM = "harmed"
"""The file that whatever is executed makes, beside the folder that is worked in."""

PIECES = [
    *(
        "..",
        "../..",
        "../../../tmp",
        "/etc/passwd",
        "~",
        "~/x",
        "a/b",
        "a\\b",
        "C:\\x",
        "\\\\host\\x",
        "%2e%2e%2f",
        ".",
    ),
    *(
        "CON",
        "nul.txt",
        "aux",
        "com1",
        "x.",
        "x ",
        " x",
        "-rf",
        "--help",
        "-",
        "_",
        "x" * 300,
        "é" * 200,
        "名前",
    ),
    *(
        "a\0b",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "\x07",
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\x9b2J",
        "\x7f",
        "\x08",
    ),
    *(
        "\u202eevil",
        "\u2066x\u2069",
        "\u200fx",
        "\ufeff",
        "\u2028",
        "e\u0301",
        "\U000e0041",
        "🙂",
        "\ud800",
        "\udcff",
    ),
    *(
        "=1+1",
        "+1",
        "-1+1",
        "@SUM(A1)",
        '=HYPERLINK("http://x")',
        "'=1",
        "\uff1d1",
        "=cmd|' /C calc'!A0",
        "-1",
        "1e5",
    ),
    *(
        "<b>",
        "</td>",
        "<script>document.title='harmed'</script>",
        '"><img src=x onerror=alert(1)>',
        "' onload='x",
        "]]>",
    ),
    *(
        "</style><style>*{display:none}",
        "</title><h1>x",
        "<!--",
        "-->",
        "&lt;b&gt;",
        "&#x3c;b>",
        "javascript:x",
        "</svg>",
    ),
    *(
        "{{ 7*7 }}",
        "{% for a in range(99999) %}x{% endfor %}",
        "{{ cycler.__init__.__globals__.os.mkdir('harmed') }}",
    ),
    *(
        "$(touch harmed)",
        "`touch harmed`",
        "; touch harmed",
        "| touch harmed",
        "%s%n",
        "{0.__class__}",
        "__import__('os')",
    ),
    *(
        "[red]",
        "[/]",
        "[link=x]",
        "*x*",
        "[x](javascript:y)",
        "# x",
        "| x |",
        "`x`",
        "---",
        "'; drop table runs; --",
        '"',
        ",",
    ),
    *("", " ", "true", "null", "nan", "inf", "1", "0", "task", "run", "score", "mean", "seed"),
]


def names_of(draw: random.Random, number: int) -> list[str]:
    """Return names of one to three pieces, no two the same."""
    found: dict[str, None] = {}
    while len(found) < number:
        found[draw.choice(["", " ", "_", "/"]).join(draw.choices(PIECES, k=draw.choice((1, 1, 2, 3))))] = None
    return list(found)


class _Tags(HTMLParser):
    """Takes down what a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "form", "base", "link", "img", "b"):
            self.found.append(tag if tag != "b" or attrs else "")
        for name, value in attrs:
            if name.startswith("on") or (value or "").strip().lower().startswith(("javascript:", "http")):
                self.found.append(f"{tag} {name}={value!r}")


def hostile_names(cases: int, setup: Setup) -> Outcome:
    """Put so many names through the commands, ten at a time."""
    draw = random.Random(f"names {setup.seed}")
    every = names_of(draw, cases)
    batches = [(setup.folder / str(at), every[at : at + _AT_ONCE]) for at in range(0, len(every), _AT_ONCE)]
    load()
    return in_forks(_batch, batches, setup.processes)


def _batch(batch: tuple[Path, list[str]]) -> Outcome:
    home, names = batch
    folder = home / "a" / "b" / "work"
    folder.mkdir(parents=True)
    (home / "canary").write_text("kept")
    os.chdir(folder)
    outcome = Outcome(Counter({"names": len(names)}))
    for do in (_columns, _arms, _tasks):
        status, said = do(folder, names)
        outcome.counts[_ENDS.get(status, "ended otherwise")] += 1
        if status not in _ENDS:
            outcome.failures.append(f"{do.__name__} of {names}: status {status}: {said[-300:]}")
        if re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said):
            outcome.counts["obeyed"] += 1
            outcome.failures.append(
                f"{do.__name__} of {names}: control characters on the terminal: {said[:300]!r}"
            )
    for what, fault in _looked_at(home, folder, names):
        outcome.counts[what] += 1
        outcome.failures.append(f"{names}: {what}: {fault}")
    return outcome


def _command(*arguments: object) -> tuple[int, str]:
    from cotune.cli.main import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main([str(argument) for argument in arguments])
    return status, said.getvalue()


def _columns(folder: Path, names: Sequence[str]) -> tuple[int, str]:
    """Group a table whose columns have the names."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    kept = {name.encode(errors="replace").decode(): None for name in names if name.strip()}
    scores = {name: rng.normal(0.5, 0.1, 24).round(4).tolist() for name in kept}
    for at, column in enumerate(scores.values()):
        column[at::6] = [None] * len(column[at::6])
    parquet.write_table(pa.table(scores), folder / "table.parquet")
    tasks = [part for name in scores for part in ("--task", name) if "\0" not in name]
    return _command(
        "group",
        "table.parquet",
        "--kind",
        "score table",
        *tasks,
        "--missing",
        "complete",
        "-k",
        2,
        "--resamples",
        0,
        "--out",
        "columns.csv",
        "--report",
        "columns.html",
    )


def _arms(folder: Path, names: Sequence[str]) -> tuple[int, str]:
    """Run a study that has the name of one, and arms that have those of others."""
    labels = [name for name in names if name.strip()][:3]
    study = {
        "name": names[0],
        "learner": {"kind": "planted", "tasks": 4, "groups": 2, "noise": 0.1},
        "affinity": {"estimator": "higher_order", "subset_size": 2, "subsets": 6},
        "comparison": {
            "budgets": [2],
            "seeds": 1,
            "arms": ["grouped", "joint", *({"name": "random", "label": label} for label in labels)],
        },
        "executor": {"workers": 0},
    }
    text = yaml.safe_dump(study, allow_unicode=True, sort_keys=False)
    (folder / "study.yaml").write_bytes(text.encode(errors="surrogatepass"))
    return _command("run", "study.yaml")


def _tasks(folder: Path, names: Sequence[str]) -> tuple[int, str]:
    """Preview tasks, and files, that have the names, with instructions and answers of the same sort."""
    place = folder / "tasks"
    place.mkdir()
    # Half a character is refused wherever it stands; the answers are words that the miniature model knows.
    rows = [
        {"task": name, "instruction": name, "input": f"{name} {n}", "output": str(n)}
        for name in names
        if name == name.encode(errors="replace").decode()
        for n in range(1, 4)
    ]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in names:
        with contextlib.suppress(OSError, ValueError):  # names that no file can have
            if "/" not in name:
                lines = [json.dumps({"input": f"in {n}", "output": str(n)}) + "\n" for n in range(1, 5)]
                (place / f"{name}~.jsonl").write_text("".join(lines))
    return _command("preview", "tasks", "--model", TOY_CHECKPOINT, "--html", "tasks.html")


def _looked_at(home: Path, folder: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what the commands did that they must not."""
    outside = {
        path.relative_to(home).as_posix() for path in home.rglob("*") if not path.is_relative_to(folder)
    }
    if outside != {"canary", "a", "a/b"} or (home / "canary").read_text() != "kept":
        yield "escaped", f"beside the folder there is {sorted(outside)}"
    if list(home.rglob(_HARM)):
        yield "executed", "a command"
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        tags = [tag for tag in _Tags(text).found if tag]
        if tags:
            yield "executed", f"{page.name} has {tags[:3]}"
        if "{{ 7*7 }}" in "".join(names) and re.search(r">\s*49\s*<", text) and "49" not in "".join(names):
            yield "executed", f"a template in {page.name}"
        if re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text):
            yield "obeyed", f"control characters in {page.name}"
    for table in folder.rglob("*.csv"):
        cells = [cell for row in csv.reader(io.StringIO(table.read_text(encoding="utf-8"))) for cell in row]
        number = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
        formulas = [
            cell for cell in cells if cell[:1] in tuple("=+-@\t\r") and cell and not number.fullmatch(cell)
        ]
        if formulas:
            yield "executed", f"{table.name} holds the formula {formulas[0]!r}"
    table = folder / "columns.csv"
    if table.is_file():
        written = {read_cell(row[0]) for row in list(csv.reader(io.StringIO(table.read_text())))[1:] if row}
        wanted = {visible(name.encode(errors="replace").decode().strip(), one_line=True) for name in names}
        if not written <= wanted:
            yield "read otherwise", f"{sorted(written - wanted)[:2]}"


PART = Part(
    "names",
    "hostile names of tasks, arms, columns and files",
    500,
    30,
    hostile_names,
    ("names",),
    ("escaped", "executed", "obeyed", "read otherwise", "ended otherwise"),
)
