"""What a model says of an example does not depend on what it is batched with, whatever its architecture."""

import copy
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from models_samples import louder

from cotune.models import Encoded, LanguageModel
from cotune.models.exactness import try_generating

ATTENTION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4}
STATES = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
BART = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2} | {
    f"{part}_{size}": value
    for part in ("encoder", "decoder")
    for size, value in {"attention_heads": 4, "ffn_dim": 48}.items()
}
ARCHITECTURES = {
    "GPT2": GPT,
    "GPTNeo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
    },
    "OPT": {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    | {"word_embed_proj_dim": 32},
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "Falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True},
    "Mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4},
    "Qwen3": {**ATTENTION, "head_dim": 8},
    "Gemma2": {**ATTENTION, "head_dim": 8, "sliding_window": 8},
    "Mixtral": {**ATTENTION, "num_local_experts": 4},
    "XGLM": {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4},
    "Mamba": STATES,
    "FalconMamba": STATES,
    "Mamba2": {**STATES, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8},
    "Rwkv": {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2},
    "RecurrentGemma": {**ATTENTION, "num_key_value_heads": 1, "attention_window_size": 8, "lru_width": 32},
    "Lfm2": {**ATTENTION, "layer_types": ["conv", "full_attention"], "conv_bias": True},
    "T5": T5,
    "Bart": BART,
    "Pegasus": BART,
}
ENCODER_DECODERS = ("T5", "Bart", "Pegasus")
PAIRS = [
    ("apple", "apple"),
    ("red green blue one two three four five six", "six"),
    ("seven eight", "eight seven"),
    ("nine", "nine nine nine nine"),
    ("green banana cherry", "cherry"),
]


