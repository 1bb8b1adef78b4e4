import numpy as np
import pytest

from cotune.affinity import gradient_cosine
from cotune.exceptions import InputError


def test_cosine_across_halves_only():
    a, b = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    features = np.array([[a, a + b], [b, 3 * b]])
    affinity = gradient_cosine(features)
    root = 1 / np.sqrt(2)
    # task 0 with itself: cos(a, a + b); 0 with 1: mean of cos(a, 3b) = 0 and cos(b, a + b)
    np.testing.assert_allclose(affinity.matrix, [[root, root / 2], [root / 2, 1.0]], atol=1e-12)
    np.testing.assert_allclose(affinity.stderr[0, 1], root / 2)
    assert np.isnan(affinity.stderr[0, 0])
    assert affinity.counts.tolist() == [[1, 2], [2, 1]]


def test_recovers_planted_families_and_ignores_scale():
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(3, 400))
    scale = np.exp(rng.normal(size=(12, 1, 1)))
    features = scale * (centre[np.arange(12) % 3][:, None] + 0.5 * rng.normal(size=(12, 2, 400)))
    matrix = gradient_cosine(features).matrix
    same = (np.arange(12)[:, None] - np.arange(12)) % 3 == 0
    assert matrix[same].min() > 0.6 > 0.3 > matrix[~same].max()


def test_standard_errors_cover_the_expected_cosine():
    # Two cosines leave one degree of freedom: Student's 95 % quantile is 12.7 standard errors.
    rng = np.random.default_rng(1)
    centre = rng.normal(size=(3, 300))
    estimates = [gradient_cosine(centre[:, None] + rng.normal(size=(3, 2, 300))) for _ in range(200)]
    matrices = np.array([e.matrix for e in estimates])
    stderr = np.array([e.stderr for e in estimates])
    off = ~np.eye(3, dtype=bool)
    hits = np.abs(matrices - matrices.mean(0)) <= 12.7 * stderr
    assert 0.90 <= hits[:, off].mean() <= 0.98
    # And their squares are the variance that was seen.
    ratio = (stderr**2).mean(0)[off] / matrices.var(0)[off]
    assert (np.abs(ratio - 1) < 0.35).all()


def test_a_zero_gradient_names_the_task():
    features = np.ones((3, 2, 4))
    features[1, 0] = 0
    with pytest.raises(InputError, match="task 1 over half 0"):
        gradient_cosine(features)
    with pytest.raises(InputError, match="shape"):
        gradient_cosine(np.ones((3, 4)))
