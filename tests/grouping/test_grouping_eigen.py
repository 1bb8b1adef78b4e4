"""The filtered eigenspace against full decompositions."""

from __future__ import annotations

import numpy as np

from cotune.grouping._problem import centre
from cotune.grouping.eigen import FilteredEigenspace, simplex_weights


def test_a_block_much_too_narrow_still_gives_matching_weights_and_vectors():
    n, rank = 1000, 190
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(centre(rng.standard_normal((n, n)))[:, :rank])[0]
    B = 10.0 * basis @ basis.T
    space = FilteredEigenspace(n, simplex_weights, rng)
    space.seed(B, 10)
    weights, vectors = space.top(B, float(rank), 1e-6)
    assert vectors.shape == (n, len(weights))
    assert np.isclose(weights.sum(), rank)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(weights)), atol=1e-8)
