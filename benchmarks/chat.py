"""Plain text beside the chat template, on a model that was tuned on chats (make bench-chat).

The same tasks are put to one model as one text and as turns: what it can do in context, with and without
demonstrations; what it can do after a LoRA was trained on all of them, seed by seed in the same order of the
same examples; and which groups its gradients suggest. Where the instruction is the system text, it is put
before the question instead, too. Differences are over the tasks, with 95 % margins: the tasks are those of
one collection, and say little of others. What is done is kept in the folder: the same command goes on after
an interruption.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr, t
from sklearn.metrics import adjusted_rand_score

import cotune
from cotune._files import write_text
from cotune.cli._progress import progress
from cotune.studies import Study, run_study
from cotune.studies.grouping import GroupingResult, GroupingStudy
from cotune.tasks import SPLITS, Task

STUDY = Path(__file__).with_suffix(".yaml")
FORMATS = ("plain", "chat")
Scores = dict[str, NDArray[np.float64]]
"""By what was asked the scores of the tasks, in their order."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both formats and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--folder", type=Path, default=STUDY.parents[1] / ".cache" / "bench-chat")
    parser.add_argument("--model", help="another model than the study's")
    parser.add_argument("--shots", type=int, nargs="+", default=[0, 4])
    parser.add_argument("--draws", type=int, default=2, help="of the demonstrations")
    parser.add_argument("--seeds", type=int, default=2, help="of the trainings on all tasks")
    parser.add_argument("--steps", type=int, default=8, help="of training a task")
    parser.add_argument("--markdown", type=Path, help="write the tables here, too")
    options = parser.parse_args(argv)
    studies = {name: _study(options, name) for name in FORMATS}
    tasks = studies["chat"].tasks
    scores = {name: _asked(study, tasks, options.shots, options, name) for name, study in studies.items()}
    moved = _asked(studies["chat"], [_with_instruction(task) for task in tasks], [0], options, "moved")
    results = {name: _grouped(study) for name, study in studies.items()}
    for name, study in studies.items():
        scores[name] |= _tuned(study, options)
    lines = [
        "### Scores\n",
        *_of_scores(scores, moved, [task.name for task in tasks]),
        "\n### Groups\n",
        *_of_groups(results),
    ]
    print("\n".join(lines))
    if options.markdown is not None:
        write_text(options.markdown, "\n".join(lines) + "\n")


def _study(options: argparse.Namespace, format: str) -> GroupingStudy:
    study = Study.load(options.study, options.folder / format)
    assert isinstance(study, GroupingStudy)
    changes = {"format": format, **({"model": options.model} if options.model else {})}
    learner = study.config.learner.model_copy(update=changes)
    return replace(study, config=study.config.model_copy(update={"learner": learner}))


def _grouped(study: GroupingStudy) -> GroupingResult:
    with progress(as_json=False) as events:
        result = run_study(study, events)
    assert isinstance(result, GroupingResult)
    return result


def _asked(
    study: GroupingStudy, tasks: Sequence[Task], shots: Sequence[int], options: argparse.Namespace, name: str
) -> Scores:
    """Ask the model as it is, in context."""
    learner = study.config.learner
    model = (study.base / learner.model).resolve()
    how = {"shots": list(shots), "draws": options.draws, "format": learner.format}

    def ask() -> Scores:
        found = cotune.evaluate(model, tasks, precision=learner.precision, **how)
        cells = {(row.task, row.shots): row.mean for row in found.rows}
        return {f"{k}-shot": np.array([cells[task.name, k] for task in tasks]) for k in shots}

    content = {**how, "model": str(model), "tasks": [task.fingerprint for task in tasks]}
    return _kept(study.folder.parent / f"{name}-asked.json", content, ask)


