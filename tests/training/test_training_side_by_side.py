"""Many LoRAs in one pass over the base: every one must come out as it does alone."""

import numpy as np
import pytest
import torch

from cotune.exceptions import InputError, RunError
from cotune.models import memory
from cotune.models.batching import plan_rows
from cotune.training import SideBySideLearner
from cotune.training._loop import dropout_of
from cotune.training._lora_stack import LoraStack, adapter_of
from cotune.training.language_model import _side_by_side
from cotune.training.methods import Lora
from cotune.training.parts import Part

SUBSETS = [("copy",), ("copy", "last"), ("last", "swap"), ("copy",), ("copy", "last", "swap")]
SEEDS = [0, 1, 2, 5, 3]


@pytest.fixture(scope="module")
def tasks(make_task):
    return [
        make_task("copy"),
        make_task("last", metric="accuracy", choices=("red", "blue", "two")),
        make_task("swap", sizes=(7, 3, 3)),
    ]


def assert_alike(learner, steps):
    """Compare losses, scores and tokens of one call with those of separate ones."""
    together = learner.fit_many(SUBSETS, SEEDS, steps=steps, split="validation")
    for subset, seed, n_steps, fit in zip(SUBSETS, SEEDS, steps, together, strict=True):
        alone = learner.fit(subset, seed, steps=n_steps, split="validation")
        np.testing.assert_allclose(fit.losses, alone.losses, rtol=0, atol=1e-4)
        assert len(fit.losses) == n_steps
        assert fit.tokens == alone.tokens
        assert list(fit.scores) == list(alone.scores)
        for name, score in fit.scores.items():
            np.testing.assert_allclose(score.per_example, alone.scores[name].per_example, atol=1e-4)


RECIPES = [
    {"clip": None},
    {"clip": 0.01},
    {"schedule": "linear", "warmup": 0.3, "weight_decay": 0.1},
    {"label_smoothing": 0.2, "pass_tokens": 40},
]


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "-".join(recipe))
def test_every_run_is_the_run_alone(kind, recipe, learner_of, tasks):
    training = {"batch_size": 4, "learning_rate": 0.02, **recipe}
    learner = learner_of(kind, tasks, side_by_side=3, training=training)
    assert isinstance(learner, SideBySideLearner)
    assert learner.side_by_side == 3
    assert_alike(learner, [4, 4, 4, 2, 4])


def test_runs_from_a_warm_start_are_the_runs_alone(learner_of, tasks):
    learner = learner_of("causal", tasks, side_by_side=5, warm_start={"steps": 5})
    assert_alike(learner, [4] * 5)


def test_other_matrices_and_ranks_are_stacked_too(learner_of, tasks):
    method = {"name": "lora", "r": 3, "alpha": 5, "target_modules": ["k_proj", "o_proj", "down_proj"]}
    assert_alike(learner_of("causal", tasks, side_by_side=4, method=method), [4] * 5)


@pytest.mark.parametrize(
    "options",
    [
        {"method": {"name": "lora", "dropout": 0.2}},
        {"method": {"name": "prompt", "prompt_length": 3}},
        {"training": {"batch_size": 4, "optimizer": "adafactor"}},
        {"training": {"batch_size": 4, "dropout": 0.3}},
    ],
    ids=["dropout of the LoRA", "another method", "another optimiser", "dropout of the base"],
)
def test_what_would_come_out_otherwise_is_run_one_by_one(options, learner_of, tasks):
    with pytest.raises(ValueError, match=r"side_by_side must be 1 or left out: runs share passes only"):
        learner_of("seq2seq", tasks, side_by_side=4, **options)
    learner = learner_of("seq2seq", tasks, **options)
    assert_one_by_one(learner)


def assert_one_by_one(learner):
    """Ask for all runs in one pass, and compare them with those of separate passes to the last digit."""
    runs = list(zip(SUBSETS[:2], SEEDS[:2], strict=True))
    parts = [Part(subset, seed, 2) for subset, seed in runs]
    together = learner._fit_all(parts, split="validation", most=2)
    for (subset, seed), fit in zip(runs, together, strict=True):
        alone = learner.fit(subset, seed, steps=2, split="validation")
        assert (fit.losses, fit.scores) == (alone.losses, alone.scores)


