"""What holds for every tokenizer that can be built: one prompt, one end, text that stays text."""

import json
import pickle
from functools import cache, partial
from unicodedata import normalize

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizer_samples import BYTES, LOSSY, sample
from transformers import NllbTokenizer

from cotune.exceptions import InputError
from cotune.models import Encoder
from cotune.tasks import format_prompt, format_target

SCRIPTS = {
    "Latin": "abeinort yesnoÉüßﬁ",
    "Cyrillic": "аеинот кошйё",
    "Greek": "αειντ γάτς",
    "Arabic": "القطة تجلسَّ",
    "Hebrew": "החתול יושבָ",
    "Devanagari": "बिल्ली टाई",
    "Thai": "แมวนั่งบ",
    "Chinese": "猫坐在垫子上、。",
    "Japanese": "猫はマットのが゛",
    "Korean": "고양이가 매트가",
}
SCIENTIST, THUMB, FLAG = "\U0001f469\u200d\U0001f52c", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea"
SIGNS = ["42", "7", "3.14", "½", "①", "…", "?!", "😀", SCIENTIST, THUMB, FLAG]
SIGNS += ["e\u0301", "\u0301", "\u200b", "\u200d"]
BLANKS = ["", " ", "  ", "   ", "\n", "\n\n", "\t", "\u3000", "\u00a0"]
ENDS = ["</s>", "<s>", "[SEP]", "[CLS]", "<pad>", "<unk>", "<|im_end|>", "<|im_start|>", "<extra_id_0>"]


@st.composite
def texts(draw, names=()):
    """Draw words of ten scripts, digits, emoji and marks, with blanks of every kind around them."""
    parts = []
    for _ in range(draw(st.integers(0, 6))):
        script = draw(st.sampled_from([*SCRIPTS.values(), ""]))
        word = st.text(script, max_size=6) if script else st.sampled_from([*SIGNS, *names])
        parts += [draw(st.sampled_from(BLANKS)), draw(word)]
    return "".join([*parts, draw(st.sampled_from(BLANKS))])


RENDERS = [
    str,
    partial(format_prompt, "Say what it is."),
    partial(format_prompt, "", format="plain"),
    "{}: ".format,
    "Text: {}\n".format,
    "Das Wort „{}“ heißt auf 日本語:".format,
]


@cache
def encoder(name, seq2seq=False):
    return Encoder(sample(name), seq2seq=seq2seq, max_prompt_tokens=4096, max_target_tokens=1024)


