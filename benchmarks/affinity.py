"""What estimators of affinity cost and what groups they give, on real tasks and a real model.

The tasks are the 18 of six families that the package ships a recorded table of, the model that of
``record_families.yaml``. The tasks of a subset take turns by steps, at a learning rate that falls to 0, so
that no score hangs on whose step was the last. Five studies share one folder, so that a run that two of them
need is done once and counted for both:

- trained triples: 90 subsets of three tasks trained from the base (Eq. 6), the reference;
- warm start: the same 90 subsets, each trained for a third of the steps from one run on all tasks;
- gradient cosine: no training;
- first-order: predictions of all 816 triples, a few trained ones choose the regularisation;
- calibrated: the same few, with the predictions as control variate;
- adapter from P (``--proxies``): the 90 subsets again with the adapter on the upper layers alone, all below
  computed once and kept (what that takes is counted), each run beside the one of the reference.

Processor time is what the runs took, the warm start included, plus the estimate and the grouping themselves.
Groups are compared by their adjusted Rand index (ARI), with the number of groups k chosen by the study's rule
and at k = 6, the number of families. Finished runs are kept in the folder: the same command goes on after an
interruption, but the warm start's time is only known to the process that trained it.

    python benchmarks/affinity.py
    python benchmarks/affinity.py --markdown affinity.md --fewer 2 4 8 12
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from fewer_examples import fewer_examples
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from cotune._files import write_text
from cotune.affinity import higher_order, rank_agreement
from cotune.benchmark.recorded import shipped_tables
from cotune.benchmark.recording import read_families
from cotune.cli._progress import duration, progress
from cotune.grouping import SDPClustering, prepare
from cotune.studies import Study, run_study
from cotune.studies.grouping import GroupingResult, GroupingStudy
from cotune.studies.grouping._estimated import group_estimate
from cotune.studies.grouping._groups import Groups
from cotune.studies.grouping.estimators import ESTIMATORS, Estimate
from cotune.studies.grouping.estimators._table import RunTable
from cotune.training.below import StatesLearner
from cotune.training.language_model._learner import LanguageModelConfig
from cotune.training.language_model._warm_start import WarmStart

STUDY = Path(__file__).with_name("record_families.yaml")
FAMILIES = Path(__file__).with_name("families.yaml")
RECORDED = "six families, SmolLM2-135M-Instruct"

TRAINING = {"batch_size": 6, "schedule": "linear"}
RESAMPLES = 50

Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Arm:
    """An estimator with what it is given."""

    name: str
    estimator: str
    options: dict[str, Any]
    warm_steps: int | None = None

    @property
    def is_proxy(self) -> bool:
        """Whether the adapter is on the upper layers alone."""
        return "proxy" in self.options


REFERENCE = "trained triples"


def arms(options: argparse.Namespace) -> tuple[Arm, ...]:
    """Return the five estimators, and the reference by proxies; of the former those that are asked for."""
    return tuple(arm for arm in all_arms(options) if arm.is_proxy or arm.name in options.arms)


def all_arms(options: argparse.Namespace) -> tuple[Arm, ...]:
    """Return all of them."""
    few = {"subsets": options.few, "steps_per_task": options.steps, "examples": 8}
    triples = {"subset_size": 3, "subsets": options.subsets}
    return (
        Arm("gradient cosine", "gradient_cosine", {"examples": 8}),
        Arm("first-order", "first_order", few),
        Arm("calibrated", "calibrated", few),
        Arm(REFERENCE, "higher_order", {**triples, "steps_per_task": options.steps}),
        Arm(
            "warm start",
            "higher_order",
            {**triples, "steps_per_task": options.steps // 3},
            options.warm_steps,
        ),
        *(
            Arm(
                f"adapter from {share:g}",
                "higher_order",
                {
                    **triples,
                    "steps_per_task": options.steps,
                    "proxy": {"adapt_from": share, "cache_bytes": options.cache_bytes},
                },
            )
            for share in options.proxies
        ),
    )


@dataclass(frozen=True)
class Measured:
    """What came of one arm."""

    arm: Arm
    result: GroupingResult
    estimate: Estimate
    groups: Groups
    fits: int
    run_seconds: float
    own_seconds: float

    @property
    def seconds(self) -> float:
        return self.run_seconds + self.own_seconds

    def labels(self, k: int | None = None) -> Labels:
        """Groups at the number chosen, or at k."""
        if k is None or k == self.groups.clustering.n_clusters_:
            return np.asarray(self.groups.labels)
        return np.asarray(SDPClustering(k, random_state=0).fit(self.groups.prepared.matrix).labels_)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the five studies and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=STUDY.parents[1] / ".cache" / "bench-affinity")
    parser.add_argument("--study", type=Path, default=STUDY, help="whose tasks and learner are taken")
    parser.add_argument("--families", type=Path, default=FAMILIES, help="the families of its tasks")
    parser.add_argument("--subsets", type=int, default=90, help="triples trained")
    parser.add_argument("--few", type=int, default=12, help="triples trained beside predictions")
    parser.add_argument(
        "--steps", type=int, default=6, help="steps a task of a triple, a third after a warm start"
    )
    parser.add_argument("--warm-steps", type=int, default=72, help="steps of the warm start")
    parser.add_argument(
        "--arms",
        nargs="+",
        default=[REFERENCE, "gradient cosine", "first-order", "calibrated", "warm start"],
        help="estimators beside proxies; the reference must be among them",
    )
    parser.add_argument(
        "--proxies", type=float, nargs="*", default=[], help="shares of the layers below the adapter"
    )
    parser.add_argument(
        "--cache-bytes", type=int, default=2**32, help="room for what is computed once; 0 for a run without"
    )
    parser.add_argument(
        "--fewer", type=int, nargs="*", default=[], help="validation examples that might do, beside all"
    )
    parser.add_argument("--first", type=int, default=30, help="runs that say which of them decide")
    parser.add_argument("--precision", help="of the model; by default the study's")
    parser.add_argument("--workers", type=int, help="processes that train; by default the study's")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this Markdown file")
    options = parser.parse_args(argv)
    measured = [measure(arm, _study(options), options.folder) for arm in arms(options)]
    measured.sort(key=lambda m: m.arm.name != REFERENCE)
    lines = [
        *overview(measured, read_families(options.families)),
        "",
        *agreement(measured),
        "",
        *membership(measured),
    ]
    k = len(np.unique(_families(measured[0].groups.tasks, read_families(options.families))))
    for m in (m for m in measured if options.fewer and (m.arm.is_proxy or m.arm.name == REFERENCE)):
        found = fewer_examples(m.groups.tasks, m.result.affinity_records, options.first, options.fewer, k)
        lines += ["", f"Of {m.arm.name}. {found[0]}", *found[1:]]
    print("\n".join(lines))
    if options.markdown:
        write_text(options.markdown, "\n".join(lines) + "\n")


def _study(options: argparse.Namespace) -> GroupingStudy:
    """Return the study that all arms share, with this benchmark's training."""
    study = Study.load(options.study, options.folder)
    assert isinstance(study, GroupingStudy)
    config = study.config
    assert isinstance(config.learner, LanguageModelConfig)
    changes: dict[str, Any] = {"training": config.learner.training.model_copy(update=TRAINING)}
    if options.precision is not None:
        changes["precision"] = options.precision
    executor = config.executor
    if options.workers is not None:
        executor = executor.model_copy(update={"workers": options.workers})
    learner = config.learner.model_copy(update=changes)
    return replace(study, config=config.model_copy(update={"learner": learner, "executor": executor}))


