import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel

from cotune.exceptions import InputError, RunError
from cotune.tasks import Example, get_metric
from cotune.training import FeatureLearner, Learner
from cotune.training.language_model import LanguageModelConfig
from cotune.training.learner import Score

KINDS = ["causal", "seq2seq"]
COLOURS = ("red", "green", "blue", "a colour of another name")


@pytest.fixture(scope="module", params=KINDS)
def learner(request, learner_of, make_task):
    return learner_of(request.param, [make_task("copy"), make_task("last", metric="rouge_l")])


def values(fit):
    return {name: score.per_example for name, score in fit.scores.items()}


def chosen(learner, module, task, split, *, metric):
    """Answer every example with the choice that transformers' own loss finds likeliest as a whole."""
    right = []
    for example in learner._tasks[task][split]:
        losses = {}
        for choice in example.choices:
            encoded = learner._data.encode(task, example, choice)
            encoded = replace(encoded, target=encoded.target[:-1])
            losses[choice] = float(learner.model.nll(module, [encoded])[0]) * len(encoded.target)
        right.append(metric.score(min(losses, key=losses.get), example.targets))
    return tuple(right)


def test_it_is_a_learner_that_knows_features(learner):
    assert isinstance(learner, Learner)
    assert isinstance(learner, FeatureLearner)


def test_every_task_is_scored_by_its_metric_on_every_example(learner):
    for split, size in (("validation", 4), ("test", 5)):
        fit = learner.fit(("copy", "last"), 0, steps=2, split=split)
        assert [(s.metric, s.higher_is_better) for s in fit.scores.values()] == [
            ("nll", False),
            ("rouge_l", True),
        ]
        for score in fit.scores.values():
            assert len(score.per_example) == size
            assert score.value == pytest.approx(np.mean(score.per_example))


def test_likelihoods_are_those_of_the_trained_adapter(learner, tmp_path):
    fit = learner.fit(("copy",), 0, steps=6, split="validation", save_to=tmp_path)
    encoded = learner._data.encoded("copy", "validation")
    module = PeftModel.from_pretrained(learner.model.base, tmp_path)
    try:
        after = learner.model.nll(module.eval(), encoded)
    finally:
        module.unload()
    before = learner.model.nll(learner.model.base, encoded)
    np.testing.assert_allclose(fit.scores["copy"].per_example, after, atol=1e-6, rtol=0)
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_set_of_answers_is_answered_by_the_likeliest_choice(kind, learner_of, make_task):
    answers = ("red", "green blue", "one two three")
    task = make_task("last", metric="accuracy", choices=answers, sizes=(8, 12, 5))
    mixed = {
        split: tuple(replace(e, targets=(answers[i % 3],)) for i, e in enumerate(task[split]))
        for split in task.splits
    }
    learner = learner_of(kind, [replace(task, splits=mixed)])
    score = learner.score(learner.model.base, "last", "validation")
    expected = chosen(learner, learner.model.base, "last", "validation", metric=get_metric("accuracy"))
    assert score.per_example == expected
    assert 0 < score.value < 1
    assert learner.fit(("last",), 0, steps=1, split="validation").scores["last"].metric == "accuracy"


def test_free_answers_are_what_is_generated_up_to_the_end_of_the_line(learner_of, make_task):
    """A model that has learned to answer "red" is right wherever "red" is, whatever the input."""
    task = make_task("copy", metric="rouge_l", sizes=(16, 4, 4))
    answers = {"train": ["red"], "validation": ["red", "blue", "red green", "one"], "test": ["red"]}
    splits = {
        split: tuple(
            replace(e, targets=(answers[split][i % len(answers[split])],)) for i, e in enumerate(examples)
        )
        for split, examples in task.splits.items()
    }
    recipe = {"batch_size": 4, "learning_rate": 0.1}
    learner = learner_of("seq2seq", [replace(task, splits=splits)], training=recipe, max_target_tokens=12)
    scores = learner.fit(("copy",), 0, steps=40, split="validation").scores["copy"]
    assert scores.per_example == pytest.approx((1, 0, 2 / 3, 0))
    assert learner.score(learner.model.base, "copy", "validation").value == 0


