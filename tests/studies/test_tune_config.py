"""Defaults that depend on one another, and recipes by name."""

import json

import pytest

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.studies.tuning import TuneConfig
from cotune.training.methods import METHODS
from cotune.training.tuning import PRESETS


def config(name="lora", **options):
    return parse(TuneConfig, {"model": "m", "method": {"name": name}, **options}, "test")


def named(method):
    """Name a method, with what stands beside the targets where it cannot do without."""
    return {"name": method} | ({"others": {"tasks": "*"}} if "others" in METHODS[method].model_fields else {})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_to_plain_types_and_back(method):
    made = config(method=named(method))
    plain = json.loads(json.dumps(made.plain()))
    assert plain["method"]["name"] == method
    assert parse(TuneConfig, plain, "test") == made


def test_the_learning_rate_is_lower_where_every_weight_is_tuned():
    lora = {"name": "promot", "weights": {"name": "lora"}}
    assert config("full").training.learning_rate == config("promot").training.learning_rate == 1e-4
    assert config("lora").training.learning_rate == config("prompt").training.learning_rate == 1e-3
    assert config(method=lora).training.learning_rate == 1e-3
    assert config("full", training={"learning_rate": 0.5}).training.learning_rate == 0.5


def test_checkpoints_come_ten_times():
    assert config(steps=250).checkpoint_every == 25
    assert config(steps=3).checkpoint_every == 1
    assert config(steps=250, checkpoint_every=7).checkpoint_every == 7


def test_a_preset_fills_in_what_is_not_given():
    preset = PRESETS["paper-mt5"]
    made = config("promot", preset="paper-mt5", training={"batch_size": 16})
    assert made.training.optimizer == "adafactor"
    assert made.training.learning_rate == preset.tuning["training"]["learning_rate"]
    assert made.training.batch_size == 16
    assert made.checkpoint_every == preset.tuning["checkpoint_every"]
    assert made.method.prompt_steps == preset.method["prompt_steps"]
    assert made.in_context.num_beams == preset.evaluation["num_beams"]
    assert made.max_prompt_tokens == 1024
    assert config("promot", preset="paper-mt5", max_prompt_tokens=32).max_prompt_tokens == 32
    assert config("lora", preset="paper-mt5").method == METHODS["lora"]()
    given = {"method": {"name": "promot", "prompt_length": 7}, "in_context": {"num_beams": 2}}
    assert parse(TuneConfig, {"model": "m", "preset": "paper-mt5", **given}, "test").method.prompt_length == 7


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"preset": "paper-mt6"}, "did you mean 'paper-mt5'"),
        ({"steps": "many"}, "steps"),
        ({"training": 3}, "training"),
        ({"method": {"nme": "lora"}}, "needs the key 'name'"),
        ({"in_context": {"shot": [1]}}, "did you mean 'shots'"),
    ],
)
def test_mistakes_are_one_sentence(options, expected):
    with pytest.raises(InputError, match=expected) as error:
        config(**options)
    assert "\n" not in str(error.value)