def measure(arm: Arm, study: GroupingStudy, folder: Path) -> Measured:
    """Run the study of an arm, and estimate and group once more by themselves to time it."""
    learner = study.config.learner
    if arm.warm_steps is not None:
        learner = learner.model_copy(update={"warm_start": WarmStart(steps=arm.warm_steps)})
    estimator = ESTIMATORS[arm.estimator](**arm.options)
    changes = {"learner": learner, "affinity": estimator, "tasks": recorded_tasks(study)}
    study = replace(study, config=study.config.model_copy(update=changes))
    started, before = time.perf_counter(), _cpu()
    built = _build(study) if arm.is_proxy else 0.0
    with progress(as_json=False) as events:
        result = run_study(study, events)
    assert isinstance(result, GroupingResult)
    spent = _cpu() - before
    print(f"{arm.name}: {duration(time.perf_counter() - started)}, {spent:.0f} CPU s", flush=True)
    records = result.affinity_records
    # Tasks alone are trained to measure gains from, and are not what the groups cost.
    counted = [record for run, record in records.items() if not (record.scores and len(run.subset) == 1)]
    runs = sum(record.cpu_seconds for record in counted)
    if arm.warm_steps is not None:
        runs += _warm_seconds(folder, spent - sum(record.cpu_seconds for record in records.values()))
    runs += built
    before = time.process_time()
    estimate = estimator.estimate(study.affinity_learner, records, study.config.seed)
    groups = group_estimate(tuple(study.learner.tasks), estimate, study.config, baselines=False)
    own = time.process_time() - before
    fits = sum(len(record.scores) > 0 for record in counted)
    return Measured(arm, result, estimate, groups, fits, runs, own)


