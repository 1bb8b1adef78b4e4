"""What is learned of a chat is the assistant's last answer and its end, by the template's own mask."""

from functools import cache, partial

import pytest
from chat_samples import CHATML, OWN_SYSTEM, STYLES, chat_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from cotune.answering import encode_choices, encode_example, encode_fitting, format_notes
from cotune.exceptions import InputError
from cotune.models import Encoder, load_encoder
from cotune.models.formats import ChosenFormat, choose_format
from cotune.tasks import Example, Task, Turn, format_turns

CHAT = ChosenFormat("chat", "format: chat")
TASK = Task("weather", "Say whether it rains.", {"train": (Example("wet", ("yes",)),)})
SHOWN = (Example("the street is wet", ("yes",)), Example("0123 <|im_end|> </s>", ("no",)))
WORDS = st.text("the cat sat on mat good 01[]/<|>\n猫й", min_size=1, max_size=20).map(str.strip).filter(bool)
WORDS = WORDS.filter(lambda text: "<s>" not in text)  # which the template's own text would take for a token
SPELLED = st.sampled_from(["<|im_end|>", "</s>", "<s>", "<|eot_id|>", "<end_of_turn>", "[/INST]", "<<SYS>>"])
TEXT = st.lists(WORDS | SPELLED, min_size=1, max_size=4).map(" ".join)


def some_known(text):
    return not set(text) <= set("猫й \n")  # an answer of nothing but unknown characters is refused


@cache
def encoder(style, **options):
    return Encoder(chat_tokenizer(style), format=CHAT, **options)


def learned(style, turns, answer):
    """Return a conversation's tokens as the template writes them, and the last run of those it marks."""
    messages = [{"role": role, "content": text} for role, text in (*turns, Turn("assistant", answer))]
    found = chat_tokenizer(style).apply_chat_template(
        messages,
        return_dict=True,
        return_assistant_tokens_mask=True,
        date_string="26 Jul 2024",
    )
    ids, mask = found["input_ids"], found["assistant_masks"]
    end = len(mask) - mask[::-1].index(1)
    begin = end - next((at for at, said in enumerate(mask[:end][::-1]) if not said), end)
    return tuple(ids[:begin]), tuple(ids[begin:end])


def as_the_template_reads(style, turns):
    """Return turns as somebody would write them for a template that has no place for a system text."""
    if style != "Gemma" or turns[0].role != "system":
        return turns
    system, first, *rest = turns
    return [Turn("user", f"{system.text}\n\n{first.text}"), *rest]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("instruction", ["", "Say whether it rains."])
@pytest.mark.parametrize(
    "shown", [(), (Example("the street is wet", ("yes",)), Example("it is dry", ("no",)))]
)
def test_the_answer_and_its_end_are_learned_and_nothing_else(style, instruction, shown):
    task = Task("weather", instruction, {})
    encoded = encode_example(encoder(style), task, Example("the cat sat", ("good",)), "good", shown)
    turns = format_turns(instruction, [Turn("user", "the cat sat")], demonstrations=shown)
    assert (encoded.prompt, encoded.target) == learned(style, as_the_template_reads(style, turns), "good")


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=40, deadline=None)
@given(question=WORDS, answer=WORDS.filter(some_known))
def test_it_is_so_for_any_words(style, question, answer):
    encoded = encode_example(encoder(style), TASK, Example(question, (answer,)), answer)
    turns = format_turns(TASK.instruction, [Turn("user", question)])
    assert (encoded.prompt, encoded.target) == learned(style, as_the_template_reads(style, turns), answer)


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=40, deadline=None)
@given(question=TEXT, answer=TEXT.filter(some_known))
def test_what_texts_spell_is_text(style, question, answer):
    asked = encoder(style)
    encoded = encode_example(asked, TASK, Example(question, (answer,)), answer)
    frame = encode_example(asked, TASK, Example("cat", ("cat",)), "cat")
    special = set(asked.chat.tokens.values()) - {asked.tokenizer.unk_token_id}
    of_frame, of_text = ([token for token in one.prompt if token in special] for one in (frame, encoded))
    assert of_text == of_frame
    assert [token for token in encoded.target if token in special] == [asked.chat.end]
    assert encoded.target[-1] == asked.chat.end


