"""What the last layer is not asked for is left out, and nothing that is asked for changes."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from models_samples import tiny

from cotune.models import Encoded, LanguageModel
from cotune.models.last_layer import Picked, feed_forward
from cotune.training._loop import TrainingRun
from cotune.training.config import TrainingConfig
from cotune.training.methods import Lora

_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
MODELS = {
    "Llama": {**_SMALL, "num_key_value_heads": 2},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "resid_pdrop": 0.0,
             "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "GPTNeoX": _SMALL,
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "Gemma2": {**_SMALL, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 64},
    "OPT": {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "word_embed_proj_dim": 32, "dropout": 0.0},
}  # fmt: skip
"""A gate, one matrix after another, beside attention, with the residual, capped logits, rows made flat."""


@pytest.fixture(scope="module", params=MODELS)
def model(request, causal_encoder) -> LanguageModel:
    return LanguageModel(tiny(request.param, causal_encoder, **MODELS[request.param]), causal_encoder)


@pytest.fixture(scope="module")
def examples(model) -> list[Encoded]:
    """Rows of unlike lengths: three that share a beginning, two that share nothing."""
    draw = random.Random(1)
    tokens = range(2, model.vocabulary_size)
    opening = draw.choices(tokens, k=10)
    prompts = [(*opening, *draw.choices(tokens, k=k)) for k in (2, 4, 6)]
    prompts += [tuple(draw.choices(tokens, k=k)) for k in (3, 9)]
    return [Encoded(prompt, tuple(draw.choices(tokens, k=2))) for prompt in prompts]


def learned(model, examples):
    """Train a LoRA; return losses, its values, and what it gives to be scored."""
    torch.manual_seed(3)
    with Lora().attach(model) as attached:
        run = TrainingRun(model, attached, 2, TrainingConfig(batch_size=5, learning_rate=0.01, max_loss=1e6))
        run.run([examples, examples[::-1]])
        values = torch.cat([parameter.detach().flatten() for parameter in attached.trained])
        return np.concatenate([run.log.losses, values.numpy(), model.nll(attached.module, examples)])


def test_training_and_scores_are_those_of_the_whole_layer(model, examples, monkeypatch):
    assert model.trims
    ours = learned(model, examples)
    monkeypatch.setattr(model, "trims", False)
    np.testing.assert_allclose(ours, learned(model, examples), rtol=1e-5, atol=1e-5)


def test_it_feeds_forward_and_projects_what_predicts_a_target_alone(model, examples, monkeypatch):
    tokens: dict[str, list[int]] = {"fed": [], "projected": []}

    def counted(module, name):
        forward = module.forward

        def counting(states, *rest, **named):
            tokens[name].append(states[..., 0].numel())
            return forward(states, *rest, **named)

        monkeypatch.setattr(module, "forward", counting)

    counted(feed_forward(model.base)[0], "fed")
    counted(model.base.get_output_embeddings(), "projected")
    batch = model.batch(examples)
    model.target_losses(model.base, batch)
    rows, length = batch.owner.shape
    assert rows > 1
    assert len(batch.columns) < length
    flat = model.base.config.model_type == "opt"  # its layers lay all rows end to end first
    assert tokens["fed"] == [rows * (length if flat else len(batch.columns))]
    assert tokens["projected"] == [len(batch.label)]
    assert len(batch.label) < rows * len(batch.columns), "rows are asked at unlike columns"


def test_a_layer_that_is_used_twice_is_computed_whole(causal_encoder):
    base = tiny("Llama", causal_encoder, **MODELS["Llama"])
    base.model.layers[0].mlp = base.model.layers[1].mlp
    assert not LanguageModel(base, causal_encoder).trims


def test_parts_that_draw_are_computed_whole(causal_encoder, examples):
    base = tiny("GPT2", causal_encoder, **{**MODELS["GPT2"], "resid_pdrop": 0.5})
    model = LanguageModel(base, causal_encoder, pack=True)
    base.train()
    torch.manual_seed(0)
    ours = model.target_losses(base, model.batch(examples))
    model.trims = False
    torch.manual_seed(0)
    assert torch.allclose(ours, model.target_losses(base, model.batch(examples)), atol=1e-5)


def test_what_is_on_the_last_matrix_sees_rows(model):
    """A hook of the same kind as those that put many LoRAs in one pass."""
    head = model.base.get_output_embeddings()
    hook = head.register_forward_hook(lambda *_: None)
    picked = Picked(torch.tensor([0]), torch.tensor([1]))
    try:
        with picked.at(model.base):
            logits = head(torch.randn(2, 3, head.weight.shape[1]))
    finally:
        hook.remove()
    assert logits.shape[:2] == (2, 3)
    assert torch.equal(picked.of(logits), logits[[0], [1]])