def _build(study: GroupingStudy) -> float:
    """Compute what lies below the adapter; return the processor time, of the process that did it."""
    learner = study.affinity_learner
    assert isinstance(learner, StatesLearner)
    kept = learner.kept_states
    assert kept is not None
    noted = study.shared.parent / f"{kept.file}.seconds.json"  # foreign files in shared/ are damage
    if not kept.stored(study.shared):
        before = _cpu()
        learner.prepare(study.shared)
        noted.parent.mkdir(parents=True, exist_ok=True)
        write_text(noted, json.dumps(_cpu() - before))
    print(
        f"{kept.n_below} of {kept.n_layers} layers computed once for {kept.n_examples} examples: "
        f"{kept.n_bytes / 1e6:.1f} MB, {json.loads(noted.read_text()):.1f} CPU s",
        flush=True,
    )
    return float(json.loads(noted.read_text()))


def recorded_tasks(study: GroupingStudy) -> tuple[Any, ...]:
    """Leave out of the readers what the recording dropped."""
    recorded = next(table for table in shipped_tables() if table.name == RECORDED)
    readers = []
    for reader in study.config.tasks:
        dropped = [t for t in recorded.dropped if any(fnmatchcase(t, p) for p in reader.include or [])]
        readers.append(reader.model_copy(update={"exclude": dropped}))
    return tuple(readers)


def _warm_seconds(folder: Path, rest: float) -> float:
    """Processor time of the warm start: all that was not runs, of the process that trained it."""
    file = folder / "warm-start-seconds.json"
    if not file.is_file():
        write_text(file, json.dumps(rest))
    return float(json.loads(file.read_text()))


