"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

TasksArgument: TypeAlias = Annotated[
    list[Path],
    typer.Argument(
        metavar="TASKS",
        help="Files or folders of data, names of data sets on the hub, or YAML; see docs/data.md.",
    ),
]
ReaderOption: TypeAlias = Annotated[
    str | None, typer.Option(help="How tasks are read, if their content does not tell: a reader's name.")
]
TemplateOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help='"{{ premise }} ||| {{ label }}" (input ||| target), if the fields are not recognised.'
    ),
]
ChoicesOption: TypeAlias = Annotated[
    str | None, typer.Option(help="The closed set of answers, parted by commas.")
]
VerboseOption: TypeAlias = Annotated[
    bool, typer.Option("--verbose", help="List what was cut or dropped task by task.")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
