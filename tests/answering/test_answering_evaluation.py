import copy
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from cotune._config import parse
from cotune.answering import (
    InContextConfig,
    InContextEvaluation,
    check_in_context,
    encode_choices,
    evaluate_in_context,
    match_choice,
    summarise,
)
from cotune.answering._prompts import TaskPrompts
from cotune.exceptions import InputError, RunError
from cotune.models import LanguageModel
from cotune.models.soft_prompt import SoftPrompts
from cotune.tasks import Example, Task, draw_demonstrations, format_prompt, format_target, get_format
from cotune.tasks.metrics import corpus_bleu

WORDS = ["apple", "banana", "cherry", "damson", "elder", "fig", "grape", "red", "green", "blue"]
WORDS += ["one", "two", "three", "four", "five", "six"]
CHOICES = ("red", "three four five six seven")


def make_task(metric="exact_match", choices=(), n_train=6, name="words", **changes):
    examples = [
        Example(f"{a} {b}", (choices[i % 2] if choices else f"{b} {a}",), tuple(choices))
        for i, (a, b) in enumerate(pairwise(WORDS))
    ]
    splits = {
        "train": tuple(examples[:n_train]),
        "validation": tuple(examples[6:8]),
        "test": tuple(examples[8:14]),
    }
    return replace(Task(name, "Say it.", splits, metric), **changes)


@pytest.fixture(scope="module", params=["causal", "seq2seq"])
def model(request, tiny_causal, tiny_seq2seq):
    """A random model whose weights are large enough for its answers to depend on the prompt."""
    torch.set_num_threads(1)
    folder = {"causal": tiny_causal, "seq2seq": tiny_seq2seq}[request.param]
    loaded = LanguageModel.load(folder, precision="fp32", device="cpu")
    tied = loaded.base.get_input_embeddings().weight
    with torch.no_grad():
        for parameter in loaded.base.parameters():
            if parameter.ndim > 1 and parameter is not tied:
                parameter.mul_(16)
    return loaded


def render(task, example, shown):
    return format_prompt(task.instruction, example.input, example.choices, shown, task.format)


def evaluate(model, task, *, seed=0, soft_prompts=None, **options):
    config = InContextConfig(**{"shots": (2,), "draws": 1, "max_new_tokens": 6} | options)
    return evaluate_in_context(model, model.base, [task], config, seed=seed, soft_prompts=soft_prompts)


@pytest.mark.parametrize("demonstrations", ["shared", "fresh"])
def test_answers_are_those_of_every_prompt_alone(model, demonstrations):
    task = make_task()
    scores = evaluate(model, task, shots=(0, 3), draws=2, seed=5, demonstrations=demonstrations)
    assert [(score.shots, score.draw) for score in scores] == [(0, 0), (3, 0), (3, 1)]
    for score in scores:
        for index, example in enumerate(task["test"]):
            draw = (score.draw,) if demonstrations == "shared" else (score.draw, index)
            shown = draw_demonstrations(task, score.shots, seed=5, draw=draw)
            prompt = model.encoder.encode(lambda _, e=example, shown=shown: render(task, e, shown), "")
            (text,) = model.generate(model.base, [prompt], max_new_tokens=6)
            assert score.answers[index] == get_format(task.format).answer(text)
    assert len({answer for score in scores for answer in score.answers}) > 6


@pytest.mark.parametrize("choices", [(), CHOICES])
def test_a_sample_is_answered_as_the_whole_is_whatever_the_metric(model, choices):
    task = make_task(choices=choices)
    config = InContextConfig(shots=(2,), draws=1, max_new_tokens=6, demonstrations="fresh")
    (whole,) = evaluate_in_context(model, model.base, [task], config, seed=3)
    for metric in ("exact_match", "nll"):
        asked = InContextEvaluation([replace(task, metric=metric)], config, model.encoder, seed=3)
        answers = asked.sample(model, model.base, 3)
        assert answers == {"words": whole.answers[:3]}
        (first, *others) = asked.sampled({"words": ["a", "b", "c"]}, answers)["words"]
        assert len(others) == 2
        assert (first.input, first.gold) == (task["test"][0].input, task["test"][0].targets[0])
        assert (first.before, first.after) == ("a", whole.answers[0])
    assert len(asked.sample(model, model.base, 99)["words"]) == len(task["test"])


