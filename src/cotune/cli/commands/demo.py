"""``cotune demo``: a whole study in minutes, on worlds small enough for a laptop."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cotune.cli._interrupt import keep

if TYPE_CHECKING:
    from cotune.studies import Events
    from cotune.studies.grouping import GroupingResult


class World(StrEnum):
    """The demonstrations there are."""

    LANGUAGE = "language"
    FUNCTIONS = "functions"
    PROMOT = "promot"
    TRANSFER = "transfer"


def demo(
    world: Annotated[
        World,
        typer.Argument(
            help="language: which tasks to train together; functions: that where the answer is known; "
            "promot: what tuning forgets; transfer: what instruction tuning does to learning new tasks."
        ),
    ] = World.LANGUAGE,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Where runs and results go; by default demo, or demo-functions and so on.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what cotune does, without a download or a GPU.

    language, less than a minute on two cores: the main job. A miniature language model is trained on
    subsets of twelve tasks; they are grouped by what each is predicted to gain in company, an adapter is
    trained for each group and compared with one for all and one for each task, and one of the adapters is
    evaluated.

    functions, a minute on two cores: small transformers learn the paper's nine function classes in context.
    Every three of the nine are trained together; what each class gains or loses by its company becomes an
    affinity matrix (Eq. 6), and the matrix becomes groups.

    promot, four minutes on two cores: a miniature language model, pretrained until it learns symbolic tasks
    in context, is tuned on one more task by several methods. What each leaves of the in-context learning
    is measured along the way.

    transfer, three minutes on two cores: the same model is instruction-tuned on twelve tasks under three
    sampling schemes, with and without replay of its pretraining. At every checkpoint six held-out tasks are
    put to it in context, and it is fine-tuned on a few of their examples.
    """
    tell, default = _DEMOS[world]
    tell(folder or default)


def _language(folder: Path) -> None:
    from cotune.cli.commands.study import print_result
    from cotune.studies.grouping import GroupingResult

    print("Twelve tasks and a miniature language model: which of them should be trained together?")
    result = _run("language.yaml", folder)
    assert isinstance(result, GroupingResult)
    _ask_one_adapter(result)
    print_result(result)


def _ask_one_adapter(result: GroupingResult) -> None:
    """Put the tasks of the largest group to the model as it was and under the adapter of the group."""
    import cotune
    from cotune._files import write_text
    from cotune.cli._table import print_table
    from cotune.studies.evaluating import format_mean

    if result.groups is None:
        return
    members = list(result.groups.members)
    largest = max(members, key=len)
    adapter = result.study.folder / "adapters" / f"group-{members.index(largest)}"
    tasks = result.study.folder / "tasks.yaml"
    write_text(tasks, f"reader: toy_language\ninclude: [{', '.join(largest)}]\n")
    before, after = (cotune.evaluate(m, tasks, shots=(2,), draws=1) for m in ("toy_language", adapter))
    rows = [
        (old.task, old.metric, format_mean(old), format_mean(new))
        for old, new in zip(before.rows, after.rows, strict=True)
    ]
    print(f"cotune eval {_near(adapter)} {_near(tasks)} --shots 2, before training and after:")
    print_table(("task", "metric", "before", "after"), rows)


def _near(path: Path) -> Path:
    """Return a path as one would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _functions(folder: Path) -> None:
    from cotune.studies.grouping import GroupingResult, describe_groups

    print("Nine function classes, every three of them trained together, then grouped.")
    result = _run("functions.yaml", folder)
    assert isinstance(result, GroupingResult)
    if result.groups is None:
        return
    groups, families = result.groups, result.study.learner.families
    truth = [families[task] for task in groups.tasks]
    for line in describe_groups(groups.members):
        print(line)
    print(f"sdp: {_agreement(truth, groups.labels)}")
    for other in groups.others:
        print(f"{other.name} on the same matrix: {_agreement(truth, other.labels)}")
    print(f"report: {result.report}")


def _promot(folder: Path) -> None:
    from cotune.cli.commands.study import print_result

    print("A miniature language model is tuned on one task; what becomes of its in-context learning?")
    print_result(_run("promot.yaml", folder))


def _transfer(folder: Path) -> None:
    from cotune.cli.commands.study import print_result

    print("A miniature language model is instruction-tuned; how well does it learn new tasks then?")
    print_result(_run("transfer.yaml", folder))


def _run(name: str, folder: Path) -> Any:
    """Run one of the lab's study files."""
    from importlib.resources import as_file, files

    from cotune.cli._progress import progress
    from cotune.studies import Study, run_study

    keep(f"finished runs are kept in {folder}")
    with as_file(files("cotune.lab") / "assets" / name) as file, progress(as_json=False) as events:
        return run_study(Study.load(file, folder), _Brief(events))


class _Brief:
    """Tells how runs go, and not how many examples of the lab's tasks are left out."""

    def __init__(self, events: Events) -> None:
        from cotune.studies.engine import StepEvents

        self.stage, self.finished = events.stage, events.finished
        if isinstance(events, StepEvents):
            self.under_way = events.under_way

    def note(self, text: str) -> None:
        """Do nothing."""


def _agreement(truth: list[str], labels: tuple[int, ...]) -> str:
    """Say how well labels agree with the types of the functions."""
    from sklearn.metrics import adjusted_rand_score

    index = float(adjusted_rand_score(truth, labels))
    return (
        "the three types, exactly" if index == 1 else f"not the three types (adjusted Rand index {index:.2f})"
    )


_DEMOS: dict[World, tuple[Callable[[Path], None], Path]] = {
    World.LANGUAGE: (_language, Path("demo")),
    World.FUNCTIONS: (_functions, Path("demo-functions")),
    World.PROMOT: (_promot, Path("demo-promot")),
    World.TRANSFER: (_transfer, Path("demo-transfer")),
}
"""What each demonstration does, and where its results go by default."""
