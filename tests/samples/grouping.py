"""Plausible reports made from planted groups; every number is drawn, none is a result."""

import dataclasses

import numpy as np

from cotune.findings.comparison import ArmScore, compare
from cotune.findings.grouping import (
    AffinityData,
    ArmRow,
    Baseline,
    GroupingData,
    GroupingFindings,
    GroupRow,
    Interval,
    KRule,
    PredictedGains,
    ReferenceLabels,
    TaskRow,
    TriedPredictor,
)
from cotune.findings.runs import FailedRun, RunKind
from cotune.tasks import SampleAnswer

ARMS = ("grouped", "joint", "single", "random")


def affinity(labels, rng, *, missing=0.0, noise=0.35, offset=0.0):
    """Block affinity with noise, missing pairs and counts."""
    n = len(labels)
    labels = np.asarray(labels)
    matrix = 0.9 * (labels[:, None] == labels[None, :]) - 0.3 + offset + rng.normal(0, noise, (n, n))
    counts = rng.poisson(6, (n, n)) + 1
    counts = np.triu(counts) + np.triu(counts, 1).T
    gone = np.triu(rng.random((n, n)) < missing, 1)
    gone = gone | gone.T
    matrix[gone] = np.nan
    counts[gone] = 0
    return matrix, counts, np.where(gone, np.nan, noise / np.sqrt(np.maximum(counts, 1)))


def scores(names, rng, *, metric, budgets=(100, 400), seeds=(0, 1), arms=ARMS, examples=60):
    """Records of all arms; groups gain on most tasks and lose on every fifth."""
    records = []
    for index, name in enumerate(names):
        metric_name, higher = metric(index)
        sign = 1 if higher else -1
        difficulty = rng.normal(0.55, 0.18, examples)
        for budget in budgets:
            effect = {
                "grouped": 0.01 * (budget / 100) * (-2.5 if index % 5 == 4 else 1.2),
                "joint": 0.0,
                "single": -0.02,
                "random": -0.002,
                "branched": 0.004,
            }
            for arm in arms:
                for seed in seeds:
                    values = (
                        difficulty + sign * effect[arm] + rng.normal(0, 0.004) + rng.normal(0, 0.05, examples)
                    )
                    records.append(
                        ArmScore(
                            arm,
                            budget,
                            seed,
                            name,
                            float(values.mean()),
                            higher,
                            metric_name,
                            tuple(values.tolist()),
                        )
                    )
    return records


