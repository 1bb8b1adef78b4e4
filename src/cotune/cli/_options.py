"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

HELP = {"help_option_names": ["-h", "--help"]}
"""Of commands that have others below them, which take it from there."""


def show_help(context: typer.Context) -> None:
    """Print the help of a command that was asked for without one of those below it."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


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
FormatOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="How tasks are put to the model: plain (one text), chat (turns, by the tokenizer's template) or "
        "auto (chat, if the model is tuned on it)."
    ),
]
TrustOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="REVISION",
        help="Run code that comes with the model, which may do all that you can: that of a commit (40 "
        "hexadecimal digits), or of a folder whose Python files have this hash.",
    ),
]
VerboseOption: TypeAlias = Annotated[
    bool, typer.Option("--verbose", help="List what was cut or dropped task by task.")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
