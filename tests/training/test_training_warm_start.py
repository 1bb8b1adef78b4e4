import numpy as np
import pytest
import torch

from cotune._config import parse
from cotune.exceptions import InputError, RunError
from cotune.training._branch_point import values_of
from cotune.training.language_model import LanguageModelConfig
from cotune.training.language_model._runs import derive_seed
from cotune.training.language_model._warm_start import WarmStart, train_start
from cotune.training.methods import Lora
from cotune.training.tuning import TuningConfig, tune

METHODS = [
    {"name": "lora"},
    {"name": "full"},
    {"name": "prefix", "prefix_length": 5},
    {"name": "prompt", "prompt_length": 5},
    {"name": "joint", "prompt_length": 5, "weights": {"name": "lora"}},
    {"name": "promot", "prompt_length": 5, "prompt_steps": 2, "order": "sequence"},
]


@pytest.fixture(scope="module")
def warm_learner(learner_of, make_task):
    def make(kind="causal", names=("copy", "last", "swap"), warm=None, **options):
        tasks = [make_task(name) for name in names]
        return learner_of(kind, tasks, warm_start=warm or {"steps": 6}, **options)

    return make


def assert_equal(values, others):
    assert values.keys() == others.keys()
    for name, value in values.items():
        torch.testing.assert_close(value, others[name], rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["name"])
def test_every_run_starts_from_it_with_every_method(kind, method, warm_learner, tmp_path):
    learner = warm_learner(kind, method=method)
    learner.prepare(tmp_path)
    subset = ("copy", "swap")
    for seed in (1, 2):
        with learner._attached(subset, seed) as attached:
            start = values_of(attached)
    assert start
    assert_equal({name: learner._start[name] for name in start}, start)
    # Only the prompts of tasks that a subset lacks are left out.
    assert all(name == "prompt of last" for name in learner._start.keys() - start.keys())
    fit = learner.fit(subset, 1, steps=2, split="validation")
    assert np.isfinite([score.value for score in fit.scores.values()]).all()


def test_the_first_loss_is_that_of_the_joint_adapter(warm_learner, learner_of, make_task):
    learner = warm_learner(warm={"steps": 30})
    warm = learner.fit(("copy",), 3, steps=1, split="validation").losses[0]
    fresh = learner_of("causal", [make_task("copy")]).fit(("copy",), 3, steps=1, split="validation")
    with learner._attached(("copy",), 0) as attached:
        batch = next(
            learner._data.batches(
                ("copy",),
                learner.config.training,
                derive_seed(3, ("copy",)),
                prompt_ids=attached.prompt_ids,
                context=None,
            )
        )
        nll = learner.model.nll(attached.module, batch)
    sizes = [len(example.target) for example in batch]
    assert warm == pytest.approx(np.average(nll, weights=sizes), abs=1e-5)
    assert warm < fresh.losses[0] - 0.1


def test_it_is_stored_once_and_the_same_every_time(warm_learner, tmp_path):
    first, again, alone = warm_learner(), warm_learner(), warm_learner()
    first.prepare(tmp_path / "shared")
    (file,) = (tmp_path / "shared").glob("*.safetensors")
    assert file.name == f"warm-{first.fingerprint}.safetensors"
    written = file.stat().st_mtime_ns
    again.prepare(tmp_path / "shared")
    assert "model" not in vars(again)  # nothing was loaded, so nothing was trained
    assert file.stat().st_mtime_ns == written
    fits = [learner.fit(("copy", "last"), 5, steps=3, split="test") for learner in (first, again, alone)]
    assert fits[0].losses == fits[1].losses == fits[2].losses
    assert fits[0].scores == fits[1].scores == fits[2].scores


def test_a_damaged_file_is_trained_again(warm_learner, tmp_path):
    learner, alone = warm_learner(), warm_learner()
    (tmp_path / f"warm-{learner.fingerprint}.safetensors").write_bytes(b"nothing of the kind")
    learner.prepare(tmp_path)
    fits = [one.fit(("copy", "last"), 5, steps=3, split="test") for one in (learner, alone)]
    assert fits[0].scores == fits[1].scores


