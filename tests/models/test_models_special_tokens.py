import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from models_samples import louder
from transformers import AutoTokenizer

from cotune.exceptions import InputError
from cotune.models import Encoder, LanguageModel, load_encoder

TEXTS = ["one", "red green blue two three", "seven eight"]


@pytest.fixture
def copy_of(tmp_path):
    """Copy a checkpoint, with other entries in its configuration and other special tokens."""

    def copy(folder: Path, *, special=None, added=(), **config) -> Path:
        to = Path(shutil.copytree(folder, tmp_path / "model"))
        tokenizer = AutoTokenizer.from_pretrained(to)
        tokenizer.add_tokens(list(added))
        tokenizer.add_special_tokens(special or {})
        tokenizer.save_pretrained(to)
        for name in ("config.json", "generation_config.json"):
            content = json.loads((to / name).read_text())
            changed = {
                **content,
                **{k: v for k, v in config.items() if k in content or name == "config.json"},
            }
            (to / name).write_text(json.dumps({k: v for k, v in changed.items() if v != "absent"}))
        return to

    return copy


def load(folder):
    torch.manual_seed(0)
    model = LanguageModel.load(folder, precision="fp32", device="cpu")
    louder(model.base, 4)
    return model


def encoded(model):
    return [model.encoder.encode(lambda text: text, text, f" {text[:3]}") for text in TEXTS]


def results(model):
    """Return losses in one batch, a greedy completion and one by beams."""
    examples = encoded(model)
    return (
        model.nll(model.base, examples),
        model.generate(model.base, examples, max_new_tokens=6),
        model.generate(model.base, examples, max_new_tokens=6, num_beams=3),
    )


@pytest.mark.parametrize("family", ["tiny_causal", "tiny_seq2seq"])
@pytest.mark.parametrize(
    "change",
    [
        {"special": {"pad_token": "[PAD]"}},
        {"special": {"pad_token": "[PAD]"}, "pad_token_id": -1},
        {"special": {"pad_token": "[PAD]"}, "pad_token_id": None},
        {"special": {"bos_token": "[BOS]", "pad_token": "[BOS]"}},
    ],
)
def test_a_padding_token_without_an_embedding_changes_nothing(request, copy_of, family, change):
    folder = request.getfixturevalue(family)
    expected = results(load(folder))
    model = load(copy_of(folder, **change))
    assert model.tokenizer.pad_token_id >= model.vocabulary_size
    assert 0 <= model.pad_token < model.vocabulary_size
    losses, greedy, beams = results(model)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5)
    assert (greedy, beams) == expected[1:]


def test_an_end_without_an_embedding_is_refused_at_loading(tiny_causal, tiny_seq2seq, copy_of):
    for folder in (tiny_causal, tiny_seq2seq):
        other = copy_of(folder, special={"eos_token": "[END]"})
        n = LanguageModel.load(folder).vocabulary_size
        for load_it in (LanguageModel.load, lambda at: LanguageModel.skeleton(at, load_encoder(at))):
            with pytest.raises(InputError, match=r"^The model .* cannot end an answer") as caught:
                load_it(other)
            assert f"'[END]' of its tokenizer has the id {n}, and the model knows {n} tokens" in str(
                caught.value
            )
        shutil.rmtree(other)


@pytest.mark.parametrize("family", ["tiny_causal", "tiny_seq2seq"])
@pytest.mark.parametrize(
    ("text", "target"), [("one <new> two", "three"), ("one", "two <new>"), ("<new>", None)]
)
def test_a_text_with_a_token_without_an_embedding_is_refused_before_compute(
    request, copy_of, family, text, target
):
    folder = copy_of(request.getfixturevalue(family), added=["<new>"])
    encoder = load_encoder(folder)
    with pytest.raises(InputError, match=r"^The model has no embedding of '<new>', token 290 of its"):
        encoder.encode(lambda text: text, text, target and f" {target}")
    assert encoder.encode(lambda text: text, "one two", " three") is not None


def test_an_encoder_of_ones_own_learns_what_the_model_has_embeddings_for(tiny_causal, copy_of):
    folder = copy_of(tiny_causal, added=["<new>"])
    encoder = Encoder(AutoTokenizer.from_pretrained(folder))
    encoder.encode(lambda text: text, "one <new> two")
    LanguageModel.load(folder, encoder)
    with pytest.raises(InputError, match="no embedding"):
        encoder.encode(lambda text: text, "one <new> two")


