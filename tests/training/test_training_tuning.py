import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import islice

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from cotune.exceptions import InputError, RunError
from cotune.models import LanguageModel, load_encoder
from cotune.tasks import Example
from cotune.training.config import TrainingConfig
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.methods import Full, Joint, Lora, Promot, Prompt
from cotune.training.tuning import PRESETS, Checkpoint, TuningConfig, get_preset, tune

FAST = TrainingConfig(learning_rate=0.02, warmup=0, batch_size=4, tasks_per_batch=2)
CONFIG = TuningConfig(steps=6, checkpoint_every=3, checkpoints=(1,), training=FAST)
PROMOT = Promot(prompt_length=5, prompt_steps=4, prompt_learning_rate=0.05, prompt_checkpoint_every=2)


class Likelihood:
    """Scores checkpoints by the likelihood of validation examples, and notes where it was asked."""

    def __init__(self, model, tasks, *, stop_at=None):
        self.model, self.stop_at = model, stop_at
        self.data = EncodedTasks(tasks, lambda: model.encoder)
        self.seen = []

    def checkpoint(self, attached, stage, step):
        assert not attached.module.training
        torch.rand(3)  # a measurement may draw random numbers
        self.seen.append((stage.name, step))
        if self.seen[-1] == self.stop_at:
            raise KeyboardInterrupt
        examples = [
            e.under(attached.prompt_ids(name))
            for name in self.data.tasks
            for e in self.data.encoded(name, "validation")
        ]
        return -float(self.model.nll(attached.module, examples).mean())


class Scripted:
    """Gives the scores it was told, in turn, and keeps the parameters of every checkpoint."""

    def __init__(self, *scores):
        self.scores = iter(scores)
        self.values = {}

    def checkpoint(self, attached, stage, step):
        self.values[stage.name, step] = {name: copies(part) for name, part in attached.parts.items()}
        return next(self.scores)


def copies(parameters):
    return [p.detach().clone() for p in parameters]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def files(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="session")
def tasks(make_task):
    return [make_task("copy")]


def test_checkpoints_are_where_they_were_asked_for_and_the_best_is_restored(model, tasks):
    places = [("prompt", step) for step in (0, 1, 2, 4)] + [("weights", step) for step in (0, 1, 3, 6)]
    scores = (0.1, 0.2, 0.6, 0.3, 0.1, 0.5, 0.5, 0.4)
    watch, steps = Scripted(*scores), []

    def progress(stage, step, n_steps, loss):
        steps.append((stage, step, n_steps))
        assert math.isfinite(loss)

    with tune(model, PROMOT, tasks, CONFIG, seed=0, watch=watch, progress=progress) as tuned:
        final = {name: copies(part) for name, part in tuned.attached.parts.items()}
        assert not tuned.attached.module.training
    assert list(watch.values) == places
    assert tuned.checkpoints == tuple(
        Checkpoint(*at, score) for at, score in zip(places, scores, strict=True)
    )
    assert tuned.best == {"prompt": ("prompt", 2, 0.6), "weights": ("weights", 1, 0.5)}
    best_prompt = watch.values["prompt", 2]["prompt"]
    assert not same(best_prompt, watch.values["prompt", 4]["prompt"])
    assert all(same(watch.values["weights", step]["prompt"], best_prompt) for step in (0, 1, 3, 6))
    assert same(final["weights"], watch.values["weights", 1]["weights"])
    assert not same(final["weights"], watch.values["weights", 6]["weights"])
    assert steps == [("prompt", i, 4) for i in range(1, 5)] + [("weights", i, 6) for i in range(1, 7)]
    assert [len(log.losses) for log in tuned.logs.values()] == [4, 6]
    assert tuned.tokens == sum(log.tokens for log in tuned.logs.values()) > 0
    assert tuned.notes == ()