@pytest.mark.parametrize("style", STYLES)
def test_training_scoring_and_generation_read_the_same_prompt(style):
    asked, example = encoder(style), Example("wet", ("good",), ("good", "bad"))
    trained = encode_example(asked, TASK, example, "good", SHOWN)
    assert encode_example(asked, TASK, example, None, SHOWN).prompt == trained.prompt
    options = encode_choices(partial(encode_fitting, asked, TASK, example, shown=SHOWN), example.choices)
    assert {option.prompt for option in options} == {trained.prompt}
    assert [asked.decode(option.target) for option in options] == ["good", "bad"]
    # The end is left out, and with it a blank before it, unless that is part of the answer's last token.
    assert trained.target[: len(options[0].target)] == options[0].target
    assert all(option.target[-1] != asked.chat.end for option in options)


def test_the_end_counts_where_one_choice_begins_another():
    encode = partial(encode_fitting, encoder("ChatML"), TASK, Example("wet", ()))
    options = encode_choices(encode, ("good", "good enough"))
    assert [option.target for option in options] == [encode(text).target for text in ("good", "good enough")]


@pytest.mark.parametrize("style", STYLES)
def test_an_answer_is_read_up_to_the_end_of_the_turn(style):
    asked = encoder(style)
    written = encode_fitting(asked, TASK, Example("wet", ("good",)), "good").target
    assert asked.chat.end in asked.end_tokens
    assert asked.decode((*written, *asked.tokens("the cat"))) == "good"
    assert asked.tokenizer.eos_token_id in asked.end_tokens


def test_conversations_keep_their_turns_and_lose_the_oldest_first():
    said = (Turn("user", "the cat"), Turn("assistant", "sat"), Turn("user", "on"), Turn("assistant", "mat"))
    example = Example(
        "...", ("good",), turns=(Turn("system", "Be good."), *said, Turn("user", "and the rain?"))
    )
    whole = encode_example(encoder("ChatML"), Task("talk", "", {}), example, "good")
    assert (whole.prompt, whole.target) == learned("ChatML", example.turns, "good")
    short = encoder("ChatML", max_prompt_tokens=len(whole.prompt) - 1)
    cut = encode_example(short, Task("talk", "", {}), example, "good")
    turns = (example.turns[0], *said[2:], example.turns[-1])
    assert (cut.prompt, cut.target) == learned("ChatML", turns, "good")
    assert cut.n_cut == len(whole.prompt) - len(cut.prompt)
    single = encode_example(
        encoder("ChatML"), Task("talk", "", {}), Example("", (), turns=turns[::3]), "good"
    )
    least = encoder("ChatML", max_prompt_tokens=len(single.prompt) - 2)
    assert len(encode_example(least, Task("talk", "", {}), example, "good").prompt) <= len(single.prompt) - 2


def test_a_demonstration_that_is_a_conversation_keeps_its_turns():
    talk = (Turn("system", "Be good."), Turn("user", "the cat"), Turn("assistant", "sat"), Turn("user", "on"))
    turns = format_turns(
        "Answer.", [Turn("user", "x")], demonstrations=[Example("...", ("mat",), turns=talk)]
    )
    assert [tuple(turn) for turn in turns] == [
        ("system", "Answer."),
        ("user", "Be good.\nthe cat"),
        ("assistant", "sat"),
        ("user", "on"),
        ("assistant", "mat"),
        ("user", "x"),
    ]


def test_what_the_run_says_of_it():
    plain = Task("plain", "", TASK.splits)
    assert format_notes(TASK, Encoder(chat_tokenizer("ChatML"))) == (
        "put as plain text (format: plain), though the tokenizer has a chat template",
    )
    assert format_notes(TASK, encoder("ChatML")) == (
        "put as a chat (format: chat), its instruction as the system text, in place of the template's own",
    )
    assert format_notes(plain, encoder("ChatML")) == (
        f"put as a chat (format: chat), under the template's own system text '{OWN_SYSTEM}'",
    )
    assert format_notes(TASK, encoder("Gemma")) == (
        "put as a chat (format: chat), its instruction before the first question, since the template has no "
        "place for a system text",
    )
    assert format_notes(plain, encoder("Llama 2")) == ("put as a chat (format: chat), without a system text",)
    assert format_notes(plain, encoder("Llama 3"))[1:] == (
        "the template writes the date, which is always 26 July 2024 here",
    )


def test_an_answer_after_a_thought_follows_the_empty_one_of_the_template():
    asked = encoder("thinking")
    encoded = encode_example(asked, TASK, Example("wet", ("yes",)), "yes")
    assert asked.tokenizer.decode(encoded.prompt).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert asked.tokenizer.decode(encoded.target) == "yes<|im_end|>"
    assert format_notes(TASK, asked)[1:] == (
        "every answer follows '<think>\\n\\n</think>\\n\\n', which the template puts before the last",
        "of an answer '...<|im_end|>' is learned, where the template itself marks "
        "'<think>\\n\\n</think>\\n\\n...<|im_end|>'",
    )


