"""Instructions proposed by a model from examples, scored on others, and kept where they differ."""

import dataclasses
import math

import pytest
import yaml

from cotune.cli.main import main
from cotune.exceptions import InputError
from cotune.instructions import (
    InstructionsConfig,
    ScoredInstruction,
    generate_instructions,
    instructions_text,
)
from cotune.instructions._keep import alike, keep
from cotune.instructions._propose import cleaned
from cotune.instructions._score import score_instruction
from cotune.models import LanguageModel
from cotune.tasks import Example, Task
from cotune.tasks.readers import read_instructions

GIVEN = [
    "Copy the word you are given, once, exactly as it stands there.",
    "Write the word backwards, please.",
]


def make_task(n=14, choices=()):
    words = [f"word{i}" for i in range(n)]
    examples = tuple(Example(w, (choices[i % 2],) if choices else (w,), choices) for i, w in enumerate(words))
    return Task("echo", "", {"train": examples, "validation": examples[:1], "test": ()}, "accuracy")


@pytest.fixture(scope="module")
def model(tiny_causal):
    return LanguageModel.load(tiny_causal, precision="fp32", device="cpu")


def scored(text, score, gain=1.0, source="examples"):
    return ScoredInstruction(text, score, gain, source)


def test_texts_are_cleaned_to_what_can_be_an_instruction():
    texts = [
        ' "say whether the word is the same."\nInput: more',
        "1. Say whether the word is the same.",
        "Output: Decide which of the two is larger!",
        "Too short.",
        "This one was broken off before it came to its",
        "Look at the Input: one two Output: three.",
        "word " * 41 + ".",
        "",
    ]
    assert cleaned(texts) == [
        "Say whether the word is the same.",
        "Decide which of the two is larger!",
    ]


def test_the_best_are_kept_that_differ_and_are_better_than_none():
    rows = [
        scored("Copy the word you are given.", -1.0),
        scored("Copy the word that you are given!", -0.9),
        scored("Reverse it letter by letter.", -2.0),
        scored("A sentence about something else.", -3.0, gain=-0.1),
        scored("Somebody wrote this for us.", -3.1, gain=-0.2, source="given"),
    ]
    kept = keep(rows, 5, most_alike=0.7)
    assert [row.score for row in kept] == [-0.9, -2.0, -3.1]
    assert keep(rows, 1, most_alike=0.7) == kept[:1]
    assert len(keep(rows, 5, most_alike=0.99)) == 4
    assert (alike("Copy it.", "copy IT"), alike("a b", "c d")) == (1.0, 0.0)


def test_scores_are_the_mean_log_likelihood_or_the_accuracy(model):
    from functools import partial

    from cotune.tasks import format_prompt, format_target

    task = make_task(choices=("yes", "no"))
    examples = task["train"][:4]

    def nll(example, answer):
        render = partial(format_prompt, GIVEN[0], choices=example.choices)
        encoded = model.encoder.encode(render, example.input, format_target(answer))
        if not example.choices:
            return float(model.nll(model.base, [encoded])[0])
        bare = dataclasses.replace(encoded, target=encoded.target[:-1])
        return float(model.nll(model.base, [bare])[0]) * len(bare.target)

    likelihood = score_instruction(model, task, GIVEN[0], examples, "likelihood")
    shares = [
        math.exp(-nll(e, e.targets[0])) / sum(math.exp(-nll(e, c)) for c in e.choices) for e in examples
    ]
    assert likelihood == pytest.approx(sum(map(math.log, shares)) / 4, rel=1e-4)
    plain = make_task()
    free = score_instruction(model, plain, GIVEN[0], plain["train"][:4], "likelihood")
    assert free == pytest.approx(-sum(nll(e, e.targets[0]) for e in plain["train"][:4]) / 4, rel=1e-4)
    right = [min(("yes", "no"), key=lambda c, e=e: nll(e, c)) == e.targets[0] for e in examples]
    assert score_instruction(model, task, GIVEN[0], examples, "accuracy") == sum(right) / 4
    with pytest.raises(InputError, match="scored by likelihood"):
        score_instruction(model, make_task(), "", examples[:0] + make_task()["train"][:1], "accuracy")


def test_the_same_seed_gives_the_same_and_test_examples_are_never_looked_at(model):
    config = InstructionsConfig(
        n=3, proposals=3, variations=3, examples=4, demonstrations=2, max_new_tokens=8
    )
    told = []
    found = generate_instructions(
        model, make_task(), config, given=GIVEN, progress=lambda *step: told.append(step)
    )
    # The task has no test examples at all; the examples scored on are those of the training split.
    assert found == generate_instructions(model, make_task(), config, given=GIVEN)
    assert {each.instruction for each in found} >= set(GIVEN)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    floors = {round(each.score - each.gain, 9) for each in found}
    assert len(floors) == 1
    assert {("proposing", 3, 3), ("varying", 3, 3)} <= set(told)
    other = generate_instructions(model, make_task(), config.model_copy(update={"seed": 1}), given=GIVEN)
    assert {each.score for each in other} != {each.score for each in found}


def test_a_task_of_too_few_examples_is_refused(model):
    with pytest.raises(InputError, match=r"has 14 training examples; .* need at least 18"):
        generate_instructions(model, make_task())


def test_the_file_is_one_that_readers_take(tmp_path):
    rows = [scored('Say "yes": or no.', -1.25), scored("Ein Wort, größer.", -2.0, source="variation")]
    path = tmp_path / "found.yaml"
    path.write_text(instructions_text({"echo": rows}, "made\nso"), encoding="utf-8")
    assert read_instructions(path) == {"echo": [row.instruction for row in rows]}
    entry = yaml.safe_load(path.read_text(encoding="utf-8"))["echo"][0]
    assert entry == dataclasses.asdict(rows[0])


@pytest.fixture
def echo(tmp_path):
    rows = "".join(f'{{"input": "word{i}", "target": "word{i}"}}\n' for i in range(20))
    (tmp_path / "echo.jsonl").write_text(rows)
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(GIVEN))
    return tmp_path


def test_the_command_writes_what_a_study_reads(echo, tiny_causal, capsys):
    out = echo / "found.yaml"
    arguments = ["instructions", str(echo / "echo.jsonl"), "--model", str(tiny_causal), "--out", str(out)]
    arguments += ["--given", str(echo / "given.yaml"), "--n", "2"]
    for setting in ("proposals=1", "variations=0", "examples=2", "max_new_tokens=4"):
        arguments += ["--set", setting]
    assert main(arguments) == 0
    assert set(read_instructions(out)["echo"]) == set(GIVEN)
    assert "echo: 2 instructions (2 given)" in capsys.readouterr().out
    before = out.read_bytes()
    assert main(arguments) == 2
    assert "exists; name another with --out" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--set", "proposal=3"], "proposal: unknown key"),
        (["--given", "absent.yaml"], "absent.yaml cannot be read"),
        (["--model", "./absent"], "absent"),
    ],
)
def test_mistakes_end_the_command_in_a_sentence(echo, tiny_causal, capsys, change, words):
    arguments = ["instructions", str(echo / "echo.jsonl"), "--model", str(tiny_causal)]
    assert main([*arguments, "--out", str(echo / "out.yaml"), *change]) == 2
    assert words in capsys.readouterr().err
    assert not (echo / "out.yaml").exists()
