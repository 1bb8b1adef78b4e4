"""``cotune plan``, ``run``, ``status`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cotune.cli._interrupt import keep
from cotune.cli._options import JsonOption, VerboseOption

if TYPE_CHECKING:
    from cotune.studies import StudyResult

StudyArgument = Annotated[
    Path, typer.Argument(metavar="STUDY", help="A study file (YAML), or the folder of a study.")
]
FolderOption = Annotated[
    Path | None,
    typer.Option(help="Where runs and results go; by default beside the file, named like it."),
]


def plan(
    study: StudyArgument,
    folder: FolderOption = None,
    measure: Annotated[bool, typer.Option(help="Do a few steps to tell time, memory and disk.")] = True,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what a study still costs: runs, steps, tokens, time, memory, disk.

    The figures are kept in the study's folder (plan.json), where the report sets what was taken beside them;
    with --no-measure nothing is written.

    What is stored already costs nothing. A few batches tell what steps and questions take, in seconds beside
    loading the model, however many tasks there are.
    """
    from cotune.cli._progress import duration, emit, plural
    from cotune.studies import Study, plan_study
    from cotune.tasks import note_lines

    result = plan_study(Study.load(study, folder), measure=measure, keep=True)
    if as_json:
        emit(result.to_dict())
        return
    print(f"{result.name}: {result.tasks} tasks, {result.workers} worker processes")
    for note in (*note_lines(result.task_notes, each=verbose), *result.notes):
        print(f"  {note}")
    for stage in result.stages:
        tokens = "" if stage.tokens is None or not stage.steps else f", {stage.tokens:,} tokens"
        cpu = "" if stage.cpu_seconds is None else f", {duration(stage.cpu_seconds)} of processor time"
        steps = f", {stage.steps:,} training steps" if stage.steps else ""
        prompts = "" if stage.prompts is None else f", {stage.prompts:,} prompts answered"
        stored = f", {stage.stored:,} of them stored; left are" if stage.stored else ""
        left = f"{steps}{tokens}{prompts}{cpu}" if stage.stored < stage.runs else ""
        if stored:
            left = left.removeprefix(",") or " none"
        print(f"{stage.title}: {plural(stage.runs, 'run')}{stored}{left}")
    if all(stage.stored == stage.runs for stage in result.stages):
        print("nothing is left to do but to write the report")
    if result.wall_seconds is not None and result.memory_bytes is not None and result.disk_bytes is not None:
        print(
            f"about {duration(result.wall_seconds)}, {result.memory_bytes / 2**30:.1f} GiB of memory, "
            f"{result.disk_bytes / 2**20:.0f} MiB of disk"
        )


def run(
    study: StudyArgument,
    folder: FolderOption = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed runs again.")] = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do what a study still lacks, write its results and its report.

    The same command goes on where it was interrupted; no finished run is done twice.
    """
    from cotune.cli._progress import emit, progress
    from cotune.studies import Study, run_study

    loaded = Study.load(study, folder)
    keep(f"finished runs are kept in {loaded.folder}")
    with progress(as_json, verbose=verbose) as events:
        result = run_study(loaded, events, retry_failed=retry_failed)
    if as_json:
        found = {"event": "done", "folder": str(loaded.folder), "report": str(result.report)}
        incidents = {"incidents": list(result.incidents)} if result.incidents else {}
        emit({**found, **incidents, **result.to_dict()})
        return
    print_result(result)


def print_result(result: StudyResult) -> None:
    """Print what a study found and where its report is."""
    for sentence in result.sentences():
        print(sentence)
    for account in result.accounts:
        print(f"{account.title}: {account.sentence()}")
    for sentence in result.incidents:
        print(sentence)
    print(f"report: {result.report}")


def status(study: StudyArgument, folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Tell what of a study is done, what failed, and what is known already."""
    from cotune.cli._progress import emit, plural
    from cotune.studies import Study, study_status

    result = study_status(Study.load(study, folder))
    if as_json:
        emit(result.to_dict())
        return
    print(f"{result.name} in {result.folder}" + (", complete" if result.complete else ""))
    for stage in result.stages:
        wanted = (
            "runs known after grouping"
            if stage.wanted is None
            else f"{stage.done} of {plural(stage.wanted, 'run')}"
        )
        print(f"{stage.title}: {wanted}" + (f", {stage.failed} failed" if stage.failed else ""))
    for error in result.errors:
        print(f"  {error}")
    for sentence in result.sentences():
        print(sentence)


def report(study: StudyArgument, folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Write the report of what is stored, running nothing."""
    from cotune.cli._progress import emit
    from cotune.studies import Study, collect_study

    loaded = Study.load(study, folder)
    keep(f"the runs are kept in {loaded.folder}")
    result = collect_study(loaded)
    if as_json:
        emit({"report": str(result.report)})
    else:
        for sentence in result.incidents:
            print(sentence)
        print(f"report: {result.report}")
