"""Recorded tables with families that are easy or impossible to find."""

import numpy as np

from cotune.affinity import Affinity
from cotune.benchmark.recorded import RecordedTable


def table(seed=0, families=6, size=3, signal=1.0, noise=0.1, **changes):
    """Draw a table whose families gain ``signal`` from one another, in rows of very different units."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(families), size)
    n = len(labels)
    units = np.exp(rng.normal(size=(n, 1)))
    same = labels[:, None] == labels[None, :]
    matrix = units * (signal * same + noise * rng.normal(size=(n, n))) + rng.normal(size=(n, 1))
    fields = {
        "name": "planted",
        "scenario": "multitask",
        "tasks": tuple(f"task {i}" for i in range(n)),
        "families": tuple(f"family {label}" for label in labels),
        "affinity": Affinity(matrix, np.full((n, n), 2), np.full((n, n), 0.1)),
    }
    return RecordedTable(**{**fields, **changes})
