"""Retention reports made of numbers with a known shape: what each method keeps is set, not measured."""

import math

import numpy as np

from cotune.evaluation.format_specialisation import ModuleAlignment
from cotune.findings.retention import (
    InContextValue,
    RetentionCheckpoint,
    RetentionCost,
    RetentionData,
    RetentionRun,
    RetentionTask,
    TargetScore,
)
from cotune.findings.runs import FailedRun

KEPT = {"full": 0.45, "prompt": 1.0, "promot": 0.95, "joint": 0.6}
"""What is left of every in-context score at the end, by method, at the first learning rate."""
RATES = (3e-4, 1e-3)
STEPS = (0, 20, 40, 80, 160)
TASKS = ("reverse", "sort", "copy", "true_or_false")
BEFORE = {"reverse": 0.9, "sort": 0.8, "copy": 1.0, "true_or_false": 0.6}


def in_context(kept, rng, *, share=0.0, shots=(1, 4), draws=3):
    """Scores of all tasks at a share of what the pretrained model has, more shots being better."""
    return tuple(
        InContextValue(
            task=task,
            shots=n,
            draws=tuple(kept * BEFORE[task] * (1 - 0.3 / n) + 0.01 * rng.uniform(-1, 1, draws)),
            label_share=None if task == "true_or_false" else share,
        )
        for task in TASKS
        for n in shots
    )


def alignment(progress):
    return tuple(
        ModuleAlignment(
            group=group, cosine=0.98 - progress * (0.9 - 0.05 * i), full_norm=10.0 ** (-i), format_norm=0.5
        )
        for i, group in enumerate(("query", "key", "value", "mlp"))
    )


def run(method, rate, seed, pretrained):
    rng = np.random.default_rng(seed)
    loss = (1 - KEPT[method]) * (1 if rate == RATES[0] else 1.4)
    checkpoints = []
    if method == "promot":
        checkpoints.append(
            RetentionCheckpoint(
                stage="prompt", step=100, targets=(TargetScore(task="more", validation=0.8, test=0.8),)
            )
        )
    for step in STEPS:
        progress = step / STEPS[-1]
        score = 0.5 + 0.48 * math.sqrt(progress)
        kept = max(1 - loss * progress, 0.0)
        checkpoints.append(
            RetentionCheckpoint(
                stage="model",
                step=step,
                targets=(TargetScore(task="more", validation=score, test=score - 0.01),),
                in_context=pretrained.in_context
                if method == "prompt"
                else in_context(kept, rng, share=(1 - kept) * 0.9),
                alignment=() if method == "prompt" else alignment(progress),
            )
        )
    reached = [i for i, c in enumerate(checkpoints) if c.stage == "model" and c.targets[0].validation >= 0.9]
    return RetentionRun(
        method=method,
        learning_rate=rate,
        seed=seed,
        checkpoints=tuple(checkpoints),
        best=len(checkpoints) - 1,
        equal=None if method == "prompt" and seed == 1 else reached[0],
        cost=RetentionCost(
            cpu_seconds=12.5 + seed,
            wall_seconds=13.0,
            tokens=120_000,
            trainable_parameters=None if method == "full" else 1280,
            disk_bytes=612_000,
        ),
    )


def retention_report(seeds=(0, 1, 2), methods=tuple(KEPT), rates=RATES, **changes):
    pretrained = RetentionCheckpoint(
        stage="pretrained",
        step=0,
        targets=(TargetScore(task="more", validation=0.5, test=0.5),),
        in_context=in_context(1.0, np.random.default_rng(9)),
    )
    values = {
        "title": "promot on the toy language",
        "date": "2026-11-21",
        "targets": (RetentionTask(name="more", metric="accuracy", examples=256),),
        "evaluation": tuple(
            RetentionTask(name=task, metric="exact_match", examples=64, notes=("validation capped at 32",))
            for task in TASKS
        ),
        "methods": methods,
        "learning_rates": rates,
        "pretrained": pretrained,
        "runs": tuple(run(m, rate, seed, pretrained) for m in methods for rate in rates for seed in seeds),
        "threshold": 0.9,
        "threshold_rule": "given in the study",
        "labels": ("T", "F"),
        "failures": (FailedRun(kind="full", name="full, 0.001, seed 7", error="The loss exploded."),),
        "provenance": (("Model", "toy language, 118,144 parameters"), ("Seeds", "0, 1, 2")),
        "notes": ("Two inputs were cut.",),
    }
    return RetentionData(**values | changes)


# Table 2 of the paper, 1-shot: pretrained, fine-tuning, ProMoT, ProMoT + 1-shot.
TABLE_2 = {
    "CB": (46.43, 73.214, 66.070, 83.929),
    "WiC": (49.687, 50.000, 51.411, 51.254),
    "triviaQA": (17.582, 0.150, 17.643, 17.820),
    "web_questions": (9.695, 0.049, 11.073, 10.138),
    "WMT16_ende": (3.974, 0.000, 2.018, 2.256),
    "WMT16_enro": (1.818, 0.000, 0.704, 0.870),
    "XSum": (6.410, 0.000, 7.020, 6.941),
    "WikiLingua": (4.585, 0.000, 4.841, 4.874),
}
TABLE_2_METHODS = ("fine-tuning", "ProMoT", "ProMoT + 1-shot")
RTE = (92.06, 92.78, 93.86)


def of_table_2(column):
    return tuple(
        InContextValue(task=task, shots=1, draws=(values[column] / 100,)) for task, values in TABLE_2.items()
    )


def table_2_report():
    """What the paper measured, at one learning rate with one seed and no threshold."""
    runs = tuple(
        RetentionRun(
            method=method,
            learning_rate=1e-3,
            seed=0,
            checkpoints=(
                RetentionCheckpoint(
                    stage="model",
                    step=1000,
                    targets=(TargetScore(task="RTE", validation=RTE[i] / 100, test=RTE[i] / 100),),
                    in_context=of_table_2(i + 1),
                ),
            ),
            best=0,
        )
        for i, method in enumerate(TABLE_2_METHODS)
    )
    return retention_report(
        targets=(RetentionTask(name="RTE", metric="accuracy"),),
        evaluation=tuple(RetentionTask(name=task, metric="its own") for task in TABLE_2),
        methods=TABLE_2_METHODS,
        rates=(1e-3,),
        seeds=(),
        pretrained=RetentionCheckpoint(stage="pretrained", step=0, in_context=of_table_2(0)),
        runs=runs,
        threshold=None,
        threshold_rule="",
    )
