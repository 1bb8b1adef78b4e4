"""Write docs/first-hour.md: what is typed and what comes out, from five starts, by the commands themselves.

``python tests/demos/first_hour.py`` runs them in an empty folder and writes the page.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cotune.cli.main import main
from cotune.lab.toy_language import toy_tasks

PAGE = Path(__file__).parents[2] / "docs" / "first-hour.md"
MOST = 4
"""Commands from what one has to a result."""

TOP = """# The first hour

What one types, and what comes out, from five starts; none takes more than four commands, and nothing is
fetched. The model is `toy_language`, the miniature one that comes with cotune: it knows the numbers from 0 to
15, `T`, `F` and `>` (all else is `<unk>` to it), and takes a minute where another takes hours. With a model
of your own, a folder or a name on the hub, the commands are the same.

The page is written by `python tests/demos/first_hour.py`, which runs the commands; `make test-demos` sees
that it is what they print.
"""


@dataclass(frozen=True)
class Start:
    """What one has, and what one types."""

    title: str
    text: str
    plant: Callable[[], None]
    commands: tuple[str, ...]
    shows: str = ""


def pairs(name: str, n: int) -> Iterator[tuple[str, str]]:
    """Yield inputs and answers of a toy task."""
    (task,) = toy_tasks([name], train=n)
    yield from ((example.input, example.targets[0]) for example in task["train"])


def natural_instructions() -> None:
    words = {
        "first": "Give the first.",
        "middle": "Give the one between.",
        "rotate_right": "Turn them round.",
    }
    Path("tasks").mkdir()
    for name, definition in words.items():
        numbered = enumerate(pairs(name, 40))
        rows = [{"id": f"{name}-{n}", "input": given, "output": [answer]} for n, (given, answer) in numbered]
        content = {"Definition": [definition], "Categories": ["Toy"], "Instances": rows}
        Path("tasks", f"{name}.json").write_text(json.dumps(content, indent=1))


def alpaca() -> None:
    rows = [{"instruction": "Swap.", "input": i, "output": o} for i, o in pairs("swap_first_two", 60)]
    Path("swap.json").write_text(json.dumps(rows, indent=1))


def chat() -> None:
    lines = []
    for question, answer in pairs("last", 60):
        said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": said}))
    Path("chat.jsonl").write_text("\n".join(lines))


def spreadsheet() -> None:
    with Path("sheet.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["task", "text", "label"])
        for name in ("greater", "odd_first", "even_last"):
            rows.writerows([name, *pair] for pair in pairs(name, 40))


def one_task() -> None:
    for name in ("weighted", "others/max", "others/copy"):
        Path(name).parent.mkdir(exist_ok=True)
        lines = [json.dumps({"input": i, "output": o}) for i, o in pairs(Path(name).name, 60)]
        Path(f"{name}.jsonl").write_text("\n".join(lines))


STARTS = (
    Start(
        "A folder of Natural Instructions",
        "`tasks/` holds three task files, of 40 instances each.",
        natural_instructions,
        (
            "cotune init tasks --model toy_language",
            "cotune preview study.yaml --task first",
            "cotune run study.yaml",
        ),
    ),
    Start(
        "An Alpaca file",
        "`swap.json` holds 60 rows of `instruction`, `input` and `output`: one task.",
        alpaca,
        (
            "cotune preview swap.json --model toy_language",
            "cotune tune swap.json --model toy_language --method lora --steps 60 --out tuned",
            "cotune eval tuned swap.json --shots 0",
        ),
    ),
    Start(
        "A file of conversations",
        "`chat.jsonl` holds 60 conversations under `messages`.",
        chat,
        (
            "cotune preview chat.jsonl --model toy_language",
            "cotune tune chat.jsonl --model toy_language --method lora --steps 60 --out tuned",
        ),
    ),
    Start(
        "A spreadsheet's CSV",
        "`sheet.csv` is what a spreadsheet saved: semicolons, and columns `task`, `text` and `label`.",
        spreadsheet,
        (
            "cotune init sheet.csv --model toy_language",
            "cotune run study.yaml",
            "cotune group study/affinity.csv",
        ),
    ),
    Start(
        "A model and one task",
        "`weighted.jsonl` is to be learned; what the model does in context, such as `others/`, is to stay.",
        one_task,
        (
            "cotune tune weighted.jsonl --model toy_language --method promot --weights lora --steps 60 "
            "--prompt-length 10 --prompt-steps 60 --prompt-learning-rate 0.05 --eval others --shots 4 "
            "--draws 1 --out kept",
            "cotune eval kept others --shots 4 --draws 1",
        ),
    ),
)


def transcript(start: Start, home: Path) -> list[tuple[str, str]]:
    """Run the commands of a start in a folder; return each with what it printed."""
    before = Path.cwd()
    os.chdir(home)
    try:
        start.plant()
        return [(command, _printed(command, home)) for command in start.commands]
    finally:
        os.chdir(before)


def _printed(command: str, home: Path) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as error:
        status = main(shlex.split(command)[1:])
    assert status == 0, f"{command}: {error.getvalue()}"
    text = out.getvalue().replace(f"{home.resolve()}{os.sep}", "")
    return "\n".join(line.rstrip() for line in text.splitlines())


def write_page(runs: dict[str, list[tuple[str, str]]]) -> str:
    """Return the page."""
    parts = [TOP]
    for start in STARTS:
        parts.append(f"## {start.title}\n\n{start.text}\n")
        for command, printed in runs[start.title]:
            parts.append(f"```console\n$ {command}\n{printed}\n```\n")
    return "\n".join(parts)


def make_page() -> str:
    """Run all starts, each in an empty folder."""
    runs = {}
    for start in STARTS:
        with tempfile.TemporaryDirectory() as home:
            runs[start.title] = transcript(start, Path(home).resolve())
    return write_page(runs)


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
