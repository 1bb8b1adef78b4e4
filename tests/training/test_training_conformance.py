"""What a study relies on, asked of every learner there is: a new one is one line of LEARNERS."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from cotune.affinity import FirstOrder, Linearised, lookahead
from cotune.exceptions import InputError
from cotune.lab import FunctionClassConfig
from cotune.training import (
    FeatureLearner,
    Fit,
    Learner,
    LinearisedLearner,
    LookaheadLearner,
    Score,
    SideBySideLearner,
    SplitsLearner,
)
from cotune.training.parts import Part, PartLearner, Span


def language_model(kind, request, **options) -> Learner:
    make_task = request.getfixturevalue("make_task")
    tasks = [make_task("copy"), make_task("last", metric="rouge_l"), make_task("swap")]
    return request.getfixturevalue("learner_of")(kind, tasks, **options)


def function_classes(request) -> Learner:
    return FunctionClassConfig(
        classes=("linear-1.0", "relu-1.0", "tree-1.0"),
        points=5,
        width=8,
        base_steps=10,
        steps=3,
        lr=0.01,
        eval_prompts=6,
        side_by_side=2,
    ).build()


LEARNERS: dict[str, Callable[[pytest.FixtureRequest], Learner]] = {
    "language model, causal": partial(language_model, "causal"),
    "language model, causal, warm": partial(language_model, "causal", warm_start={"steps": 5}),
    "language model, encoder-decoder": partial(language_model, "seq2seq"),
    "language model, causal, upper layers": partial(language_model, "causal", adapt_from=1),
    "language model, encoder-decoder, decoder": partial(language_model, "seq2seq", adapt_from=0.5),
    "function classes": function_classes,
}
"""Every learner with at least three tasks, each run of which takes well under a second."""


@dataclass(frozen=True)
class Case:
    """A learner that has run, and how to make one like it."""

    make: Callable[[], Learner]
    learner: Learner
    subset: tuple[str, ...]
    fit: Fit


@pytest.fixture(scope="module", params=LEARNERS)
def case(request, one_thread) -> Case:
    make = partial(LEARNERS[request.param], request)
    learner = make()
    subset = tuple(sorted(learner.tasks)[:2])
    return Case(make, learner, subset, learner.fit(subset, 3, steps=3, split="validation"))


def numbers(fit: Fit):
    return fit.losses, {name: score.per_example for name, score in fit.scores.items()}


def assert_same(fit: Fit, other: Fit, *, tolerance: float = 0.0):
    """Compare two runs; a tolerance is for those that were computed in another order."""
    np.testing.assert_allclose(fit.losses, other.losses, rtol=tolerance, atol=tolerance)
    assert list(fit.scores) == list(other.scores)
    for name, score in fit.scores.items():
        np.testing.assert_allclose(
            score.per_example, other.scores[name].per_example, rtol=tolerance, atol=tolerance
        )
    assert fit.tokens == other.tokens


def test_it_has_the_protocol(case):
    assert isinstance(case.learner, Learner)
    assert len(case.learner.tasks) >= 3
    assert len(set(case.learner.tasks)) == len(case.learner.tasks)
    assert set(case.learner.families) == set(case.learner.tasks)
    assert all(isinstance(family, str) for family in case.learner.families.values())


def test_a_fit_scores_every_task_of_the_subset_and_no_other(case):
    assert isinstance(case.fit, Fit)
    assert set(case.fit.scores) == set(case.subset)
    assert len(case.fit.losses) == 3
    assert np.isfinite(case.fit.losses).all()


def test_a_score_is_the_mean_of_its_examples(case):
    for score in case.fit.scores.values():
        assert isinstance(score, Score)
        assert len(score.per_example) > 1
        assert np.isfinite(score.per_example).all()
        assert score.value == pytest.approx(np.mean(score.per_example), rel=1e-6)
        assert abs(score.utility) == abs(score.value)
        assert Score.from_dict(score.to_dict()) == score


def test_a_run_is_determined_by_subset_and_seed(case):
    assert_same(case.learner.fit(case.subset, 3, steps=3, split="validation"), case.fit)
    assert_same(case.make().fit(case.subset, 3, steps=3, split="validation"), case.fit)


def test_a_run_does_not_depend_on_the_runs_before(case):
    learner = case.make()
    learner.fit((learner.tasks[-1],), 8, steps=2, split="test")
    assert_same(learner.fit(case.subset, 3, steps=3, split="validation"), case.fit)


def test_another_seed_or_subset_is_another_run(case):
    first = case.subset[:1]
    others = [
        case.learner.fit(case.subset, 4, steps=3, split="validation"),
        case.learner.fit(first, 3, steps=3, split="validation"),
    ]
    for other in others:
        assert other.losses != case.fit.losses
    assert set(others[1].scores) == set(first)


def test_the_splits_are_scored_on_examples_of_their_own(case):
    test = case.learner.fit(case.subset, 3, steps=3, split="test")
    assert test.losses == case.fit.losses
    assert numbers(test) != numbers(case.fit)


def test_the_number_of_steps_is_obeyed(case):
    longer = case.learner.fit(case.subset, 3, steps=5, split="validation")
    assert len(longer.losses) == 5
    assert longer.losses[0] == case.fit.losses[0]


def test_scores_of_a_training_of_the_default_length_cover_the_subset(case):
    scores = case.learner.fit_score(case.subset, 3)
    assert set(scores) == set(case.subset)
    assert scores == case.learner.fit_score(case.subset, 3)
    for name, score in scores.items():
        assert (score.metric, score.higher_is_better) == (
            case.fit.scores[name].metric,
            case.fit.scores[name].higher_is_better,
        )
        assert len(score.per_example) == len(case.fit.scores[name].per_example)


def test_tokens_are_foretold_where_there_are_any(case):
    expected = case.learner.expected_tokens(case.subset, 3)
    if case.fit.tokens is None:
        assert expected is None
    else:
        assert expected == pytest.approx(case.fit.tokens, rel=0.2)
        assert case.learner.expected_tokens(case.subset, 6) == pytest.approx(2 * expected, abs=1)


def test_fingerprints_are_hashes_that_last(case):
    again = case.make()
    prints = [case.learner.fingerprint, *map(case.learner.task_fingerprint, case.learner.tasks)]
    assert prints == [again.fingerprint, *map(again.task_fingerprint, again.tasks)]
    assert len(set(prints)) == len(prints)
    assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in prints)


def test_the_check_has_notes_for_every_task(case):
    notes = case.learner.check()
    assert set(notes) == set(case.learner.tasks)
    assert all(isinstance(note, str) for of_task in notes.values() for note in of_task)


def test_preparing_changes_no_run_and_can_be_repeated(case, tmp_path):
    for _ in range(2):
        learner = case.make()
        learner.prepare(tmp_path)
        assert_same(learner.fit(case.subset, 3, steps=3, split="validation"), case.fit)


def test_what_was_trained_is_saved_where_asked(case, tmp_path):
    fit = case.learner.fit(case.subset, 3, steps=3, split="validation", save_to=tmp_path)
    assert_same(fit, case.fit)
    assert any(file.stat().st_size > 0 for file in tmp_path.glob("*.safetensors"))


@pytest.fixture
def features(case) -> FeatureLearner:
    if not isinstance(case.learner, FeatureLearner):
        pytest.skip("The learner has no features.")
    return case.learner


def test_features_describe_a_task_twice(features):
    one = features.gradient_features(features.tasks[0], examples=3, seed=1, dimension=10**7)
    assert one.dtype == np.float32
    assert one.shape[0] == 2
    assert (np.abs(one).max(axis=1) > 0).all()
    assert (one[0] != one[1]).any()
    short = features.gradient_features(features.tasks[0], examples=3, seed=1, dimension=32)
    assert short.shape == (2, 32)


def test_features_are_determined_by_task_and_seed(features):
    describe = partial(features.gradient_features, examples=3, dimension=64)
    one, other = features.tasks[:2]
    assert (describe(one, seed=1) == describe(one, seed=1)).all()
    assert (describe(one, seed=1) != describe(one, seed=2)).any()
    assert (describe(one, seed=1) != describe(other, seed=1)).any()


def test_features_leave_runs_as_they_are(case, features):
    features.gradient_features(features.tasks[0], examples=3, seed=1, dimension=64)
    assert_same(features.fit(case.subset, 3, steps=3, split="validation"), case.fit)


@pytest.fixture
def linear(case) -> LinearisedLearner:
    if not isinstance(case.learner, LinearisedLearner):
        pytest.skip("The learner has no margins.")
    return case.learner


def test_margins_make_a_first_order_estimate(linear):
    options = {"examples": 4, "seed": 1, "dimension": 32}
    tasks = [linear.linearise(task, **options) for task in linear.tasks]
    for arrays in tasks:
        assert all(array.dtype == np.float32 for array in arrays.values())
        assert arrays["train_gradients"].shape == (len(arrays["train_margins"]), 32)
        assert arrays["eval_gradients"].shape == (len(arrays["eval_margins"]), 32)
        assert (np.abs(arrays["train_gradients"]).max(1) > 0).all()
    estimate = FirstOrder(loss=linear.linear_loss, regularisation=1.0)
    n = len(tasks)
    scores = estimate.fit([Linearised(**arrays) for arrays in tasks]).predict(np.eye(n, dtype=bool))
    assert np.isfinite(scores[np.eye(n, dtype=bool)]).all()


def test_margins_are_determined_by_task_and_seed(linear):
    def gradients(task, seed):
        return linear.linearise(task, examples=3, seed=seed, dimension=64)["train_gradients"]

    one, other = linear.tasks[:2]
    assert (gradients(one, 1) == gradients(one, 1)).all()
    assert (gradients(one, 1) != gradients(one, 2)).any()
    assert (gradients(one, 1) != gradients(other, 1)).any()


def test_margins_leave_runs_as_they_are(case, linear):
    linear.linearise(linear.tasks[0], examples=3, seed=1, dimension=64)
    assert_same(linear.fit(case.subset, 3, steps=3, split="validation"), case.fit)


@pytest.fixture
def ahead(case) -> LookaheadLearner:
    if not isinstance(case.learner, LookaheadLearner):
        pytest.skip("The learner does not look ahead.")
    return case.learner


def test_looking_ahead_measures_every_pair_of_tasks(ahead):
    n = len(ahead.tasks)
    before, after = ahead.lookahead(2, steps=3, every=2)
    assert before.shape == (2, n)
    assert after.shape == (2, n, n)
    affinity = lookahead(before, after)
    assert (affinity.counts == 2).all()
    # A step on a task helps itself, on the very batch.
    assert (np.diag(affinity.matrix) > 0).all()
    again = ahead.lookahead(2, steps=3, every=2)
    assert (again[0] == before).all()
    assert (again[1] == after).all()


@pytest.fixture
def many(case) -> SideBySideLearner:
    if not isinstance(case.learner, SideBySideLearner):
        pytest.skip("The learner trains one subset at a time.")
    return case.learner


def test_runs_in_one_pass_are_those_of_separate_passes(case, many):
    subsets = [case.subset, case.subset[:1], tuple(sorted(many.tasks)), case.subset]
    seeds, steps = [3, 4, 5, 6], [3, 3, 2, 4]
    together = many.fit_many(subsets, seeds, steps=steps, split="validation")
    assert many.side_by_side >= 1
    assert_same(together[0], case.fit, tolerance=1e-4)
    for subset, seed, n_steps, fit in zip(subsets, seeds, steps, together, strict=True):
        alone = many.fit(subset, seed, steps=n_steps, split="validation")
        assert_same(fit, alone, tolerance=1e-4)


def test_runs_in_one_pass_need_a_seed_each(case, many):
    with pytest.raises(InputError, match="2 subsets, 1 seeds"):
        many.fit_many([case.subset] * 2, [3], steps=[3, 3], split="test")


def test_one_training_scored_on_both_splits_is_that_of_separate_runs(case):
    if not isinstance(case.learner, SplitsLearner):
        pytest.skip("The learner scores one split of a training.")
    splits = ("validation", "test")
    ((validation, test),) = case.learner.fit_splits([case.subset], [3], steps=[3], splits=splits)
    assert_same(validation, case.fit)
    apart = case.learner.fit(case.subset, 3, steps=3, split="test")
    assert_same(test, apart)
    assert test.scores == apart.scores
    assert test.tokens == validation.tokens == apart.tokens


@pytest.fixture
def parted(case) -> PartLearner:
    if not isinstance(case.learner, PartLearner):
        pytest.skip("The learner cannot stop in the middle of a run.")
    return case.learner


def test_a_parted_run_is_the_whole_one_and_leaves_a_run_beside_it_as_it_is(case, parted, tmp_path):
    parted.check_parts()
    begun = parted.begin(Part(case.subset, 3, 1, Span(rest=2)), tmp_path)
    (rest,) = parted.fit_parts([Part(case.subset, 3, 2, Span(since=1), tmp_path)], split="validation")
    assert begun.losses + rest.losses == case.fit.losses
    assert numbers(rest)[1] == numbers(case.fit)[1]
    part = Part(case.subset[:1], 3, 2, Span(since=1), tmp_path)
    first, again = (parted.fit_parts([part] * copies, split="validation")[0] for copies in (1, 2))
    assert_same(first, again, tolerance=1e-4)
    assert_same(parted.fit(case.subset, 3, steps=3, split="validation"), case.fit)
