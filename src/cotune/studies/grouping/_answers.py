"""A few answers of the models that a study keeps, beside those of the model as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cotune._files import write_text
from cotune.studies.engine import csv_text
from cotune.studies.grouping._until import Compared
from cotune.tasks import SampleAnswer

Answers = Mapping[str, Mapping[str, Sequence[SampleAnswer]]]
"""By the name of an adapter's folder and by task."""


def kept_answers(found: Compared, folder: Path) -> Answers:
    """Gather what the models in a folder of adapters answered; nothing of runs that stored no answers."""
    answers = {}
    for run, adapter in found.arms.kept(folder).items():
        record = found.records.get(run)
        of_tasks = {} if record is None else (record.payload or {}).get("answers", {})
        if of_tasks:
            answers[adapter.name] = {
                task: tuple(SampleAnswer(**answer) for answer in of_task)
                for task, of_task in of_tasks.items()
            }
    return answers


def answers_of(task: str, answers: Answers) -> tuple[SampleAnswer, ...]:
    """Return those to a task, of the first adapter that was trained on it; empty where there are none."""
    return next((tuple(of_tasks[task]) for of_tasks in answers.values() if task in of_tasks), ())


def write_answers(folder: Path, answers: Answers) -> None:
    """Write ``answers.csv``: input, right answer, and what was answered before and after training."""
    rows = [
        [task, adapter, answer.input, answer.gold, answer.before, answer.after]
        for adapter, of_tasks in answers.items()
        for task, of_task in of_tasks.items()
        for answer in of_task
    ]
    write_text(
        folder / "answers.csv",
        csv_text(["task", "adapter", "input", "right_answer", "before", "after"], rows),
    )
