import json
import shutil

import pytest
import torch

from cotune.exceptions import InputError
from cotune.models import PROFILES, Encoder, LanguageModel, load_encoder

RTE = "A man is eating. question: Nobody eats Is it true or false? answer:"


@pytest.fixture(scope="module")
def sentinel(tiny_sentinel) -> Encoder:
    return load_encoder(tiny_sentinel)


def with_config(folder, copy, **changes):
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **changes}))
    return load_encoder(copy).profile


def test_models_of_span_corruption_alone_fill_sentinels_in(
    tiny_sentinel, tiny_seq2seq, tiny_causal, tmp_path
):
    filling, plain = PROFILES["sentinel"], PROFILES["plain"]
    assert load_encoder(tiny_sentinel).profile == filling
    assert load_encoder(tiny_sentinel, profile="plain").profile == plain
    for kind in ("mt5", "umt5"):
        assert with_config(tiny_sentinel, tmp_path / kind, model_type=kind) == filling
    tasks = {"translation_en_to_de": {"max_length": 300}}
    assert with_config(tiny_sentinel, tmp_path / "flan", task_specific_params=tasks) == plain
    assert load_encoder(tiny_seq2seq).profile == plain
    assert load_encoder(tiny_causal).profile == plain


def test_the_answer_stands_between_the_sentinels_as_in_the_paper(sentinel):
    encoded = sentinel.encode(str, RTE, " True")
    tokens = sentinel.tokenizer
    assert tokens.decode(encoded.prompt) == RTE + "<extra_id_0>"
    assert tokens.decode(encoded.target) == "<extra_id_0>True<extra_id_1></s>"
    assert sentinel.encode(str, RTE).prompt == encoded.prompt
    assert sentinel.decode(encoded.target) == "True"


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("<pad><extra_id_0> True <extra_id_1></s>", "True"),
        ("<pad><extra_id_0> one two<extra_id_1> rest<extra_id_2></s>", "one two"),
        ("<pad>before <extra_id_0> red", "red"),
        ("<pad> red <extra_id_1> green", "red"),
        ("<pad><extra_id_0><extra_id_1>", ""),
        ("<pad> red</s><pad>", "red"),
    ],
)
def test_what_is_written_is_cut_out_between_the_sentinels(sentinel, written, answer):
    assert sentinel.decode(sentinel.tokenizer(written)["input_ids"]) == answer


def test_generation_ends_with_the_answer(tiny_sentinel, one_thread):
    model = LanguageModel.load(tiny_sentinel, precision="fp32", device="cpu")
    written = model.tokenizer("<extra_id_0> red <extra_id_1> green green green")["input_ids"]
    prompt = model.encoder.encode(str, RTE)
    torch.manual_seed(0)
    parameters = model.base.requires_grad_(True).parameters()
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    batch = model.batch([type(prompt)(prompt.prompt, tuple(written))])
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.target_losses(model.base, batch).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert model.generate(model.base, [prompt]) == ["red"]
    with torch.no_grad():
        ids = model.base.generate(torch.tensor([prompt.prompt]), max_new_tokens=20)
    assert ids[0, -1] == model.tokenizer.convert_tokens_to_ids("<extra_id_1>")


def test_a_profile_that_does_not_fit_is_refused(tiny_seq2seq, tiny_causal):
    with pytest.raises(InputError, match=r"^The model's tokenizer has no token '<extra_id_0>'.*plain\.$"):
        load_encoder(tiny_seq2seq, profile="sentinel")
    with pytest.raises(InputError, match=r"^The profile sentinel is for encoder-decoder models"):
        load_encoder(tiny_causal, profile="sentinel")