def test_what_stands_before_the_first_step_is_no_result_of_a_stage(model, tasks):
    scores = (0.9, 0.2, 0.6, 0.6, 0.9, 0.5, 0.5, 0.4)
    watch = Scripted(*scores)
    with tune(model, PROMOT, tasks, CONFIG, seed=0, watch=watch) as tuned:
        final = {name: copies(part) for name, part in tuned.attached.parts.items()}
    assert [c.score for c in tuned.checkpoints] == list(scores), "it is measured all the same"
    assert tuned.best == {"prompt": ("prompt", 2, 0.6), "weights": ("weights", 1, 0.5)}
    assert same(final["weights"], watch.values["weights", 1]["weights"])
    assert not same(final["weights"], watch.values["weights", 0]["weights"])


def test_tuning_raises_the_score(model, tasks):
    config = TuningConfig(steps=12, checkpoint_every=6, training=FAST)
    with tune(model, PROMOT, tasks, config, seed=0, watch=Likelihood(model, tasks)) as tuned:
        assert tuned.best["prompt"].score > tuned.checkpoints[0].score
    assert tuned.best["weights"].score > tuned.best["prompt"].score + 0.1


def test_measuring_does_not_disturb_the_training(model, tasks):
    method = Lora(dropout=0.3)
    losses = []
    for checkpoints in ((), (1, 2, 4, 5)):
        config = CONFIG.model_copy(update={"checkpoints": checkpoints})
        with tune(model, method, tasks, config, seed=0, watch=Likelihood(model, tasks)) as tuned:
            losses.append(tuned.logs["weights"].losses)
    assert losses[0] == losses[1]


DROPPING = FAST.model_copy(
    update={"dropout": 0.2, "label_smoothing": 0.1, "schedule": "cosine", "warmup": 0.3}
)
INTERRUPTED = {
    "full": (PROMOT, DROPPING),
    "lora": (
        PROMOT.model_copy(update={"weights": Lora(dropout=0.1), "demonstrations": 1}),
        DROPPING.model_copy(update={"optimizer": "adafactor"}),
    ),
}


def tuned_files(model, tasks, folder, name, *, stop_at=None, state=None, shared=None):
    """Tune and save; return the saved files, the record, and where the watcher was asked."""
    method, training = INTERRUPTED[name]
    config = CONFIG.model_copy(update={"training": training})
    watch = Likelihood(model, tasks, stop_at=stop_at)
    with tune(model, method, tasks, config, seed=3, watch=watch, state=state, shared=shared) as tuned:
        folder.mkdir()
        tuned.attached.save(folder, model.tokenizer)
    record = (tuned.checkpoints, tuned.best, {stage: log.losses for stage, log in tuned.logs.items()})
    return files(folder), record, watch.seen


@pytest.fixture(scope="module", params=INTERRUPTED)
def uninterrupted(request, causal, tasks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted") / "saved"
    return request.param, *tuned_files(causal, tasks, folder, request.param)


@pytest.mark.parametrize("stop_at", [("prompt", 2), ("weights", 0), ("weights", 3)])
def test_a_run_that_was_stopped_goes_on_to_identical_bytes(uninterrupted, causal, tasks, tmp_path, stop_at):
    name, expected, record, places = uninterrupted
    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        tuned_files(causal, tasks, tmp_path / "never", name, stop_at=stop_at, state=state)
    saved, again, seen = tuned_files(causal, tasks, tmp_path / "saved", name, state=state)
    assert saved == expected
    assert again == record
    assert seen == places[places.index(stop_at) :]
    assert len(list(state.iterdir())) == 1
    # Once finished, the same state gives the same result without another step.
    done, _, seen = tuned_files(causal, tasks, tmp_path / "again", name, state=state)
    assert (done, seen) == (expected, [])


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[4])
import test_training_tuning as suite
from conftest import task_of
from cotune.models import LanguageModel

torch.set_num_threads(1)
model = LanguageModel.load(Path(sys.argv[1]), precision="fp32", device="cpu")


class Killed(suite.Likelihood):
    def checkpoint(self, attached, stage, step):
        if (stage.name, step) == ("weights", 6):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().checkpoint(attached, stage, step)


