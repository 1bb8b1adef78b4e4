from functools import partial

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, PythonBackend

from cotune.exceptions import InputError
from cotune.models import PROFILES, Encoded, Encoder, load_encoder
from cotune.tasks import format_prompt, format_target

INSTRUCTION = "Write the word backwards, letter by letter, from the last to the first."
RENDER = partial(format_prompt, INSTRUCTION)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


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


def byte_level(*, trim, digits, special=("<pad>", "</s>"), **roles):
    """Return a tokenizer of bytes without merges, whose offsets leave blanks out if trimmed."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({token: at for at, token in enumerate([*special, *alphabet])}, []))
    first = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    inner.pre_tokenizer = pre_tokenizers.Sequence([*first, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    inner.post_processor = processors.ByteLevel(trim_offsets=trim)
    inner.decoder = decoders.ByteLevel()
    roles = {"eos_token": "</s>", "pad_token": "<pad>", **roles}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **roles)


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("target", ["1989", "答案", "🏳️‍🌈 flag", "½", "(a)"])
def test_the_blank_before_an_answer_is_learned_whatever_offsets_say(trim, target):
    encoder = Encoder(byte_level(trim=trim, digits=True))
    encoded = encoder.encode(RENDER, "x", format_target(target))
    names = encoder.tokenizer.convert_ids_to_tokens(encoded.target)
    assert (names[0], names[-1]) == ("Ġ", "</s>")
    assert encoder.tokenizer.decode(encoded.prompt) == RENDER("x")
    assert encoder.decode(encoded.target) == target


def across_blanks():
    """Return a tokenizer that reads a whole text as one word, and merges colon and blank."""
    alphabet = [" ", ":", *"abcdefghijklmnopqrstuvwxyzO", "  ", ": "]
    vocabulary = {token: at for at, token in enumerate(["</s>", *alphabet])}
    inner = Tokenizer(models.BPE(vocabulary, [(" ", " "), (":", " ")]))
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>")


@pytest.mark.parametrize(
    ("prompt", "target", "prompt_end", "learned"),
    [
        ("Output:", " a", ":", [" ", "a", "</s>"]),
        ("Output: ", " a", ": ", [" ", "a", "</s>"]),
        ("Output  ", " a", "  ", [" ", "a", "</s>"]),
        ("Output", ": a", "t", [": ", "a", "</s>"]),
    ],
)
def test_no_token_lies_across_the_seam(prompt, target, prompt_end, learned):
    encoder = Encoder(across_blanks())
    encoded = encoder.encode(lambda text: prompt, "", target)
    assert encoder.tokenizer.convert_ids_to_tokens(encoded.target) == learned
    assert encoder.tokenizer.convert_ids_to_tokens(encoded.prompt)[-1] == prompt_end
    assert encoded.prompt == encoder.encode(lambda text: prompt, "").prompt


def test_an_unknown_word_does_not_take_what_follows_it_along():
    inner = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("猫", -2.0)], unk_id=0))
    encoder = Encoder(PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>"))
    # The library makes one token of neighbours that it does not know.
    assert encoder.tokenizer("犬馬a")["input_ids"] == [0, 1]
    assert encoder.encode(str, "犬", "馬a") == Encoded((0,), (0, 1, 3))


def test_the_end_of_a_long_prompt_reads_as_the_whole(causal_encoder):
    encoder = Encoder(causal_encoder.tokenizer, max_prompt_tokens=2048)
    text = "apple banana cherry " * 40
    for target in ("red green", "elppa", " 12 "):
        encoded = encoder.encode(RENDER, text, format_target(target))
        whole = encoder.tokenizer(RENDER(text) + format_target(target))["input_ids"]
        assert [*encoded.prompt, *encoded.target] == [*whole, 1]


TURN = ("<pad>", "</s>", "<s>", "<|im_start|>", "<|im_end|>", "<extra_id_0>")


@pytest.mark.parametrize(
    "text", ["</s>", "Say <|im_end|>\n<|im_start|>", "a <extra_id_0> b", "<s>[INST]</s>"]
)
def test_a_text_that_spells_a_special_token_is_text(text):
    tokenizer = byte_level(trim=False, digits=False, special=TURN, extra_special_tokens=list(TURN[2:]))
    assert set(tokenizer(text)["input_ids"]) & set(range(6))
    for seq2seq in (False, True):
        encoder = Encoder(tokenizer, seq2seq=seq2seq)
        encoded = encoder.encode(RENDER, text, format_target(text))
        assert not set(encoded.prompt) & set(range(6))
        assert [token for token in encoded.target if token < 6] == [1]
        assert tokenizer.decode(encoded.prompt) == RENDER(text)
        assert encoder.decode(encoded.target) == text
    # What others do with the tokenizer stays as it was.
    assert set(tokenizer(text)["input_ids"]) & set(range(6))


def test_the_tokens_of_a_profile_are_its_own_and_not_those_of_texts():
    tokens = ("<pad>", "</s>", "<extra_id_0>", "<extra_id_1>")
    tokenizer = byte_level(trim=False, digits=False, special=tokens, extra_special_tokens=list(tokens[2:]))
    encoder = Encoder(tokenizer, seq2seq=True, profile=PROFILES["sentinel"])
    encoded = encoder.encode(str, "a <extra_id_0> b", " no <extra_id_1> yes")
    assert [token for token in encoded.prompt if token < 4] == [2]
    assert encoded.prompt[-1] == 2
    assert [token for token in encoded.target if token < 4] == [2, 3, 1]
    assert encoder.decode(encoded.target) == "no <extra_id_1> yes"


NAMES = ["<unk>", "</s>", "<pad>"]
LETTERS = [*"</s>abunkpdm", "▁"]
VOCABULARY = {token: at for at, token in enumerate([*NAMES, *LETTERS, "s>", "</", "</s>m"])}
KNOWING = {
    "Unigram": lambda: models.Unigram([*((t, 0.0) for t in NAMES), *((t, -3.0) for t in LETTERS)], unk_id=0),
    "BPE that merges it": lambda: models.BPE(
        VOCABULARY, [("<", "/"), ("s", ">"), ("</", "s>"), ("</s>", "m")], unk_token="<unk>"
    ),
    "BPE that looks words up": lambda: models.BPE(VOCABULARY, [], unk_token="<unk>", ignore_merges=True),
    "WordPiece": lambda: models.WordPiece(
        {token: at for at, token in enumerate([*NAMES, *LETTERS, *(f"##{t}" for t in LETTERS)])},
        unk_token="<unk>",
    ),
}


@pytest.mark.parametrize("model", KNOWING)
def test_a_model_that_knows_its_special_tokens_as_words_does_not_find_them_in_texts(model):
    inner = Tokenizer(KNOWING[model]())
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.decoder = decoders.WordPiece(cleanup=False) if model == "WordPiece" else decoders.Fuse()
    roles = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **roles)
    assert 1 in tokenizer("a </s>", split_special_tokens=True)["input_ids"]
    encoder = Encoder(tokenizer)
    encoded = encoder.encode(str, "a </s> b<unk>", " b</s><pad> </s>m")
    assert min(encoded.prompt) > 2
    assert encoder.tokenizer.decode(encoded.prompt).replace(" ", "") == "a</s>b<unk>"
    assert encoder.decode(encoded.target).replace(" ", "") == "b</s><pad></s>m"
    assert encoded.target.index(1) == len(encoded.target) - 1


def test_a_tokenizer_that_truncates_and_pads_does_neither(causal_encoder):
    inner = Tokenizer.from_str(causal_encoder.tokenizer.backend_tokenizer.to_str())
    inner.enable_truncation(3)
    inner.enable_padding(length=64)
    encoder = Encoder(PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>"))
    example = (RENDER, "apple banana", format_target("red green"))
    assert encoder.encode(*example) == causal_encoder.encode(*example)


def test_an_answer_ends_at_its_end_and_keeps_its_blanks():
    tokenizer = byte_level(trim=False, digits=False, clean_up_tokenization_spaces=True)
    encoder = Encoder(tokenizer)
    written = encoder.encode(str, "a", " no , it 's not .").target
    assert encoder.decode(written) == "no , it 's not ."
    assert encoder.decode([*written, *written]) == "no , it 's not ."


def test_a_line_that_ends_with_the_token_of_its_end_is_found_in_prompts_and_once_in_targets():
    tokenizer = byte_level(trim=False, digits=False, special=("<pad>", "\n"), eos_token="\n")
    encoder = Encoder(tokenizer)
    for target in (" b", " b\n", " b\n\n"):
        encoded = encoder.encode(lambda text: text, "a\na", target)
        assert tokenizer.convert_ids_to_tokens(encoded.prompt) == ["a", "\n", "a"]
        assert tokenizer.convert_ids_to_tokens(encoded.target) == ["Ġ", "b", "\n"]


ENDS = {
    "BOS": ("<s> $A", ["<s>"], []),
    "EOS": ("$A </s>", [], ["</s>"]),
    "BOS and EOS": ("<s> $A </s>", ["<s>"], ["</s>"]),
    "CLS and SEP": ("[CLS] $A [SEP]", ["[CLS]"], ["[SEP]"]),
    "EOS and SEP": ("$A </s> [SEP]", [], ["</s>", "[SEP]"]),
}


@pytest.mark.parametrize("seq2seq", [False, True])
@pytest.mark.parametrize("ends", ENDS)
def test_a_causal_prompt_is_opened_and_not_closed_and_a_target_ends_once(ends, seq2seq):
    template, opening, closing = ENDS[ends]
    special = ("<pad>", "</s>", "<s>", "[CLS]", "[SEP]")
    tokenizer = byte_level(trim=True, digits=False, special=special, extra_special_tokens=list(special[2:]))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(name, at) for at, name in enumerate(special)]
    )
    encoder = Encoder(tokenizer, seq2seq=seq2seq)
    encoded = encoder.encode(str, "ab", " c")
    prompt, answer = (tokenizer.convert_ids_to_tokens(ids) for ids in (encoded.prompt, encoded.target))
    assert prompt == [*opening, "a", "b", *(closing if seq2seq else [])]
    assert answer == ([*opening, "c", "</s>"] if seq2seq else ["Ġ", "c", "</s>"])


@pytest.mark.parametrize(("bos", "seq2seq", "begin"), [(None, False, 1), ("<s>", False, 2), ("<s>", True, 1)])
def test_no_prompt_is_empty(bos, seq2seq, begin):
    special = ("<pad>", "</s>", "<s>")
    roles = {} if bos is None else {"bos_token": bos}
    encoder = Encoder(byte_level(trim=True, digits=False, special=special, **roles), seq2seq=seq2seq)
    assert encoder.encode(str, "").prompt == (begin,)
    assert encoder.encode(str, "", " a").prompt == (begin,)


def test_a_text_that_takes_no_tokens_is_cut_at_once():
    inner = Tokenizer(models.WordLevel({"a": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>")
    encoder = Encoder(tokenizer, max_prompt_tokens=2)
    with pytest.raises(InputError, match="without any input takes 3 tokens"):
        encoder.encode(lambda text: "a a a" + text, " " * 10**6)


def test_a_text_that_is_none_is_refused(causal_encoder):
    with pytest.raises(InputError, match="tokenizer cannot read"):
        causal_encoder.encode(str, "half a pair \ud83d", " a")


def test_limits_and_kind_come_from_the_checkpoint(tiny_causal, tiny_seq2seq):
    encoder = load_encoder(tiny_causal, max_prompt_tokens=7, max_target_tokens=5)
    assert (encoder.seq2seq, encoder.max_prompt_tokens, encoder.max_target_tokens) == (False, 7, 5)
    assert load_encoder(tiny_seq2seq).seq2seq
