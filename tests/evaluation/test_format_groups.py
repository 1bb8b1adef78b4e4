"""Module groups of architectures that name and lay out their modules in other ways, built without weights."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from cotune.evaluation.format_specialisation import module_groups

SEPARATE = ["query", "key", "value", "mlp"]
FUSED = ["query_key_value", "mlp"]
CAUSAL = {
    "gpt2": (FUSED, {"n_layer": 2, "n_embd": 8, "n_head": 2}, 3),
    "gpt_neox": (FUSED, {"num_hidden_layers": 2}, 3),
    "bloom": (FUSED, {"n_layer": 2, "hidden_size": 16, "n_head": 2}, 3),
    "opt": (SEPARATE, {"num_hidden_layers": 2}, 5),
    "phi3": (FUSED, {"num_hidden_layers": 2, "pad_token_id": 0}, 3),
    "qwen2": (SEPARATE, {"num_hidden_layers": 2}, 6),
    "gemma2": (SEPARATE, {"num_hidden_layers": 2}, 6),
    "mpt": (FUSED, {"n_layers": 2}, 3),
}
SEQ2SEQ = {
    "mt5": ({"num_layers": 2, "num_decoder_layers": 3}, 2, 3),
    "bart": ({"encoder_layers": 2, "decoder_layers": 3}, 2, 2),
}


def names_of(model, groups):
    by_id = {id(p): name for name, p in model.named_parameters()}
    return {group: [by_id[id(p)] for p in members] for group, members in groups.items()}


@pytest.mark.parametrize("kind", CAUSAL)
def test_decoder_only(kind):
    expected, options, n_matrices = CAUSAL[kind]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, vocab_size=32, **options))
    groups = names_of(model, module_groups(model))
    assert list(groups) == expected
    assert sum(len(names) for names in groups.values()) == n_matrices
    assert all(".1." in name for names in groups.values() for name in names)


@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_encoder_decoder_takes_the_last_layer_of_the_decoder(kind):
    options, n_query, n_mlp = SEQ2SEQ[kind]
    with torch.device("meta"):
        model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(kind, vocab_size=32, **options))
    groups = names_of(model, module_groups(model))
    assert list(groups) == SEPARATE
    assert [len(groups[group]) for group in SEPARATE] == [n_query, n_query, n_query, n_mlp]
    assert all("decoder" in name and ".2." in name for names in groups.values() for name in names)