def test_dropout_of_the_checkpoint_itself_is_seen_when_it_is_loaded(learner_of, tasks):
    learner = learner_of("seq2seq", tasks, side_by_side=2)
    assert learner.side_by_side == 2
    with dropout_of(learner.model.base, 0.3):
        assert_one_by_one(learner)


def test_the_size_of_a_pass_is_no_part_of_the_fingerprint(learner_of, tasks):
    assert learner_of("causal", tasks, side_by_side=3).fingerprint == learner_of("causal", tasks).fingerprint


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"training": {"batch_size": 2}}, 1),
        ({"training": {"batch_size": 2, "pass_tokens": 600}}, 5),
        ({"training": {"batch_size": 1, "tasks_per_batch": 1}}, 6),
        ({"training": {"batch_size": 1, "tasks_per_batch": 1, "pass_tokens": 10_000}}, 16),
        ({"training": {"batch_size": 12}}, 1),
        ({"training": {"batch_size": 12}, "side_by_side": 5}, 5),
        ({"training": {"batch_size": 4}, "method": {"name": "lora", "dropout": 0.1}}, 1),
        ({"training": {"batch_size": 4}, "method": {"name": "full"}}, 1),
    ],
)
def test_a_pass_holds_as_many_as_fill_it(options, expected, learner_of, make_task):
    learner = learner_of("causal", [make_task("copy", sizes=(12, 1, 1))], **options)
    assert np.mean([len(e) for e in learner._data.encoded("copy", "train")]) == pytest.approx(58, abs=1)
    assert learner.side_by_side == expected
    assert "model" not in vars(learner)


def test_one_that_diverges_is_named_and_the_base_is_left_as_it_was(learner_of, tasks):
    recipe = {"batch_size": 4, "learning_rate": 1e30, "clip": None}
    first = learner_of("causal", tasks, side_by_side=3, training=recipe)
    before = {name: value.clone() for name, value in first.model.base.state_dict().items()}
    with pytest.raises(RunError, match=r"^Training copy with seed 0: The loss became nan at step 3 of 6;"):
        first.fit_many(SUBSETS[:3], SEEDS[:3], steps=[6] * 3, split="validation")
    learner = learner_of("causal", tasks, side_by_side=3, training={**recipe, "learning_rate": 1e40})
    with pytest.raises(
        RunError, match=r"^Training copy with seed 0: The weights are not finite after step 1"
    ):
        learner.fit_many(SUBSETS[:3], SEEDS[:3], steps=[1] * 3, split="validation")
    after = first.model.base.state_dict()
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_every_run_needs_a_seed_and_a_length(learner_of, tasks):
    with pytest.raises(InputError, match="got 2 subsets, 1 seeds and 2 numbers of steps"):
        learner_of("causal", tasks).fit_many(SUBSETS[:2], [0], steps=[1, 1], split="test")


def test_rows_pass_through_the_adapter_they_belong_to(causal, encode):
    (example,) = encode(causal, [("red green", "blue")])
    adapters, alone = [], []
    for seed in (0, 1):
        torch.manual_seed(seed)
        with Lora().attach(causal) as attached, torch.no_grad():
            for parameter in attached.parameters:
                parameter.copy_(torch.randn(parameter.shape) / 4)
            adapters.append(adapter_of(causal.base))
            alone.append(causal.target_losses(attached.module.eval(), causal.batch([example])))
    stack = LoraStack(adapters)
    batch = causal.batch([example] * 3, owners=[1, 0, 1])
    assert len(batch.inputs["input_ids"]) == 3
    with stack.attached(causal.base), stack.rows(torch.tensor([1, 0, 1])), torch.no_grad():
        losses = causal.target_losses(causal.base, batch).view(3, -1)
    for row, owner in zip(losses, (1, 0, 1), strict=True):
        torch.testing.assert_close(row, alone[owner], rtol=1e-4, atol=1e-5)
    assert (losses[0] - losses[1]).abs().max() > 1e-2


