"""``cotune preview``: what a model will see, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cotune.cli._options import ChoicesOption, FormatOption, JsonOption, ReaderOption, TemplateOption


def preview(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY|FILE",
            help="A study file (YAML) or a study's folder; or data, as cotune tune takes it, with --model.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Whose tokens to show: a checkpoint's folder or a hub name; not of a study."),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="NAME", help="A task to show, or a pattern. May be repeated."),
    ] = None,
    examples: Annotated[int, typer.Option(min=1, help="Training examples of each task.")] = 1,
    shots: Annotated[str, typer.Option(help="Numbers of demonstrations of the prompts asked.")] = "0",
    html: Annotated[Path | None, typer.Option(help="Write all of it as a page.")] = None,
    template: TemplateOption = None,
    choices: ChoicesOption = None,
    reader: ReaderOption = None,
    format: FormatOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Anything else of data: max_prompt_tokens=1024, classification=generation, "
            "task.metric=exact_match. May be repeated.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model will see: exact prompts, their tokens, and which of them carry loss.

    Says of every task what it was read as, how it is scored and why, what is cut or dropped, and which right
    answers could not score 1. Loads the tokenizer, no weights, and writes nothing but what is asked for.
    """
    import cotune
    from cotune.cli._progress import emit
    from cotune.cli._settings import given, nested, numbers, words
    from cotune.exceptions import InputError
    from cotune.report import write_report
    from cotune.studies.task_files import read_tasks

    of_data = {"template": template, "choices": choices, "reader": reader, "set": settings or None}
    of_data |= {"format": format}
    patterns = task or ["*"]
    if model is None:
        for option, value in {**of_data, "shots": None if shots == "0" else shots}.items():
            if value is not None:
                raise InputError(f"--{option} is of data with --model; a study's file says it itself.")
        found = cotune.preview(source, tasks=patterns, examples=examples)
    else:
        options = given({"format": format}) | nested(settings or [])
        tasks = read_tasks(
            source,
            reader=reader,
            options=options.pop("task", {}),
            table_options=given({"template": template, "choices": choices and words(choices)}),
        )
        found = cotune.preview(
            tasks,
            model,
            title=source.name,
            tasks=patterns,
            examples=examples,
            shots=numbers(shots, "--shots"),
            **options,
        )
    if html is not None:
        write_report(found, html)
    if as_json:
        emit(found.to_dict())
        return
    for line in found.sentences():
        print(line)
    if html is not None:
        print(f"page: {html}")
