"""Laws in tokens, and the tokens that they are asked for."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cotune.training.timing as timing
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models.counting import held_tokens, read_tokens, written_passes
from cotune.training.language_model import LanguageModelConfig
from cotune.training.timing import Law

positive = st.floats(0.01, 1e4)


@given(positive, positive, st.floats(0, 1e3), st.floats(1e-6, 10))
def test_a_law_is_found_through_two_of_its_points(tokens, more, each, token):
    law = Law(each, token)
    found = Law.through((tokens, law(1, tokens)), (tokens + more, law(1, tokens + more)))
    assert found(3, 2 * tokens) == pytest.approx(
        law(3, 2 * tokens), rel=1e-3, abs=1e-6 * law(1, tokens + more)
    )


@given(positive, positive, positive, positive)
def test_whatever_was_measured_nothing_is_free_and_the_larger_batch_is_met(tokens, more, few_took, more_took):
    found = Law.through((tokens, few_took), (tokens + more, more_took))
    assert found.each >= 0
    assert found.token > 0
    assert found(1, tokens + more) == pytest.approx(more_took)


@pytest.fixture(scope="module")
def learner():
    options = {"model": str(TOY_CHECKPOINT), "training": {"batch_size": 8, "tasks_per_batch": 2}}
    config = LanguageModelConfig(**options, side_by_side=1)
    return config.build(toy_tasks(["copy", "reverse", "max"]), TOY_CHECKPOINT)


def test_tokens_are_those_that_the_model_is_given(learner, monkeypatch):
    model, given = learner.model, []
    examples = learner._data.encoded("copy", "train")[:8]
    whole = model.batch(examples)
    assert held_tokens(model, examples, 10**6) == whole.inputs["input_ids"].numel()
    assert held_tokens(model, examples, 1) >= held_tokens(model, examples, 10**6)
    forward = model.base.forward

    def counted(*args, **kwargs):
        given.append(kwargs["input_ids"].numel())
        return forward(*args, **kwargs)

    assert isinstance(model.reads_rows, bool)  # tried before it is counted
    monkeypatch.setattr(model.base, "forward", counted)
    model.nll(model.base, examples)
    assert read_tokens(model, examples) == pytest.approx(sum(given), rel=0.1)
    assert written_passes(model, examples) >= max(len(example.target) for example in examples)


def test_a_probe_does_three_steps_and_the_count_does_the_rest(learner, monkeypatch):
    """Under a clock on which every batch takes a second, a step of any size does."""
    ticks = count()
    monkeypatch.setattr(timing, "clock", lambda: float(next(ticks)))
    told = learner.timing()
    (law,) = told._laws.values()
    subset = tuple(sorted(learner.tasks))
    tokens = learner.expected_tokens(subset, 10)
    assert told.training(subset, 10) == pytest.approx(2 * told.training(subset, 5))
    assert 0 < told.training(subset, 10) <= law.each * 10 + law.token * 1.2 * tokens
    assert told.training(("copy",), 4) > 0
    assert told.scoring("copy", "test") > 0
    assert told.kept_bytes > 0


def test_a_long_first_step_is_the_last_of_a_probe(learner, monkeypatch):
    """Where a step on two examples takes long, eight would take four times that."""
    steps, now = [], [0.0]
    run = timing.measure_steps.__globals__["TaskBatch"]

    def clock():
        now[0] += 100.0
        return now[0]

    monkeypatch.setattr(timing, "clock", clock)
    monkeypatch.setattr(
        "cotune.training._loop.TrainingRun._step", lambda self, batch: steps.append(isinstance(batch, run))
    )
    learner.timing()
    assert len(steps) == 1
