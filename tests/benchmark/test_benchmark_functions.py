import re

import numpy as np
import pytest

from cotune.benchmark.functions import TARGETS, run_functions
from cotune.benchmark.functions_report import leading_eigenvectors, report_data, verdict
from cotune.exceptions import InputError
from cotune.grouping import GROUPERS
from cotune.lab import FunctionClassConfig
from cotune.lab.function_classes.scratch import errors_from_scratch
from cotune.report import render_report, write_report

TINY = FunctionClassConfig(
    width=8,
    layers=1,
    heads=1,
    points=4,
    batch_size=6,
    base_steps=4,
    steps=3,
    eval_prompts=10,
    side_by_side=42,
)


@pytest.fixture(scope="module")
def tiny():
    seen = []
    result = run_functions(
        seeds=2,
        laws=["scales", "shared_means"],
        workers=0,
        config=TINY,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, 6) for i in range(1, 7)]
    return result


def test_every_set_and_seed_is_measured(tiny):
    assert [(run.laws, run.seed) for run in tiny.laws] == [
        ("scales", 0),
        ("scales", 1),
        ("shared_means", 0),
        ("shared_means", 1),
    ]
    for run in tiny.laws:
        assert run.affinity.shape == (9, 9)
        assert (run.affinity < 0).all()
        assert {f.algorithm for f in run.found} == set(GROUPERS)
        assert len(run.found) == 4 * len(GROUPERS)
        assert all(len(errors) == TINY.points for errors in run.by_position.values())
        mean = np.mean([errors.mean() for errors in run.by_position.values()])
        assert mean == pytest.approx(-np.diag(run.affinity).mean())
    assert tiny.cpu_seconds == pytest.approx(sum(run.cpu_seconds for run in (*tiny.laws, *tiny.curves)))
    assert tiny.cpu_seconds > 0


def test_another_process_measures_the_same(tiny):
    (elsewhere,) = run_functions(seeds=1, laws=["scales"], workers=1, config=TINY).laws
    np.testing.assert_allclose(elsewhere.affinity, tiny.laws[0].affinity, rtol=1e-6)
    assert [f.labels for f in elsewhere.found] == [f.labels for f in tiny.laws[0].found]


def test_every_target_is_trained_alone_and_with_both_others(tiny):
    types = [name.split("-")[0] for name in TARGETS]
    for run in tiny.curves:
        assert set(run.errors) == {(target, company) for target in types for company in types}
        assert all(errors.shape == (TINY.points,) for errors in run.errors.values())


def test_trained_models_use_the_examples():
    changes = {"dimension": 1, "layers": 2, "width": 16, "base_steps": 200, "batch_size": 16}
    config = TINY.model_copy(update={**changes, "eval_prompts": 200})
    (errors,) = errors_from_scratch(config, [("linear-sign",)])  # one example tells the sign
    assert errors["linear-sign"][-1] < 0.5 * errors["linear-sign"][0]


def test_the_company_decides_nothing_of_the_prompts_scored_on():
    (alone,) = errors_from_scratch(TINY, [("linear-1.0",)])
    (again,) = errors_from_scratch(TINY, [("linear-1.0",)])
    np.testing.assert_array_equal(alone["linear-1.0"], again["linear-1.0"])
    both = errors_from_scratch(TINY, [("linear-1.0", "tree-1.0"), ("linear-1.0", "relu-1.0")])
    assert [list(of_subset) for of_subset in both] == [["linear-1.0", "tree-1.0"], ["linear-1.0", "relu-1.0"]]


def test_the_eigenvectors_are_those_of_the_normalised_affinity():
    rng = np.random.default_rng(0)
    losses = rng.uniform(0.4, 1.0, size=(7, 7))
    weights = (losses + losses.T) / 2
    walk = weights / weights.sum(1, keepdims=True)
    values, _ = np.linalg.eig(walk)
    order = np.sort(values.real)[::-1]
    vectors = leading_eigenvectors(-losses)
    for column, value in zip(vectors.T, order[1:3], strict=True):
        np.testing.assert_allclose(walk @ column, value * column, atol=1e-10)
        assert np.linalg.norm(column) == pytest.approx(1)


def test_verdicts_say_what_was_recovered_and_why(tiny):
    for laws in ("scales", "shared_means"):
        exact = sum(run.agreement("sdp", "raw") == 1 for run in tiny.of_laws(laws))
        assert f"sdp {exact} / 2" in verdict(tiny, laws)
        explained = any(
            run.agreement("sdp", matrix, "first") > 0.5
            for run in tiny.of_laws(laws)
            for matrix in ("raw", "prepared")
        )
        assert tiny.explained(laws) == explained


def test_the_report_shows_the_three_figures_without_scripts(tiny, tmp_path):
    data = report_data(tiny)
    page = render_report(data)
    assert page == render_report(data)
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"http", page)
    for figure in ("Fig. 3, left", "Fig. 3, right", "Fig. 4", "Fig. 7"):
        assert figure in page
    assert page.count("heat map of 9 tasks") == 4
    assert page.count("trained alone and in company") == 3
    assert page.count("second and third eigenvector") == 2
    path = write_report(data, tmp_path / "new" / "functions.html")
    assert path.read_text() == page


def test_wrong_arguments():
    with pytest.raises(InputError, match=r"got 'scale' \(did you mean 'scales'\?\)"):
        run_functions(laws=["scale"])
    with pytest.raises(InputError, match="seeds must be at least 1, got 0"):
        run_functions(seeds=0)