def test_examples_with_and_without_choices_keep_their_order(learner_of, make_task):
    task = make_task("last", metric="accuracy", sizes=(4, 6, 2))
    mixed = tuple(
        replace(e, choices=COLOURS, targets=COLOURS[:3]) if i % 2 else e
        for i, e in enumerate(task["validation"])
    )
    learner = learner_of("causal", [replace(task, splits={**task.splits, "validation": mixed})])
    score = learner.score(learner.model.base, "last", "validation")
    closed = tuple(e for e in mixed if e.choices)
    alone = learner_of("causal", [replace(task, splits={**task.splits, "validation": closed})])
    assert score.per_example[1::2] == alone.score(alone.model.base, "last", "validation").per_example
    assert score.per_example[::2] == (0.0, 0.0, 0.0)


def test_a_run_on_one_task_sees_only_that_task(learner_of, make_task):
    alone = learner_of("causal", [make_task("copy")])
    among = learner_of("causal", [make_task("swap"), make_task("copy"), make_task("last")])
    fits = [learner.fit(("copy",), 1, steps=3, split="validation") for learner in (alone, among)]
    assert values(fits[0]) == values(fits[1])


def test_neither_the_folder_nor_the_network_is_asked_again(learner_of, make_task, no_network, tmp_path):
    learner = learner_of("causal", [make_task("copy")])
    learner.check()
    assert learner.fingerprint
    learner.fit(("copy",), 0, steps=2, split="test", save_to=tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert learner.gradient_features("copy", examples=2, seed=0, dimension=100).shape == (2, 100)


def test_one_pass_over_the_examples_is_the_default_length(learner_of, make_task):
    learner = learner_of("causal", [make_task("copy", sizes=(10, 4, 4))])
    fit = learner.fit(("copy",), 5, steps=3, split="validation")  # 10 examples, 4 a step
    assert learner.fit_score(("copy",), 5) == fit.scores


def test_expected_tokens_are_those_of_whole_passes(learner_of, make_task):
    learner = learner_of("causal", [make_task("copy", sizes=(8, 2, 2)), make_task("last", sizes=(8, 2, 2))])
    fit = learner.fit(("copy", "last"), 0, steps=4, split="validation")  # two of each task a step
    assert learner.expected_tokens(("copy", "last"), 4) == fit.tokens


METHODS_OF_A_STUDY = [
    {"name": "full"},
    {"name": "joint", "prompt_length": 5},
    {"name": "lora", "demonstrations": 1},
    {"name": "prefix", "prefix_length": 5},
    {"name": "promot", "prompt_length": 5, "prompt_steps": 2, "weights": {"name": "lora"}},
    {"name": "promot", "prompt_length": 5, "prompt_steps": 2, "order": "sequence"},
    {"name": "prompt", "prompt_length": 5},
    {"name": "random_prompt", "prompt_length": 5},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS_OF_A_STUDY, ids=lambda method: method["name"])
def test_every_method_can_be_studied(kind, method, learner_of, make_task, tmp_path):
    learner = learner_of(kind, [make_task("copy"), make_task("last")], method=method)
    subset = ("copy", "last")
    fit = learner.fit(subset, 1, steps=3, split="validation", save_to=tmp_path)
    assert set(fit.scores) == set(subset)
    assert np.isfinite(fit.losses).all()
    n_steps = {"promot": 10 if "order" in method else 5}.get(method["name"], 3)
    assert len(fit.losses) == n_steps
    assert learner.expected_tokens(subset, 3) == pytest.approx(fit.tokens, rel=0.25)
    assert list(tmp_path.rglob("*.safetensors"))
    features = learner.gradient_features("copy", examples=2, seed=0, dimension=64)
    assert features.shape == (2, 64)
    assert (np.abs(features).max(axis=1) > 0).all()


def test_methods_have_fingerprints_of_their_own(learner_of, make_task):
    prints = [learner_of("causal", [make_task("copy")], method=m).fingerprint for m in METHODS_OF_A_STUDY]
    assert len(set(prints)) == len(prints)


def test_what_was_cut_and_dropped_is_told(learner_of, make_task):
    task = make_task("copy", sizes=(6, 3, 2))
    long = Example("red " * 60, ("red",))
    wordy = Example("red", ("red " * 40,))
    splits = {**task.splits, "train": (*task["train"], long, wordy), "test": (long, *task["test"])}
    learner = learner_of("causal", [replace(task, splits=splits)], max_prompt_tokens=60, max_target_tokens=30)
    notes = learner.check()["copy"]
    cut = {
        split: [e.n_cut for e in learner._data.encoded("copy", split)][-1 if split == "train" else 0]
        for split in ("train", "test")
    }
    assert notes == (
        "1 of 8 train examples have targets of more than 30 tokens and were dropped.",
        f"1 of 7 train inputs were cut at the end, by {cut['train']} tokens in all, to fit 60 prompt tokens.",
        f"1 of 3 test inputs were cut at the end, by {cut['test']} tokens in all, to fit 60 prompt tokens.",
    )
    assert cut["train"] > 10
    assert len(learner.fit(("copy",), 0, steps=1, split="test").scores["copy"].per_example) == 3


def test_tasks_that_cannot_be_trained_on_are_refused_before_any_weight_is_loaded(learner_of, make_task):
    wordy = make_task("copy")
    choosy = make_task("last", metric="accuracy", choices=("red", "blue " * 30))
    bare = make_task("swap", sizes=(4, 0, 2))
    strange = replace(make_task("copy"), metric="bleurt")
    for task, options, message in (
        (wordy, {"max_target_tokens": 1}, r"^Every train example of task copy has a target of more than"),
        (wordy, {"max_prompt_tokens": 10}, r"^Task copy: A prompt without any input takes \d+ tokens, more"),
        (choosy, {"max_target_tokens": 20}, r"^A choice of task last is longer than max_target_tokens 20"),
        (bare, {}, r"^Task swap has no validation examples"),
        (strange, {}, r"^'bleurt' is not a metric"),
    ):
        learner = learner_of("causal", [task], **options)
        with pytest.raises(InputError, match=message):
            learner.check()
        assert "model" not in vars(learner)


def test_the_fingerprint_knows_the_model_and_the_recipe_and_nothing_else(
    learner_of, make_task, tiny_causal, tiny_seq2seq
):
    def fingerprint(kind="causal", tasks=("copy",), **options):
        return learner_of(kind, [make_task(name) for name in tasks], **options).fingerprint

    base = fingerprint()
    assert fingerprint() == base
    assert fingerprint(scoring_tokens=64) == base
    assert fingerprint(tasks=("copy", "last")) == base
    assert fingerprint(method={"name": "lora"}) == base
    changes = [
        fingerprint("seq2seq"),
        fingerprint(max_prompt_tokens=100),
        fingerprint(max_target_tokens=100),
        fingerprint(precision="bf16"),
        fingerprint(training={"learning_rate": 0.5}),
        fingerprint(training={"learning_rate": 0.5, "schedule": "linear"}),
        fingerprint(method={"name": "lora", "r": 4}),
        fingerprint(method={"name": "lora", "alpha": 4}),
        fingerprint(method={"name": "lora", "dropout": 0.5}),
        fingerprint(method={"name": "lora", "target_modules": ["q_proj"]}),
    ]
    assert len({base, *changes}) == len(changes) + 1


def test_the_fingerprint_does_not_depend_on_where_the_model_lies(tiny_causal, learner_of, make_task):
    here = LanguageModelConfig(model=f"./{tiny_causal.name}", precision="fp32").build([], tiny_causal.parent)
    there = LanguageModelConfig(model=str(tiny_causal), precision="fp32").build([], tiny_causal / "..")
    assert here.fingerprint == there.fingerprint


def test_a_task_is_known_by_its_data(learner_of, make_task):
    one = learner_of("causal", [make_task("copy"), make_task("last", category="picking")])
    other = learner_of("causal", [make_task("last"), make_task("copy", sizes=(11, 4, 5))])
    assert one.task_fingerprint("last") == other.task_fingerprint("last")
    assert one.task_fingerprint("copy") != other.task_fingerprint("copy")
    assert one.families == {"copy": "words", "last": "picking"}
    assert one.tasks == ("copy", "last")


@pytest.mark.parametrize("metric", ["nll", "rouge_l", "accuracy"])
def test_a_diverging_run_names_its_subset_and_leaves_the_base_as_it_was(learner_of, make_task, metric):
    choices = COLOURS if metric == "accuracy" else ()
    tasks = [make_task("copy", metric=metric, choices=choices), make_task("last", metric=metric)]
    wild, calm = (
        learner_of("causal", tasks, training={"batch_size": 4, "learning_rate": rate, "warmup": 0})
        for rate in (1e12, 0.02)
    )
    calm.model = wild.model
    before = calm.fit(("copy", "last"), 0, steps=3, split="test")
    for steps in (2, 12):
        with pytest.raises(RunError, match=r"^Training copy \+ last with seed 7: The [a-z]+ "):
            wild.fit(("copy", "last"), 7, steps=steps, split="test")
    after = calm.fit(("copy", "last"), 0, steps=3, split="test")
    assert (after.losses, values(after)) == (before.losses, values(before))


@pytest.mark.parametrize(("metric", "choices"), [("nll", ()), ("accuracy", COLOURS)])
def test_likelihoods_that_are_not_finite_are_no_scores(learner_of, make_task, metric, choices):
    learner = learner_of("causal", [make_task("copy", metric=metric, choices=choices)])
    with torch.no_grad():
        learner.model.base.model.norm.weight[0] = torch.nan
    with pytest.raises(RunError, match=r"likelihood of task copy is not finite"):
        learner.score(learner.model.base, "copy", "test")


def test_dropout_of_the_base_never_acts_on_scores_or_features(learner_of, make_task, tiny_seq2seq):
    learner = learner_of("seq2seq", [make_task("copy")], training={"max_loss": 1e-3})
    learner.model.base.train()
    for module in learner.model.base.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    learner.model.base.eval()
    describe = {"examples": 4, "seed": 0, "dimension": 200}
    features = learner.gradient_features("copy", **describe)
    score = learner.score(learner.model.base, "copy", "test")
    with pytest.raises(RunError, match="exploded"):
        learner.fit(("copy",), 0, steps=2, split="test")
    assert learner.score(learner.model.base, "copy", "test") == score
    assert (learner.gradient_features("copy", **describe) == features).all()


def reference_gradient(learner, example):
    """Gradient of one example's mean target loss by B of the adapters, by transformers' own loss."""
    model = learner.model
    if model.seq2seq:
        inputs = {"input_ids": [example.prompt], "labels": [example.target]}
    else:
        labels = (*[-100] * len(example.prompt), *example.target)
        inputs = {"input_ids": [(*example.prompt, *example.target)], "labels": [labels]}
    torch.manual_seed(11)
    with learner.config.method.attach(model) as attached:
        attached.module(**{name: torch.tensor(value) for name, value in inputs.items()}).loss.backward()
        grads = [p.grad.flatten() for n, p in attached.module.named_parameters() if ".lora_B." in n]
        return torch.cat(grads).numpy().copy()


def test_features_are_the_mean_gradients_of_two_disjoint_halves(learner):
    encoded = learner._data.encoded("copy", "train")
    gradients = np.stack([reference_gradient(learner, example) for example in encoded])
    scale = np.abs(gradients).max()
    features = learner.gradient_features("copy", examples=100, seed=11, dimension=10**6)
    assert features.shape == (2, gradients.shape[1])
    assert features.dtype == np.float32
    np.testing.assert_allclose(features.mean(0), gradients.mean(0), atol=1e-4 * scale)
    assert np.abs(features[0] - features[1]).max() > 0.01 * scale
    single = learner.gradient_features("copy", examples=1, seed=11, dimension=10**6)
    nearest = [int(np.abs(gradients - row).max(axis=1).argmin()) for row in single]
    assert len(set(nearest)) == 2
    np.testing.assert_allclose(single, gradients[nearest], atol=1e-4 * scale)


def test_short_features_keep_inner_products_roughly(learner):
    long = {
        name: learner.gradient_features(name, examples=6, seed=2, dimension=10**6) for name in learner.tasks
    }
    short = {
        name: learner.gradient_features(name, examples=6, seed=2, dimension=256) for name in learner.tasks
    }
    assert {f.shape for f in short.values()} == {(2, 256)}

    def cosine(features):
        one, other = (f.mean(0) / np.linalg.norm(f.mean(0)) for f in features.values())
        return float(one @ other)

    assert cosine(short) == pytest.approx(cosine(long), abs=4 * np.sqrt(2 / 256))


def test_features_need_two_examples(learner_of, make_task):
    learner = learner_of("causal", [make_task("copy", sizes=(1, 1, 1))])
    with pytest.raises(InputError, match=r"^Task copy has 1 training examples; its gradient needs two\.$"):
        learner.gradient_features("copy", examples=4, seed=0, dimension=10)


def test_scores_survive_json(learner):
    score = learner.fit(("copy",), 0, steps=1, split="test").scores["copy"]
    again = Score.from_dict(json.loads(json.dumps(score.to_dict())))
    assert again == score
    assert again.utility == -score.value
