from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cotune.evaluation.format_specialisation import (
    LabelledPrompt,
    gradient_alignment,
    label_share,
    module_groups,
)
from cotune.exceptions import InputError
from cotune.models import LanguageModel
from cotune.tasks import format_prompt, format_target
from cotune.training.methods.lora import Lora

LABELS = ("True", "False")
WORDS = ["apple", "banana", "cherry", "damson", "elder", "fig", "grape", "red"]


@pytest.fixture(scope="module", params=["tiny_causal", "tiny_seq2seq"])
def model(request):
    torch.set_num_threads(1)
    return LanguageModel.load(request.getfixturevalue(request.param), precision="fp32", device="cpu")


def labelled(model, words=WORDS, labels=LABELS, answers=None):
    render = partial(format_prompt, "Judge the word you are given.")
    return [
        LabelledPrompt(
            tuple(model.encoder.encode(render, word, format_target(label)) for label in labels),
            at % len(labels) if answers is None else answers[at],
        )
        for at, word in enumerate(words)
    ]


def by_backward(model, examples):
    """Gradient of the mean loss on the true labels, one example after the other, by plain backward."""
    parameters = module_groups(model.base)
    model.base.requires_grad_(True)
    for example in examples:
        losses = model.target_losses(model.base, model.batch([example.options[example.answer]]))
        (losses.mean() / len(examples)).backward()
    gradients = {
        group: torch.cat([p.grad.double().flatten() for p in members])
        for group, members in parameters.items()
    }
    model.base.requires_grad_(False)
    model.base.zero_grad(set_to_none=True)
    return gradients


def test_share_of_labels_counts_whole_answers():
    answers = ["True", "false ", "true\n", "True story", "Paris", ""]
    assert label_share(answers, LABELS) == 3 / 6
    assert label_share(["not  entailment", "not"], ["not entailment", "entailment"]) == 1 / 2
    assert label_share(["Paris"], LABELS) == 0


def test_a_model_that_writes_on_after_the_label_has_collapsed_all_the_same():
    answers = ["T 13", "F 0", "T", "F 4 4 9"]
    assert label_share(answers, ["T", "F"]) == 1 / 4
    assert label_share(answers, ["T", "F"], "first_word") == 1
    apart = ["Trout", "it is T", "Falsehood", "not"]
    assert label_share(apart, ["T", "F", "False", "not entailment"], "first_word") == 0
    assert label_share(['"not entailment", I say'], ["entailment", "not entailment"], "first_word") == 1


@given(st.lists(st.text("TF 1", max_size=4), min_size=1))
def test_what_is_a_label_begins_with_one(answers):
    assert label_share(answers, ["T", "F"]) <= label_share(answers, ["T", "F"], "first_word") <= 1


@pytest.mark.parametrize(("answers", "labels"), [([], LABELS), (["True"], [])])
def test_share_of_labels_of_nothing(answers, labels):
    with pytest.raises(InputError, match="needs answers and labels"):
        label_share(answers, labels)


def test_full_and_format_gradient_are_those_of_plain_backward(model):
    examples = labelled(model)
    result = gradient_alignment(model, model.base, examples, seed=3, draws=1, batch_tokens=64)
    drawn = np.random.default_rng(3).permutation([example.answer for example in examples])
    full = by_backward(model, examples)
    format = by_backward(model, labelled(model, answers=drawn))
    assert [part.group for part in result] == ["query", "key", "value", "mlp"]
    for part in result:
        g, f = full[part.group], format[part.group]
        assert part.full_norm == pytest.approx(float(g.norm()), rel=1e-3)
        assert part.format_norm == pytest.approx(float(f.norm()), rel=1e-3)
        assert part.cosine == pytest.approx(float(g @ f / (g.norm() * f.norm())), abs=1e-4)


def test_batches_do_not_change_the_result(model):
    examples = labelled(model)
    one, all_ = (
        gradient_alignment(model, model.base, examples, seed=0, batch_tokens=n) for n in (1, 100_000)
    )
    for left, right in zip(one, all_, strict=True):
        assert left.cosine == pytest.approx(right.cosine, abs=1e-4)
        assert left.full_norm == pytest.approx(right.full_norm, rel=1e-3)


