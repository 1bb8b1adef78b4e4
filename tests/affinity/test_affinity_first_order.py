import numpy as np
import pytest
from affinity_designs import inside_only, uniform_design
from scipy.optimize import minimize
from scipy.stats import spearmanr

from cotune.affinity import FirstOrder, Linearised, rank_agreement, within_task_correlation
from cotune.exceptions import InputError

N, D, HIDDEN = 6, 100, 200


def linear_world(rng, loss, examples=25, projected=True):
    """Tasks in two families whose models are linear in HIDDEN parameters, seen whole or through D numbers."""
    centre = rng.normal(size=(2, HIDDEN))
    projection = rng.choice([-1.0, 1.0], size=(HIDDEN, D)) / np.sqrt(D) if projected else np.eye(HIDDEN)
    tasks, full = [], []
    for i in range(N):
        truth = centre[i % 2] + 0.5 * rng.normal(size=HIDDEN)
        G = rng.normal(size=(2, examples, HIDDEN)) / np.sqrt(HIDDEN)
        output = G @ truth * 4
        if loss == "logistic":
            sign = np.where(rng.random(output.shape) < 1 / (1 + np.exp(-output)), 1.0, -1.0)
            G, targets = G * sign[..., None], np.ones_like(output)
        else:
            targets = output + 0.5 * rng.normal(size=output.shape)
        margins = np.zeros_like(output)
        full.append((G, margins, targets))
        tasks.append(
            Linearised(G[0] @ projection, margins[0], G[1] @ projection, margins[1], targets[0], targets[1])
        )
    return tasks, full


def train_fully(full, membership, loss, penalty):
    """Train all HIDDEN parameters with L-BFGS, an optimiser of its own, and score the evaluation halves."""
    scores = np.full(membership.shape, np.nan)
    for row, subset in enumerate(membership):
        members = np.flatnonzero(subset)
        G, h, y = (np.concatenate([full[i][part][0] for i in members]) for part in range(3))

        def objective(w, G=G, h=h, y=y):
            m = h + G @ w
            if loss == "logistic":
                value, slope = np.logaddexp(0, -y * m), -y / (1 + np.exp(y * m))
            else:
                value, slope = (m - y) ** 2, 2 * (m - y)
            return value.mean() + penalty / 2 * w @ w, G.T @ slope / len(m) + penalty * w

        w = minimize(objective, np.zeros(HIDDEN), jac=True, method="L-BFGS-B").x
        for i in members:
            m, y1 = full[i][1][1] + full[i][0][1] @ w, full[i][2][1]
            scores[row, i] = -(np.logaddexp(0, -y1 * m) if loss == "logistic" else (m - y1) ** 2).mean()
    return scores


@pytest.mark.parametrize(
    ("loss", "projected", "least"),
    [("logistic", False, 0.95), ("squared", False, 0.95), ("logistic", True, 0.3), ("squared", True, 0.3)],
)
def test_estimates_follow_training_and_a_few_subsets_choose_the_regularisation(loss, projected, least):
    rng = np.random.default_rng(0)
    tasks, full = linear_world(rng, loss, projected=projected)
    membership = uniform_design(rng, N, 3, 30)
    scores = train_fully(full, membership, loss, penalty=1e-3)
    model = FirstOrder(loss=loss).fit(tasks, membership[:8], scores[:8])
    agreement = rank_agreement(model.predict(membership[8:]), scores[8:])
    assert np.nanmean(agreement) > least
    chosen = within_task_correlation(model.predict(membership[8:]), scores[8:])
    others = [
        within_task_correlation(
            FirstOrder(loss=loss, regularisation=r).fit(tasks).predict(membership[8:]), scores[8:]
        )
        for r in list(model.validation_)[::3]
    ]
    assert chosen > max(others) - 0.1  # the choice carries over to subsets it has not seen
    assert min(others) < chosen - 0.05  # and there was something to choose


def test_squared_loss_is_ridge_regression():
    rng = np.random.default_rng(1)
    tasks, _ = linear_world(rng, "squared")
    model = FirstOrder(loss="squared", regularisation=0.3).fit(tasks)
    unit = np.mean([np.mean(t.train_gradients**2) for t in tasks])
    G = np.concatenate([tasks[i].train_gradients for i in (0, 3)])
    residual = np.concatenate([tasks[i].train_targets - tasks[i].train_margins for i in (0, 3)])
    w = np.linalg.solve(2 * G.T @ G / len(G) + 0.3 * unit * np.eye(D), 2 * G.T @ residual / len(G))
    subset = np.isin(np.arange(N), (0, 3))[None]
    error = tasks[3].eval_targets - tasks[3].eval_margins - tasks[3].eval_gradients @ w
    np.testing.assert_allclose(model.predict(subset)[0, 3], -np.mean(error**2))
    assert np.isnan(model.predict(subset)[0, 1])