def _cpu() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def overview(measured: Sequence[Measured], named: Mapping[str, Sequence[str]]) -> list[str]:
    """Cost and groups of every arm."""
    reference, families = measured[0], _families(measured[0].groups.tasks, named)
    k = len(np.unique(families))
    lines = [
        f"{len(families)} tasks of {k} families, {os.cpu_count()} processors.",
        "",
        "| estimator | runs trained | CPU s | of the reference | own k | ARI with the reference | "
        f"with the families | at k = {k}: with the reference | with the families |",
        f"|{'---|' * 9}",
    ]
    for m in measured:
        own = m.labels()
        ari = [
            adjusted_rand_score(other, labels)
            for labels, of_reference in ((own, reference.labels()), (m.labels(k), reference.labels(k)))
            for other in (of_reference, families)
        ]
        cells = [m.arm.name, str(m.fits), f"{m.seconds:.0f}", f"{m.seconds / reference.seconds:.3f}"]
        cells += [str(int(own.max()) + 1), *(f"{value:.2f}" for value in ari)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"{RESAMPLES} bootstrap resamples of the trained runs, grouped at k = {k}: ARI, mean ± standard "
        "deviation.",
        "",
        "| runs of | with the reference | with the families |",
        "|---|---|---|",
    ]
    for m in [reference, *(m for m in measured if m.arm.is_proxy)]:
        again = resampled(m, k)
        spread = [
            [adjusted_rand_score(other, labels) for labels in again]
            for other in (reference.labels(k), families)
        ]
        cells = [f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" for values in spread]
        lines.append(f"| {m.arm.name} | {' | '.join(cells)} |")
    return lines


def resampled(measured: Measured, k: int) -> list[Labels]:
    """Return groups of resamples of the runs of an arm that trained every subset."""
    scores = measured.estimate.scores
    assert scores is not None
    rng, inside = np.random.default_rng(0), np.isfinite(scores)
    found = []
    for _ in range(RESAMPLES):
        runs = rng.integers(0, len(scores), len(scores))
        matrix = prepare(
            higher_order(inside[runs], scores[runs]).matrix, scale="row_zscore", missing="complete"
        ).matrix
        found.append(np.asarray(SDPClustering(k, tol=1e-3, random_state=0).fit(matrix).labels_))
    return found


def agreement(measured: Sequence[Measured]) -> list[str]:
    """Rank correlation, task by task, of predicted with trained scores over the reference's triples."""
    reference = measured[0]
    predicting = [m for m in measured if m.estimate.trust is not None]
    proxies = [m for m in measured if m.arm.is_proxy]
    if not (predicting or proxies):
        return []
    table = RunTable.of(reference.groups.tasks, reference.result.affinity_records)
    # The few triples that chose the regularisation are not judged, should some be among the reference's.
    chosen = {
        tuple(run.subset) for m in predicting for run, r in m.result.affinity_records.items() if r.scores
    }
    names = [tuple(np.array(table.tasks)[row]) for row in table.membership]
    fresh = np.array([tuple(sorted(subset)) not in chosen for subset in names])
    lines = [
        f"Rank correlation of predicted with trained f_i(S) over the {fresh.sum()} trained triples that had "
        "no part in the prediction" + (", and of proxies' scores with them:" if proxies else ":"),
        "",
        f"| task | {' | '.join(m.arm.name for m in [*predicting, *proxies])} |",
        f"|{'---|' * (len(predicting) + len(proxies) + 1)}",
    ]
    columns: list[NDArray[np.float64]] = []
    for m in predicting:
        assert m.estimate.predict is not None
        columns.append(rank_agreement(m.estimate.predict(table.membership[fresh]), table.scores[fresh]))
    for m in proxies:
        own = RunTable.of(reference.groups.tasks, m.result.affinity_records)
        assert (own.membership == table.membership).all()
        columns.append(rank_agreement(own.scores[fresh], table.scores[fresh]))
    rows = zip(table.tasks, *columns, strict=True)
    for task, *values in sorted(rows, key=lambda row: -row[1]):
        lines.append(f"| {task} | {' | '.join(f'{value:.2f}' for value in values)} |")
    medians = " | ".join(f"{np.nanmedian(column):.2f}" for column in columns)
    return [*lines, f"| median | {medians} |"]


def membership(measured: Sequence[Measured]) -> list[str]:
    """Groups of every arm."""
    lines = []
    for m in measured:
        groups = "; ".join(", ".join(_short(task) for task in group) for group in m.groups.members)
        lines.append(f"- {m.arm.name}: {groups}")
    return lines


def _short(task: str) -> str:
    return task.split("_")[0] if task.startswith("task") else task


def _families(tasks: Sequence[str], named: Mapping[str, Sequence[str]]) -> Labels:
    # Not `assign`, which wants a task for every pattern: what the recording dropped is none here.
    family = {
        task: name
        for name, patterns in named.items()
        for task in tasks
        if any(fnmatchcase(task, pattern) for pattern in patterns)
    }
    return np.unique([family[task] for task in tasks], return_inverse=True)[1]


if __name__ == "__main__":
    main()
