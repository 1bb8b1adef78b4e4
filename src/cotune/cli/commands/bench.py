"""``cotune bench``: the evaluation set of grouping algorithms, and the function classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cotune.cli._interrupt import keep
from cotune.cli._options import JsonOption, show_help
from cotune.exceptions import InputError

if TYPE_CHECKING:
    from cotune.benchmark.recorded import RecordedTable
    from cotune.benchmark.scoring import ScoreCard

app = typer.Typer(
    help="Grouping algorithms on recorded affinity tables, and the paper's function classes.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.callback()(show_help)


@app.command("functions")
def functions(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 0.")] = 3,
    laws: Annotated[
        str, typer.Option(help="Sets of laws parted by commas: scales, shapes, shared_means.")
    ] = "scales,shapes,shared_means",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 for the command's own.")] = 2,
    report: Annotated[Path, typer.Option(help="The report with all figures.")] = Path("functions.html"),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the learner: width=16, points=41."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Recover the types of the paper's function classes, four minutes on two cores.

    Every three of nine classes are trained together, under several laws of their parameters; SDP, spectral
    clustering and Lloyd's algorithm group them by the losses. The report holds Figs. 3, 4 and 7 of the paper.
    """
    from cotune._config import parse
    from cotune.benchmark.functions import run_functions
    from cotune.benchmark.functions_report import report_data
    from cotune.cli._bench_functions import as_dict, print_functions
    from cotune.cli._progress import emit
    from cotune.cli._settings import nested, words
    from cotune.cli._work import show_work
    from cotune.lab import FunctionClassConfig
    from cotune.report import write_report

    config = parse(FunctionClassConfig, nested(settings or []), "cotune bench functions")
    with show_work() as work:
        result = run_functions(
            seeds=seeds,
            laws=words(laws),
            workers=workers,
            config=config,
            progress=lambda done, total: work.advance("runs", done, total),
        )
    write_report(report_data(result), report)
    if as_json:
        emit({"event": "done", "report": str(report), **as_dict(result)})
        return
    print_functions(result)
    print(f"report: {report}")


@app.command("cases")
def cases(as_json: JsonOption = False) -> None:
    """List the paper's 63 cases."""
    from dataclasses import asdict

    from cotune.benchmark.definitions import evaluation_set
    from cotune.cli._progress import emit
    from cotune.cli._table import print_table

    found = evaluation_set()
    if as_json:
        emit([asdict(case) for case in found])
        return
    rows = [(case.name, str(len(case.tasks)), str(case.n_groups), case.recording) for case in found]
    print_table(("case", "tasks", "groups", "recorded by --paper"), rows)


