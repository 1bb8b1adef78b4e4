import numpy as np
import pytest

from cotune.affinity import lookahead
from cotune.exceptions import InputError


def test_relative_fall_of_the_loss_by_hand():
    before = [[2.0, 4.0], [1.0, 2.0]]
    after = [[[1.0, 2.0], [5.0, 4.0]], [[0.5, 0.75], [np.nan, 1.0]]]
    affinity = lookahead(before, after)
    np.testing.assert_allclose(affinity.matrix, [[0.5, 0.125], [-0.25, 0.25]])
    assert affinity.counts.tolist() == [[2, 2], [1, 2]]
    assert np.isnan(affinity.stderr[1, 0])


def test_one_exact_step_of_gradient_descent_gives_the_first_order_gain():
    # Losses |w - c|^2 / 2 + 1: a step on task j changes L_i by -eta <g_i, g_j> + eta^2 |g_j|^2 / 2.
    rng = np.random.default_rng(0)
    centre, w, eta = rng.normal(size=(2, 5)), np.zeros(5), 0.1

    def losses(w):
        return ((w - centre) ** 2).sum(1) / 2 + 1

    gradient = w - centre
    after = np.stack([losses(w - eta * g) for g in gradient], axis=1)
    expected = (eta * gradient @ gradient.T - eta**2 * (gradient**2).sum(1) / 2) / losses(w)[:, None]
    np.testing.assert_allclose(lookahead(losses(w)[None], after[None]).matrix, expected)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_standard_errors_cover_the_truth_of_correlated_series(correlation):
    rng = np.random.default_rng(3)
    hits, t = [], 80
    for _ in range(200):
        noise = np.empty((t, 2, 2))
        noise[0] = rng.normal(size=(2, 2)) / np.sqrt(1 - correlation**2)
        for step in range(1, t):
            noise[step] = correlation * noise[step - 1] + rng.normal(size=(2, 2))
        before = np.exp(rng.normal(size=(t, 2)))
        affinity = lookahead(before, before[:, :, None] * (1 - 0.05 - 0.01 * noise))
        hits.append(np.abs(affinity.matrix - 0.05) <= 1.96 * affinity.stderr)
    assert 0.90 <= np.mean(hits) <= 0.98


def test_a_constant_series_is_known_exactly():
    before, after = np.ones((5, 2)), np.full((5, 2, 2), 0.9)
    np.testing.assert_allclose(lookahead(before, after).stderr, 0.0, atol=1e-12)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="shapes"):
        lookahead(np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(InputError, match="task 1 at measurement 0 is 0"):
        lookahead([[1.0, 0.0]], np.ones((1, 2, 2)))
    with pytest.raises(InputError, match="is infinite"):
        lookahead(np.ones((1, 2)), [[[1.0, np.inf], [1.0, 1.0]]])