def grouping(names, labels, matrix, rng, *, certified=True, k_path=True):
    """Groups by label with their densities, curves of four rules and two baselines."""
    labels = np.asarray(labels)
    filled = np.nan_to_num((matrix + matrix.T) / 2)
    groups = []
    for label in sorted(set(labels.tolist())):
        members = np.flatnonzero(labels == label)
        density = float(filled[np.ix_(members, members)].sum() / len(members))
        groups.append(
            GroupRow(name=f"group {label + 1}", tasks=tuple(names[i] for i in members), density=density)
        )
    objective = sum(group.density for group in groups)
    k = len(groups)
    shuffled = labels.copy()
    moved = rng.choice(len(names), max(1, len(names) // 5), replace=False)
    shuffled[moved] = rng.integers(0, k, len(moved))
    return GroupingData(
        groups=tuple(groups),
        objective=objective,
        sdp_value=objective * 1.0000004 if certified else objective * 1.018,
        upper_bound=objective * 1.0000009 if certified else objective * 1.021,
        gap=9e-7 if certified else 0.021,
        certified=certified,
        k_rule="entry cross-validation",
        k_path=_rules(k, len(names), rng) if k_path else (),
        baselines=(
            Baseline(name="spectral", labels=tuple(shuffled.tolist()), objective=objective * 0.83),
            Baseline(name="lloyd", labels=tuple(np.zeros(len(names), dtype=int).tolist()), objective=0.12),
        ),
    )


def _rules(k, n, rng):
    ks = tuple(range(1, min(n, max(2 * k, 4)) + 1))
    distance = np.abs(np.array(ks) - k)
    error = 0.8 + 0.05 * distance + rng.normal(0, 0.005, len(ks))
    rising = np.cumsum(rng.uniform(0.2, 1.0, len(ks)))
    return (
        KRule(
            name="entry cross-validation",
            ks=ks,
            values=tuple(error.tolist()),
            errors=tuple([0.02] * len(ks)),
            chosen=k,
            better="low",
        ),
        KRule(name="average density (Eq. 2)", ks=ks, values=tuple((rising / ks).tolist()), chosen=1),
        KRule(name="summed density (Eq. 3)", ks=ks, values=tuple(rising.tolist()), chosen=ks[-1]),
        KRule(
            name="block-normal BIC",
            ks=ks,
            values=(float("nan"), *(1200 + 90 * distance[1:]).tolist()),
            chosen=k,
            better="low",
        ),
    )


def prepared(matrix):
    """Z-score the rows of a matrix, symmetrise it and fill what is unknown with 0."""
    values = np.array(matrix)
    values = (values - np.nanmean(values, axis=1, keepdims=True)) / np.nanstd(values, axis=1, keepdims=True)
    values = (values + values.T) / 2
    return np.where(np.isfinite(values), values, 0.0)


RUNS = (
    RunKind(kind="single task", done=9, reused=0, failed=0, cpu_seconds=12.4, wall_seconds=6.4, tokens=None),
    RunKind(
        kind="subset", done=80, reused=3, failed=1, cpu_seconds=3906.0, wall_seconds=1960.0, tokens=8_400_000
    ),
)
PROVENANCE = (
    ("Study", "sample"),
    ("Model", "a-small-model, revision 12ab34cd"),
    ("Seeds", "0, 1"),
    ("Versions", "cotune 0.1.0, torch 2.13.0, transformers 5.1.0, peft 0.18.0, numpy 2.4.6"),
    ("Machine", "2-core x86-64, no GPU"),
)


def lab_report():
    """Nine function classes in three groups, without a comparison."""
    rng = np.random.default_rng(1)
    names = [f"{kind}-{scale}" for kind in ("linear", "tree", "relu") for scale in ("1.0", "0.9", "1.1")]
    labels = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    matrix, counts, stderr = affinity(labels, rng, noise=0.15, offset=-1.2)
    ready = prepared(matrix)
    return GroupingFindings(
        title="Nine function classes",
        date="21 November 2026",
        tasks=tuple(
            TaskRow(
                name=name, metric="mse", train=14_400, validation=0, test=200, category=name.split("-")[0]
            )
            for name in names
        ),
        affinity=AffinityData(
            matrix=matrix.tolist(),
            unit="mean of \N{MINUS SIGN}mse of the row task over subsets with the column task",
            prepared=ready.tolist(),
            steps=("Rows were z-scored over their off-diagonal entries.", "The matrix was symmetrised."),
            counts=counts.tolist(),
            stderr=stderr.tolist(),
            estimator="higher-order (Eq. 6), 84 subsets of 3 tasks",
        ),
        grouping=grouping(names, labels, ready, rng),
        reference=ReferenceLabels(
            name="types", labels=tuple(kind for kind in ("linear", "tree", "relu") for _ in range(3))
        ),
        runs=RUNS[:1],
        provenance=PROVENANCE,
    )


def language_report():
    """Sixteen tasks with long names in seven groups, two metrics, two budgets, four arms and three seeds."""
    rng = np.random.default_rng(2)
    stems = (
        "snli_classification",
        "dart_question_generation",
        "disfl_qa_answer_generation",
        "smcalflow",
        "mnli",
    )
    names = [f"task{100 + 37 * i}_{stems[i % 5]}_{'abstain' if i % 3 else 'composition'}" for i in range(16)]
    labels = [0, 1, 2, 3, 0, 4, 1, 2, 3, 5, 0, 1, 6, 3, 0, 5]
    matrix, counts, stderr = affinity(labels, rng, missing=0.08)
    ready = prepared(matrix)
    records = scores(
        names, rng, metric=lambda i: ("accuracy", True) if i % 4 else ("nll", False), seeds=(0, 1, 2)
    )
    records = [r for r in records if not (r.arm == "random" and r.seed == 1 and r.task == names[3])]
    together = np.clip(
        (np.array(labels)[:, None] == np.array(labels)) * 0.8 + rng.uniform(0, 0.2, (16, 16)), 0, 1
    )
    return GroupingFindings(
        title="Which of sixteen tasks to train together",
        date="21 November 2026",
        tasks=tuple(
            TaskRow(
                name=name,
                metric="accuracy" if i % 4 else "nll",
                train=200,
                validation=50,
                test=60,
                category=stems[i % 5],
                notes=("12 examples longer than 256 tokens were dropped.",) if i % 6 == 0 else (),
            )
            for i, name in enumerate(names)
        ),
        affinity=AffinityData(
            matrix=matrix.tolist(),
            unit="mean score",
            prepared=np.where(np.isfinite(matrix), ready, np.nan).tolist(),
            steps=("Rows were z-scored.", "9 pairs never sampled were completed by row and column means."),
            counts=counts.tolist(),
            stderr=stderr.tolist(),
            estimator="higher-order (Eq. 6), 120 subsets of 3 tasks",
        ),
        grouping=dataclasses.replace(
            grouping(names, labels, ready, rng, certified=False), co_assignment=together.tolist()
        ),
        comparison=compare(records, ARMS),
        reference=ReferenceLabels(name="categories", labels=tuple(stems[i % 5] for i in range(16))),
        runs=RUNS,
        failures=(
            FailedRun(
                kind="random",
                name=f"{names[3]}, {names[7]}, seed 1",
                error="the loss is not finite at step 212; lower the learning rate (0.02).",
            ),
        ),
        provenance=PROVENANCE,
        notes=("The study was stopped before its last budget.",),
    )


def many_tasks_report():
    """A hundred instructions in ten groups of very different sizes."""
    rng = np.random.default_rng(3)
    sizes = (24, 18, 14, 12, 10, 8, 6, 4, 3, 1)
    labels = rng.permutation(np.repeat(np.arange(10), sizes))
    names = [
        f"instruction_{i:03d}_{'ask for the relation' if i % 7 else 'does the first imply'}"
        for i in range(100)
    ]
    matrix, counts, stderr = affinity(labels, rng, missing=0.02, noise=0.6)
    ready = prepared(matrix)
    records = scores(
        names,
        rng,
        metric=lambda i: ("rouge_l", True),
        budgets=(50, 200),
        seeds=(0, 1, 2),
        arms=("grouped", "joint", "random"),
        examples=20,
    )
    return GroupingFindings(
        title="A hundred instructions",
        date="21 November 2026",
        tasks=tuple(
            TaskRow(name=name, metric="rouge_l", train=100, validation=20, test=20) for name in names
        ),
        affinity=AffinityData(
            matrix=matrix.tolist(),
            unit="mean rouge_l",
            prepared=np.where(np.isfinite(matrix), ready, np.nan).tolist(),
            counts=counts.tolist(),
            stderr=stderr.tolist(),
            estimator="higher-order (Eq. 6), 1,000 subsets of 10 tasks",
        ),
        grouping=grouping(names, labels, ready, rng),
        comparison=compare(records, ("grouped", "joint", "random")),
        runs=RUNS,
        provenance=PROVENANCE,
    )


def two_tasks_report(name="copy", other="reverse"):
    """The smallest study: two tasks in one group, one seed, one budget."""
    rng = np.random.default_rng(4)
    names = [name, other]
    matrix = np.array([[0.4, 0.1], [0.2, np.nan]])
    records = scores(names, rng, metric=lambda i: ("accuracy", True), budgets=(10,), seeds=(0,), examples=5)
    return GroupingFindings(
        title="Two tasks",
        date="21 November 2026",
        tasks=tuple(TaskRow(name=task, metric="accuracy", train=10, validation=5, test=5) for task in names),
        affinity=AffinityData(matrix=matrix.tolist()),
        grouping=grouping(names, [0, 0], matrix, rng),
        comparison=compare(records, ARMS),
    )


INSTRUCTIONS = (
    "Given a premise and a hypothesis, say whether the first implies the second. Answer with entailment, "
    "neutral or contradiction, and with nothing else: an explanation counts as a wrong answer.",
    "Rewrite the sentence in the passive voice.",
    "You are given a table of facts as triples. Write one fluent sentence that states all of them, add "
    "nothing that they do not say, and keep names, dates and numbers exactly as they stand in the triples.",
    "Is the review positive or negative?",
)


def whole_report(n, k):
    """Everything a study can show, of ``n`` tasks in ``k`` groups: predicted, compared, resampled."""
    rng = np.random.default_rng(n)
    labels = np.sort(rng.permutation(np.arange(n) % k))
    kinds = ("entailment_classification", "passive_voice", "facts_to_text_generation", "sentiment")
    names = [f"task{100 + 7 * i}_{kinds[i % 4]}" for i in range(n)]
    matrix, counts, stderr = affinity(labels, rng, noise=0.4)
    ready = prepared(matrix)
    arms = ("grouped", "branched", "joint", "single", "random")
    records = scores(
        names,
        rng,
        metric=lambda i: ("accuracy", True) if i % 4 else ("nll", False),
        budgets=(8, 32),
        seeds=(0, 1, 2),
        arms=arms,
        examples=10,
    )
    gain = np.where(labels[:, None] == labels, 0.04, -0.03) + rng.normal(0, 0.02, (n, n))
    mean = gain.mean(axis=1)

    def interval(value, reach=0.02):
        return Interval(value=float(value), low=float(value - reach), high=float(value + reach))

    predicted = PredictedGains(
        unit="own_score",
        level=0.9,
        over_alone=interval(mean.mean()),
        over_together=interval(0.031),
        together=-0.012,
        upper_bound=float(mean.mean()) + 0.004,
        optimal=False,
        by_task=tuple(interval(value) for value in mean),
        weights=(),
        tested_sizes=(2, 3, max(n // 2, 3)),
        predictors=(
            TriedPredictor(
                name="pairs", words="averages of pairs", errors=(0.0003, 0.0004, 0.002), chosen=False
            ),
            TriedPredictor(
                name="kernel", words="a kernel on subsets", errors=(0.0002, 0.0003, 0.0006), chosen=True
            ),
        ),
        sentence="predicted gain +1.20 % (90 % interval +0.40 % to +2.00 %) a task over each alone",
        sentences=(
            "Gains over each task's score alone, in shares of that score.",
            "Predicted by a kernel on subsets.",
        ),
        objective=2.0,
        of_density=0.009,
    )
    together = np.clip((labels[:, None] == labels) * 0.8 + rng.uniform(0, 0.2, (n, n)), 0, 1)
    found = grouping(names, labels, ready, rng, certified=False)
    return GroupingFindings(
        title=f"Which of {n} tasks to train together",
        date="21 November 2026",
        tasks=tuple(
            TaskRow(
                name=name,
                metric="accuracy" if i % 4 else "nll",
                train=200,
                validation=50,
                test=10,
                category=name.partition("_")[2],
                instruction=INSTRUCTIONS[i % 4],
                example=(f"Premise: a man rides horse {i}. Hypothesis: somebody is outdoors.", "entailment"),
                answers=tuple(
                    SampleAnswer(
                        f"Premise {i}.{at}: " + "a man rides. " * 20, "entailment", "no", "entail" * 20
                    )
                    for at in range(3)
                ),
            )
            for i, name in enumerate(names)
        ),
        affinity=AffinityData(
            matrix=matrix.tolist(),
            unit="mean score",
            prepared=ready.tolist(),
            counts=counts.tolist(),
            stderr=stderr.tolist(),
            estimator="higher-order (Eq. 6), 400 subsets",
            gains=gain.tolist(),
            alone=tuple(rng.uniform(0.3, 0.8, n).tolist()),
            agreement=tuple(rng.uniform(0.2, 0.9, n).tolist()),
            agreement_measure="rank correlation of predicted and trained scores",
        ),
        grouping=dataclasses.replace(
            found,
            groups=tuple(
                dataclasses.replace(group, gain=float(mean[labels == label].mean()))
                for label, group in enumerate(found.groups)
            ),
            gain=predicted,
            density_labels=tuple(labels.tolist()),
            method="predicted gain",
            co_assignment=together.tolist(),
            confidence=tuple(rng.uniform(0.5, 1.0, n).tolist()),
            resamples=100,
        ),
        comparison=compare(records, arms),
        arms=tuple(ArmRow(name=arm, adapters=k, parameters=460_800 * k) for arm in arms),
        runs=RUNS,
        provenance=PROVENANCE,
    )
