"""What crosses a boundary, computed once: passes from there give what passes from tokens give."""

from __future__ import annotations

import copy
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from models_samples import louder, tiny

from cotune.exceptions import DamageError, InputError
from cotune.models import Encoded, LanguageModel
from cotune.models.boundary import Boundary
from cotune.models.layers import layer_lists
from cotune.models.prefix import FrozenPrefix, Layout, opening_of
from cotune.training._loop import TrainingRun
from cotune.training.config import TrainingConfig
from cotune.training.methods import Lora

_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
CAUSAL = {
    "Llama": {**_SMALL, "num_key_value_heads": 2},
    "GPT2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "resid_pdrop": 0.0,
             "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "GPTNeoX": _SMALL,
    "Bloom": {"hidden_size": 32, "n_layer": 3, "n_head": 4},
    "Gemma2": {**_SMALL, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 64},
    "Mamba": {"hidden_size": 32, "num_hidden_layers": 3, "state_size": 4},
}  # fmt: skip
"""Rotated, learned and no positions, scaled embeddings, windows, recurrence."""
TARGETS = {"Mamba": ("in_proj",)}


@pytest.fixture(scope="module", params=[*CAUSAL, "T5"])
def model(request, causal_encoder, seq2seq) -> LanguageModel:
    if request.param == "T5":
        return seq2seq
    return LanguageModel(tiny(request.param, causal_encoder, **CAUSAL[request.param]), causal_encoder)


@pytest.fixture(scope="module")
def examples(model) -> list[Encoded]:
    draw = random.Random(0)
    tokens = range(2, model.vocabulary_size)
    opening = tuple(draw.choices(tokens, k=10))
    prompts = [(*opening, *draw.choices(tokens, k=draw.randrange(2, 6))) for _ in range(7)]
    # Two with one prompt, as choices have it, and two that begin alike beyond what all begin with.
    prompts += [prompts[0], (*prompts[1], 5, 6)]
    return [Encoded(prompt, tuple(draw.choices(tokens, k=draw.randrange(1, 4)))) for prompt in prompts]


def prefix_of(model, kept, **limits) -> FrozenPrefix:
    layout = Layout(seq2seq=model.seq2seq, **{"most_rows": 10_000, **limits})
    layout.add(kept, opening_of(kept))
    prefix = FrozenPrefix(model, Boundary(model, 2), layout)
    prefix.keep()
    return prefix


def trained(model, examples, below):
    """Train a LoRA on what is above; return its losses and what it gives afterwards."""
    torch.manual_seed(3)
    method = Lora(target_modules=TARGETS.get(type(model.base).__name__.removesuffix("ForCausalLM")))
    upper = method.above((1,), decoder=True) if model.seq2seq else method.above((2,))
    config = TrainingConfig(batch_size=4, learning_rate=0.01, max_loss=1e6)
    with upper.attach(model) as attached, model.starting_above(below):
        run = TrainingRun(model, attached, 4, config)
        run.run([examples[0:4], examples[4:8], examples[5:9], examples[1:5]])
        return np.array(run.log.losses), model.nll(attached.module, examples)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0], ids=["all kept", "half kept", "none kept"])
def test_training_and_likelihoods_are_those_without(model, examples, share):
    below = prefix_of(model, examples[: round(share * len(examples))])
    for ours, plain in zip(trained(model, examples, below), trained(model, examples, None), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5)


def test_the_layers_below_are_not_computed(model, examples):
    below = prefix_of(model, examples)
    first = layer_lists(model.base)[0][0]
    inner = next(module for module in first.modules() if not any(True for _ in module.children()))
    calls = []
    hook = inner.register_forward_hook(lambda *_: calls.append(1))
    try:
        with model.starting_above(below):
            model.nll(model.base, examples)
        assert not calls
        model.nll(model.base, examples)
        assert calls
    finally:
        hook.remove()


@pytest.mark.parametrize("num_beams", [1, 2])
def test_a_decoder_writes_from_what_the_encoder_made(seq2seq, num_beams):
    draw = random.Random(2)
    model = LanguageModel(louder(copy.deepcopy(seq2seq.base)), seq2seq.encoder)
    tokens = range(2, model.vocabulary_size)
    prompts = [Encoded(tuple(draw.choices(tokens, k=k)), (3,)) for k in (4, 9, 6)]
    plain = model.generate(model.base, prompts, num_beams=num_beams)
    below = prefix_of(model, prompts)
    calls = []
    hook = model.base.get_encoder().register_forward_hook(lambda *_: calls.append(1))
    try:
        with model.starting_above(below):
            assert model.generate(model.base, prompts, num_beams=num_beams) == plain
    finally:
        hook.remove()
    assert len(set(plain)) > 1, "what is written depends on the prompt"
    assert not calls


def test_the_model_is_as_before(model, examples):
    before = model.nll(model.base, examples)
    with model.starting_above(prefix_of(model, examples)):
        model.nll(model.base, examples)
    assert (model.nll(model.base, examples) == before).all()
    assert model.below is None