class _KilledAt:
    def __init__(self, step):
        self.step = step

    def checkpoint(self, attached, stage, step):
        if step == self.step:
            raise KeyboardInterrupt
        return float(step)


def test_a_killed_one_is_gone_on_with(causal, make_task, tmp_path):
    tasks = [make_task("copy"), make_task("last")]
    warm = WarmStart(steps=52, learning_rate=0.01)
    recipe = TuningConfig(training={"batch_size": 2, "learning_rate": 0.5}).training
    whole = train_start(causal, Lora(), tasks, recipe, warm, None)
    config = TuningConfig(steps=52, checkpoint_every=50, training=warm.training(recipe))
    state = tmp_path / "state"
    with (
        pytest.raises(KeyboardInterrupt),
        tune(causal, Lora(), tasks, config, seed=0, watch=_KilledAt(52), state=state),
    ):
        pass
    assert torch.load(next(state.glob("*/tuning.pt")), weights_only=True)["run"]["tokens"] > 0
    assert_equal(train_start(causal, Lora(), tasks, recipe, warm, state), whole)


def test_the_fingerprint_knows_it_and_its_tasks(warm_learner, learner_of, make_task):
    def fingerprint(**options):
        return warm_learner(**options).fingerprint

    base = fingerprint()
    bare = learner_of("causal", [make_task("copy")]).fingerprint
    assert fingerprint(names=("swap", "last", "copy")) == base
    named = {"steps": 6, "tasks": ["last", "copy"]}
    assert fingerprint(warm=named) == fingerprint(warm=named, names=("copy", "last"))
    others = [
        bare,
        fingerprint(names=("copy", "last")),
        fingerprint(warm={"steps": 7}),
        fingerprint(warm={"steps": 6, "seed": 1}),
        fingerprint(warm={"steps": 6, "learning_rate": 0.1}),
        fingerprint(warm={"steps": 6, "tasks": ["copy", "swap"]}),
    ]
    assert len({base, *others}) == 7


def test_its_options_are_checked(warm_learner):
    with pytest.raises(
        InputError, match="warm start names the task 'cpoy', which is none of the study's: copy, "
    ):
        warm_learner(warm={"steps": 3, "tasks": ["cpoy"]})


@pytest.mark.parametrize("warm", [{}, {"steps": 3, "share": 0.5}, {"share": 1.0}, {"share": 0.0}])
def test_it_has_one_length(warm):
    with pytest.raises(InputError, match=r"^study: warm_start"):
        parse(LanguageModelConfig, {"model": "x", "warm_start": warm}, "study")


def test_a_share_is_counted_by_what_the_runs_train(warm_learner, make_task):
    # Half of what a task is trained for: as much as a run does for it, over three tasks or two.
    for warm, steps in (({"share": 0.5}, 24), ({"share": 0.75, "tasks": ["copy", "last"]}, 48)):
        config = parse(LanguageModelConfig, {"model": "x", "warm_start": warm}, "study")
        counted = config.for_study(8, [make_task(name) for name in ("copy", "last", "swap")])
        assert (counted.warm_start.steps, counted.warm_start.share) == (steps, None)
    in_steps = config.model_copy(update={"warm_start": WarmStart(steps=48, tasks=("copy", "last"))})
    assert counted == in_steps  # and so are the runs that the store knows by it
    assert in_steps.for_study(8, []) is in_steps
    with pytest.raises(
        InputError, match=r"learner\.warm_start\.share: needs an estimator that trains subsets"
    ):
        warm_learner(warm={"share": 0.5})


def test_a_misspelt_option_is_told_from_its_own():
    with pytest.raises(
        InputError, match=r"^study: warm_start\.stpes: unknown key \(did you mean 'steps'\?\)"
    ):
        parse(LanguageModelConfig, {"model": "x", "warm_start": {"stpes": 3}}, "study")


def test_one_that_diverges_says_so(warm_learner, tmp_path):
    learner = warm_learner(training={"learning_rate": 1e30, "batch_size": 4, "clip": None})
    with pytest.raises(RunError, match=r"^The warm start: Stage weights: "):
        learner.prepare(tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