def test_tasks_count_alike_whatever_their_number_of_examples():
    rng = np.random.default_rng(2)
    tasks, _ = linear_world(rng, "logistic")
    double = [
        Linearised(
            np.repeat(t.train_gradients, 1 + i % 3, axis=0),
            np.repeat(t.train_margins, 1 + i % 3),
            t.eval_gradients,
            t.eval_margins,
        )
        for i, t in enumerate(tasks)
    ]
    membership = uniform_design(rng, N, 3, 4)
    a, b = (FirstOrder(regularisation=1.0).fit(t).predict(membership) for t in (tasks, double))
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_the_optimum_is_reached_from_extreme_margins():
    rng = np.random.default_rng(3)
    G = 50 * rng.normal(size=(30, 5))
    task = Linearised(G, rng.normal(0, 80, 30), G, np.zeros(30))
    model = FirstOrder(regularisation=1e-3).fit([task])
    unit = np.mean(G**2)

    def objective(w):
        return np.logaddexp(0, -(task.train_margins + G @ w)).mean() + 1e-3 * unit / 2 * w @ w

    best = minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-10}).x
    np.testing.assert_allclose(model.predict([[1]])[0, 0], -np.logaddexp(0, -G @ best).mean(), rtol=1e-4)


def test_rank_agreement_is_spearman_and_says_nan_where_there_is_nothing_to_rank():
    rng = np.random.default_rng(4)
    p, f = rng.normal(size=(2, 20, 3))
    f[5:, 1] = np.nan
    f[:, 2] = 1.0
    found = rank_agreement(p, f)
    np.testing.assert_allclose(found[0], spearmanr(p[:, 0], f[:, 0])[0])
    np.testing.assert_allclose(found[1], spearmanr(p[:5, 1], f[:5, 1])[0])
    assert np.isnan(found[2])
    assert np.isnan(rank_agreement(p[:2], f[:2])).all()


def test_within_task_correlation_ignores_units_and_offsets_of_tasks():
    rng = np.random.default_rng(5)
    p = rng.normal(size=(30, 4))
    f = p + rng.normal(size=p.shape)
    plain = within_task_correlation(p, f)
    assert within_task_correlation(p * [1, 9, 90, 900], f * [1, 9, 90, 900] + [5, 6, 7, 8]) == pytest.approx(
        plain
    )
    assert within_task_correlation(-p, f) == pytest.approx(-plain)
    assert 0.5 < plain < 0.9


def test_what_does_not_fit_is_refused():
    good = Linearised(np.ones((2, 3)), np.ones(2), np.ones((2, 3)), np.ones(2))
    with pytest.raises(InputError, match="'loss' parameter must be one of"):
        FirstOrder(loss="hinge")
    with pytest.raises(InputError, match="'regularisation' parameter must be None or positive"):
        FirstOrder(regularisation=0.0)
    with pytest.raises(InputError, match="needs trained subsets"):
        FirstOrder().fit([good])
    with pytest.raises(InputError, match="none"):
        FirstOrder().fit([good, good], [[1, 1]], [[1.0, 2.0]])
    with pytest.raises(InputError, match="Task 0 has no targets"):
        FirstOrder(loss="squared", regularisation=1.0).fit([good])
    with pytest.raises(InputError, match="Task 0 needs gradients of shape"):
        FirstOrder(regularisation=1.0).fit(
            [Linearised(np.ones((2, 3)), np.ones(3), np.ones((2, 3)), np.ones(2))]
        )
    longer = Linearised(np.ones((2, 4)), np.ones(2), np.ones((2, 4)), np.ones(2))
    with pytest.raises(InputError, match="one dimension, got dimensions"):
        FirstOrder(regularisation=1.0).fit([good, longer])
    labelled = Linearised(np.ones((2, 3)), np.ones(2), np.ones((2, 3)), np.ones(2), np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="must be -1 or 1"):
        FirstOrder(regularisation=1.0).fit([labelled])
    with pytest.raises(InputError, match="must be finite"):
        FirstOrder(regularisation=1.0).fit(
            [Linearised(np.full((2, 3), np.nan), np.ones(2), np.ones((2, 3)), np.ones(2))]
        )


def test_members_alone_and_empty_subsets():
    rng = np.random.default_rng(6)
    tasks, _ = linear_world(rng, "logistic", examples=10)
    predicted = FirstOrder(regularisation=1.0).fit(tasks).predict(np.eye(N + 1, N, -1))
    assert np.isnan(predicted[0]).all()
    assert inside_only(np.eye(N) > 0, predicted[1:]).shape == (N, N)
    assert np.isfinite(np.diag(predicted[1:])).all()
