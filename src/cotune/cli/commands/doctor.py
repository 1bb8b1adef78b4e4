"""``cotune doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cotune.cli._options import JsonOption


def doctor(
    study: Annotated[
        Path,
        typer.Argument(metavar="STUDY", help="A study file (YAML), its folder, or a folder of cotune tune."),
    ],
    folder: Annotated[
        Path | None, typer.Option(help="Where the runs are; by default beside the file, named like it.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what is damaged, missing, left over or not cotune's in a folder, and mend it with --fix.

    What is damaged is taken away, so that the next run does it again, and runs that are whole are saved.
    Nothing that is whole and nothing of others is touched. The status is 1 if something is left to mend.
    """
    from cotune.cli._progress import emit
    from cotune.studies.doctor import examine

    found = examine(study, folder, fix=fix)
    if as_json:
        emit(found.to_dict())
    else:
        for sentence in found.sentences():
            print(sentence)
    if not found.healthy:
        raise typer.Exit(1)
