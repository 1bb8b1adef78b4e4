"""A pass that memory runs out in is done in halves: the same update, said once, and remembered."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cotune.exceptions import RunError
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import memory
from cotune.models.config import ModelConfig
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.language_model import LanguageModelConfig

BASE = {"model": str(TOY_CHECKPOINT), "precision": "fp32"}


@pytest.fixture(autouse=True)
def fresh_limits(monkeypatch):
    monkeypatch.setattr(memory, "_limits", {})


@pytest.fixture(scope="module")
def tasks():
    return toy_tasks(["copy", "max", "less"], train=24, validation=4, test=4)


def small_device(model, tokens, calls):
    """Let a real model raise what a device raises that has no memory for more tokens in a pass."""

    def check(module, args, kwargs, output):
        held = kwargs["input_ids"].numel()
        calls.append(held)
        if held > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    return model.base.register_forward_hook(check, with_kwargs=True)


def largest(model, work):
    """Return what came of a work, and the tokens of its largest pass."""
    calls = []
    hook = small_device(model, 10**9, calls)
    try:
        return work(), max(calls)
    finally:
        hook.remove()


def learner(tasks, **changes):
    training = {"batch_size": 8, "tasks_per_batch": 2, "learning_rate": 0.01, "pass_tokens": 4096}
    training |= changes.pop("training", {})
    return LanguageModelConfig(**BASE, training=training, **changes).build(tasks, Path())


@pytest.mark.parametrize("training", [{}, {"balancing": {"name": "pcgrad"}}, {"task_weights": {"copy": 2.0}}])
def test_a_run_goes_on_in_smaller_passes_to_the_same_losses(tasks, training):
    runs = learner(tasks, training=training)
    subset = ("copy", "max")
    whole, most = largest(runs.model, lambda: runs.fit(subset, 0, steps=4, split="validation"))
    limit, calls = most // 2, []
    hook = small_device(runs.model, limit, calls)
    with memory.telling() as told:
        parted = runs.fit(subset, 0, steps=4, split="validation")
    hook.remove()
    assert max(calls) > limit, "it ran out at first"
    assert np.allclose(parted.losses, whole.losses, rtol=1e-4)
    for task in subset:
        assert parted.scores[task].value == pytest.approx(whole.scores[task].value, rel=1e-3)
    assert [line for line in told if "they hold" in line and "training" in line]
    assert len(told) == len(set(told))
    # What fitted is begun with.
    calls.clear()
    with memory.telling() as told:
        hook = small_device(runs.model, limit, calls)
        runs.fit(subset, 0, steps=2, split="validation")
        hook.remove()
    assert not told
    assert max(calls) <= limit


def test_runs_side_by_side_go_on_too(tasks):
    runs = learner(tasks, side_by_side=2)
    options = {"steps": [3, 3], "split": "validation"}
    whole, most = largest(runs.model, lambda: runs.fit_many([("copy",), ("max",)], [0, 1], **options))
    hook = small_device(runs.model, most // 2, [])
    with memory.telling() as told:
        parted = runs.fit_many([("copy",), ("max",)], [0, 1], **options)
    hook.remove()
    assert told
    for one, other in zip(parted, whole, strict=True):
        assert np.allclose(one.losses, other.losses, rtol=1e-4)


def test_scoring_and_answering_go_on_too(tasks):
    model = ModelConfig(**BASE).load(Path())
    encoded = list(EncodedTasks(tasks, lambda: model.encoder).encoded("copy", "train"))
    for pack in (True, False):
        model.pack = pack and model.pack
        losses, most = largest(model, lambda: model.nll(model.base, encoded))
        answers, written = largest(model, lambda: model.generate(model.base, encoded[:6]))
        hook = small_device(model, min(most, written) * 2 // 3, [])
        with memory.telling() as told:
            assert np.allclose(model.nll(model.base, encoded), losses, rtol=1e-4)
            assert model.generate(model.base, encoded[:6]) == answers
        hook.remove()
        assert len(told) >= 1
        memory._limits.clear()


def test_what_does_not_fit_at_all_is_told(tasks):
    runs = learner(tasks)
    hook = small_device(runs.model, 3, [])
    with pytest.raises(RunError, match="one example"), memory.telling():
        runs.fit(("copy",), 0, steps=2, split="validation")
    hook.remove()


def test_nobody_listening_is_warned(tasks):
    runs = learner(tasks)
    assert runs.model.reads_rows in (True, False)  # tried with the first question
    hook = small_device(runs.model, 30, [])
    with pytest.warns(RuntimeWarning, match="Memory ran out"):
        runs.fit(("copy", "max"), 0, steps=1, split="validation")
    hook.remove()
