"""Studies whose affinity is estimated by a cheaper learner, or with layers computed once for all runs."""

from __future__ import annotations

import html
import json

import numpy as np
import pytest

from cotune.exceptions import InputError
from cotune.models.precision import ChosenPrecision
from cotune.studies import plan_study, run_study
from cotune.studies.doctor import examine
from cotune.studies.engine import open_store

SUBSETS = {"estimator": "higher_order", "subset_size": 2, "subsets": 6, "steps_per_task": 1}
PROXY = {**SUBSETS, "proxy": {"adapt_from": 0.5}}


@pytest.fixture
def short_words(tmp_path):
    """A smaller model, to which every letter is a token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = {token: at for at, token in enumerate(["<end>", *pre_tokenizers.ByteLevel.alphabet()])}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    ends = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(letters), eos_token_id=0, pad_token_id=0, bos_token_id=None, **sizes)
    folder = tmp_path / "letters"
    LlamaForCausalLM(config).save_pretrained(folder)
    ends.save_pretrained(folder)
    return folder


def adapters(study):
    return sorted(study.folder.glob("adapters/*/adapter_config.json"))


def test_affinity_is_of_the_proxy_and_the_groups_of_the_learner(workshop):
    study = workshop.study(affinity=PROXY)
    result = run_study(study)
    assert any(note.startswith("Affinity is estimated by a proxy") for note in result.estimate.notes)
    assert "Affinity is estimated by a proxy" in result.report.read_text()
    # The adapters that are kept are on all layers.
    configs = [json.loads(path.read_text()) for path in adapters(study)]
    assert configs
    assert all(config["layers_to_transform"] is None for config in configs)
    plain = workshop.study(stem="plain", affinity=SUBSETS)
    run_study(plain)
    with open_store(study.home.store) as store, open_store(plain.home.store) as other:
        keys, others = set(store.keys()), set(other.keys())
    compared = {r.key for r in result.stages[1].records}
    assert compared <= keys
    assert compared & others  # each alone and all together, by the same learner
    assert {r.key for r in result.stages[0].records}.isdisjoint(others)


def test_a_proxy_trains_what_the_learner_with_the_same_layers_does(workshop):
    proxied = run_study(workshop.study(affinity=PROXY, comparison=None))
    learner = {**workshop.data["learner"], "adapt_from": 0.5}
    own = run_study(workshop.study(stem="own", learner=learner, affinity=SUBSETS, comparison=None))
    np.testing.assert_array_equal(proxied.estimate.affinity.matrix, own.estimate.affinity.matrix)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_read_one_file_and_give_the_same(workshop, workers):
    learner = {**workshop.data["learner"], "adapt_from": 0.5}
    alone = run_study(workshop.study(stem="alone", learner=learner, affinity=SUBSETS))
    study = workshop.study(learner=learner, affinity=SUBSETS, executor={"workers": workers})
    many = run_study(study)
    np.testing.assert_array_equal(many.estimate.affinity.matrix, alone.estimate.affinity.matrix)
    assert len(list(study.shared.glob("states-*.bin"))) == 1


def test_the_plan_says_what_is_computed_once(workshop):
    learner = {**workshop.data["learner"], "adapt_from": 0.5}
    study = workshop.study(learner=learner, affinity=SUBSETS)
    plan = plan_study(study)
    below = next(stage for stage in plan.stages if stage.title == "layers below")
    assert below.cpu_seconds > 0
    kept = study.learner.kept_states
    assert (kept.n_below, kept.n_layers, kept.n_left_out) == (1, 2, 0)
    # Training and validation examples of four tasks, some with the same answers to the same inputs.
    assert kept.n_examples <= 4 * (8 + 2)
    (said,) = [note for note in plan.notes if "computed once" in note]
    assert said.startswith(f"What 1 of 2 layers make of {kept.n_examples} examples")
    run_study(study)
    (path,) = study.shared.glob("states-*.bin")
    assert path.stat().st_size == kept.n_bytes
    (stage,) = [stage for stage in plan_study(study).stages if stage.title == "layers below"]
    assert (stage.stored, stage.cpu_seconds) == (1, 0.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    assert [finding.path for finding in examine(study.path).findings] == [path]
    run_study(study)  # all runs are stored, and what they share is whole again
    assert path.read_bytes() == whole
    assert examine(study.path).healthy


def test_a_plan_counts_proxy_and_learner_apart(workshop):
    study = workshop.study(affinity=PROXY)
    titles = [stage.title for stage in plan_study(study).stages]
    assert titles == ["layers below", "affinity", "comparison"]
    assert plan_study(study).stages[1].cpu_seconds > 0


def test_another_model_can_stand_in(workshop, tiny_seq2seq):
    affinity = {**SUBSETS, "proxy": {"model": str(tiny_seq2seq)}}
    study = workshop.study(affinity=affinity, comparison=None)
    assert run_study(study).estimate.affinity.matrix.shape == (4, 4)
    assert study.affinity_learner.model.seq2seq
    assert study.learner.config.model != study.affinity_learner.config.model


def test_another_model_has_tokens_and_states_of_its_own(workshop, short_words):
    proxy = {"model": str(short_words), "adapt_from": 0.5}
    study = workshop.study(affinity={**SUBSETS, "proxy": proxy}, comparison=None)
    said = f"Affinity is estimated by a proxy, the model {short_words} with an adapter on the layers above"
    plan = plan_study(study)
    assert [note for note in plan.notes if note.startswith(said)]
    result = run_study(study)
    assert result.estimate.notes[0].startswith(said)
    assert said in html.unescape(result.report.read_text())
    own, other = study.learner, study.affinity_learner
    (kept,) = study.shared.glob("states-*.bin")
    assert kept.name == other.kept_states.file
    assert kept.stat().st_size == pytest.approx(other.kept_states.n_bytes, rel=0.01)
    lengths = [learner._data.mean_length("copy", "train") for learner in (own, other)]
    assert lengths[1] > lengths[0], "a word is several tokens to it"


def test_a_model_that_stands_in_computes_in_the_type_that_is_said(workshop, tiny_seq2seq, monkeypatch):
    """One meaning of auto in a study, whatever each process would measure for another model."""
    chosen = iter(["bf16", "fp32", "fp32"])
    monkeypatch.setattr(
        "cotune.models.precision.choose_precision",
        lambda *_, **__: ChosenPrecision(next(chosen), "cpu", 1.1),
    )
    learner = {**workshop.data["learner"], "precision": "auto"}
    study = workshop.study(learner=learner, affinity={**SUBSETS, "proxy": {"model": str(tiny_seq2seq)}})
    assert study.precision.precision == "bf16"
    assert {one.config.resolved_precision(study.base) for one in study.learners} == {"bf16"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"affinity": {**SUBSETS, "proxy": {}}}, "proxy needs adapt_from or model"),
        ({"affinity": {**SUBSETS, "proxy": {"revision": "main", "adapt_from": 0.5}}}, "is of proxy.model"),
        (
            {"affinity": {**SUBSETS, "proxy": {"adapt_from": 9}}},
            r"^affinity\.proxy\.adapt_from: must",
        ),
        ({"affinity": {**SUBSETS, "proxy": {"model": "no/where"}}}, "no/where"),
    ],
)
def test_what_cannot_stand_in_is_refused(workshop, changes, said):
    with pytest.raises(InputError, match=said):
        run_study(workshop.study(**changes))


def test_methods_that_go_through_all_layers_are_refused(workshop):
    learner = {**workshop.data["learner"], "method": {"name": "prefix"}}
    with pytest.raises(InputError, match="cannot be put on the upper layers alone"):
        run_study(workshop.study(learner=learner, affinity=PROXY))


def test_function_classes_have_no_proxy(workshop):
    learner = {"kind": "function_classes", "classes": ["linear-1.0", "relu-1.0"], "points": 5, "width": 8}
    with pytest.raises(InputError, match="only a language model has layers"):
        run_study(workshop.study(tasks=..., learner=learner, affinity=PROXY))
