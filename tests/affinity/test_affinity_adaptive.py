import numpy as np
import pytest

from cotune.affinity import AdaptiveGrouping
from cotune.exceptions import InputError


def joined(matrix, labels, k_min, k_max):
    """Average linkage on affinities; the planner takes any clustering."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = matrix.max() - (matrix + matrix.T) / 2
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    for k in range(k_min, k_max + 1):
        yield fcluster(tree, k, "maxclust") - 1


class World:
    """Tasks whose score rises with the share of their own group in the company."""

    def __init__(self, labels, effect=6.0, seed=0):
        self.labels, self.effect = np.asarray(labels), effect
        self.rng = np.random.default_rng(seed)

    def train(self, subsets):
        n = subsets.shape[1]
        labels = self.labels[:n]
        share = (subsets.astype(float) @ (labels[:, None] == labels) - 1) / np.maximum(
            subsets.sum(1, keepdims=True) - 1, 1
        )
        scores = np.arange(n) + self.effect * share + self.rng.normal(size=subsets.shape)
        return np.where(subsets, scores, np.nan)


def test_asking_twice_gives_the_same_until_scores_are_told():
    planner = AdaptiveGrouping(20, joined, seed=1)
    first = planner.ask()
    assert (planner.ask() == first).all()
    planner.tell(World(np.arange(20) % 3).train(first))
    assert planner.n_runs_ == len(first)
    with pytest.raises(InputError, match="ask for subsets first"):
        planner.tell(np.ones_like(first, dtype=float))
