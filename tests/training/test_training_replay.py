import json
from fractions import Fraction
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cotune.studies.readers  # noqa: F401  # adds the lab's text to the sources
from cotune._config import parse
from cotune.exceptions import InputError
from cotune.lab.toy_language import PRETRAINED, TOY_CHECKPOINT, TOY_TASKS, ToyLanguageText, toy_tasks
from cotune.models import LanguageModel, load_encoder
from cotune.training.config import TrainingConfig
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.language_model import LanguageModelConfig, LanguageModelLearner
from cotune.training.methods import Full, Lora, Promot
from cotune.training.replay import (
    TEXT_SOURCES,
    Document,
    ReplayConfig,
    TextWindows,
    corrupt_spans,
    restore_spans,
)
from cotune.training.replay.sources import HuggingFaceText, TextFiles
from cotune.training.tuning import TuningConfig, tune

WORDS = ["red", "green", "blue", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SENTINELS = list(range(1000, 1200))


def sentence(number):
    return " ".join(WORDS[(number + i * i) % len(WORDS)] for i in range(20))


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Make a folder with a text file and a file of JSON lines."""
    folder = tmp_path / "corpus"
    (folder / "more").mkdir(parents=True)
    (folder / "a.txt").write_text("\n".join(sentence(i) for i in range(12)))
    rows = [json.dumps({"text": sentence(i), "id": i}) for i in range(12, 24)]
    (folder / "more" / "b.jsonl").write_text("\n".join(rows))
    (folder / ".hidden.txt").write_text("nothing")
    (folder / "table.csv").write_text("nothing")
    return folder


@pytest.fixture(scope="session")
def sentinel(tiny_sentinel, one_thread) -> LanguageModel:
    return LanguageModel.load(tiny_sentinel, precision="fp32", device="cpu")


@pytest.fixture(params=["causal", "sentinel"])
def either(request) -> LanguageModel:
    return request.getfixturevalue(request.param)


def replay(corpus, **options):
    return {"text": {"source": "files", "path": str(corpus)}, "seq_len": 16, **options}


def training(corpus, ratio=0.5, **options):
    config = {"batch_size": 4, "learning_rate": 0.02, "warmup": 0.0}
    return TrainingConfig(**config, replay=replay(corpus, ratio=ratio, **options))


# Span corruption


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 999), min_size=2, max_size=150),
    st.integers(0, 2**32),
    st.floats(0.01, 0.99),
    st.floats(1, 10),
)
def test_inputs_and_targets_make_the_text_again(tokens, seed, density, mean_span):
    corrupt = partial(corrupt_spans, tokens, SENTINELS, noise_density=density, mean_span=mean_span)
    inputs, targets = corrupt(seed=seed)
    assert restore_spans(inputs, targets, SENTINELS) == tokens
    assert corrupt(seed=seed) == (inputs, targets)
    n_spans = sum(token in SENTINELS for token in inputs)
    assert [token for token in inputs if token >= 1000] == SENTINELS[:n_spans]
    assert [token for token in targets if token >= 1000] == SENTINELS[: n_spans + 1]
    assert targets[-1] == SENTINELS[n_spans]
    masked = len(targets) - n_spans - 1
    assert masked == min(max(round(len(tokens) * density), 1), len(tokens) - 1)
    assert n_spans == min(max(round(masked / mean_span), 1), len(tokens) - masked)


def test_the_papers_shares_are_masked_in_spans_of_random_lengths():
    lengths = set()
    for seed in range(20):
        inputs, targets = corrupt_spans(range(400), SENTINELS, seed=seed)
        assert len(targets) == 60 + 21  # 15 % of 400 tokens, in spans of 3 on average
        places = [at for at, token in enumerate(targets) if token >= 1000]
        lengths |= {b - a - 1 for a, b in pairwise(places)}
        assert len(inputs) == 340 + 20
    assert {1, 2, 3, 4, 5, 6} <= lengths


def test_every_token_may_be_masked():
    masked = set()
    for seed in range(300):
        masked |= set(corrupt_spans(range(12), SENTINELS, seed=seed)[1])
    assert masked & set(range(12)) == set(range(12))


def test_too_few_tokens_or_sentinels_are_refused():
    with pytest.raises(InputError, match="at least two tokens, got 1"):
        corrupt_spans([5], SENTINELS, seed=0)
    with pytest.raises(InputError, match=r"makes 20 spans and needs 21 sentinel tokens, but .* has 20"):
        corrupt_spans(range(400), SENTINELS[:20], seed=0)


# Windows of text


def test_packed_windows_are_the_text_from_end_to_end(causal, corpus):
    config = ReplayConfig(**replay(corpus))
    windows = TextWindows(config.text.documents(corpus), causal.encoder, config)
    texts = [document.text for document in config.text.documents(corpus)]
    tokens = [token for text in texts for token in (*causal.tokenizer(text)["input_ids"], 1)]
    assert causal.tokenizer.eos_token_id == 1
    assert {len(text) for _, text in windows.windows} == {16}
    assert [t for _, text in windows.windows for t in text] == tokens[: len(tokens) // 16 * 16]
    for window in islice(windows.since(0, 0), 10):
        assert len(window.prompt) == 1  # all but the first token is learned
        assert ((), (*window.prompt, *window.target)) in windows.windows


def test_corrupted_windows_make_the_text_again(sentinel, corpus):
    config = ReplayConfig(**replay(corpus))
    windows = TextWindows(config.text.documents(corpus), sentinel.encoder, config)
    ids = sentinel.tokenizer.convert_tokens_to_ids([f"<extra_id_{i}>" for i in range(20)])
    end = sentinel.tokenizer.eos_token_id
    passes = list(islice(windows.since(0, 3), 2 * len(windows.windows)))
    for window in passes:
        assert (window.prompt[-1], window.target[-1]) == (end, end)
        text = tuple(restore_spans(window.prompt[:-1], window.target[:-1], ids))
        assert ((), text) in windows.windows
    assert len(set(passes)) > len(windows.windows)  # a second pass masks other spans


def test_windows_come_in_shuffled_passes_from_any_place_on(either, corpus):
    config = ReplayConfig(**replay(corpus))
    windows = TextWindows(config.text.documents(corpus), either.encoder, config)
    n = len(windows.windows)
    whole = list(islice(windows.since(0, 7), 3 * n))
    for place in (1, n - 1, n, 2 * n + 3):
        assert list(islice(windows.since(place, 7), 3 * n - place)) == whole[place:]
    assert list(islice(windows.since(0, 8), 3 * n)) != whole
    if not either.seq2seq:
        assert [sorted(map(str, whole[i * n : (i + 1) * n])) for i in (0, 1)] == [
            sorted(map(str, whole[2 * n :]))
        ] * 2
        assert whole[:n] != whole[n : 2 * n]


def test_documents_that_are_not_packed_are_windows_of_their_own(causal, sentinel):
    documents = [Document("red green blue", "one two three"), Document("four"), Document(" ".join(WORDS * 9))]
    config = ReplayConfig(text=TextFiles(path="x"), seq_len=16, pack=False)
    windows = TextWindows(documents, causal.encoder, config)
    first, second, third = windows.windows
    end = (causal.tokenizer.eos_token_id,)
    ids = [tuple(causal.tokenizer(text)["input_ids"]) for text in ("one two three", "red green blue")]
    assert len(ids[0]) + len(ids[1]) + 1 > 16
    assert first == (ids[0][-(16 - len(ids[1]) - 1) :], (*ids[1], *end))
    assert second == ((), (*causal.tokenizer("four")["input_ids"], *end))
    assert [len(part) for part in third] == [0, 16]
    learned = {window.target for window in islice(windows.since(0, 0), 3)}
    assert learned == {first[1], second[1][1:], third[1][1:]}
    corrupted = next(TextWindows(documents[:1], sentinel.encoder, config).since(0, 0))
    assert len(corrupted.prompt) > 3


def test_text_that_cannot_be_used_is_refused(causal, seq2seq, corpus):
    config = ReplayConfig(**replay(corpus))
    with pytest.raises(InputError, match="fewer than two tokens"):
        TextWindows([Document("")], causal.encoder, config)
    with pytest.raises(InputError, match="no sentinel tokens <extra_id_0>"):
        TextWindows([Document("red green blue")], seq2seq.encoder, config)


# Sources


def test_files_are_read_in_the_order_of_their_names(corpus):
    texts = [document.text for document in TextFiles(path="corpus").documents(corpus.parent)]
    assert texts[0] == (corpus / "a.txt").read_text()
    assert texts[1:] == [sentence(i) for i in range(12, 24)]
    limited = TextFiles(path=corpus, max_documents=3).documents(Path())
    assert [document.text for document in limited] == texts[:3]
    alone = TextFiles(path=corpus / "a.txt").documents(Path())
    assert [document.text for document in alone] == texts[:1]


def test_the_fingerprint_is_that_of_the_content(corpus):
    source = TextFiles(path=corpus)
    before = source.fingerprint(Path())
    assert source.fingerprint(corpus) == before
    (corpus / "a.txt").write_text("something else")
    assert source.fingerprint(Path()) != before


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("text.md", b"red", "no .txt or .jsonl file and no folder with such"),
        ("text.txt", b"\xff\xfe red", "is not UTF-8 text"),
        ("text.jsonl", b'{"body": "red"}', "line 1 has no text in the field 'text'; its fields are: body"),
        ("text.jsonl", b"red", "line 1 is not JSON"),
    ],
)
def test_files_that_are_no_text_are_told(tmp_path, path, content, message):
    (tmp_path / path).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(TextFiles(path=path).documents(tmp_path))


def test_a_data_set_gives_the_column_asked_for(tmp_path, no_network, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [{"body": sentence(i), "text": ""} for i in range(5)]
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    source = HuggingFaceText(path="set", field="body", max_documents=3)
    assert [d.text for d in source.documents(tmp_path)] == [sentence(i) for i in range(3)]
    assert list(HuggingFaceText(path="set").documents(tmp_path)) == []
    with pytest.raises(InputError, match="has no column 'words'; it has: body, text"):
        list(HuggingFaceText(path="set", field="words").documents(tmp_path))
    with pytest.raises(InputError, match="cannot be loaded"):
        list(HuggingFaceText(path="set", split="nothing").documents(tmp_path))


def test_the_toy_language_is_text_of_its_pretraining():
    source = ToyLanguageText(n_documents=200, seed=1)
    documents = list(source.documents(Path()))
    assert documents == list(source.documents(Path()))
    n_lines = [(d.context + d.text).count("\n") for d in documents]
    assert set(n_lines) == {1, 2, 3, 4, 5}
    tasks = [TOY_TASKS[name] for name in PRETRAINED]
    for at, document in enumerate(documents):
        task = tasks[at % len(tasks)]
        for line in (document.context + document.text).splitlines():
            question, answer = line.split(" > ")
            assert answer == task.target(tuple(map(int, question.split())))
    assert TEXT_SOURCES["toy_language"] is ToyLanguageText
    assert ToyLanguageText(seed=2).fingerprint(Path()) != source.fingerprint(Path())


# In training


def data_of(model, tasks):
    return EncodedTasks(tasks, lambda: model.encoder)


def batches_of(model, tasks, config, start=0):
    names = [task.name for task in tasks]
    return data_of(model, tasks).batches(
        names, config, 5, prompt_ids=lambda name: (), context=model.context, start=start
    )


@pytest.mark.parametrize("ratio", [0.25, 0.1, 0.3, 1.0, 2.5, 0.01])
def test_the_ratio_is_exact_over_every_beginning_of_a_run(causal, make_task, corpus, ratio):
    config = training(corpus, ratio)
    tasks = [make_task("copy"), make_task("last")]
    seen = total = 0
    for step, batch in enumerate(islice(batches_of(causal, tasks, config), 100), start=1):
        seen += len(batch.replay)
        total += len(batch)
        assert total == 4 * step
        assert seen == int(Fraction(str(ratio)) * total)
    assert seen == round(ratio * 400)


def test_replay_comes_on_top_of_the_same_instructions(either, make_task, corpus):
    tasks = [make_task("copy"), make_task("last")]
    config = training(corpus)
    without = config.model_copy(update={"replay": None})
    pairs = zip(batches_of(either, tasks, config), batches_of(either, tasks, without), strict=False)
    for with_text, alone in islice(pairs, 20):
        assert list(with_text) == list(alone)
        assert with_text.tasks == alone.tasks
        assert (len(with_text.replay), len(alone.replay)) == (2, 0)


def test_text_and_examples_go_on_where_they_stood(either, make_task, corpus):
    tasks = [make_task("copy"), make_task("last")]
    config = training(corpus, 0.3).model_copy(update={"scheme": parse_scheme("proportional")})
    whole = list(islice(batches_of(either, tasks, config), 30))
    for start in (1, 7, 22):
        rest = list(islice(batches_of(either, tasks, config, start), 30 - start))
        assert rest == whole[start:]
        assert [b.replay for b in rest] == [b.replay for b in whole[start:]]
        assert [b.counts for b in rest] == [b.counts for b in whole[start:]]


def parse_scheme(name):
    return TrainingConfig(scheme={"name": name}).scheme


def test_windows_longer_than_the_context_are_refused(causal, make_task, corpus):
    config = training(corpus, seq_len=causal.context + 1)
    with pytest.raises(InputError, match=f"seq_len .* at most the model's context of {causal.context}"):
        next(batches_of(causal, [make_task("copy")], config))


def test_weights_for_no_task_are_refused(causal, make_task):
    config = TrainingConfig(task_weights={"copy": 1.0, "cpoy*": 2.0})
    with pytest.raises(InputError, match=r"weight of 'cpoy\*' is for none of the tasks there are: copy"):
        next(batches_of(causal, [make_task("copy")], config))


class Last:
    """Rates later checkpoints higher, and may be told to stop at one."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at

    def checkpoint(self, attached, stage, step):
        if (stage.name, step) == self.stop_at:
            raise KeyboardInterrupt
        return float(step)


def tuned_with(model, tasks, recipe, *, method=None, state=None, stop_at=None, steps=12):
    config = TuningConfig(steps=steps, checkpoint_every=4, training=recipe)
    with tune(model, method or Lora(), tasks, config, seed=1, watch=Last(stop_at), state=state) as tuned:
        return tuned, [p.detach().clone() for p in tuned.attached.parameters]


def test_both_losses_are_logged_and_fall(either, make_task, corpus):
    tasks = [make_task("copy"), make_task("last")]
    tuned, _ = tuned_with(either, tasks, training(corpus, 0.25), method=Full(), steps=24)
    log = tuned.logs["weights"]
    assert len(log.losses) == len(log.replay_losses) == len(log.windows) == 24
    assert log.replay_losses[-1] < log.replay_losses[0]
    assert log.losses[-1] < log.losses[0]
    assert log.windows_seen == 24
    assert sum(tuned.examples_seen.values()) == 24 * 4
    alone, _ = tuned_with(either, tasks, training(corpus).model_copy(update={"replay": None}), steps=24)
    assert alone.examples_seen == tuned.examples_seen
    assert alone.logs["weights"].examples == log.examples
    assert alone.tokens == tuned.tokens - log.replay_tokens
    assert log.replay_tokens >= 24 * 16


def test_a_step_without_text_has_no_loss_of_it(causal, make_task, corpus):
    tuned, _ = tuned_with(causal, [make_task("copy")], training(corpus, 0.1))
    log = tuned.logs["weights"]
    assert log.windows == (0, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0)
    assert [loss is None for loss in log.replay_losses] == [n == 0 for n in log.windows]


def test_text_of_hardly_any_weight_changes_hardly_anything(causal, make_task, corpus):
    tasks = [make_task("copy")]
    recipe = training(corpus).model_copy(update={"clip": None})
    light = recipe.model_copy(update={"replay": ReplayConfig(**replay(corpus, ratio=0.5, weight=1e-9))})
    alone, _ = tuned_with(causal, tasks, recipe.model_copy(update={"replay": None}))
    little, _ = tuned_with(causal, tasks, light)
    heavy, _ = tuned_with(causal, tasks, recipe)
    expected = pytest.approx(alone.logs["weights"].losses, rel=1e-3)
    assert little.logs["weights"].losses == expected
    assert heavy.logs["weights"].losses != expected


@pytest.mark.parametrize("balancing", ["none", "pcgrad", "dwa"])
def test_a_run_that_was_stopped_goes_on_to_the_same_end(either, make_task, corpus, tmp_path, balancing):
    tasks = [make_task("copy"), make_task("last")]
    config = training(corpus, 0.3)
    recipe = TrainingConfig(
        **{
            **config.plain(),
            "scheme": {"name": "annealed", "start": 1, "end": 9, "horizon": 8},
            "task_weights": {"last": 0.7},
            "balancing": {"name": balancing, **({"period": 3} if balancing == "dwa" else {})},
        }
    )
    expected, values = tuned_with(either, tasks, recipe)
    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        tuned_with(either, tasks, recipe, state=state, stop_at=("weights", 8))
    tuned, again = tuned_with(either, tasks, recipe, state=state)
    assert all(torch.equal(a, b) for a, b in zip(again, values, strict=True))
    ours, theirs = tuned.logs["weights"], expected.logs["weights"]
    for name in ("losses", "examples", "task_losses", "windows", "replay_losses", "replay_tokens", "tokens"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_other_text_is_another_run(causal, make_task, corpus, tmp_path):
    state, tasks = tmp_path / "state", [make_task("copy")]
    with pytest.raises(KeyboardInterrupt):
        tuned_with(causal, tasks, training(corpus), state=state, stop_at=("weights", 8))
    (corpus / "a.txt").write_text("red blue " * 50)
    with pytest.raises(InputError, match="state of a run of other tasks"):
        tuned_with(causal, tasks, training(corpus), state=state)


def test_the_stage_of_a_prompt_has_no_text_and_says_so(causal, make_task, corpus):
    method = Promot(prompt_length=3, prompt_steps=4, prompt_learning_rate=0.05, weights=Lora())
    tuned, _ = tuned_with(causal, [make_task("copy")], training(corpus), method=method)
    assert tuned.logs["prompt"].windows_seen == 0
    assert tuned.logs["weights"].windows_seen == 24
    assert tuned.notes == ("No text was replayed in the stage prompt, which trains no weights.",)
    assert tuned.examples_seen == {"copy": 16 * 4}


def plain_tokens(learner_of, tasks, recipe):
    plain = learner_of("causal", tasks, training={**recipe, "replay": None})
    return plain.expected_tokens(("copy", "last"), 6)


def test_a_learner_replays_and_counts(learner_of, make_task, corpus):
    tasks = [make_task("copy"), make_task("last")]
    recipe = training(corpus, 0.5).plain()
    learner = learner_of("causal", tasks, training=recipe)
    fit = learner.fit(("copy", "last"), 0, steps=6, split="validation")
    assert sum(fit.examples.values()) == 6 * 4
    assert len(fit.replay_losses) == len(fit.losses) == 6
    assert None not in fit.replay_losses
    n_text = learner.expected_tokens(("copy", "last"), 6) - plain_tokens(learner_of, tasks, recipe)
    assert n_text == 12 * 16
    assert learner.side_by_side == 1  # a pass over many LoRAs has no text
    plain = learner_of("causal", tasks, training={**recipe, "replay": None})
    assert plain.fingerprint != learner.fingerprint
    alone = plain.fit(("copy", "last"), 0, steps=6, split="validation")
    assert alone.examples == fit.examples
    (corpus / "a.txt").write_text("something else")
    assert learner_of("causal", tasks, training=recipe).fingerprint != learner.fingerprint


def test_side_by_side_runs_count_their_examples(learner_of, make_task):
    tasks = [make_task("copy"), make_task("last")]
    scheme = {"name": "uniform"}
    options = {"batch_size": 4, "tasks_per_batch": 4, "learning_rate": 0.02, "scheme": scheme}
    learner = learner_of("causal", tasks, training=options, side_by_side=2)
    subsets = [("copy", "last"), ("copy",)]
    fits = learner.fit_many(subsets, [0, 1], steps=[5, 5], split="validation")
    for subset, seed, fit in zip(subsets, [0, 1], fits, strict=True):
        assert fit.examples == learner.fit(subset, seed, steps=5, split="validation").examples
        assert sum(fit.examples.values()) == 20


def test_a_study_may_name_the_toy_language(one_thread):
    recipe = {
        "batch_size": 8,
        "learning_rate": 1e-3,
        "replay": {"text": {"source": "toy_language", "n_documents": 100}, "pack": False, "ratio": 0.5},
    }
    config = parse(LanguageModelConfig, {"model": str(TOY_CHECKPOINT), "training": recipe}, "study.yaml")
    tasks = toy_tasks(["copy", "reverse"], train=16, validation=4, test=4)
    fit = LanguageModelLearner(config, tasks).fit(("copy", "reverse"), 0, steps=3, split="validation")
    # It was pretrained on this text.
    assert max(fit.replay_losses) < 1.0
    assert load_encoder(TOY_CHECKPOINT).tokenizer.eos_token == "\n"


def test_options_that_are_not_valid_are_told(corpus):
    for options, message in [
        ({"text": {"source": "flies"}}, "did you mean 'files'"),
        ({"text": {"source": "files"}}, "path: is required"),
        (replay(corpus, ratio=0), "greater than 0"),
        (replay(corpus, seq_len=1), "greater than or equal to 2"),
        (replay(corpus, ratoi=1), "did you mean 'ratio'"),
    ]:
        with pytest.raises(InputError, match=message):
            parse(TrainingConfig, {"replay": options}, "study.yaml")
