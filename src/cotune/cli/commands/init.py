"""``cotune init``: a first study file for the data that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cotune.cli._options import JsonOption, TrustOption


def init(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folder or file of several tasks, or a hub data set; see docs/data.md.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(help="A checkpoint's folder, toy_language (comes with cotune), or a name on the hub."),
    ],
    kind: Annotated[
        str,
        typer.Option(help="What is asked: grouping (which tasks together), retention or transfer."),
    ] = "grouping",
    target: Annotated[
        list[str] | None,
        typer.Option(help="A task that a retention study tunes on, by name or pattern; may be repeated."),
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            help="A task that a transfer study never trains on, by name or pattern; may be repeated."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The study file to write.")] = Path("study.yaml"),
    trust_remote_code: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a study file for data as it is, with comments that say why each line is as it is.

    Reads all tasks, says what each was taken for and what could not be read, and fits limits and budgets to
    them. Never replaces a file.
    """
    from cotune.cli._progress import emit
    from cotune.studies.starting import start_study

    started = start_study(
        data,
        model,
        out,
        kind=kind,
        targets=target or (),
        held_out=held_out or (),
        trusted_revision=trust_remote_code,
    )
    if as_json:
        emit(
            {
                "file": str(started.file),
                "kind": started.kind,
                "apart": list(started.apart),
                "tasks": {task.name: list(task.notes) for task in started.tasks},
                "left_out": started.left_out,
            }
        )
        return
    for line in started.sentences():
        print(line)