def test_a_file_holds_what_memory_holds(model, examples, tmp_path):
    kept = prefix_of(model, examples)
    prefix_of(model, examples).store(tmp_path / "states.bin")
    other = FrozenPrefix(model, kept.boundary, kept._layout)
    assert other.open(tmp_path / "states.bin")
    rows = np.arange(kept._layout.n_rows)
    assert torch.equal(other._states.read(rows), kept._states.read(rows))
    assert torch.equal(other._states.read(rows[::-2].copy()), kept._states.read(rows[::-2].copy()))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["states.bin", "states.bin.sha256"]


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "empty", "other", "unsealed"])
def test_a_damaged_file_is_not_used(causal, damage, tmp_path):
    kept = [Encoded(tuple(range(2, 20)), (3, 4)), Encoded(tuple(range(2, 25)), (5,))]
    prefix, path = prefix_of_two(causal, kept), tmp_path / "states.bin"
    prefix.store(path)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[100] ^= 1
    elif damage == "cut":
        del content[200:]
    elif damage == "longer":
        content += b"0"
    elif damage == "empty":
        content.clear()
    elif damage == "unsealed":
        path.with_name("states.bin.sha256").unlink()
    path.write_bytes(content)
    other = kept[:1] if damage == "other" else kept
    assert not prefix_of_two(causal, other).open(path)


def test_passes_are_counted_before_they_are_made(model, examples):
    layout = Layout(seq2seq=model.seq2seq, most_rows=10_000)
    layout.add(examples, opening_of(examples))
    prefix = FrozenPrefix(model, Boundary(model, 2), layout)
    assert prefix.n_held == prefix.keep() > 0
    assert prefix.keep() == 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not tell what is mapped")
def test_a_file_is_no_memory_of_who_reads_it(causal, tmp_path):
    kept = [Encoded(tuple(range(2, 20)), (3, 4)), Encoded(tuple(range(2, 25)), (5,))]
    prefix, path = prefix_of_two(causal, kept), tmp_path / "states.bin"
    prefix.store(path)
    with causal.starting_above(prefix):
        causal.nll(causal.base, kept)
        assert str(path) not in Path("/proc/self/maps").read_text()


def test_a_file_that_is_cut_in_use_is_told(causal, tmp_path):
    kept = [Encoded(tuple(range(2, 20)), (3, 4)), Encoded(tuple(range(2, 25)), (5,))]
    prefix, path = prefix_of_two(causal, kept), tmp_path / "states.bin"
    prefix.store(path)
    os.truncate(path, 200)
    with causal.starting_above(prefix), pytest.raises(DamageError, match=r"states\.bin was cut"):
        causal.nll(causal.base, kept)


def prefix_of_two(model, kept) -> FrozenPrefix:
    layout = Layout(seq2seq=False, most_rows=1000)
    layout.add(kept, opening_of(kept))
    return FrozenPrefix(model, Boundary(model, 1), layout)


def test_what_prompts_share_lies_there_once():
    opening = tuple(range(20))
    examples = [Encoded((*opening, 30 + i, 40), (1, 2, 3)) for i in range(5)]
    choices = [Encoded(examples[0].prompt, (7, choice)) for choice in range(3)]
    layout = Layout(seq2seq=False, most_rows=1000)
    layout.add([*examples, *choices], opening)
    # The last token of a target predicts nothing; the choices begin alike and differ at their last one.
    assert layout.n_rows == 20 + 5 * (2 + 2) + 1
    assert len(layout.kept) == 6
    rows = [layout.rows(example) for example in (*examples, *choices)]
    assert all(len(row) == len(example) - 1 for row, example in zip(rows, [*examples, *choices], strict=True))
    assert all((row[:20] == rows[0][:20]).all() for row in rows)


def test_an_encoder_shares_nothing():
    layout = Layout(seq2seq=True, most_rows=1000)
    layout.add([Encoded((*range(20), i), (1,)) for i in range(3)], tuple(range(20)))
    assert layout.n_rows == 3 * 21


def test_what_comes_first_has_room():
    examples = [Encoded((*range(10), 30 + i), (1,)) for i in range(10)]
    layout = Layout(seq2seq=False, most_rows=14)
    layout.add(examples, tuple(range(10)))
    assert layout.kept == examples[:4]
    assert (layout.n_rows, layout.n_left_out) == (14, 6)
    assert layout.rows(examples[4]) is None


def test_an_architecture_that_passes_more_on_is_refused(causal_encoder):
    """A skip connection from the first layer to the last."""
    model = LanguageModel(tiny("Llama", causal_encoder, **CAUSAL["Llama"]), causal_encoder)
    first, *_, last = layer_lists(model.base)[0]
    kept = []
    first.register_forward_hook(lambda *args: kept.append(args[-1]))
    own = last.forward
    last.forward = lambda states, *args, **kwargs: own(states + kept.pop(), *args, **kwargs)
    with pytest.raises(InputError, match="pass on more than one state a token"):
        FrozenPrefix(model, Boundary(model, 2), Layout(seq2seq=False, most_rows=100)).check()


def test_architectures_that_pass_one_state_on_are_taken(model):
    prefix_of(model, []).check()