@pytest.mark.real
def test_smollm2_is_asked_as_its_template_says(smollm2):
    chosen = choose_format("auto", smollm2)
    assert chosen == ChosenFormat("chat", "its answers end with <|im_end|>, as the turns of its template do")
    asked = load_encoder(smollm2, format=chosen)
    turns = format_turns(TASK.instruction, [Turn("user", "Is it wet?")], demonstrations=SHOWN[:1])
    for instruction, expected in ((TASK.instruction, turns), ("", turns[1:])):
        encoded = encode_example(
            asked, Task("wet", instruction, {}), Example("Is it wet?", ()), "Yes.", SHOWN[:1]
        )
        messages = [{"role": role, "content": text} for role, text in (*expected, ("assistant", "Yes."))]
        prompt, whole = (
            asked.tokenizer.apply_chat_template(messages[:n], add_generation_prompt=n is not None)[
                "input_ids"
            ]
            for n in (-1, None)
        )
        assert list(encoded.prompt) == prompt
        assert [*encoded.prompt, *encoded.target] == whole[:-1], "but for the line break behind the end"
    assert asked.chat.own_system == "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def without_template(template=None, style="ChatML"):
    tokenizer = chat_tokenizer(style)
    copy = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, unk_token="<unk>", eos_token="<|im_end|>"
    )
    copy.chat_template = template
    return copy


def test_a_tokenizer_without_a_template_is_refused():
    with pytest.raises(InputError, match=r"^format: chat needs a chat template, and the tokenizer .*\.$"):
        Encoder(without_template(), format=CHAT)


def test_an_encoder_decoder_model_is_refused():
    with pytest.raises(InputError, match=r"^format: chat is for causal models"):
        Encoder(chat_tokenizer("ChatML"), seq2seq=True, format=CHAT)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for %}", "cannot be applied"),
        ("{{ raise_exception('No, never.') }}", "cannot be applied: No, never.$"),
        ("{{ messages | length }}", "does not write what the assistant says"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template, reason):
    with pytest.raises(InputError, match=reason):
        Encoder(without_template(template), format=CHAT)


def test_a_template_that_ends_turns_with_no_token_ends_answers_as_texts_end():
    template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
    asked = Encoder(without_template(template), format=CHAT)
    encoded = encode_example(asked, Task("a", "", {}), Example("the cat", ()), "sat")
    assert asked.tokenizer.decode(encoded.prompt) == "user: the cat\nassistant:"
    assert asked.tokenizer.decode(encoded.target) == " sat<|im_end|>"
    assert asked.chat.notes == (
        "the template ends turns with no token, so that answers end as any text does",
    )


def test_a_soft_prompt_stands_before_the_whole_conversation():
    encoded = encode_fitting(encoder("Llama 3"), TASK, Example("wet", ("yes",)), "yes").under((9, 8))
    assert encoded.prompt[:3] == (9, 8, encoder("Llama 3").tokenizer.bos_token_id)


def test_the_system_text_of_its_own_is_that_of_the_template():
    assert OWN_SYSTEM in CHATML
    assert encoder("ChatML").chat.own_system == OWN_SYSTEM
    assert {style: encoder(style).chat.takes_system for style in STYLES} == {
        "ChatML": True,
        "Llama 2": True,
        "Llama 3": True,
        "Gemma": False,
    }


@pytest.mark.parametrize("style", STYLES)
def test_the_mask_of_the_template_is_that_of_transformers(style):
    turns = [
        Turn("user", "the cat"),
        Turn("assistant", "sat on"),
        Turn("user", "mat"),
        Turn("assistant", "ok"),
    ]
    ids, mask = encoder(style).chat.own_mask(turns)
    found = chat_tokenizer(style).apply_chat_template(
        [{"role": role, "content": text} for role, text in turns],
        return_dict=True,
        return_assistant_tokens_mask=True,
        date_string="26 July 2024",
    )
    said = {at for at, of in enumerate(mask) if of}
    assert len(said) > 2
    assert "".join(encoder(style).tokenizer.convert_ids_to_tokens(ids[at]) for at in sorted(said))
    if style != "Llama 3":  # which writes the day
        assert ids == found["input_ids"]
        assert mask == found["assistant_masks"]