def test_the_seed_decides_the_demonstrations_and_nothing_else_does(model):
    task = make_task()
    first, again = (evaluate(model, task, draws=3, seed=1) for _ in range(2))
    assert first == again
    assert evaluate(model, task, draws=3, seed=2) != first
    # More draws, more shots or more tasks leave what was drawn before as it was.
    config = InContextConfig(shots=(1, 2), draws=4, max_new_tokens=6)
    wider = evaluate_in_context(model, model.base, [make_task(name="other"), task], config, seed=1)
    assert [s for s in wider if (s.task, s.shots) == ("words", 2) and s.draw < 3] == first


@pytest.mark.parametrize("demonstrations", ["shared", "fresh"])
def test_no_prompt_shows_its_own_input(model, demonstrations):
    task = make_task()
    leaky = replace(task, splits={**task.splits, "train": task["train"] + task["test"]})
    config = InContextConfig(shots=(4,), draws=3, demonstrations=demonstrations)
    prompts = TaskPrompts(leaky, config, model.encoder, seed=0)
    for shots, draw in prompts.draws:
        for example, prompt in zip(leaky["test"], prompts.prompts(shots, draw), strict=True):
            text = model.tokenizer.decode(prompt.prompt, skip_special_tokens=True)
            assert text.count("Input: ") == shots + 1
            assert text.count(f"Input: {example.input}\n") == 1


def test_a_soft_prompt_stands_before_everything_of_its_task_alone(model):
    tasks = [make_task(), make_task(name="other")]
    torch.manual_seed(0)
    soft = SoftPrompts.draw(model, ["words"], 4, "uniform")
    config = InContextConfig(shots=(2,), draws=1, max_new_tokens=6)
    plain = evaluate_in_context(model, model.base, tasks, config, seed=0)
    ids = soft.ids("words")
    prompts = TaskPrompts(tasks[0], config, model.encoder, seed=0, soft_prompt=ids).prompts(2, 0)
    assert all(prompt.prompt[:4] == ids and max(prompt.prompt[4:]) < min(ids) for prompt in prompts)
    with soft.attached():
        prompted = evaluate_in_context(model, model.base, tasks, config, seed=0, soft_prompts={"words": ids})
        dropped = evaluate_in_context(model, model.base, tasks, config, seed=0)
    assert prompted[0].answers != plain[0].answers
    assert prompted[1] == plain[1]
    assert dropped == plain


def log_likelihoods(model, prompt, choice):
    """Return that of every token of a choice, from a forward pass over this sequence alone."""
    prompt_ids, target = prompt.prompt, list(choice.target)[:-1]
    if model.seq2seq:
        start = model.base.config.decoder_start_token_id
        inputs = {
            "input_ids": torch.tensor([prompt_ids]),
            "decoder_input_ids": torch.tensor([[start, *target[:-1]]]),
        }
    else:
        inputs = {"input_ids": torch.tensor([[*prompt_ids, *target[:-1]]])}
    with torch.inference_mode():
        logits = model.base(**inputs).logits[0, -len(target) :]
    return logits.log_softmax(-1)[range(len(target)), target].tolist()


@pytest.mark.parametrize("label_score", ["sum", "mean"])
def test_the_likeliest_choice_is_the_answer(model, label_score):
    task = make_task("accuracy", CHOICES)
    (score,) = evaluate(model, task, classification="likelihood", label_score=label_score)
    shown = draw_demonstrations(task, 2, seed=0, draw=(0,))
    for example, answer in zip(task["test"], score.answers, strict=True):
        values = []
        for choice in CHOICES:
            one = model.encoder.encode(lambda _, e=example: render(task, e, shown), "", format_target(choice))
            tokens = log_likelihoods(model, one, one)
            values.append(sum(tokens) / (len(tokens) if label_score == "mean" else 1))
        assert answer == CHOICES[int(np.argmax(values))]
    assert score.value == np.mean(
        [a == e.targets[0] for a, e in zip(score.answers, task["test"], strict=True)]
    )
    if label_score == "sum":
        assert set(score.answers) == {"red"}  # The long choice has many tokens to pay for.


