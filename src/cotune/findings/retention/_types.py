"""Averages over the tasks of one type, such as all translations (the paper's Fig. 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.findings.retention._scores import At, RetentionScores


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeAverage(Brief):
    """The average in-context score over the tasks of a type.

    Parameters
    ----------
    type : str
        The type.
    tasks : int
        How many it is over.
    shots : int
        Demonstrations in the prompts.
    method : str
        The method's label.
    learning_rate : float
        Of the last stage.
    at : {"equal", "best"}
        Which checkpoint of each run.
    runs : int
        Runs with such a checkpoint.
    mean, stderr : float
        In the metrics' units, over seeds and draws; the error is NaN where there is one of either.
    before : float
        The pretrained model's.
    """

    type: str
    tasks: int
    shots: int
    method: str
    learning_rate: float
    at: At
    runs: int
    mean: float
    stderr: float
    before: float


def type_averages(scores: RetentionScores, ways: Sequence[At]) -> Iterator[TypeAverage]:
    """Average over the tasks of every type, by number of shots, method, learning rate and way to choose."""
    data = scores.data
    for kind, tasks in scores.types.items():
        for shots in scores.shots:
            before = scores.average([data.pretrained], shots, tasks)
            if before is None:
                continue
            for method in data.methods:
                for rate in data.learning_rates:
                    for at in ways:
                        chosen = list(scores.checkpoints(method, rate, at).values())
                        mean = scores.average(chosen, shots, tasks) if chosen else None
                        if mean is not None:
                            yield TypeAverage(
                                type=kind,
                                tasks=len(tasks),
                                shots=shots,
                                method=method,
                                learning_rate=rate,
                                at=at,
                                runs=mean.seeds,
                                mean=mean.mean,
                                stderr=mean.stderr,
                                before=before.mean,
                            )
