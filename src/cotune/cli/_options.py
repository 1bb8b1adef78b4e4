"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

TasksArgument: TypeAlias = Annotated[
    list[Path],
    typer.Argument(
        metavar="TASKS",
        help="Task files or folders: JSON lines, Natural Instructions, instruction induction, or YAML.",
    ),
]
ReaderOption: TypeAlias = Annotated[
    str | None, typer.Option(help="How tasks are read, if their content does not tell: a reader's name.")
]
TemplateOption: TypeAlias = Annotated[
    str | None, typer.Option(help='Of JSON lines: "{{ premise }} ||| {{ label }}" (input ||| target).')
]
ChoicesOption: TypeAlias = Annotated[
    str | None, typer.Option(help="The answers of tasks of JSON lines, parted by commas.")
]
VerboseOption: TypeAlias = Annotated[
    bool, typer.Option("--verbose", help="List what was cut or dropped task by task.")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