def test_a_generated_choice_is_what_the_answer_begins_with(model):
    task = make_task("exact_match")
    (free,) = evaluate(model, task, shots=(1,))
    begun = tuple(dict.fromkeys(answer.split()[0] for answer in free.answers if answer.split()))[:2]
    closed = make_task("accuracy", (*begun, "no such answer"))
    closed = replace(
        closed,
        format="plain",
        splits={
            "train": task["train"],
            "validation": (),
            "test": tuple(replace(e, choices=(*begun, "no such answer")) for e in task["test"]),
        },
    )
    (open_ended,) = evaluate(model, replace(task, format="plain"), shots=(1,))
    (score,) = evaluate(model, closed, shots=(1,), classification="generation")
    for answer, text in zip(score.answers, open_ended.answers, strict=True):
        assert answer == (match_choice(text, (*begun, "no such answer")) or text)


def test_a_metric_of_likelihoods_is_that_of_the_first_target(model):
    task = make_task("nll")
    (score,) = evaluate(model, task)
    shown = draw_demonstrations(task, 2, seed=0, draw=(0,))
    encoded = [
        model.encoder.encode(lambda _, e=e: render(task, e, shown), "", format_target(e.targets[0]))
        for e in task["test"]
    ]
    expected = [model.nll(model.base, [one])[0] for one in encoded]
    np.testing.assert_allclose(score.per_example, expected, rtol=1e-4)
    assert score.value == pytest.approx(np.mean(expected), rel=1e-4)
    assert (score.answers, score.higher_is_better) == ((), False)


def test_a_corpus_metric_is_of_the_corpus(model):
    task = make_task("bleu")
    targets = [example.targets for example in task["test"]]
    (score,) = evaluate(model, task, num_beams=2)
    assert score.value == corpus_bleu(score.answers, targets)
    (row,) = summarise([score])
    assert row.stderr_examples is None


def test_long_inputs_are_cut_and_counted(model):
    task = make_task()
    long = Example(" ".join(WORDS * 4), ("x",))
    task = replace(task, splits={**task.splits, "test": (*task["test"], long, long)})
    whole = max(
        len(p.prompt)
        for p in TaskPrompts(make_task(), InContextConfig(), model.encoder, seed=0).prompts(1, 0)
    )
    config = InContextConfig(shots=(1,), draws=1, max_prompt_tokens=whole + 3)
    prompts = TaskPrompts(task, config, model.encoder, seed=0).prompts(1, 0)
    assert [prompt.n_cut > 0 for prompt in prompts] == [False] * 6 + [True] * 2
    assert max(len(prompt.prompt) for prompt in prompts) <= whole + 3
    (score,) = evaluate(model, task, shots=(1,), max_prompt_tokens=whole + 3)
    assert score.n_cut == 2


def test_answers_may_be_a_quarter_longer_than_any_training_target(model):
    task = make_task()
    prompts = TaskPrompts(task, InContextConfig(), model.encoder, seed=0)
    longest = max(
        len(model.encoder.encode(str, "", format_target(e.targets[0])).target) for e in task["train"]
    )
    assert longest < prompts.max_new_tokens == longest + longest // 4 + 2
    capped = TaskPrompts(task, InContextConfig(max_new_tokens=3), model.encoder, seed=0)
    assert capped.max_new_tokens == 3
    closed = TaskPrompts(make_task("accuracy", ("a", "b")), InContextConfig(), model.encoder, seed=0)
    assert closed.max_new_tokens < prompts.max_new_tokens


def test_every_part_of_the_module_is_left_in_the_mode_it_was_in(model):
    modes = {name: index % 3 == 0 for index, (name, _) in enumerate(model.base.named_modules())}
    for name, part in model.base.named_modules():
        part.training = modes[name]
    evaluate(model, make_task())
    assert {name: part.training for name, part in model.base.named_modules()} == modes
    model.base.eval()


def test_progress_is_told_after_every_draw(model):
    config = InContextConfig(shots=(0, 1), draws=2, max_examples=4, max_new_tokens=2)
    tasks = [make_task(), make_task(name="other")]
    told = []
    scores = evaluate_in_context(
        model, model.base, tasks, config, seed=0, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(4 * n, 24) for n in range(1, 7)]
    assert [len(score.per_example) for score in scores] == [4] * 6