@pytest.fixture(scope="module")
def make(causal_encoder, seq2seq_encoder, one_thread):
    """Make a random model of an architecture by name, once for all tests."""

    @cache
    def made(name):
        config = getattr(transformers, f"{name}Config")
        auto = transformers.AutoModelForCausalLM
        encoder, ids = causal_encoder, {"eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None}
        if name in ENCODER_DECODERS:
            auto, encoder = transformers.AutoModelForSeq2SeqLM, seq2seq_encoder
            ids["decoder_start_token_id"] = 0
        torch.manual_seed(0)
        sizes = ARCHITECTURES[name]
        base = auto.from_config(config(vocab_size=len(encoder.tokenizer), **ids, **sizes)).eval()
        with torch.no_grad():
            for parameter in base.parameters():
                # Biases are zero at first, and would let what they are added to pass unseen.
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
        return LanguageModel(louder(base, 6), encoder)

    return made


@pytest.fixture
def examples(make, encode):
    return lambda name: encode(make(name).encoder, PAIRS, instruction="")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_losses_of_a_batch_are_those_of_each_example_alone(make, examples, name):
    model, batch = make(name), examples(name)
    alone = np.concatenate([model.nll(model.base, [example]) for example in batch])
    np.testing.assert_allclose(model.nll(model.base, batch), alone, rtol=2e-4, atol=2e-4)
    sums = np.zeros(len(batch))
    for indices in model.chunks(batch, 10_000):
        part = model.batch([batch[i] for i in indices])
        with torch.inference_mode():
            losses = model.target_losses(model.base, part)
        for at, index in enumerate(indices):
            sums[index] = float(losses[part.example == at].mean())
    np.testing.assert_allclose(sums, alone, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["Rwkv", "Mamba", "GPT2"])
def test_answers_of_a_batch_of_one_length_are_those_to_each_prompt_alone(make, encode, name):
    model = make(name)
    words = ("red green", "blue one", "two three", "green blue")
    batch = encode(model.encoder, [(text, "x") for text in words], instruction="")
    batch = [one for one in batch if len(one.prompt) == len(batch[0].prompt)]
    assert len(batch) > 1
    alone = [model.generate(model.base, [one], max_new_tokens=6)[0] for one in batch]
    assert model.generate(model.base, batch, max_new_tokens=6) == alone


@pytest.mark.parametrize("num_beams", [1, 2])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_answers_of_a_batch_are_those_to_each_prompt_alone(make, examples, name, num_beams):
    model, batch = make(name), examples(name)
    options = {"max_new_tokens": 6, "num_beams": num_beams}
    alone = [model.generate(model.base, [example], **options)[0] for example in batch]
    assert model.generate(model.base, batch, **options) == alone
    assert len(set(alone)) > 1


def test_a_model_that_reads_padding_gets_none(make, examples):
    model, batch = make("Rwkv"), examples("Rwkv")
    tried = try_generating(model, num_beams=1)
    assert not tried.pads_left
    prompts = [*batch, *batch]
    chunks = list(model.chunks(prompts, 10_000, by_length=True))
    assert sorted(index for chunk in chunks for index in chunk) == list(range(len(prompts)))
    assert all(len({len(prompts[i].prompt) for i in chunk}) == 1 for chunk in chunks)
    assert max(map(len, chunks)) > 1
    padding = try_generating(make("GPT2"), num_beams=1)
    assert padding.pads_left
    assert padding.cached
    assert len(list(make("GPT2").chunks(prompts, 10_000, by_length=True))) == 1


class ReadsAll(torch.nn.Module):
    """Adds the mean of all embeddings of a row, padding too, to each: no mask keeps padding from it."""

    def __init__(self, embeddings):
        super().__init__()
        self.embeddings, self.weight = embeddings, embeddings.weight

    def forward(self, ids):
        embedded = self.embeddings(ids)
        return embedded + 3 * embedded.mean(1, keepdim=True)


@pytest.mark.parametrize("family", ["tiny_causal", "tiny_seq2seq"])
def test_padding_on_the_right_that_changes_losses_is_left_out(request, encode, family):
    plain = LanguageModel.load(request.getfixturevalue(family), precision="fp32", device="cpu")
    base = louder(plain.base)
    base.set_input_embeddings(ReadsAll(base.get_input_embeddings()))
    if family == "tiny_seq2seq":
        base.encoder.set_input_embeddings(base.shared)
    model = LanguageModel(base, plain.encoder)
    batch = encode(model.encoder, [*PAIRS, *PAIRS], instruction="")
    alone = np.concatenate([model.nll(model.base, [example]) for example in batch])
    np.testing.assert_allclose(model.nll(model.base, batch), alone, rtol=1e-4)
    assert not np.allclose(plain.nll(base, batch[:3]), alone[:3], rtol=1e-3)
    chunks = [[batch[i] for i in chunk] for chunk in model.chunks(batch, 10_000)]
    assert max(map(len, chunks)) > 1
    assert all(len({(len(e.prompt) + len(e.target)) for e in chunk}) == 1 for chunk in chunks)


def test_trying_leaves_dropout_and_the_generator_as_they_were(make):
    model = make("GPT2")
    model.base.train()
    try:
        modes = [module.training for module in model.base.modules()]
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        assert try_generating(model, num_beams=1) == try_generating(model, num_beams=2)
        assert torch.equal(torch.rand(3), expected)
        assert [module.training for module in model.base.modules()] == modes
    finally:
        model.base.eval()


def test_a_recurrent_model_without_attention_writes_what_it_would_write_without_a_cache(make, examples):
    """Generation asks a cache of states alone for its length, which it has not."""
    model, batch = make("RecurrentGemma"), examples("RecurrentGemma")
    assert not model.caches(1)
    tokens = list(batch[1].prompt)
    for _ in range(3):
        with torch.inference_mode():
            tokens.append(int(model.base(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
    written = model.generate(model.base, [Encoded(batch[1].prompt, ())], max_new_tokens=3)
    assert written == [model.encoder.decode(tokens[-3:])]


def test_a_convolution_over_tokens_is_never_packed(make):
    """Quiet weights leak less from one example to the next than the trial tells."""
    model = make("Lfm2")
    base = copy.deepcopy(model.base)
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.mul_(0.2)
    assert not LanguageModel(base, model.encoder).pack