def test_labels_that_are_all_the_same_are_all_format(model):
    examples = labelled(model, answers=[1] * len(WORDS))
    for part in gradient_alignment(model, model.base, examples, seed=0):
        assert part.cosine == pytest.approx(1.0, abs=1e-6)
        assert part.full_norm == pytest.approx(part.format_norm, rel=1e-6)


def test_many_uniform_draws_come_near_their_expectation(model):
    examples = labelled(model)
    drawn = gradient_alignment(model, model.base, examples, seed=0, draws=4000, randomise="uniform")
    both = [by_backward(model, labelled(model, answers=[label] * len(WORDS))) for label in range(len(LABELS))]
    for part in drawn:
        expected = (both[0][part.group] + both[1][part.group]) / 2
        assert part.format_norm == pytest.approx(float(expected.norm()), rel=0.05)


def test_the_seed_decides_the_labels(model):
    examples = labelled(model)
    first, again, other = (
        gradient_alignment(model, model.base, examples, seed=seed, draws=1) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_the_model_is_left_as_it_was(model):
    with Lora(r=2).attach(model) as attached:
        module = getattr(attached, "module", attached)
        module.train()
        before = {name: p.clone() for name, p in module.named_parameters()}
        flags = {name: p.requires_grad for name, p in module.named_parameters()}
        gradient_alignment(model, module, labelled(model), seed=0)
        assert {name: p.requires_grad for name, p in module.named_parameters()} == flags
        assert all(p.grad is None and torch.equal(p, before[n]) for n, p in module.named_parameters())
        assert all(part.training for part in module.modules())
        module.eval()


def test_it_is_left_so_after_an_error_too(model, monkeypatch):
    def fail(*_):
        raise RuntimeError("no memory")

    monkeypatch.setattr(model, "target_losses", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        gradient_alignment(model, model.base, labelled(model), seed=0)
    assert not any(p.requires_grad for p in model.base.parameters())


def test_under_a_fresh_lora_the_weights_have_the_gradient_of_the_base(model):
    examples = labelled(model)
    plain = gradient_alignment(model, model.base, examples, seed=0)
    with Lora(r=2).attach(model) as attached:
        module = getattr(attached, "module", attached)
        under = gradient_alignment(model, module, examples, seed=0)
        trained = gradient_alignment(model, module, examples, seed=0, parameters="trained")
    for left, right in zip(plain, under, strict=True):
        assert left.full_norm == pytest.approx(right.full_norm, rel=1e-5)
        assert left.cosine == pytest.approx(right.cosine, abs=1e-5)
    assert [part.group for part in trained] == ["query", "value"]
    assert all(part.full_norm > 0 for part in trained)


def test_all_layers_hold_the_last_one(model):
    last, every = module_groups(model.base), module_groups(model.base, layers="all")
    for group, members in last.items():
        assert len(every[group]) == 2 * len(members)
        assert {id(p) for p in members} < {id(p) for p in every[group]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"examples": slice(0, 1)}, "at least two examples and one draw.*got 1 and 8"),
        ({"draws": 0}, "got 8 and 0"),
        ({"answers": [0] * 7 + [2]}, "Example 7 .* has 2 options and answer 2"),
        ({"ragged": True}, "equally many options only, got 1 to 2; use randomise='uniform'"),
    ],
)
def test_bad_input_is_one_sentence(model, change, message):
    examples = labelled(model, answers=change.get("answers"))[change.get("examples", slice(None))]
    if "ragged" in change:
        examples[0] = LabelledPrompt(examples[0].options[:1], 0)
    with pytest.raises(InputError, match=message):
        gradient_alignment(model, model.base, examples, seed=0, draws=change.get("draws", 8))


def test_a_frozen_model_has_no_trained_matrices(model):
    with pytest.raises(InputError, match="has no trained matrices inside numbered layers"):
        module_groups(model.base, parameters="trained")