suite.Likelihood = Killed
suite.tuned_files(model, [task_of("copy")], Path(sys.argv[2]), "full", state=Path(sys.argv[3]))
"""


def test_a_killed_process_leaves_a_state_to_go_on_from(causal, tasks, tiny_causal, tmp_path):
    """The process is killed between two checkpoints of the second stage."""
    state, here = tmp_path / "state", os.path.dirname(__file__)
    arguments = [str(tiny_causal), str(tmp_path / "never"), str(state), here]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "never").exists()
    saved, record, seen = tuned_files(causal, tasks, tmp_path / "saved", "full", state=state)
    expected, again, _ = tuned_files(causal, tasks, tmp_path / "whole", "full")
    assert saved == expected
    assert record == again
    assert seen == [("weights", 6)]


def test_the_state_of_another_run_is_refused(causal, tasks, make_task, tmp_path):
    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        tuned_files(causal, tasks, tmp_path / "never", "full", stop_at=("weights", 0), state=state)
    with pytest.raises(InputError, match=r"^The folder .*state holds the state of a run of other tasks"):
        tuned_files(causal, tasks, tmp_path / "never", "lora", state=state)
    with pytest.raises(InputError, match=r"^The folder .*state holds the state of a run of other tasks"):
        tuned_files(causal, [make_task("last")], tmp_path / "never", "full", state=state)


def test_a_stage_that_runs_have_in_common_is_done_once(causal, tasks, tmp_path):
    def run(rate, shared):
        config = CONFIG.model_copy(update={"training": FAST.model_copy(update={"learning_rate": rate})})
        watch = Likelihood(causal, tasks)
        with tune(causal, PROMOT, tasks, config, seed=0, watch=watch, shared=shared) as tuned:
            return tuned, copies(tuned.attached.parameters), watch.seen

    first, _, seen = run(0.02, tmp_path)
    assert first.reused == ()
    assert ("prompt", 0) in seen
    second, values, seen = run(0.05, tmp_path)
    alone, expected, _ = run(0.05, None)
    assert second.reused == ("prompt",)
    assert {stage for stage, _ in seen} == {"weights"}
    assert same(values, expected)
    assert (second.checkpoints, second.best, second.tokens) == (alone.checkpoints, alone.best, alone.tokens)
    third, _, _ = run(0.02, tmp_path)
    assert third.reused == ("prompt",)  # the last stage is every run's own
    assert len(list(tmp_path.iterdir())) == 1


def test_tasks_in_sequence_keep_their_prompts_and_share_the_weights(model, make_task):
    tasks = [make_task("copy"), make_task("last")]
    method = PROMOT.model_copy(update={"order": "sequence"})
    watch = Scripted(*range(100))
    with tune(model, method, tasks, CONFIG, seed=0, watch=watch) as tuned:
        final = {name: copies(part) for name, part in tuned.attached.parts.items()}
        assert tuned.attached.prompt_ids("copy") != tuned.attached.prompt_ids("last")
    assert list(tuned.logs) == ["prompt copy", "weights copy", "prompt last", "weights last"]
    start, first, then, end = (
        watch.values[place]
        for place in (("prompt copy", 0), ("weights copy", 0), ("prompt last", 0), ("weights last", 6))
    )
    assert not same(first["prompt copy"], start["prompt copy"])
    assert same(first["prompt copy"], final["prompt copy"])
    assert same(start["prompt last"], then["prompt last"])
    assert not same(end["prompt last"], then["prompt last"])
    assert same(first["weights"], start["weights"])
    assert not same(then["weights"], first["weights"])
    assert same(watch.values["weights last", 0]["weights"], then["weights"])
    assert not same(end["weights"], then["weights"])


def test_tasks_together_train_a_prompt_each_on_mixed_batches(model, make_task):
    tasks = [make_task("copy"), make_task("last")]
    watch = Scripted(*range(100))
    with tune(model, PROMOT, tasks, CONFIG, seed=0, watch=watch) as tuned:
        assert list(tuned.logs) == ["prompt", "weights"]
    old, new = watch.values["prompt", 0]["prompt"], watch.values["prompt", 4]["prompt"]
    assert len(old) == 2
    assert not any(torch.equal(a, b) for a, b in zip(old, new, strict=True))


def shown(encoder, encoded):
    return encoder.tokenizer.decode(encoded.prompt).split("\n\n")[1:]


def test_demonstrations_are_fresh_solved_and_never_the_example_itself(causal, make_task):
    task = make_task("copy")
    data = EncodedTasks([task], lambda: causal.encoder, demonstrations=2)
    batches = data.batches(["copy"], FAST, 5, prompt_ids=lambda name: (), context=None)
    drawn = [e for batch in islice(batches, 6) for e in batch]
    solved = {f"Input: {e.input}\nOutput: {e.targets[0]}" for e in task["train"]}
    inputs = {f"Input: {e.input}\nOutput:" for e in task["train"]}
    seen = set()
    for example in drawn:
        *demonstrations, last = shown(causal.encoder, example)
        assert len(set(demonstrations)) == 2
        assert set(demonstrations) <= solved
        assert last in inputs
        assert not any(one.startswith(last) for one in demonstrations)
        seen.add(tuple(demonstrations))
    assert len(seen) > 15
    again = data.batches(["copy"], FAST, 5, prompt_ids=lambda name: (), context=None, start=3)
    assert [e for batch in islice(again, 3) for e in batch] == drawn[12:]


def test_every_example_is_under_the_prompt_of_its_task(causal, make_task):
    data = EncodedTasks([make_task("copy"), make_task("last")], lambda: causal.encoder)
    ids = {"copy": (900, 901), "last": (902, 903)}
    batch = next(data.batches(["copy", "last"], FAST, 0, prompt_ids=ids.get, context=None))
    plain = {e.prompt: name for name in ids for e in data.encoded(name, "train")}
    assert {plain[e.prompt[2:]] for e in batch} == set(ids)
    assert all(e.prompt[:2] == ids[plain[e.prompt[2:]]] for e in batch)


def test_a_preset_is_the_papers_recipe_and_keys_that_are_given_go_before_it():
    config = TuningConfig(preset="paper-mt5", steps=7, training={"batch_size": 16})
    assert (config.steps, config.checkpoint_every) == (7, 100)
    training = config.training
    assert (training.optimizer, training.learning_rate, training.batch_size) == ("adafactor", 0.001, 16)
    assert (training.dropout, training.label_smoothing, training.clip) == (0.1, 0.1, None)
    assert TuningConfig(preset="paper-mt5").training.batch_size == 64
    given = TuningConfig(preset="paper-mt5", training=TrainingConfig(dropout=0.3))
    assert (given.training.dropout, given.training.label_smoothing) == (0.3, 0.1)
    preset = get_preset("paper-mt5")
    method = preset.make_method("promot", {"prompt_steps": 9, "weights": {"name": "lora"}})
    assert (method.prompt_length, method.prompt_steps, method.prompt_learning_rate) == (100, 9, 0.2)
    assert preset.make_method("promot", {}).stages(1000, training)[0].steps == 5000
    assert preset.make_method("lora", {"r": 2}) == Lora(r=2)
    assert preset.evaluation == {"num_beams": 4, "classification": "generation"}
    for name in PRESETS:
        assert TuningConfig(preset=name).preset == name


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'paper-mt6' is not a preset \(did you mean 'paper-mt5'\?\)"):
        TuningConfig(preset="paper-mt6")


def test_steps_with_a_checkpoint():
    config = TuningConfig(checkpoint_every=4, checkpoints=(1, 2, 30))
    assert config.due(10) == {0, 1, 2, 4, 8, 10}
    assert config.due(10, 5) == {0, 1, 2, 5, 10}
    assert config.due(3) == {0, 1, 2, 3}


def test_what_does_not_fit_is_told(causal, seq2seq, make_task):
    task = make_task("copy")
    wordy = Example("red", ("red " * 200,))
    tasks = [replace(task, splits={**task.splits, "train": (*task["train"], wordy)})]
    config = CONFIG.model_copy(update={"training": DROPPING})
    with tune(causal, Lora(), tasks, config, seed=0, watch=Scripted(*range(9))) as tuned:
        (note,) = tuned.notes
    assert note.startswith("Task copy: 1 of 13 train examples have targets of more than 128 tokens")


def test_dropout_that_a_model_has_not_is_refused(causal, tasks):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "state_size": 4}
    base = MambaForCausalLM(MambaConfig(vocab_size=len(causal.tokenizer), **sizes))
    model = LanguageModel(base, causal.encoder)
    config = TuningConfig(steps=1, checkpoint_every=1, training=DROPPING)
    refused = r"architecture has no dropout, so training\.dropout must be null or 0, got 0\.2\.$"
    tuning = tune(model, Full(), tasks, config, seed=0, watch=Scripted(0, 1))
    with pytest.raises(InputError, match=refused), tuning:
        pass


def with_target(task, target):
    train = (replace(task["train"][0], targets=(target,)), *task["train"][1:])
    return replace(task, splits={**task.splits, "train": train})


def test_what_cannot_be_tuned_is_refused_before_anything_is_measured(causal, tiny_causal, make_task):
    task = make_task("copy")
    narrow = LanguageModel(causal.base, load_encoder(tiny_causal, max_prompt_tokens=5))
    long = Prompt(prompt_length=2040)
    longest = max(len(e) for e in EncodedTasks([task], lambda: causal.encoder).encoded("copy", "train"))
    cases = [
        (causal, Lora(), [], r"^There is no task to tune on"),
        (causal, Lora(), [task, task], r"^Two tasks are named 'copy'"),
        (causal, Lora(), [with_target(task, "")], r"^Task copy: The target '' tokenises to nothing"),
        (causal, Lora(), [make_task("copy", sizes=(0, 1, 1))], r"^Task copy has no train examples"),
        (narrow, Lora(), [task], r"^Task copy: A prompt without any input takes \d+ tokens"),
        (
            causal,
            long,
            [task],
            rf"^An example of task copy takes {longest} tokens and its soft prompt 2040, .* 2048;",
        ),
        (
            causal,
            Lora(demonstrations=12),
            [task],
            r"^Task copy has 11 training examples to draw demonstrations from",
        ),
    ]
    for model, method, tasks, message in cases:
        watch = Scripted()
        with pytest.raises(InputError, match=message) as caught:  # noqa: SIM117
            with tune(model, method, tasks, CONFIG, seed=0, watch=watch):
                pass
        assert "\n" not in str(caught.value)
        assert not watch.values


def test_a_run_that_fails_names_its_stage_and_leaves_the_base(causal, tasks):
    before = copies(causal.base.state_dict().values())
    wild = CONFIG.model_copy(update={"training": FAST.model_copy(update={"learning_rate": 1e12})})
    with pytest.raises(RunError, match=r"^Stage weights: The (loss|weights) "):  # noqa: SIM117
        with tune(causal, PROMOT, tasks, wild, seed=0, watch=Scripted(*range(9))):
            pass
    with pytest.raises(RunError, match=r"^Stage prompt: The score after step 0 of 4 is nan\.$"):  # noqa: SIM117
        with tune(causal, PROMOT, tasks, CONFIG, seed=0, watch=Scripted(math.nan)):
            pass
    assert same(copies(causal.base.state_dict().values()), before)


def test_joint_tuning_moves_prompt_and_weights_in_one_stage(model, tasks):
    watch = Scripted(*range(9))
    with tune(model, Joint(prompt_length=5), tasks, CONFIG, seed=0, watch=watch) as tuned:
        assert list(tuned.logs) == ["prompt and weights"]
    old, new = watch.values["prompt and weights", 0], watch.values["prompt and weights", 6]
    assert not same(old["prompt"], new["prompt"])
    assert not same(old["weights"], new["weights"])
