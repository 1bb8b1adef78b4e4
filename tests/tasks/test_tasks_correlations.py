"""Pearson's and Matthews' correlation as metrics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import matthews_corrcoef

from cotune.exceptions import InputError
from cotune.tasks import get_metric

PEARSON, MATTHEWS = get_metric("pearson"), get_metric("matthews")


def test_pearson_is_that_of_the_numbers():
    answers, targets = ["3.8", "about 1,5 points", "-2", "5"], [["4"], ["2.0"], ["0"], ["5.0"]]
    expected = pearsonr([3.8, 1.5, -2, 5], [4, 2, 0, 5]).statistic
    assert PEARSON.corpus(answers, targets) == pytest.approx(expected)
    lost = PEARSON.corpus(["3.8", "no idea", "-2", "5"], targets)
    assert lost == pytest.approx(pearsonr([3.8, 0, -2, 5], [4, 2, 0, 5]).statistic), "as the lowest target"


def test_matthews_is_that_of_the_classes():
    answers = ["Yes", "no", "no ", "yes", "maybe"]
    targets = [["yes"], ["no"], ["yes"], ["no"], ["yes"]]
    true, found = [1, 0, 1, 0, 1], [1, 0, 0, 1, 2]
    assert MATTHEWS.corpus(answers, targets) == pytest.approx(matthews_corrcoef(true, found))
    assert MATTHEWS.corpus(["b", "c"], [["a", "b"], ["c"]]) == pytest.approx(1.0), "any target is right"


@pytest.mark.parametrize("metric", [PEARSON, MATTHEWS], ids=["pearson", "matthews"])
def test_right_answers_score_1_and_what_is_constant_0(metric):
    targets = [["1"], ["2"], ["1"], ["3"]]
    assert metric.corpus([t[0] for t in targets], targets) == pytest.approx(1.0)
    assert metric.corpus(["2"] * 4, targets) == 0.0
    assert metric.corpus(["1", "2", "1", "3"], [["1"]] * 4) == 0.0
    assert metric.score("2.0" if metric is PEARSON else " 2", ["2"]) == 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
def test_examples_add_up_to_the_value(pairs):
    answers, targets = [str(a) for a, _ in pairs], [[str(t)] for _, t in pairs]
    for metric in (PEARSON, MATTHEWS):
        parts = metric.parts(answers, targets)
        assert np.mean(parts) == pytest.approx(metric.corpus(answers, targets), abs=1e-9)
        assert len(parts) == len(pairs)


def test_the_spread_over_examples_is_that_of_the_correlation():
    """Over 300 sets of 80 examples, what the jackknife states is what is seen."""
    rng = np.random.default_rng(0)
    values, stated = [], []
    for _ in range(300):
        x = rng.normal(size=80)
        y = 0.6 * x + 0.8 * rng.normal(size=80)
        answers, targets = [f"{v:.3f}" for v in x], [[f"{v:.3f}"] for v in y]
        values.append(PEARSON.corpus(answers, targets))
        if len(stated) < 20:
            parts = np.array(PEARSON.parts(answers, targets))
            stated.append(parts.std(ddof=1) / np.sqrt(len(parts)))
    assert np.mean(stated) == pytest.approx(np.std(values), rel=0.2)


def test_targets_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="pearson needs targets that are numbers, got 'cat'"):
        PEARSON.corpus(["1", "2"], [["1"], ["cat"]])
