"""Pretraining on the toy language, and the checkpoint that is shipped."""

import json
from statistics import fmean

import pytest
import torch

from cotune.exceptions import InputError
from cotune.lab.toy_language import (
    PRETRAINED,
    TOY_CHECKPOINT,
    TOY_TASKS,
    PretrainingConfig,
    make_model,
    make_tokenizer,
    measure_abilities,
    pretrain,
)
from cotune.lab.toy_language.pretrain import make_checkpoint
from cotune.models import LanguageModel

SMALL = PretrainingConfig(
    width=16, inner_width=32, layers=1, heads=2, rows_per_task=1, steps=30, warmup_steps=5
)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shipped():
    return LanguageModel.load(TOY_CHECKPOINT)


@pytest.fixture(scope="module")
def abilities():
    return json.loads((TOY_CHECKPOINT / "abilities.json").read_text())


def test_the_shipped_checkpoint_is_an_ordinary_small_one():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(TOY_CHECKPOINT, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(TOY_CHECKPOINT, local_files_only=True)
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert sum(file.stat().st_size for file in TOY_CHECKPOINT.iterdir()) < 700_000
    prompt = tokenizer("9 4 1 > 1 4 9\n3 12 5 > 5 12 3\n0 8 7 > 7 8 0\n6 2 11 >", return_tensors="pt")
    answer = model.generate(**prompt, do_sample=False, max_new_tokens=5)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer, skip_special_tokens=True) == "11 2 6"


def test_the_shipped_checkpoint_does_what_its_record_says(shipped, abilities):
    recorded = abilities["pretrained"]["4-shot"]
    scores = measure_abilities(shipped, PRETRAINED, shots=(4,), prompts=64)
    measured = fmean(by_shots[4] for by_shots in scores.values())
    # 704 prompts: a standard error of about 0.011.
    assert measured == pytest.approx(recorded["mean"], abs=0.04)
    assert recorded["mean"] >= 0.89


def test_the_record_covers_every_task(abilities):
    for shots in ("1-shot", "4-shot"):
        assert set(abilities["pretrained"][shots]) == {"mean", *PRETRAINED}
        assert set(abilities["not_pretrained"][shots]) == {"mean", *TOY_TASKS} - set(PRETRAINED)
    assert PretrainingConfig(**abilities["recipe"]) == PretrainingConfig()


def test_demonstrations_are_what_it_learned_from(shipped):
    scores = measure_abilities(shipped, ["reverse", "max"], shots=(0, 4), prompts=64)
    for by_shots in scores.values():
        assert by_shots[4] > by_shots[0] + 0.5


def test_pretraining_repeats_exactly_and_lowers_the_loss():
    tokenizer = make_tokenizer()
    runs = []
    for _ in range(2):
        model = make_model(SMALL, tokenizer)
        losses = pretrain(model, tokenizer, SMALL)
        runs.append((losses, model.state_dict()))
    (losses, weights), (same_losses, same_weights) = runs
    assert len(losses) == SMALL.steps
    assert losses == same_losses
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    assert fmean(losses[-5:]) < fmean(losses[:5]) - 0.3


def test_another_seed_gives_another_model():
    tokenizer = make_tokenizer()
    first, other = (make_model(SMALL.model_copy(update={"seed": seed}), tokenizer) for seed in (0, 1))
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


def test_a_checkpoint_is_written_with_its_record(tmp_path):
    out = tmp_path / "toy"
    config = SMALL.model_copy(update={"steps": 2})
    report = make_checkpoint(out, config, prompts=8)
    assert json.loads((out / "abilities.json").read_text()) == report
    assert LanguageModel.load(out).vocabulary_size == 22
    weights = (out / "model.safetensors").read_bytes()
    make_checkpoint(out, config, prompts=8)
    assert (out / "model.safetensors").read_bytes() == weights


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="no toy checkpoint to replace"):
        make_checkpoint(tmp_path, SMALL)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
