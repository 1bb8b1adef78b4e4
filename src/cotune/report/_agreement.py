"""Agreement of two partitions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


def adjusted_rand_index(left: Sequence[Hashable], right: Sequence[Hashable]) -> float:
    """Measure by the adjusted Rand index how alike are two labelings (Hubert and Arabie, 1985).

    Parameters
    ----------
    left, right : sequence
        One label for every item, in the same order.

    Returns
    -------
    float
        1 for the same partition, 0 in expectation for unrelated ones; 1 where both put all items together or
        both keep all apart.
    """
    rows = np.unique(np.array([str(label) for label in left]), return_inverse=True)[1]
    columns = np.unique(np.array([str(label) for label in right]), return_inverse=True)[1]
    table = np.zeros((rows.max() + 1, columns.max() + 1), dtype=np.int64)
    np.add.at(table, (rows, columns), 1)

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) // 2).sum())

    together, by_row, by_column = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = by_row * by_column / max(pairs(np.array([len(rows)])), 1)
    highest = (by_row + by_column) / 2
    if highest == expected:
        return 1.0
    return (together - expected) / (highest - expected)
