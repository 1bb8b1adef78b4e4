from functools import partial

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, PythonBackend

from cotune.exceptions import InputError
from cotune.models import Encoded, Encoder, load_encoder
from cotune.tasks import format_prompt, format_target

INSTRUCTION = "Write the word backwards, letter by letter, from the last to the first."
RENDER = partial(format_prompt, INSTRUCTION)
# Without the names of special tokens: a tokenizer reads those as the tokens themselves.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), max_size=40)


def texts(encoder, encoded):
    return tuple(encoder.tokenizer.decode(ids) for ids in (encoded.prompt, encoded.target))


@settings(max_examples=60, deadline=None)
@given(text=TEXT, target=TEXT)
def test_prompt_and_target_together_are_the_text_and_its_end(causal_encoder, text, target):
    assume(target.strip())
    encoded = causal_encoder.encode(RENDER, text, format_target(target))
    assert "".join(texts(causal_encoder, encoded)) == RENDER(text) + format_target(target) + "</s>"
    assert encoded.n_cut == 0
    assert len(encoded) == len(encoded.prompt) + len(encoded.target)


@settings(max_examples=60, deadline=None)
@given(text=TEXT, target=TEXT)
def test_no_token_of_the_target_lies_in_the_prompt(causal_encoder, text, target):
    assume(target.strip())
    encoded = causal_encoder.encode(RENDER, text, format_target(target))
    prompt, answer = texts(causal_encoder, encoded)
    assert RENDER(text).startswith(prompt)
    assert answer.endswith(format_target(target) + "</s>")


@settings(max_examples=40, deadline=None)
@given(text=TEXT)
def test_training_and_generation_read_the_same_prompt(causal_encoder, seq2seq_encoder, text):
    for encoder in (causal_encoder, seq2seq_encoder):
        trained = encoder.encode(RENDER, text, format_target("red"))
        generated = encoder.encode(RENDER, text)
        assert generated == Encoded(trained.prompt, ())


@settings(max_examples=40, deadline=None)
@given(text=TEXT, target=TEXT.map(str.strip))
def test_encoder_decoder_models_read_and_write_two_sequences(seq2seq_encoder, text, target):
    assume(target)
    encoded = seq2seq_encoder.encode(RENDER, text, format_target(target))
    assert texts(seq2seq_encoder, encoded) == (RENDER(text), target + "</s>")


def closing_tokenizer(encoder):
    """Return a copy of the tokenizer that itself ends every sequence, as that of T5 does."""
    inner = Tokenizer.from_str(encoder.tokenizer.backend_tokenizer.to_str())
    end = encoder.tokenizer.eos_token_id
    inner.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", end)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>")


@pytest.mark.parametrize("seq2seq", [False, True])
def test_the_target_is_closed_once_and_the_prompt_never_where_a_tokenizer_closes_by_itself(
    causal_encoder, seq2seq
):
    tokenizer = closing_tokenizer(causal_encoder)
    assert tokenizer("red")["input_ids"][-1] == tokenizer.eos_token_id
    encoder = Encoder(tokenizer, seq2seq=seq2seq)
    plain = causal_encoder.encode(RENDER, "apple", format_target("elppa"))
    encoded = encoder.encode(RENDER, "apple", format_target("elppa"))
    assert encoded.target.count(tokenizer.eos_token_id) == 1
    assert encoded.target[-1] == tokenizer.eos_token_id
    if seq2seq:
        assert encoded.prompt == (*plain.prompt, tokenizer.eos_token_id)
    else:
        assert encoded == plain


@settings(max_examples=40, deadline=None)
@given(words=st.integers(0, 60), room=st.integers(1, 80))
def test_cutting_keeps_the_instruction_and_the_end_and_counts(causal_encoder, words, room):
    n_fixed = len(causal_encoder.encode(RENDER, "").prompt)
    encoder = Encoder(causal_encoder.tokenizer, max_prompt_tokens=n_fixed + room)
    text = " ".join(["apple", "banana", "cherry"][i % 3] for i in range(words))
    whole = causal_encoder.encode(RENDER, text, format_target("red"))
    encoded = encoder.encode(RENDER, text, format_target("red"))
    prompt, answer = texts(encoder, encoded)
    assert prompt.startswith(INSTRUCTION)
    assert prompt.endswith("\nOutput:")
    assert answer == " red</s>"
    kept = prompt.removeprefix(RENDER("").removesuffix("\nOutput:")).removesuffix("\nOutput:")
    assert text.startswith(kept)
    assert len(encoded.prompt) <= encoder.max_prompt_tokens
    assert encoded.n_cut == len(whole.prompt) - len(encoded.prompt)
    # No more is cut than has to be: the words here take at most seven tokens each.
    assert encoded.n_cut == 0 or len(encoded.prompt) > encoder.max_prompt_tokens - 7