@pytest.mark.parametrize("value", [None, "absent"])
def test_a_decoder_that_begins_with_nothing_is_refused_with_the_key(tiny_seq2seq, copy_of, value):
    folder = copy_of(tiny_seq2seq, decoder_start_token_id=value)
    for load_it in (LanguageModel.load, lambda at: LanguageModel.skeleton(at, load_encoder(at))):
        with pytest.raises(InputError, match=r"set decoder_start_token_id in its config\.json \(T5 has"):
            load_it(folder)


@pytest.mark.parametrize("token", [-1, 290, 100_000])
def test_a_decoder_that_begins_with_a_token_unknown_to_the_model_is_refused(tiny_seq2seq, copy_of, token):
    folder = copy_of(tiny_seq2seq, decoder_start_token_id=token)
    with pytest.raises(InputError, match=rf"knows 290 tokens, and decoder_start_token_id .* is {token}\.$"):
        LanguageModel.load(folder)


@pytest.mark.parametrize("key", ["decoder_start_token_id", "bos_token_id"])
def test_a_decoder_begins_as_transformers_would_begin_where_config_says_nothing(tiny_seq2seq, copy_of, key):
    folder = copy_of(tiny_seq2seq, decoder_start_token_id="absent")
    file = folder / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: 7}))
    model = load(folder)
    assert LanguageModel.skeleton(folder, load_encoder(folder)).start_token == model.start_token == 7
    examples = encoded(model)
    assert set(model.batch(examples).inputs["decoder_input_ids"][:, 0].tolist()) == {7}
    inputs = torch.tensor([examples[1].prompt])
    start = torch.tensor([[7]])
    with torch.inference_mode():
        first = int(model.base(input_ids=inputs, decoder_input_ids=start).logits[0, -1].argmax())
    assert model.generate(model.base, examples[1:2], max_new_tokens=1) == [model.encoder.decode([first])]


T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
BART = {"d_model": 16} | {
    f"{part}_{size}": value
    for part in ("encoder", "decoder")
    for size, value in {"layers": 1, "attention_heads": 2, "ffn_dim": 16}.items()
}
ENCODER_DECODERS = {"T5": T5, "MT5": T5, "Bart": BART, "MBart": BART, "Pegasus": BART}


def encoder_decoder(name, tokenizer, **special):
    import transformers

    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(tokenizer), eos_token_id=1, pad_token_id=0, **ENCODER_DECODERS[name], **special
    )
    torch.manual_seed(0)
    return louder(transformers.AutoModelForSeq2SeqLM.from_config(config).eval(), 8)


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_every_encoder_decoder_says_what_its_decoder_begins_with(name, seq2seq_encoder):
    tokenizer = seq2seq_encoder.tokenizer
    nothing = {"decoder_start_token_id": None, "bos_token_id": None, "forced_eos_token_id": None}
    encoder = Encoder(tokenizer, seq2seq=True)
    with pytest.raises(InputError, match="set decoder_start_token_id"):
        LanguageModel(encoder_decoder(name, tokenizer, **nothing), encoder)
    said = LanguageModel(
        encoder_decoder(name, tokenizer, **{**nothing, "decoder_start_token_id": 1}), encoder
    )
    bos = LanguageModel(encoder_decoder(name, tokenizer, **{**nothing, "bos_token_id": 1}), encoder)
    assert said.start_token == bos.start_token == 1
    examples = encoded(said)
    assert (said.nll(said.base, examples) == bos.nll(bos.base, examples)).all()


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("name", ["Bart", "MBart"])
def test_the_first_token_is_forced_where_targets_are_trained_with_it(name, tiny_seq2seq, opened):
    from tokenizers import processors

    tokenizer = AutoTokenizer.from_pretrained(tiny_seq2seq)
    if opened:
        tokenizer.add_special_tokens({"bos_token": "<s>"})
        begin = tokenizer.bos_token_id
        template = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begin)])
        tokenizer.backend_tokenizer.post_processor = template
    else:
        begin = tokenizer.convert_tokens_to_ids("a")
    base = encoder_decoder(name, tokenizer, decoder_start_token_id=1)
    base.generation_config.forced_bos_token_id = begin
    base.generation_config.forced_eos_token_id = 1
    model = LanguageModel(base, Encoder(tokenizer, seq2seq=True))
    examples = encoded(model)
    for num_beams in (1, 2):
        out = model.base.generate(
            input_ids=torch.tensor([examples[0].prompt]), num_beams=num_beams, max_new_tokens=4
        )
        assert (int(out[0, 1]) == begin) == opened == (examples[0].target[0] == begin)
        # No end is forced upon the last token that there is room for.
        assert out.shape[1] == 5
        assert int(out[0, -1]) != 1
