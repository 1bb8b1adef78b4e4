"""``cotune eval``: what a model from disk or the hub can do in context."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cotune.cli._options import (
    ChoicesOption,
    FormatOption,
    JsonOption,
    ReaderOption,
    TasksArgument,
    TemplateOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from cotune.studies.evaluating import Evaluation


class WithPrompt(StrEnum):
    """The tasks that a soft prompt may stand before."""

    TARGET = "target"
    ALL = "all"
    NONE = "none"


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder of a checkpoint, of a PEFT adapter or of cotune tune, or a name on the hub.",
        ),
    ],
    tasks: TasksArgument,
    shots: Annotated[str, typer.Option(help="Numbers of demonstrations in a prompt.")] = "0,1,4",
    draws: Annotated[int, typer.Option(help="How often the demonstrations are drawn.")] = 3,
    base: Annotated[
        str | None, typer.Option("--model", help="The base of an adapter, if not the one that it names.")
    ] = None,
    with_prompt: Annotated[
        WithPrompt,
        typer.Option(help="Tasks a soft prompt stands before: that which it was trained on, all, or none."),
    ] = WithPrompt.TARGET,
    max_examples: Annotated[
        int | None, typer.Option(help="The most test examples of a task; 64, or what a YAML file says.")
    ] = None,
    template: TemplateOption = None,
    choices: ChoicesOption = None,
    reader: ReaderOption = None,
    format: FormatOption = None,
    seed: Annotated[int, typer.Option(help="Of the demonstrations; the splits stay.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Anything else: num_beams=4, classification=likelihood, split=validation, precision=fp32, "
            "max_prompt_tokens=1024, task.metric=exact_match. May be repeated.",
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table as CSV, with all digits.")] = None,
    save_answers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every answer as JSON lines; --json has them, too."),
    ] = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model on tasks in context."""
    from functools import partial

    import cotune
    from cotune._files import write_text
    from cotune.cli._progress import emit
    from cotune.cli._settings import given, nested, numbers, words
    from cotune.cli._work import show_work
    from cotune.studies.engine import tell_notes
    from cotune.studies.task_files import merged, read_tasks

    options = merged(
        {"shots": numbers(shots, "--shots"), "draws": draws, "with_prompt": with_prompt.value, "seed": seed}
        | given({"format": format}),
        nested(settings or []),
    )
    of_table = given({"template": template, "choices": choices and words(choices)})
    of_task = options.pop("task", {})
    if max_examples is not None:
        of_task = merged({"max_examples": {options.get("split", "test"): max_examples}}, of_task)
    found = [
        task
        for path in tasks
        for task in read_tasks(path, reader=reader, options=of_task, table_options=of_table)
    ]
    with show_work(verbose=verbose) as work:
        tell_notes(work, {task.name: task.notes for task in found})
        progress = partial(work.advance, "in context")
        evaluation = cotune.evaluate(model, found, base=base, progress=progress, note=work.note, **options)
    if csv is not None:
        write_text(csv, evaluation.csv())
    if save_answers is not None:
        write_text(save_answers, evaluation.answer_lines())
    if as_json:
        emit(evaluation.to_dict())
    else:
        _print(evaluation)


def _print(evaluation: Evaluation) -> None:
    """Print a table with a row for every task and a column for every number of shots."""
    from cotune.cli._table import print_table
    from cotune.studies.evaluating import format_mean

    cells = {(row.task, row.shots): format_mean(row) for row in evaluation.rows}
    tasks = {row.task: row for row in evaluation.rows}
    shots = list(dict.fromkeys(row.shots for row in evaluation.rows))
    rows = [
        (
            f"{name}, under the prompt" if name in evaluation.prompted else name,
            row.metric,
            str(row.n_examples),
            *(cells[name, k] for k in shots),
        )
        for name, row in tasks.items()
    ]
    if len(tasks) > 1 and evaluation.averages:
        means = {average.shots: format_mean(average) for average in evaluation.averages}
        rows.append(("average", "", "", *(means[k] for k in shots)))
    print_table(("task", "metric", "examples", *(f"{k}-shot" for k in shots)), rows)
    draws = max(row.n_draws for row in evaluation.rows)
    if draws > 1:
        print(f"± standard error over {draws} draws of the demonstrations; without any there is one draw.")
    for note in evaluation.notes:
        print(note)
