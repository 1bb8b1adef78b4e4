"""What the last stage changed: nothing where nothing was done, else what is worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cotune.answering import InContextConfig
from cotune.evaluation.last_stage import Beginning, Probes, StageChange, in_words, share_changed
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import LanguageModel
from cotune.training.config import TrainingConfig
from cotune.training.methods import Full, Lora, Promot, Prompt

RECIPE = TrainingConfig()


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return LanguageModel.load(TOY_CHECKPOINT, precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def probes(model):
    target, *others = toy_tasks(["weighted", "copy", "max"], train=16, validation=2, test=6)
    found = Probes(model, [target], others, InContextConfig(shots=(1, 2), draws=1), seed=0)
    found.know_pretrained()
    return found


def change_by(probes, method, step, *, reaches=True):
    """Put a method on the base, do something to what it trains last, and compare."""
    torch.manual_seed(0)
    with method.attach(probes.model, ["weighted"]) as attached:
        attached.train_only(method.stages(1, RECIPE, ["weighted"])[-1].trains)
        began = Beginning.of(attached, probes, 0, ["T", "F"])
        with torch.no_grad():
            for parameter in attached.trained:
                step(parameter)
        return began.change(attached, probes, 0, ["T", "T"], 0.25, reaches_others=reaches)


def nudge(parameter):
    parameter += 0.01 * torch.randn_like(parameter)


@pytest.mark.parametrize("method", [Full(), Lora(), Promot(prompt_length=3)])
def test_where_nothing_is_done_nothing_changed(probes, method):
    torch.manual_seed(0)
    with method.attach(probes.model, ["weighted"]) as attached:
        attached.train_only(("weights",))
        began = Beginning.of(attached, probes, 0, ["T"])
        change = began.change(attached, probes, 0, ["T"], 0.0, reaches_others=True)
    assert change == StageChange.none()


@pytest.mark.parametrize("method", [Full(), Lora(), Promot(prompt_length=3)])
def test_tuned_weights_change_what_is_predicted_everywhere(probes, method):
    change = change_by(probes, method, nudge)
    assert change.moved
    assert 0 < change.weights < 1
    assert change.kl_target > 0
    assert change.kl_other > 0
    assert (change.answers_target, change.answers_other) == (0.5, 0.25)


def test_a_trained_prompt_changes_the_target_alone(probes):
    change = change_by(probes, Prompt(prompt_length=3), nudge, reaches=False)
    assert change.moved
    assert change.kl_target > 0
    assert (change.weights, change.kl_other) == (0.0, 0.0)


def test_a_number_that_moves_too_little_for_anything_to_follow_is_nothing_tuned(probes):
    def hardly(parameter):
        parameter += 1e-40

    torch.manual_seed(0)
    with Lora().attach(probes.model, ["weighted"]) as attached:
        began = Beginning.of(attached, probes, 0, [])
        with torch.no_grad():
            for parameter in attached.trained:
                hardly(parameter)
        change = began.change(attached, probes, 0, [], None, reaches_others=True)
    assert not change.moved
    assert change.weights == change.kl_target == change.kl_other == 0


def test_the_change_of_a_lora_is_that_of_its_product(model):
    torch.manual_seed(0)
    lora = Lora(r=2, alpha=6, target_modules=("q_proj",))
    with lora.attach(model) as attached:
        with torch.no_grad():
            for parameter in attached.parameters:
                parameter.normal_()
        found = attached.weight_change()
        moved = before = 0.0
        for name, part in attached.module.named_modules():
            if name.endswith("q_proj"):
                product = 3 * part.lora_B["default"].weight @ part.lora_A["default"].weight
                moved += product.square().sum().item()
                before += part.base_layer.weight.square().sum().item()
    assert found == pytest.approx(math.sqrt(moved / before), rel=1e-5)


def test_the_change_of_dora_is_that_of_merging_it(model):
    torch.manual_seed(0)
    with Lora(use_dora=True, target_modules=("q_proj",)).attach(model) as attached:
        assert attached.weight_change() == pytest.approx(0, abs=1e-6)
        base = {
            n: p.weight.detach().clone() for n, p in model.base.named_modules() if n.endswith("base_layer")
        }
        with torch.no_grad():
            for parameter in attached.parameters:
                nudge(parameter)
        found = attached.weight_change()
        again = {
            n: p.weight.detach().clone() for n, p in model.base.named_modules() if n.endswith("base_layer")
        }
        assert all(torch.equal(base[name], again[name]) for name in base), "nothing was merged for it"
        moved = 0.0
        for name, part in attached.module.named_modules():
            if name.endswith("q_proj"):
                part.merge()
                old = base[next(n for n in base if name.endswith(n.removesuffix(".base_layer")))]
                moved += (part.base_layer.weight - old).square().sum().item()
                part.unmerge()
    assert found == pytest.approx(
        math.sqrt(moved / sum(w.square().sum().item() for w in base.values())), rel=1e-4
    )


def test_a_beginning_is_kept_in_the_memory_of_a_tuning(probes):
    with Full().attach(probes.model) as attached:
        began = Beginning.of(attached, probes, 0, ["T", "F"])
        memory = {}
        assert Beginning.kept(memory) is None
        began.keep(memory)
        found = Beginning.kept(memory)
        assert found.answers == ("T", "F")
        assert not found.change(attached, probes, 0, ["T", "F"], 0.0, reaches_others=True).moved


def test_divergences_are_in_nats_and_over_right_answers(probes):
    """Against the divergence of softmaxes of one prompt, asked without cotune's batches."""
    from cotune.answering import TaskPrompts

    (task,) = probes.targets
    prompts = TaskPrompts(task, probes.in_context.on_trained("test", 0), probes.model.encoder, seed=0).scored(
        0, 0
    )

    def predicted():
        rows = []
        for one in prompts:
            ids = torch.tensor([[*one.prompt, *one.target[:2]]])
            with torch.no_grad():
                logits = probes.model.base(input_ids=ids).logits[0]
            rows.append(logits[len(one.prompt) - 1 :][: len(one.target[:3])].log_softmax(-1))
        return rows

    with Full().attach(probes.model) as attached:
        began, before = Beginning.of(attached, probes, 0, []), predicted()
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in attached.trained:
                nudge(parameter)
        found = began.change(attached, probes, 0, [], None, reaches_others=True)
        expected = [
            (old.exp() * (old - new)).sum(-1).mean().item()
            for old, new in zip(before, predicted(), strict=True)
        ]
    assert found.kl_target == pytest.approx(sum(expected) / len(expected), rel=1e-3)


@given(st.lists(st.tuples(st.sampled_from("TF"), st.sampled_from("TF")), min_size=1))
def test_a_share_of_changed_answers(pairs):
    before, after = zip(*pairs, strict=True)
    share = share_changed(before, after)
    assert share == share_changed(after, before)
    assert (share == 0) == (before == after)
    assert 0 <= share <= 1


def test_without_answers_there_is_no_share_and_words_leave_out_what_is_not_known():
    assert share_changed([], []) is None
    assert in_words(StageChange(moved=True, weights=0.0123, kl_target=0.5)) == (
        "the weights by 1.23 %; on the target a divergence of 0.5 nats"
    )
    whole = StageChange(
        moved=True, weights=0.1, kl_target=1, kl_other=2, answers_target=0.5, answers_other=0.25
    )
    assert in_words(whole).endswith("on other tasks a divergence of 2 nats, 25 % of the answers")


def test_what_was_stored_before_changes_were_measured_is_read_as_not_measured():
    assert StageChange.read(None) is None
    assert StageChange.read({"moved": True, "weights": 0.5}) == StageChange(moved=True, weights=0.5)