def test_weights_that_are_not_finite_are_told_with_the_task(model):
    weight = model.base.get_input_embeddings().weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(math.nan)
    try:
        with pytest.raises(RunError, match="A likelihood of task words is not finite"):
            evaluate(model, make_task("accuracy", CHOICES), classification="likelihood")
    finally:
        with torch.no_grad():
            weight.copy_(before)


def test_what_cannot_be_asked_is_known_before_anything_is_computed(model):
    def check(task, **options):
        check_in_context([make_task(), task], InContextConfig(**{"shots": (4,)} | options), model.encoder)

    check(make_task(name="other"))
    with pytest.raises(InputError, match=r"^Task few has 3 training examples .* fewer than the 4 shots"):
        check(make_task(name="few", n_train=3))
    with pytest.raises(InputError, match=r"^Task long with 4 demonstrations: .* takes \d+ tokens, .* 160"):
        check(make_task(name="long", instruction="apple " * 50), max_prompt_tokens=160)
    with pytest.raises(InputError, match="Task none has no validation examples"):
        check(make_task(name="none", splits={**make_task().splits, "validation": ()}), split="validation")


def test_a_context_without_room_is_told_with_its_numbers(model):
    with pytest.raises(
        InputError, match=r"^Task words: a soft prompt of 90 tokens and an answer of up to 10 .* 100 tokens"
    ):
        TaskPrompts(
            make_task(),
            InContextConfig(max_new_tokens=10),
            model.encoder,
            seed=0,
            soft_prompt=tuple(range(90)),
            context=100,
        )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"shots": [1, 4, 1]}, "shots: every number of shots must be named once, got .1, 4, 1."),
        ({"shots": []}, "shots"),
        ({"shots": [-1]}, "shots.0"),
        ({"draws": 0}, "draws"),
        ({"num_beam": 4}, "num_beam: unknown key .did you mean 'num_beams'"),
        ({"classification": "likeliness"}, "classification"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(data, message):
    with pytest.raises(InputError, match=rf"^study.yaml: {message}"):
        parse(InContextConfig, data, "study.yaml")


def test_the_end_counts_where_one_choice_begins_another(model):
    def encode(choice):
        return model.encoder.encode(lambda text: f"Output:{text}", "", format_target(choice))

    end = model.tokenizer.eos_token_id
    apart = encode_choices(encode, ("red", "blue"))
    nested = encode_choices(encode, ("red", "red and blue", "blue"))
    assert all(option.target[-1] != end for option in apart)
    assert all(option.target[-1] == end for option in nested)


def test_a_choice_is_asked_for_by_likelihood_and_free_text_is_written_in_one_task(model):
    task = make_task("accuracy", CHOICES)
    free = tuple(replace(e, choices=()) for e in task["test"][:3])
    mixed = replace(task, splits={**task.splits, "test": (*free, *task["test"][3:])})
    (closed,), (score,) = evaluate(model, task), evaluate(model, mixed)
    (written,) = evaluate(model, replace(mixed, splits={**task.splits, "test": free}))
    assert score.answers == (*written.answers, *closed.answers[3:])


def test_examples_with_targets_too_long_are_left_out_and_said(model):
    task = make_task()
    long = Example("apple", ("apple " * 80,))
    more = replace(task, splits={**task.splits, "test": (task["test"][0], long, *task["test"][1:])})
    encoder = copy.copy(model.encoder)
    encoder.max_target_tokens = 40
    config = InContextConfig(shots=(2,), draws=1)
    notes = check_in_context([more], config, encoder)
    assert notes["words"] == ("1 of 7 test examples have targets of more than 40 tokens and were dropped.",)
    prompts = TaskPrompts(more, config, encoder, seed=0)
    assert prompts.examples == task["test"]
    none = replace(task, splits={**task.splits, "test": (long,)})
    with pytest.raises(InputError, match=r"^Every test example of task words has a target of more than"):
        check_in_context([none], config, encoder)


def test_the_room_for_an_answer_holds_the_longest_right_one_of_any_split(model):
    task = make_task()
    long = Example("apple", (" ".join(WORDS[:6]),))
    more = replace(task, splits={**task.splits, "test": (*task["test"], long)})
    rooms = [TaskPrompts(t, InContextConfig(), model.encoder, seed=0).max_new_tokens for t in (task, more)]
    n_long = len(model.encoder.encode(lambda _: "x", "", format_target(long.targets[0])).target)
    assert rooms[0] < n_long < rooms[1]
