"""Whether a checkpoint is asked as a chat is told from its tokenizer and from what ends its answers."""

import json
import shutil

import pytest
from transformers import AutoTokenizer, GenerationConfig

from cotune.exceptions import InputError
from cotune.models.config import ModelConfig
from cotune.models.formats import choose_format

TEMPLATE = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + END + '\\n' }}{% endfor %}"


@pytest.fixture
def model(tiny_causal, tmp_path):
    """Return what makes a copy of the small model, with a template whose turns end with a token."""

    def make(end="</s>", name="model"):
        folder = shutil.copytree(tiny_causal, tmp_path / name)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_special_tokens({"additional_special_tokens": ["<end>"]})
        tokenizer.chat_template = TEMPLATE.replace("END", f"'{end}'")
        tokenizer.save_pretrained(folder)
        return folder

    return make


def test_a_tokenizer_without_a_template_takes_plain_text(tiny_causal):
    chosen = choose_format("auto", tiny_causal)
    assert (chosen.format, chosen.why) == ("plain", "its tokenizer has no chat template")


def test_a_model_that_ends_its_answers_as_the_template_ends_turns_is_asked_as_a_chat(model):
    chosen = choose_format("auto", model())
    assert chosen.format == "chat"
    assert chosen.why == "its answers end with </s>, as the turns of its template do"


def test_a_base_model_with_a_template_is_asked_in_plain_text(model):
    chosen = choose_format("auto", model("<end>"))
    assert chosen.format == "plain"
    assert chosen.why == "its answers do not end with <end>, as the turns of its template do"


def test_what_generation_ends_with_counts_beside_the_end_of_a_text(model):
    folder = model("<end>")
    end = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids("<end>")
    GenerationConfig(eos_token_id=[1, end]).save_pretrained(folder)
    assert choose_format("auto", folder).format == "chat"


@pytest.mark.parametrize(("asked", "why"), [("plain", "format: plain"), ("chat", "format: chat")])
def test_what_is_asked_for_is_taken(model, asked, why):
    chosen = choose_format(asked, model())
    assert (chosen.format, chosen.why) == (asked, why)


def test_an_encoder_decoder_model_is_asked_in_plain_text(tiny_seq2seq, tmp_path):
    folder = shutil.copytree(tiny_seq2seq, tmp_path / "seq2seq")
    (folder / "chat_template.jinja").write_text(TEMPLATE.replace("END", "'</s>'"))
    assert choose_format("auto", folder).why == "it is an encoder-decoder model"
    with pytest.raises(InputError, match=r"^format: chat is for causal models"):
        ModelConfig(model=str(folder), format="chat").encoder(tmp_path)


def test_a_chat_without_a_template_is_refused(tiny_causal):
    with pytest.raises(InputError, match=rf"^format: chat needs a chat template, .*{tiny_causal} has none"):
        ModelConfig(model=str(tiny_causal), format="chat").encoder(tiny_causal)


def test_another_process_reads_the_model_in_the_same_way(model):
    folder = model()
    read = ModelConfig(model=str(folder), format="auto", precision="fp32").reading(folder)
    assert json.loads(json.dumps(read)) == {
        "precision": "fp32",
        "profile": "auto",
        "max_prompt_tokens": 512,
        "max_target_tokens": 128,
        "format": "chat",
    }
