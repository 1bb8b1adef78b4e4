"""Other methods on the same base, at an equal number of trained parameters."""

from pathlib import Path

import pytest

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.tasks import Example, Task
from cotune.training.language_model import LanguageModelConfig
from cotune.training.learner import Subset
from cotune.training.methods import METHODS, Full, Lora, Prefix, Prompt
from cotune.training.varied import VariedLearner, match_parameters

WORDS = ["apple", "banana", "cherry", "damson"]


def tasks():
    split = tuple(Example(word, (word,)) for word in WORDS)
    return [
        Task(name, f"{name} it.", dict.fromkeys(("train", "validation", "test"), split), "nll")
        for name in ("copy", "repeat")
    ]


@pytest.fixture
def learner(tiny_causal):
    options = {
        "model": str(tiny_causal),
        "precision": "fp32",
        "method": {"name": "lora", "r": 2, "alpha": 6},
        "training": {"batch_size": 2},
    }
    return parse(LanguageModelConfig, options, "learner").build(tasks(), Path())


SUBSET: Subset = ("copy", "repeat")


def trained(learner):
    """Count what has a gradient once the model is loaded and the method on it."""
    with learner._attached(SUBSET, 0) as attached:
        prompts = [] if attached.prompts is None else attached.prompts.parameters.values()
        every = {id(p): p for p in (*attached.module.parameters(), *prompts)}
        return sum(p.numel() for p in every.values() if p.requires_grad)


@pytest.mark.parametrize(
    "method",
    [Lora(r=3), Prefix(prefix_length=4), Prompt(prompt_length=5), Prompt(prompts="per_task"), Full()],
    ids=lambda m: f"{type(m).__name__} {m.plain().get('prompts', '')}",
)
def test_the_count_is_of_what_is_trained_and_loads_no_weights(learner, method):
    varied = learner.varied(method)
    counted = varied.trainable_parameters(SUBSET)
    assert "model" not in vars(learner)
    assert counted == trained(varied)


def test_variations_share_the_model_and_leave_the_original_as_it_was(learner):
    assert isinstance(learner, VariedLearner)
    prefix = learner.varied(Prefix(prefix_length=2), learning_rate=0.3)
    assert prefix.config.training.learning_rate == 0.3
    assert prefix.model is learner.model
    fresh = learner.fit(SUBSET, 1, steps=2, split="test")
    other = prefix.fit(SUBSET, 1, steps=2, split="test")
    assert learner.fit(SUBSET, 1, steps=2, split="test") == fresh
    assert other.scores["copy"].value != fresh.scores["copy"].value


def test_a_variation_is_what_a_study_with_that_method_would_train(learner, tiny_causal):
    method = Prompt(prompt_length=3, prompt_learning_rate=0.1)
    config = learner.config.model_copy(update={"method": method})
    direct = config.build(tasks(), Path())
    varied = learner.varied(method)
    assert varied.fingerprint == direct.fingerprint != learner.fingerprint
    runs = [each.fit(("copy",), 5, steps=2, split="test") for each in (varied, direct)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("method", [Lora(r=1, alpha=2), Prefix(), Prompt()])
@pytest.mark.parametrize("factor", [1.0, 3.2, 7.4])
def test_matching_takes_the_nearest_size(learner, method, factor):
    target = factor * learner.trainable_parameters(SUBSET)

    def count(one):
        return learner.varied(one).trainable_parameters(SUBSET)

    found = match_parameters(method, target, count)
    size = getattr(found, found.sized_by)
    sizes = [other for other in (size - 1, size, size + 1) if other > 0]
    assert size == min(sizes, key=lambda n: abs(count(found.resized(n)) - target))
    if isinstance(found, Lora):
        assert found.alpha / found.r == 2


def test_what_has_no_size_cannot_be_matched():
    with pytest.raises(InputError, match="full trains cannot be matched; it can for lora"):
        match_parameters(Full(), 10.0, lambda method: 1)


def test_a_warm_start_is_of_one_method(tiny_causal):
    options = {"model": str(tiny_causal), "warm_start": {"steps": 2}}
    warm = parse(LanguageModelConfig, options, "learner").build(tasks(), Path())
    with pytest.raises(InputError, match="leave warm_start out"):
        warm.varied(Prefix())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_methods_options_say_what_a_file_would(name):
    beside = {"others": {"tasks": "*"}} if "others" in METHODS[name].model_fields else {}
    method = METHODS[name](**beside)
    options = METHODS.plain(method)
    assert options.pop("name") == name
    assert parse(METHODS[name], options, "method") == method