@settings(max_examples=80, deadline=None)
@given(text=st.text("aben dr\n", max_size=30), room=st.integers(0, 12))
@example(text="banana", room=0)
def test_cutting_counts_what_is_gone_whatever_the_text(causal_encoder, text, room):
    n_fixed = len(causal_encoder.encode(RENDER, "").prompt)
    encoder = Encoder(causal_encoder.tokenizer, max_prompt_tokens=n_fixed + room)
    whole, encoded = causal_encoder.encode(RENDER, text), encoder.encode(RENDER, text)
    assert len(encoded.prompt) <= n_fixed + room
    assert encoded.n_cut == len(whole.prompt) - len(encoded.prompt)


def test_a_target_that_is_too_long_does_not_fit(causal_encoder, seq2seq_encoder):
    for seq2seq, encoder in ((False, causal_encoder), (True, seq2seq_encoder)):
        n_tokens = len(encoder.encode(RENDER, "apple", format_target("banana cherry")).target)
        fits, short = (
            Encoder(encoder.tokenizer, seq2seq=seq2seq, max_target_tokens=limit)
            for limit in (n_tokens, n_tokens - 1)
        )
        assert len(fits.encode(RENDER, "apple", format_target("banana cherry")).target) == n_tokens
        assert short.encode(RENDER, "apple", format_target("banana cherry")) is None


@pytest.mark.parametrize("target", ["", "  ", "\n"])
def test_a_target_without_a_token_of_its_own_is_refused(causal_encoder, seq2seq_encoder, target):
    for encoder in (causal_encoder, seq2seq_encoder):
        with pytest.raises(InputError, match=r"^The target '' tokenises to nothing .*\.$"):
            encoder.encode(RENDER, "apple", format_target(target))


def test_a_target_of_unknown_tokens_alone_is_refused():
    inner = Tokenizer(models.WordLevel({"True": 0, "<unk>": 1, "</s>": 2}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    encoder = Encoder(PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>"))
    assert encoder.encode(str, "True", " True") == Encoded((0,), (0, 2))
    with pytest.raises(InputError, match=r"^The target 'False' tokenises to nothing"):
        encoder.encode(str, "True", " False")


def test_an_example_under_a_soft_prompt_has_its_ids_before_it():
    example = Encoded((1, 2), (3,), n_cut=4)
    assert example.under((8, 9)) == Encoded((8, 9, 1, 2), (3,), n_cut=4)
    assert example.under(()) is example


def test_an_instruction_that_is_too_long_by_itself_is_refused(causal_encoder):
    n_fixed = len(causal_encoder.encode(RENDER, "").prompt)
    encoder = Encoder(causal_encoder.tokenizer, max_prompt_tokens=n_fixed - 1)
    with pytest.raises(
        InputError, match=rf"takes {n_fixed} tokens, more than max_prompt_tokens {n_fixed - 1}"
    ):
        encoder.encode(RENDER, "apple banana", format_target("red"))


def test_a_tokenizer_without_an_end_of_sequence_token_is_refused(causal_encoder):
    inner = Tokenizer.from_str(causal_encoder.tokenizer.backend_tokenizer.to_str())
    with pytest.raises(InputError, match="no end-of-sequence token"):
        Encoder(PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>"))


class Letters(PythonBackend):
    """A slow tokenizer: a token for every letter."""

    @property
    def vocab_size(self):
        return 128

    def get_vocab(self):
        return {chr(i): i for i in range(128)}

    def _tokenize(self, text):
        return list(text)

    def _convert_token_to_id(self, token):
        return ord(token)

    def _convert_id_to_token(self, index):
        return chr(index)


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(InputError, match=r"slow one; a fast one \(tokenizer.json\) is needed"):
        Encoder(Letters(eos_token="$"))


def test_a_token_across_the_boundary_belongs_to_the_target():
    vocabulary = {"Input": 0, ":": 1, "<unk>": 2, "</s>": 3, "Out": 4, "put: a": 5}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split("put: a", "isolated")
    encoder = Encoder(PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>"))
    encoded = encoder.encode(lambda text: "Output:", "", " a")
    assert encoded == Encoded((4,), (5, 3))


def test_limits_and_kind_come_from_the_checkpoint(tiny_causal, tiny_seq2seq):
    encoder = load_encoder(tiny_causal, max_prompt_tokens=7, max_target_tokens=5)
    assert (encoder.seq2seq, encoder.max_prompt_tokens, encoder.max_target_tokens) == (False, 7, 5)
    assert load_encoder(tiny_seq2seq).seq2seq
