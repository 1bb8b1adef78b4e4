"""An adapter on the upper layers alone: what is below is computed once, and the results are the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cotune.exceptions import InputError
from cotune.training.below import layers_below
from cotune.training.language_model import LanguageModelConfig

SUBSET = ("copy", "last")
UPPER = {"causal": {"adapt_from": 1}, "seq2seq": {"adapt_from": 0.5}}
SAME = {
    "causal": {"layers_to_transform": [1]},
    "seq2seq": {"layers_to_transform": [0, 1], "exclude_modules": r"(.*\.)?encoder\..*"},
}
"""The same adapters in PEFT's words, with nothing computed once."""


@pytest.fixture
def tasks(make_task):
    choices = ("red", "green", "blue", "one", "two", "three", "four", "five", "six", "seven")
    return [make_task("copy"), make_task("last", metric="accuracy", choices=choices), make_task("swap")]


@pytest.fixture(params=UPPER)
def kind(request) -> str:
    return request.param


def fit(learner, **options):
    return learner.fit(SUBSET, 3, **{"steps": 4, "split": "validation", **options})


def numbers(fit):
    return np.array([*fit.losses, *(v for score in fit.scores.values() for v in score.per_example)])


def test_runs_are_those_of_the_same_adapter_without(learner_of, tasks, kind):
    plain = fit(learner_of(kind, tasks, method={"name": "lora", **SAME[kind]}))
    ours = fit(learner_of(kind, tasks, **UPPER[kind]))
    np.testing.assert_allclose(numbers(ours), numbers(plain), rtol=1e-5, atol=1e-5)


def test_bytes_change_nothing_but_what_is_computed_again(learner_of, tasks, kind):
    all_kept = fit(learner_of(kind, tasks, **UPPER[kind]))
    for few in (0, 5000):
        other = fit(learner_of(kind, tasks, **UPPER[kind], cache_bytes=few))
        np.testing.assert_allclose(numbers(other), numbers(all_kept), rtol=1e-5, atol=1e-5)


def test_the_file_is_made_once_and_read(learner_of, tasks, kind, tmp_path):
    first = learner_of(kind, tasks, **UPPER[kind])
    first.prepare(tmp_path)
    (path,) = tmp_path.glob("*.bin")
    made = path.stat()
    assert made.st_size >= first.kept_states.n_bytes
    second = learner_of(kind, tasks, **UPPER[kind])
    second.prepare(tmp_path)
    assert numbers(fit(first)).tolist() == numbers(fit(second)).tolist()
    assert path.stat().st_mtime_ns == made.st_mtime_ns
    assert [path] == list(tmp_path.glob("*.bin"))


def test_an_encoder_is_asked_no_more_for_answers_that_are_written(learner_of, make_task):
    tasks = [make_task("copy", metric="exact_match"), make_task("last", metric="exact_match")]
    learner = learner_of("seq2seq", tasks, adapt_from=0.5)
    fit(learner)  # states in memory come as they are asked for
    calls = []
    hook = learner.model.base.get_encoder().register_forward_hook(lambda *_: calls.append(1))
    try:
        again = fit(learner)
    finally:
        hook.remove()
    assert not calls
    plain = fit(learner_of("seq2seq", tasks, method={"name": "lora", **SAME["seq2seq"]}))
    np.testing.assert_allclose(numbers(again), numbers(plain), rtol=1e-5, atol=1e-5)


def test_a_damaged_file_is_made_again(learner_of, tasks, tmp_path):
    learner_of("causal", tasks, adapt_from=1).prepare(tmp_path)
    (path,) = tmp_path.glob("*.bin")
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + b"\x7f" + whole[201:])
    learner = learner_of("causal", tasks, adapt_from=1)
    learner.prepare(tmp_path)
    found = fit(learner)
    assert path.read_bytes() == whole
    assert numbers(found).tolist() == numbers(fit(learner_of("causal", tasks, adapt_from=1))).tolist()


def test_another_boundary_or_other_tasks_have_a_file_of_their_own(learner_of, make_task, tmp_path):
    tasks = [make_task("copy"), make_task("swap")]
    learner_of("causal", tasks, adapt_from=1).prepare(tmp_path)
    learner_of("causal", tasks[:1], adapt_from=1).prepare(tmp_path)
    learner_of("causal", tasks, adapt_from=0.5).prepare(tmp_path)  # the same boundary in other words
    learner_of("causal", tasks, adapt_from=1, cache_bytes=3000).prepare(tmp_path)
    assert len(list(tmp_path.glob("*.bin"))) == 3


