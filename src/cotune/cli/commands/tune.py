"""``cotune tune``: one task, one model, one method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cotune.cli._interrupt import keep
from cotune.cli._options import (
    ChoicesOption,
    FormatOption,
    JsonOption,
    ReaderOption,
    TemplateOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from cotune.studies.tuning import TuneResult

TaskOption = Annotated[
    list[Path] | None,
    typer.Option("--eval", metavar="TASK", help="A task asked in context before and after; may be repeated."),
]


def tune(
    tasks: Annotated[
        list[Path],
        typer.Argument(
            metavar="TASK...",
            help="A file of data (JSON, JSON lines, CSV, TSV, Parquet), a folder of its splits, the name of "
            "a data set, or a YAML file of a reader and its options; what it was read as is said. Several "
            "are tuned on together.",
        ),
    ],
    model: Annotated[str, typer.Option(help="Folder of a transformers checkpoint, or a name on the hub.")],
    out: Annotated[Path, typer.Option(help="A new folder for what was trained.")],
    method: Annotated[
        str,
        typer.Option(
            help="promot, lora, full, prompt, prefix, joint, random_prompt, lora_first, value_only, wise_ft, "
            "dft, replay, kl_to_base or self_distillation; the last three need --set method.others."
        ),
    ] = "promot",
    weights: Annotated[
        str | None,
        typer.Option(help="How methods that leave it open tune the weights: full (default) or lora."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of the last stage; 1000.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak; 1e-4 where every weight is tuned, else 1e-3.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a step; 8.")] = None,
    prompt_length: Annotated[int | None, typer.Option(help="Tokens of the soft prompt; 100.")] = None,
    prompt_steps: Annotated[
        int | None, typer.Option(help="Steps of the stage that trains the soft prompt; for promot 5 x steps.")
    ] = None,
    prompt_learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak of that stage; a tenth of the size of the model's embeddings."),
    ] = None,
    demonstrations: Annotated[
        int | None, typer.Option(help="Solved examples before every input, drawn from the training split.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="A named recipe for all that is not given: paper-mt5.")
    ] = None,
    evaluation: TaskOption = None,
    shots: Annotated[str | None, typer.Option(help="Shots of the tasks of --eval; 1,4.")] = None,
    draws: Annotated[int | None, typer.Option(help="Draws of their demonstrations; 3.")] = None,
    reader: ReaderOption = None,
    format: FormatOption = None,
    template: TemplateOption = None,
    choices: ChoicesOption = None,
    seed: Annotated[int | None, typer.Option(help="Of parameters and batches; the splits stay.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Anything else: method.weights.r=16, training.optimizer=adafactor, task.metric=nll, "
            "in_context.num_beams=4, precision=fp32, max_prompt_tokens=1024. May be repeated.",
        ),
    ] = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tune a model on one task or several, and tell what it could do before and after.

    The folder holds a PEFT adapter or a transformers checkpoint that these libraries load alone, and a model
    card. It appears when all is done; the same command goes on where it was interrupted.
    """
    import cotune
    from cotune.cli._progress import emit
    from cotune.cli._settings import given, nested, numbers, words
    from cotune.cli._work import show_work
    from cotune.studies.task_files import gather_tasks, merged, read_task

    of_method = {
        "weights": None if weights is None else {"name": weights},
        "prompt_length": prompt_length,
        "prompt_steps": prompt_steps,
        "prompt_learning_rate": prompt_learning_rate,
        "demonstrations": demonstrations,
    }
    options: dict[str, Any] = {
        "model": model,
        "method": {"name": method, **given(of_method)},
        "training": given({"learning_rate": learning_rate, "batch_size": batch_size}),
        "in_context": given({"shots": shots and numbers(shots, "--shots"), "draws": draws}),
        **given({"steps": steps, "preset": preset, "seed": seed, "format": format}),
    }
    options = merged(options, nested(settings or []))
    of_task = options.pop("task", {})
    of_table = given({"template": template, "choices": choices and words(choices)})
    targets = [read_task(task, reader=reader, options=of_task, table_options=of_table) for task in tasks]
    others = gather_tasks(evaluation or [])
    keep(f"what was trained so far is kept beside {out}")
    with show_work(as_json, verbose=verbose) as work:
        result = cotune.tune(targets, out=out, evaluation=others, events=work, **options)
    if as_json:
        emit({"event": "done", "folder": str(out), **result.to_dict()})
    else:
        _print(result, out)


def _print(result: TuneResult, out: Path) -> None:
    """Print a table of before and after."""
    from cotune.cli._table import print_table
    from cotune.studies.evaluating import format_mean

    before, after = result.before, result.after
    pairs = [
        (f"{new.task} (target)", old, new) for old, new in zip(before.targets, after.targets, strict=True)
    ]
    pairs += [(new.task, old, new) for old, new in zip(before.in_context, after.in_context, strict=True)]
    rows = [
        (name, new.metric, str(new.shots), format_mean(old), format_mean(new)) for name, old, new in pairs
    ]
    rows += [
        ("average of the others", "", str(shots), f"{mean:.3f}", f"{after.averages[shots]:.3f}")
        for shots, mean in before.averages.items()
    ]
    print_table(("task", "metric", "shots", "before", "after"), rows)
    for sentence in result.findings:
        print(sentence)
    print(f"{out}: {result.trainable_parameters:,} parameters trained; README.md says how to load them")
