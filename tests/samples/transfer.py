"""Reports of transfer studies made of numbers with a known shape: what arms do is set, not measured."""

from cotune.findings.runs import FailedRun
from cotune.findings.transfer import (
    HeldOutResult,
    SeenLoss,
    TransferArm,
    TransferCheckpoint,
    TransferData,
    TransferPoint,
    TransferRun,
    TransferTask,
)

EXAMPLES = (0, 10, 20)
HARDNESS = {"easy": 0.8, "fair": 1.2, "stiff": 1.4, "steep": 1.6, "tough": 1.8, "hard": 2.0}


def result(task, *, loss, score, full=True):
    """A task at a loss in context; after fine-tuning it is half of it at 20 examples."""
    numbers = EXAMPLES if full else (0, 20)
    return HeldOutResult(
        task=task,
        transfer=tuple(
            TransferPoint(
                examples=n,
                scores=(score * (0.2 + n / 40), score * (0.2 + n / 40)),
                losses=(loss * (1 - n / 40), loss * (1 - n / 40)),
            )
            for n in numbers
        ),
        in_context=(TransferPoint(examples=4, scores=(score,), losses=(loss,)),),
    )


def checkpoint(step, factor, *, seen=1.0, full=True):
    """All tasks with their losses times a factor, and their scores divided by it."""
    return TransferCheckpoint(
        step=step,
        held_out=tuple(
            result(task, loss=factor * hardness, score=0.5 / factor, full=full)
            for task, hardness in HARDNESS.items()
        ),
        seen=tuple(SeenLoss(task=task, train=seen - 0.1, test=seen) for task in ("one", "two")),
    )


ARMS = {
    # label: scheme, replay, factor at the end, loss on seen tasks
    "uniform": ("uniform", 0.0, 1.5, 0.8),
    "proportional": ("proportional", 0.0, 1.25, 0.5),
    "uniform, replay 0.5": ("uniform", 0.5, 1.1, 0.8),
    "proportional, replay 0.5": ("proportional", 0.5, 1.05, 0.5),
}


def run(label, seed):
    _, replay, factor, seen = ARMS[label]
    factor += 0.01 * seed
    return TransferRun(
        arm=label,
        seed=seed,
        checkpoints=(
            TransferCheckpoint(step=0, held_out=(), seen=checkpoint(0, 1.0, seen=2.0).seen),
            checkpoint(2, (1 + factor) / 2, seen=1.5, full=False),
            checkpoint(16, factor, seen=seen),
        ),
        instructions=(("one", 100), ("two", 28)),
        losses=tuple(2 - 0.1 * step for step in range(16)),
        replay_losses=tuple(1.0 if replay and step % 2 else None for step in range(16)),
        windows=64 if replay else 0,
    )


def transfer_report(labels=tuple(ARMS), seeds=(0, 1), **changes):
    def task(name, held_out):
        return TransferTask(
            name=name,
            held_out=held_out,
            metric="exact_match",
            higher_is_better=True,
            train=40,
            test=8,
            notes=("test capped at 8",),
        )

    values = {
        "title": "a small transfer study",
        "date": "2026-11-21",
        "tasks": (task("one", False), task("two", False), *(task(name, True) for name in HARDNESS)),
        "arms": tuple(
            TransferArm(
                label=label,
                scheme=ARMS[label][0],
                method="full",
                replay=ARMS[label][1],
                recipe=ARMS[label][0],
            )
            for label in labels
        ),
        "pretrained": TransferCheckpoint(step=0, held_out=checkpoint(0, 1.0).held_out),
        "runs": tuple(run(label, seed) for label in labels for seed in seeds),
        "along": (20,),
        "marking": "id",
        "failures": (FailedRun(kind="instruct", name="uniform, seed 9", error="The loss exploded."),),
        "provenance": (("model", "made up"),),
    }
    return TransferData(**values | changes)