def test_the_adapter_is_an_ordinary_one(learner_of, tasks, kind, tmp_path):
    from peft import PeftModel
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    learner = learner_of(kind, tasks, **UPPER[kind])
    fit(learner, save_to=tmp_path)
    with safe_open(tmp_path / "adapter_model.safetensors", framework="pt") as stored:
        names = list(stored.keys())
    assert names
    assert not any(".encoder." in name or "layers.0." in name for name in names)
    auto = AutoModelForCausalLM if kind == "causal" else AutoModelForSeq2SeqLM
    base = auto.from_pretrained(
        json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"]
    )
    loaded = PeftModel.from_pretrained(base, tmp_path)
    assert sorted(name for name, _ in loaded.named_parameters() if "lora_" in name) == sorted(
        name.replace(".weight", ".default.weight") for name in names
    )


def test_many_in_a_pass_are_those_alone(learner_of, tasks):
    alone = [fit(learner_of("causal", tasks, adapt_from=1, side_by_side=1)) for _ in range(2)]
    learner = learner_of("causal", tasks, adapt_from=1, side_by_side=2)
    both = learner.fit_many([SUBSET, SUBSET], [3, 3], steps=[4, 4], split="validation")
    for ours, own in zip(both, alone, strict=True):
        np.testing.assert_allclose(numbers(ours), numbers(own), rtol=1e-4, atol=1e-4)


def test_features_and_margins_are_those_without(learner_of, tasks, kind):
    plain = learner_of(kind, tasks, method={"name": "lora", **SAME[kind]})
    ours = learner_of(kind, tasks, **UPPER[kind])
    for measure in (
        lambda learner: learner.gradient_features("copy", examples=3, seed=1, dimension=10**7),
        lambda learner: learner.linearise("last", examples=3, seed=1, dimension=64)["eval_gradients"],
        lambda learner: learner.lookahead(0, steps=2, every=1)[1],
    ):
        np.testing.assert_allclose(measure(ours), measure(plain), rtol=1e-4, atol=1e-5)


def test_a_warm_start_goes_on_the_same_layers(learner_of, tasks, tmp_path):
    learner = learner_of("causal", tasks, adapt_from=1, warm_start={"steps": 3})
    learner.prepare(tmp_path)
    cold = learner_of("causal", tasks, adapt_from=1)
    assert numbers(fit(learner)).tolist() != numbers(fit(cold)).tolist()


def test_runs_have_keys_of_their_own(learner_of, tasks):
    prints = [
        learner_of("causal", tasks, **options).fingerprint
        for options in ({}, {"adapt_from": 1}, {"adapt_from": 1, "cache_bytes": 0})
    ]
    assert prints[0] != prints[1] == prints[2]


@given(share=st.decimals(min_value="0.001", max_value="0.999", places=3), n_layers=st.integers(2, 200))
def test_at_least_a_share_of_the_layers_is_below(share, n_layers):
    below = layers_below(float(share), n_layers)
    assert below >= share * n_layers > below - 1, "and no more than that takes"
    assert layers_below(below, n_layers) == below, "a number is the number"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"adapt_from": 2}, "must leave layers below and above, of the model's 2, got 2"),
        ({"adapt_from": 0.6}, "must leave layers below and above, of the model's 2, got 0.6"),
    ],
)
def test_layers_that_are_not_there_are_refused(learner_of, tasks, options, said):
    with pytest.raises(InputError, match=said):
        learner_of("causal", tasks, **options).check()


def test_an_encoder_in_part_is_refused(learner_of, tasks):
    with pytest.raises(InputError, match="whole encoder below, 2 of the model's 4 layers, got 1"):
        learner_of("seq2seq", tasks, adapt_from=1).check()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"adapt_from": 1, "method": {"name": "prompt"}}, "prompt, which cannot be put on"),
        ({"adapt_from": 1, "method": {"name": "promot"}}, "promot, which cannot be put on"),
        (
            {"adapt_from": 1, "method": {"name": "lora", "layers_to_transform": [0]}},
            "layers_to_transform says",
        ),
        ({"adapt_from": 1, "training": {"dropout": 0.1}}, "needs training.dropout 0, got 0.1"),
        ({"cache_bytes": 100}, "acts only where adapt_from"),
        ({"adapt_from": 1.5}, "less than 1"),
        ({"adapt_from": 0}, "greater than"),
    ],
)
def test_options_that_cannot_be_honoured_are_refused(tiny_causal, options, said):
    with pytest.raises(ValidationError, match=said):
        LanguageModelConfig(model=str(tiny_causal), **options)


def test_dropout_of_the_checkpoint_is_refused(tmp_path, tiny_causal, make_task):
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from cotune.training.language_model import LanguageModelLearner

    tokenizer = AutoTokenizer.from_pretrained(tiny_causal)
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4)).save_pretrained(
        tmp_path
    )
    tokenizer.save_pretrained(tmp_path)
    tasks = [make_task("copy"), make_task("swap")]
    config = LanguageModelConfig(model=str(tmp_path), precision="fp32", adapt_from=1)
    with pytest.raises(InputError, match="dropout of its own"):
        LanguageModelLearner(config, tasks).check()
    off = config.model_copy(update={"training": config.training.model_copy(update={"dropout": 0.0})})
    LanguageModelLearner(off, tasks).check()