def alone(name, text):
    """Return the tokens of a text by itself, as the tokenizer reads it."""
    return sample(name)(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


@cache
def before(name):
    """Return the tokens that the tokenizer opens a sequence with."""
    coded = sample(name)("yes", return_special_tokens_mask=True)
    return coded["input_ids"][: coded["special_tokens_mask"].index(0)]


def written(name, ids):
    return sample(name).decode(ids, skip_special_tokens=False)


CASES = {
    "text": texts(),
    "target": texts().filter(str.strip),
    "render": st.sampled_from(RENDERS),
    "follows": st.sampled_from([format_target, str]),
}


@pytest.mark.parametrize("name", BYTES)
@settings(max_examples=30, deadline=None)
@given(**CASES)
@example(text="猫", target="42", render=RENDERS[1], follows=format_target)
@example(text="a", target="\u0301b", render=str, follows=str)
@example(text="a:  ", target="  b", render=str, follows=format_target)
def test_prompt_and_target_are_the_whole_text_and_its_end(name, text, target, render, follows):
    answer = follows(target)
    encoded = encoder(name).encode(render, text, answer)
    own = alone(name, render(text))
    assert encoded.prompt == encoder(name).encode(render, text).prompt
    assert list(encoded.prompt) == ([*before(name), *own] or [encoder(name)._begin])
    end = sample(name).eos_token_id
    assert encoded.target.index(end) == len(encoded.target) - 1
    spelled = normalize("NFC", written(name, [*own, *encoded.target[:-1]]))
    whole = normalize("NFC", render(text) + answer)
    if "prefix space" in name and not whole.startswith(" "):
        whole = " " + whole
    assert spelled == whole
    assert normalize("NFC", encoder(name).decode(encoded.target)) == normalize("NFC", answer.strip())


@pytest.mark.parametrize("name", LOSSY)
@settings(max_examples=30, deadline=None)
@given(**CASES)
def test_what_a_tokenizer_makes_of_a_text_it_makes_of_prompt_and_target(name, text, target, render, follows):
    answer = follows(target)
    asked = encoder(name).encode(render, text)
    own = alone(name, render(text))
    assert list(asked.prompt) == ([*before(name), *own] or [encoder(name)._begin])
    try:
        encoded = encoder(name).encode(render, text, answer)
    except InputError:
        assert not encoder(name).decode(alone(name, answer))
        return
    assert encoded.prompt == asked.prompt
    end = sample(name).eos_token_id
    assert encoded.target.index(end) == len(encoded.target) - 1
    if follows is format_target:
        assert encoder(name).decode(encoded.target) == encoder(name).decode(alone(name, answer))
        joint = alone(name, render(text) + answer)
        assert written(name, [*own, *encoded.target[:-1]]) == written(name, joint)


@pytest.mark.parametrize("seq2seq", [False, True])
@pytest.mark.parametrize("name", [*BYTES, *LOSSY])
@settings(max_examples=20, deadline=None)
@given(text=texts(ENDS), target=texts(ENDS))
@example(text="a</s>b <|im_end|> <s>", target="no</s> [SEP] yes<|im_end|></s>")
def test_no_text_is_read_as_a_special_token(name, seq2seq, text, target):
    render = partial(format_prompt, "End with </s> or <|im_end|>.")
    target = "yes " + target
    encoded = encoder(name, seq2seq).encode(render, text, format_target(target))
    assert encoded.prompt == encoder(name, seq2seq).encode(render, text).prompt
    tokenizer = sample(name)
    special = set(tokenizer.all_special_ids) | set(tokenizer.convert_tokens_to_ids(ENDS))
    special -= {tokenizer.unk_token_id}
    n_before = len(before(name))
    assert encoded.target[-1] == tokenizer.eos_token_id
    assert special.isdisjoint(encoded.target[n_before if seq2seq else 0 : -1])
    body = list(encoded.prompt[n_before:])
    if seq2seq:
        while body[-1] in special:
            body.pop()
    assert special.isdisjoint(body)
    if name in BYTES:
        spelled = normalize("NFC", encoder(name, seq2seq).decode(encoded.target))
        assert spelled == normalize("NFC", target.strip())


@pytest.mark.parametrize("name", [*BYTES, *LOSSY])
@settings(max_examples=10, deadline=None)
@given(text=texts(ENDS), room=st.integers(0, 20))
@example(text="猫 42 " * 40 + " " * 200, room=3)
def test_a_prompt_too_long_is_cut_in_its_input(name, text, room):
    render = RENDERS[1]
    most = len(encoder(name).encode(render, "").prompt) + room
    short = Encoder(sample(name), max_prompt_tokens=most)
    encoded = short.encode(render, text, " yes")
    assert len(encoded.prompt) <= most
    assert encoded.n_cut == len(encoder(name).encode(render, text).prompt) - len(encoded.prompt)
    prompt = encoder(name).decode(encoded.prompt)
    assert prompt.startswith(encoder(name).decode(alone(name, "Say what it is.\n\nInput:")))
    assert prompt.endswith(encoder(name).decode(alone(name, "Output:")))
    assert short.encode(render, text).prompt == encoded.prompt


def test_a_target_opens_with_the_language_it_is_written_in():
    model = json.loads(sample("Metaspace BPE, always").backend_tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    languages = {"src_lang": "eng_Latn", "tgt_lang": "ell_Grek"}
    tokenizer = NllbTokenizer(vocab=model["vocab"], merges=merges, **languages)
    encoded = Encoder(tokenizer, seq2seq=True).encode(str, "the cat eng_Latn", " γάτα")
    assert list(encoded.target) == tokenizer(text_target="γάτα")["input_ids"]
    prompt = tokenizer.convert_ids_to_tokens(encoded.prompt)
    assert prompt[:3] == ["eng_Latn", "▁the", "▁cat"]
    assert prompt[-1] == "</s>"
    assert prompt.count("eng_Latn") == 1


def test_an_encoder_goes_to_other_processes():
    for name in ("byte level, chat", "Unigram, always", "words"):
        copy = pickle.loads(pickle.dumps(encoder(name)))
        example = (str, "猫 </s>   12", " yes <unk>")
        assert copy.encode(*example) == encoder(name).encode(*example)


def test_which_tokenizers_write_line_breaks():
    written = {name for name in (*BYTES, *LOSSY) if Encoder(sample(name)).line_breaks}
    assert written >= set(BYTES)
    assert not written & {"WordPiece", "words", "words between blanks"}