def _tuned(study: GroupingStudy, options: argparse.Namespace) -> Scores:
    """Train on all tasks together; score each as the mean over the seeds."""
    names = tuple(sorted(task.name for task in study.tasks))

    def tune() -> Scores:
        runs = [
            study.learner.fit(names, seed, steps=options.steps * len(names), split="test").scores
            for seed in range(options.seeds)
        ]
        means = [np.mean([run[task.name].value for run in runs]) for task in study.tasks]
        return {"tuned": np.array(means)}

    content = {
        "learner": study.learner.fingerprint,
        "tasks": [study.learner.task_fingerprint(name) for name in names],
        "steps": options.steps,
        "seeds": options.seeds,
    }
    return _kept(study.folder.with_name(f"{study.folder.name}-tuned.json"), content, tune)


def _kept(file: Path, content: Mapping[str, Any], measure: Callable[[], Scores]) -> Scores:
    """Return what a file holds of the same content, or measure it and write it there."""
    if file.is_file():
        known = json.loads(file.read_text())
        if known["content"] == content:
            return {key: np.array(values) for key, values in known["scores"].items()}
    scores = measure()
    plain = {key: values.tolist() for key, values in scores.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps({"content": content, "scores": plain}) + "\n")
    return scores


def _with_instruction(task: Task) -> Task:
    """Put the instruction before every question, as somebody would who writes no system text."""
    if not task.instruction:
        return task
    splits = {
        split: tuple(replace(e, input=f"{task.instruction}\n\n{e.input}") for e in task[split])
        for split in SPLITS
    }
    return replace(task, instruction="", splits=splits)


def _of_scores(scores: Mapping[str, Scores], moved: Scores, names: Sequence[str]) -> list[str]:
    asked = list(scores["plain"])
    header = [f"{format} {name}" for name in asked for format in FORMATS]
    rows = [
        [name, *(f"{scores[format][key][at]:.2f}" for key in asked for format in FORMATS)]
        for at, name in enumerate(names)
    ]
    means = ["**mean**", *(f"{scores[format][key].mean():.3f}" for key in asked for format in FORMATS)]
    told = [
        f"{key}: chat less plain {_difference(scores['chat'][key] - scores['plain'][key])}" for key in asked
    ]
    told += [
        f"{key}: with the instruction before the question less with it as the system text "
        f"{_difference(of - scores['chat'][key])}"
        for key, of in moved.items()
        if key in scores["chat"]
    ]
    return [*_table(["task", *header], [*rows, means]), "", *(f"- {line}" for line in told)]


def _of_groups(results: Mapping[str, GroupingResult]) -> list[str]:
    names = [task.name for task in results["chat"].study.tasks]
    found = {format: of.groups for format, of in results.items() if of.groups is not None}
    one, other = (of.estimate.affinity for of in results.values() if of.estimate is not None)
    pairs = np.triu_indices(len(names), k=1)
    apart, noise = (other.matrix - one.matrix)[pairs], np.hypot(one.stderr, other.stderr)[pairs]
    rows = [
        [format, str(len(set(of.labels))), "; ".join(_members(of.labels, names))]
        for format, of in found.items()
    ]
    alike = adjusted_rand_score(*(of.labels for of in found.values()))
    return [
        *_table(["format", "groups", "tasks"], rows),
        "",
        f"- adjusted Rand index of the two: {alike:.2f}",
        f"- rank correlation of their affinities: {spearmanr(one.matrix[pairs], other.matrix[pairs])[0]:.2f}",
        f"- their affinities differ by {_rms(apart):.3f} (root mean square), those of two halves of the "
        f"examples in one format by {_rms(noise) * np.sqrt(2):.3f}",
    ]


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _members(labels: Sequence[int], names: Sequence[str]) -> list[str]:
    return [
        ", ".join(name for name, label in zip(names, labels, strict=True) if label == group)
        for group in dict.fromkeys(labels)
    ]


def _difference(values: NDArray[np.float64]) -> str:
    """Return the mean over tasks with its 95 % margin."""
    n = len(values)
    margin = t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return f"{values.mean():+.3f} ± {margin:.3f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    main()
