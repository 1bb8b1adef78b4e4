import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.answering import (
    InContextScore,
    normalised_average,
    summarise,
)
from cotune.exceptions import InputError

TABLE_2 = {
    # ProMoT, Table 2: 1-shot columns of CB, WiC, triviaQA, web_questions, En-De, En-Ro, XSum, WikiLingua.
    17.52: (46.43, 49.687, 17.582, 9.695, 3.974, 1.818, 6.410, 4.585),
    15.43: (73.214, 50.000, 0.150, 0.049, 0.000, 0.000, 0.000, 0.000),
    20.10: (66.070, 51.411, 17.643, 11.073, 2.018, 0.704, 7.020, 4.841),
    22.26: (83.929, 51.254, 17.820, 10.138, 2.256, 0.870, 6.941, 4.874),
}


def score(task="words", shots=1, draw=0, per_example=(1.0, 0.0), value=None, metric="accuracy"):
    value = float(np.mean(per_example)) if value is None else value
    higher = metric != "nll"
    return InContextScore(task, shots, draw, metric, value, higher, tuple(per_example), ("a",) * 2, draw)


@pytest.mark.parametrize("published", TABLE_2)
def test_the_normalised_average_is_that_of_the_paper(published):
    rows = summarise(score(f"task {i}", value=value / 100) for i, value in enumerate(TABLE_2[published]))
    (average,) = normalised_average(rows)
    assert round(100 * average.mean, 2) == pytest.approx(published, abs=0.0051)
    assert average.n_tasks == 8
    assert average.stderr_draws is None


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=5))
def test_standard_errors_are_over_draws_and_over_examples(draws):
    (row,) = summarise(score(draw=i, per_example=values) for i, values in enumerate(draws))
    table = np.array(draws)
    assert row.mean == pytest.approx(table.mean())
    assert row.stderr_draws == pytest.approx(table.mean(1).std(ddof=1) / math.sqrt(len(draws)))
    assert row.stderr_examples == pytest.approx(table.mean(0).std(ddof=1) / math.sqrt(3))
    assert (row.n_draws, row.n_examples, row.n_cut) == (len(draws), 3, sum(range(len(draws))))


def test_what_has_no_spread_has_no_standard_error():
    (single,) = summarise([score()])
    assert single.stderr_draws is None
    assert single.stderr_examples == pytest.approx(0.5)
    (corpus,) = summarise([score(metric="bleu", value=0.3, draw=i) for i in range(2)])
    assert (corpus.mean, corpus.stderr_draws, corpus.stderr_examples) == (0.3, 0.0, None)


def test_rows_are_tasks_and_shots_and_their_average_pools_independent_draws():
    scores = [
        score(task, shots, draw, per_example=(value, value))
        for task, values in {"a": (0.2, 0.4), "b": (0.6, 1.0)}.items()
        for shots in (1, 4)
        for draw, value in enumerate(values)
    ]
    rows = summarise(scores)
    assert [(row.task, row.shots) for row in rows] == [("a", 1), ("a", 4), ("b", 1), ("b", 4)]
    averages = normalised_average(rows)
    assert [average.shots for average in averages] == [1, 4]
    for average in averages:
        assert average.mean == pytest.approx((0.3 + 0.8) / 2)
        assert average.stderr_draws == pytest.approx(math.hypot(0.1, 0.2) / 2)


def test_a_loss_has_no_place_in_the_normalised_average():
    with pytest.raises(InputError, match="Task words is scored with the loss 'nll'"):
        normalised_average(summarise([score(metric="nll")]))


def test_a_score_survives_json():
    before = score(per_example=(0.1, 1 / 3))
    assert InContextScore.from_dict(json.loads(json.dumps(before.to_dict()))) == before