@app.command("score")
def score(
    tables: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[TABLE.json ...]", help="Recorded tables; by default those that come with cotune."
        ),
    ] = None,
    algorithms: Annotated[
        str | None, typer.Option(help="Grouping algorithms parted by commas; by default all.")
    ] = None,
    matrix: Annotated[
        str,
        typer.Option(help="What they get: prepared (rows on one scale), or raw as recorded."),
    ] = "prepared",
    seed: Annotated[int, typer.Option(help="Of the algorithms' random starts.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Count the cases of recorded tables whose families an algorithm recovers.

    The families of each case are compared with its best grouping, found by exact search or certified by a
    bound; where they are not the same, no algorithm that maximises the densities can recover them.
    """
    from cotune.benchmark.recorded import read_recorded, shipped_tables
    from cotune.benchmark.scoring import score as score_tables
    from cotune.cli._progress import emit
    from cotune.cli._settings import words
    from cotune.cli._work import show_work

    loaded = [read_recorded(path) for path in tables] if tables else list(shipped_tables())
    names = None if algorithms is None else words(algorithms)
    with show_work() as work:
        card = score_tables(
            loaded,
            names,
            matrix=matrix,
            seed=seed,
            progress=lambda done, total: work.advance("cases", done, total),
        )
    if as_json:
        emit(card.to_dict())
        return
    for table in loaded:
        _print_table(table, card)
    _print_missed(card)


def _print_table(table: RecordedTable, card: ScoreCard) -> None:
    """Print recovered / total by number of families."""
    from cotune.cli._table import print_table

    model = table.provenance.get("model", table.provenance.get("learner", ""))
    print(f"{table.name}: {len(table.tasks)} tasks{f', recorded with {model}' if model else ''}")
    for task, reason in table.dropped.items():
        print(f"  left out: {task}: {reason}")
    sizes = sorted({case.n_families for case in card.cases if case.table == table.name})
    rows = []
    for size in (*sizes, None) if len(sizes) > 1 else sizes:
        tally = card.tally(table.name, size)
        counts = (f"{tally.recovered[name]} / {tally.total}" for name in card.algorithms)
        rows.append((f"{size} families" if size else "all", f"{tally.confirmed} / {tally.total}", *counts))
    print_table(("", "families are the optimum", *card.algorithms), rows)


def _print_missed(card: ScoreCard) -> None:
    """Say which cases are missed and why, cases that no algorithm can recover once."""
    for case in card.cases:
        if case.verification.reason:
            print(f"{case.name}: {case.verification.reason}")
            continue
        for outcome in case.outcomes:
            if not outcome.recovered:
                print(f"{case.name}: {outcome.algorithm}: {case.why_missed(outcome)}")
    methods = [case.verification.method for case in card.cases]
    words = {"exact": "by exact search", "certified": "by a certified bound", "open": "not proven"}
    counted = [f"{methods.count(method)} {text}" for method, text in words.items() if method in methods]
    print(f"verified: {', '.join(counted)}")


@app.command("record")
def record(
    study: Annotated[
        Path | None,
        typer.Argument(metavar="[STUDY]", help="A grouping study (YAML); or name --model and --tasks."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The table; by default table.json in the study's folder.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Folder of a transformers checkpoint, or a name on the hub.")
    ] = None,
    tasks: Annotated[
        list[Path] | None,
        typer.Option(metavar="TASK", help="A task file, folder, or YAML file of readers; may be repeated."),
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(help="Tasks and recipe of some of the paper's cases, by name of 'bench cases'."),
    ] = None,
    families: Annotated[
        Path | None,
        typer.Option(help="YAML: the tasks of every family. By default the categories the tasks come with."),
    ] = None,
    min_positive: Annotated[
        float | None,
        typer.Option(help="Drop tasks until so large a share of a family's transfers is positive; 0.9."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where runs go; by default beside the study file.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only tell what it will cost.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="With --model: anything else of the study file."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train on subsets of tasks and keep their affinities as a table for 'bench score'.

    A recording is a study: the same command goes on where it was interrupted, and 'cotune status' tells how
    far it is. With --model, its study file is written beside the table.
    """
    from cotune.benchmark.definitions import INSTRUCTION_GROUPS, families_of
    from cotune.benchmark.instructions import INSTRUCTED
    from cotune.benchmark.recorded import write_recorded
    from cotune.benchmark.recording import affinity_only, read_families
    from cotune.benchmark.recording import record as record_table
    from cotune.cli._progress import emit, progress
    from cotune.cli.commands import study as study_commands
    from cotune.studies import Study

    file = study or _write_study(out, model, tasks or [], paper, settings or [])
    if plan:
        study_commands.plan(file, folder, as_json=as_json)
        return
    loaded = affinity_only(Study.load(file, folder))
    keep(f"finished runs are kept in {loaded.folder}")
    known = families_of(paper) if paper else None
    with progress(as_json) as events:
        table = record_table(
            loaded,
            events,
            scenario="multi_instruction" if paper in INSTRUCTED else None,
            families=read_families(families) if families else known,
            n_groups=INSTRUCTION_GROUPS if paper in INSTRUCTED else None,
            min_positive=min_positive,
        )
    target = out or loaded.folder / "table.json"
    write_recorded(table, target)
    if as_json:
        emit({"event": "done", "table": str(target), "tasks": table.tasks, "dropped": dict(table.dropped)})
        return
    for task, reason in table.dropped.items():
        print(f"left out: {task}: {reason}")
    print(f"{target}: {len(table.tasks)} tasks in {len(set(table.families))} families")


def _write_study(
    out: Path | None, model: str | None, tasks: list[Path], paper: str | None, settings: list[str]
) -> Path:
    """Write the study file of a recording that was asked for by options, or find it as it was."""
    import yaml

    from cotune._files import write_text
    from cotune.benchmark.study_files import paper_study, recording_study
    from cotune.cli._settings import nested
    from cotune.studies.task_files import merged

    if out is None or not (paper or (model and tasks)):
        raise InputError("Recording takes a study file; or --out with --model and --tasks, or with --paper.")
    home = out.resolve().parent
    data = paper_study(paper, model) if paper else recording_study(out.stem, str(model), tasks, home)
    file = out.with_suffix(".yaml")
    text = yaml.safe_dump(merged(data, nested(settings)), sort_keys=False, allow_unicode=True, width=100)
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{file} exists and says something else; record it by 'cotune bench record {file}', or name "
            "another table with --out."
        )
    write_text(file, text)
    return file
