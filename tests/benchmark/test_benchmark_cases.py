from math import comb

import numpy as np
import pytest
from benchmark_samples import table

from cotune.benchmark.cases import Case, cases_of, verify
from cotune.exceptions import InputError
from cotune.grouping import exhaustive, prepare


def test_six_families_make_the_57_cases_of_the_paper():
    sizes = [case.n_families for case in cases_of(table())]
    assert [sizes.count(k) for k in range(2, 7)] == [15, 20, 15, 6, 1]
    assert [comb(6, k) for k in range(2, 7)] == [15, 20, 15, 6, 1]


@pytest.mark.parametrize("scenario", ["multi_instruction", "function_classes"])
def test_other_scenarios_make_one_case(scenario):
    (case,) = cases_of(table(scenario=scenario))
    assert case.n_families == 6
    assert len(case.tasks) == 18


def test_a_case_is_prepared_from_its_own_rows():
    whole = table()
    first = next(cases_of(whole))
    assert first.tasks == whole.tasks[:6]
    assert first.labels == (0, 0, 0, 1, 1, 1)
    own = whole.restricted(whole.tasks[:6]).affinity.matrix
    np.testing.assert_allclose(first.matrix, prepare(own).matrix)
    (raw,) = (case for case in cases_of(whole, matrix="raw") if case.name == first.name)
    np.testing.assert_array_equal(raw.matrix, own)


@pytest.mark.parametrize("seed", range(5))
def test_the_verified_grouping_is_the_best_of_all(seed):
    noisy = table(seed, families=3, size=3, signal=0.2, noise=1.0)
    *_, case = cases_of(noisy)
    verification = verify(case)
    best = exhaustive(case.matrix, 3)
    assert verification.method == "exact"
    assert verification.objective == pytest.approx(best.objective)
    assert verification.confirmed == (verification.families_objective == pytest.approx(best.objective))


def test_families_without_structure_are_not_confirmed_and_the_reason_is_told():
    *_, case = cases_of(table(3, families=3, size=3, signal=0.0, noise=1.0))
    verification = verify(case)
    assert not verification.confirmed
    assert verification.objective > verification.families_objective
    assert "the families are not the optimum: exact search finds" in verification.reason


def test_equally_good_groupings_count_as_the_families():
    flat = Case("flat", "flat", tuple("abcd"), ("x", "y", "x", "y"), np.ones((4, 4)))
    verification = verify(flat)
    assert verification.confirmed
    assert verification.labels == (0, 1, 0, 1)


def test_more_tasks_than_exact_search_takes_are_certified_by_the_bound():
    *_, case = cases_of(table(families=4, size=6))
    verification = verify(case)
    assert verification.method == "certified"
    assert verification.confirmed
    assert verification.gap < 1e-4


def test_an_open_gap_is_no_proof():
    *_, case = cases_of(table(1, families=4, size=6, signal=0.0, noise=1.0))
    verification = verify(case)
    assert verification.method == "open"
    assert not verification.confirmed
    assert verification.gap > 1e-4


def test_what_was_not_measured_is_not_a_case():
    holes = table()
    holes.affinity.matrix[0, 4] = np.nan
    with pytest.raises(InputError, match="pairs of tasks were never measured together"):
        next(cases_of(holes))
    holes.affinity.matrix[0, 4] = 0.0
    np.fill_diagonal(holes.affinity.matrix, np.nan)
    assert len(list(cases_of(holes))) == 57
    with pytest.raises(InputError, match="has no diagonal"):
        next(cases_of(holes, matrix="raw"))


def test_wrong_arguments():
    with pytest.raises(InputError, match="matrix must be one of prepared, raw, got 'scaled'"):
        next(cases_of(table(), matrix="scaled"))
    with pytest.raises(InputError, match="has a single family"):
        next(cases_of(table(families=1)))
