"""``cotune instructions``: instructions for data sets, written by a language model from examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cotune.cli._options import ChoicesOption, FormatOption, ReaderOption, TasksArgument, TemplateOption
from cotune.exceptions import InputError


def instructions(
    data: TasksArgument,
    model: Annotated[
        str, typer.Option(help="Who writes and scores: folder of a checkpoint, or a name on the hub.")
    ],
    out: Annotated[Path, typer.Option(help="The YAML file for the option 'instructions' of a reader.")],
    n: Annotated[int, typer.Option("--n", min=1, help="The most instructions of a task.")] = 20,
    given: Annotated[
        Path | None,
        typer.Option(help="A file of instructions that people wrote, to be varied and kept with the others."),
    ] = None,
    template: TemplateOption = None,
    choices: ChoicesOption = None,
    reader: ReaderOption = None,
    format: FormatOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of demonstrations, draws and examples.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Anything else: proposals=60, variations=0, examples=32, score=accuracy, temperature=0.7, "
            "task.include=[rte], revision=main. May be repeated.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Propose instructions for data sets, score them and keep the best that differ.

    With --format chat they are scored as the chat template puts them; what asks the model for proposals is
    plain text that it goes on with.
    """
    from cotune._config import parse
    from cotune._files import write_text
    from cotune.cli._settings import given as chosen
    from cotune.cli._settings import nested, words
    from cotune.cli._work import show_work
    from cotune.instructions import InstructionsConfig, generate_instructions, instructions_text
    from cotune.models.config import ModelConfig
    from cotune.studies.task_files import merged, read_tasks
    from cotune.tasks import check_tasks
    from cotune.tasks.readers import is_template, read_instructions

    if out.exists() and not force:
        raise InputError(f"The file {out} exists; name another with --out, or replace it with --force.")
    options = merged({"n": n, "seed": seed}, nested(settings or []))
    of_task = options.pop("task", {})
    of_model = chosen({"format": format})
    of_model |= {key: options.pop(key) for key in ("revision", "trust_remote_code") if key in options}
    config = parse(InstructionsConfig, options, "cotune instructions")
    of_table = chosen({"template": template, "choices": choices and words(choices)})
    tasks = [
        task
        for path in data
        for task in read_tasks(path, reader=reader, options=of_task, table_options=of_table)
    ]
    check_tasks(tasks)
    theirs = read_instructions(given) if given is not None else []
    for text in theirs if isinstance(theirs, list) else [text for texts in theirs.values() for text in texts]:
        if is_template(text):
            raise InputError(
                f"--given: {given} holds a template, {text[:60]!r}, which is no text to vary; name the file "
                "under 'instructions' of a reader, which fills templates in."
            )
    loaded = parse(ModelConfig, {"model": model, **of_model}, "--model").load(Path())
    found = {}
    with show_work() as work:
        for task in tasks:
            written = theirs.get(task.name, []) if isinstance(theirs, dict) else theirs

            def told(what: str, done: int, total: int, name: str = task.name) -> None:
                work.advance(f"{name}: {what}", done, total)

            found[task.name] = generate_instructions(loaded, task, config, given=written, progress=told)
    write_text(out, instructions_text(found, f"cotune instructions, model {model}, seed {config.seed}"))
    for name, kept in found.items():
        sources = [each.source for each in kept]
        counts = ", ".join(f"{sources.count(source)} {source}" for source in dict.fromkeys(sources))
        short = f"; no more of {config.n} differ and are better than none" if len(kept) < config.n else ""
        print(f"{name}: {len(kept)} instructions ({counts or 'none'}){short}")
    print(f"{out}: for the option 'instructions' of a reader")