def test_examples_of_different_owners_share_no_row(causal, encode):
    examples = encode(causal, [("red", "red"), ("green", "green"), ("blue", "blue"), ("one", "one")])
    assert plan_rows(examples, pack=True) == [[0, 1, 2, 3]]
    assert plan_rows(examples, pack=True, owners=[0, 0, 1, 1]) == [[0, 1], [2, 3]]
    assert plan_rows(examples, pack=True, owners=[0, 1, 0, 0]) == [[0], [1], [2, 3]]


TRIED = {"training": {"batch_size": 2, "pass_tokens": 380}}
"""Three LoRAs fill a pass: too few for a processor, enough to be tried on an accelerator."""


def test_a_trial_times_both_ways_and_leaves_all_as_it_was(learner_of, tasks):
    learner = learner_of("causal", tasks, **TRIED)
    assert learner.width == learner.side_by_side == 1, "of processors it is known"
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    alone = learner.fit(("copy",), 0, steps=2, split="validation")
    torch.random.set_rng_state(before)
    weights = {name: value.clone() for name, value in learner.model.base.state_dict().items()}
    trial = learner.trial(3)
    assert (trial.device, trial.models) == ("cpu", 3)
    assert min(trial.together, trial.alone) > 0
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(weights[name], value) for name, value in learner.model.base.state_dict().items())
    again = learner.fit(("copy",), 0, steps=2, split="validation")
    assert again.losses == alone.losses


@pytest.mark.parametrize(
    ("ends", "width", "said"),
    [((1, 1), 3, "3 to a pass"), ((50, 1), 1, "one at a time")],
    ids=["faster together", "faster alone"],
)
def test_an_accelerator_shares_passes_where_its_own_trial_says_so(
    ends, width, said, learner_of, tasks, monkeypatch
):
    """Both ways are really done; the clock decides which was faster."""
    together, alone = ends
    seconds = iter([0, together, 0, alone] * 2)
    monkeypatch.setattr(_side_by_side, "clock", lambda device: next(seconds))
    monkeypatch.setattr(_side_by_side, "decided_by_trial", lambda device: True)
    passes = []
    real = _side_by_side.SideBySideRuns._fit_splits
    monkeypatch.setattr(
        _side_by_side.SideBySideRuns,
        "_fit_splits",
        lambda self, parts, **options: passes.append(options["most"]) or real(self, parts, **options),
    )
    learner = learner_of("causal", tasks, **TRIED)
    assert learner.side_by_side == 3, "jobs bring as many as may share a pass"
    with memory.telling() as told:
        fits = learner.fit_many(SUBSETS[:3], SEEDS[:3], steps=[2] * 3, split="validation")
    assert learner.width == width
    assert passes == ([3] if width == 3 else [1, 1, 1])
    assert len(told) == 1
    assert said in told[0]
    for subset, seed, fit in zip(SUBSETS, SEEDS, fits, strict=False):
        expected = learner.fit(subset, seed, steps=2, split="validation")
        np.testing.assert_allclose(fit.losses, expected.losses, atol=1e-4)
    assert next(seconds, None) is None, "it is tried once"


def test_what_cannot_be_tried_is_run_one_by_one_and_told(learner_of, tasks, monkeypatch):
    monkeypatch.setattr(_side_by_side, "decided_by_trial", lambda device: True)
    learner = learner_of("causal", tasks, training={**TRIED["training"], "max_loss": 1e-6})
    with memory.telling() as told:
        assert learner.width == 1
    assert "could not be tried. A trial of runs side by side: The loss exploded" in told[0]


def test_a_number_in_the_file_is_not_tried(learner_of, tasks, monkeypatch):
    monkeypatch.setattr(_side_by_side, "decided_by_trial", lambda device: True)
    learner = learner_of("causal", tasks, side_by_side=2)
    assert learner.width == 2
    assert "model" not in vars(learner)
