"""Every option in every place that takes it changes what comes out, or is refused there in a sentence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from cotune._config import parse
from cotune.evaluation.transfer import FineTuning, TransferConfig, fine_tune
from cotune.exceptions import InputError, RunError
from cotune.studies.grouping.arms import Variation
from cotune.studies.retention._design import tuning_config
from cotune.studies.retention.config import RetentionConfig
from cotune.studies.transfer._design import plan_cells
from cotune.studies.transfer._design import tuning as transfer_tuning
from cotune.studies.transfer.config import TransferStudyConfig
from cotune.studies.tuning import TuneConfig
from cotune.studies.tuning._config import check_recipe_of_one
from cotune.training.config import TrainingConfig
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.language_model import LanguageModelConfig, LanguageModelLearner
from cotune.training.methods import METHODS
from cotune.training.parts import Part
from cotune.training.tuning import tune

NAMES = ("copy", "last", "swap")
STEPS = 4
RECIPE = {"batch_size": 4}
LORA = {"name": "lora", "r": 2}
PROMPT = {"name": "prompt", "prompt_length": 3}

TEXT = {"source": "files", "path": "text.txt"}
OPTIONS = {
    "optimizer": {"optimizer": "adafactor"},
    "learning_rate": {"learning_rate": 0.05},
    "schedule": {"schedule": "linear"},
    "warmup": {"warmup": 0.9},
    "weight_decay": {"weight_decay": 5.0},
    "scale_parameter": {"scale_parameter": True, "optimizer": "adafactor"},
    "clip": {"clip": 1e-6},
    "label_smoothing": {"label_smoothing": 0.3},
    "dropout": {"dropout": 0.5},
    "batch_size": {"batch_size": 3},
    "tasks_per_batch": {"tasks_per_batch": 3},
    "scheme": {"scheme": {"name": "uniform"}},
    "task_weights": {"task_weights": {"*": 0.0}},
    "balancing": {"balancing": {"name": "dwa", "period": 1, "temperature": 0.01}},
    "replay": {"replay": {"text": TEXT, "ratio": 0.5, "seq_len": 16}},
    "pass_tokens": {"pass_tokens": 60},
    "max_loss": {"max_loss": 1e-3},
}
"""By option another value than the default."""
BESIDE = {"scale_parameter": {"optimizer": "adafactor"}, "balancing": {"tasks_per_batch": 3}}
"""What an option needs beside it to act, which is there with and without it."""


class Rooms:
    """The tiny models, tasks and text that all places share."""

    def __init__(self, folder, checkpoint, model, make_task):
        self.folder, self.checkpoint, self.model = folder, checkpoint, model
        self.tasks = [make_task(name, sizes=(8, 2, 2)) for name in NAMES]
        (folder / "text.txt").write_text("Write the words backwards, one two three four. " * 20)

    def learner(self, **options) -> LanguageModelLearner:
        data = {"model": str(self.checkpoint), "precision": "fp32", "method": LORA, **options}
        learner = LanguageModelLearner(parse(LanguageModelConfig, data, "learner"), self.tasks, self.folder)
        learner.__dict__["model"] = self.model
        return learner

    def tuned(self, method, config, n_tasks=3) -> list[float]:
        """Tune on tasks and return the losses, the last of them after all steps."""
        tasks = self.tasks[:n_tasks]
        data = EncodedTasks(tasks, lambda: self.model.encoder)

        class Last:
            def checkpoint(self, attached, stage, step):
                return float(step)

        with tune(self.model, method, tasks, config, seed=0, watch=Last(), base=self.folder) as tuned:
            module, ids = tuned.attached.module, tuned.attached.prompt_ids
            last = [
                self.model.nll(module, [e.under(ids(task.name)) for e in data.encoded(task.name, "test")])
                for task in tasks
            ]
            losses = [loss for log in tuned.logs.values() for loss in log.losses]
        return [*losses, *np.concatenate(last)]


def fits(fits) -> list[float]:
    return [
        value
        for fit in fits
        for value in (*fit.losses, *(v for score in fit.scores.values() for v in score.per_example))
    ]


def of_learner(rooms, training, **options):
    learner = rooms.learner(training=training, **options)
    return fits([learner.fit(NAMES, 0, steps=STEPS, split="validation")])


def side_by_side(rooms, training, **options):
    learner = rooms.learner(training=training, **options)
    parts = [Part(NAMES, seed, STEPS) for seed in (0, 1)]
    return fits(learner._fit_all(parts, split="validation", most=2))


def warm_start(rooms, training, **options):
    learner = rooms.learner(training=training, warm_start={"steps": STEPS}, **options)
    return fits([learner.fit(NAMES[:2], 0, steps=1, split="validation")])


def lookahead(rooms, training):
    before, after = rooms.learner(training=training).lookahead(0, steps=STEPS, every=1)
    return [*before.ravel(), *after.ravel()]


def features(rooms, training):
    learner = rooms.learner(training=training)
    linear = learner.linearise("copy", examples=2, seed=0, dimension=8)
    gradients = learner.gradient_features("copy", examples=2, seed=0, dimension=8)
    return [*gradients.ravel(), *(v for name in sorted(linear) for v in linear[name].ravel())]


def other_method(rooms, training):
    """An arm of a grouping study that is trained by another method."""
    arm = Variation.read('{"method": {"name": "full"}, "learning_rate": null}')
    learner = arm.of(rooms.learner(training=training))
    return fits([learner.fit(NAMES, 0, steps=STEPS, split="validation")])


def cotune_tune(rooms, training, **options):
    data = {"model": "m", "method": LORA, "steps": STEPS, "training": training, **options}
    config = parse(TuneConfig, data, "tune")
    check_recipe_of_one(config)
    return rooms.tuned(config.method, config, n_tasks=1)


def retention(rooms, training, *, targets=NAMES, **options):
    data = {
        "name": "n",
        "kind": "retention",
        "model": "m",
        "tasks": {"reader": "toy_language"},
        "targets": targets,
        "methods": [LORA],
        "steps": STEPS,
        "training": training,
        **options,
    }
    config = parse(RetentionConfig, data, "study")
    config.check("study")
    recipe = tuning_config(config, config.rates[0])
    return rooms.tuned(config.methods[0].method, recipe, n_tasks=len(targets))


def transfer_study(rooms, training, **options):
    """Instruction tuning of the one arm that a transfer study has."""
    data = {
        "name": "n",
        "kind": "transfer",
        "model": "m",
        "tasks": {"reader": "toy_language"},
        "held_out": "reverse",
        "method": LORA,
        "steps": STEPS,
        "seeds": 1,
        "training": training,
        **options,
    }
    config = parse(TransferStudyConfig, data, "study")
    config.check("study")
    (run,) = plan_cells(config, {arm.label: {"": NAMES} for arm in config.compared}).values()
    return rooms.tuned(*transfer_tuning(run, config))


def scheme_of_transfer(rooms, training):
    entry = {"name": "round_robin", "training": training}
    return transfer_study(rooms, {}, schemes=[entry])


def arm_of_transfer(rooms, training):
    return transfer_study(rooms, {}, arms=[{"label": "an arm", "training": training}])


def fine_tuning(rooms, training, **options):
    data = {"steps": STEPS, "method": LORA, "examples": [0, 4], **options, "training": training}
    config = parse(TransferConfig, data, "transfer")
    encoded = EncodedTasks(rooms.tasks, lambda: rooms.model.encoder).encoded("copy", "train")
    runs = [FineTuning(str(n), "copy", tuple(encoded[:n]), seed=n) for n in (5, 7)]

    def losses(run, attached):
        under = [e.under(attached.prompt_ids("copy")) for e in encoded]
        return rooms.model.nll(attached.module, under)

    return np.concatenate(fine_tune(rooms.model, runs, config, losses)).tolist()


@dataclass(frozen=True)
class Place:
    """Where a recipe is written: what it does, the options it refuses and those that change nothing."""

    run: Callable[..., list[float]]
    refused: tuple[str, ...] = ()
    same: tuple[str, ...] = ("pass_tokens",)
    options: Mapping = field(default_factory=dict)

    def __call__(self, rooms, training):
        return np.array(self.run(rooms, training, **self.options))


ONE_TASK = ("tasks_per_batch", "scheme", "task_weights", "balancing")
PROMPT_STAGE = ("learning_rate", "scale_parameter", "replay")
PLACES = {
    "a run of a learner": Place(of_learner),
    "runs side by side": Place(side_by_side),
    "a prompt's run": Place(of_learner, PROMPT_STAGE, options={"method": PROMPT}),
    "a warm start": Place(warm_start),
    "the lookahead": Place(lookahead),
    # Nothing is trained there; the recipe is that of the groups trained afterwards.
    "features at the start": Place(features, same=tuple(OPTIONS)),
    "an arm of another method": Place(other_method),
    "cotune tune": Place(cotune_tune, ONE_TASK),
    "a prompt in cotune tune": Place(cotune_tune, (*ONE_TASK, *PROMPT_STAGE), options={"method": PROMPT}),
    "a retention study": Place(retention),
    "a retention study of one target": Place(retention, ONE_TASK, options={"targets": ["copy"]}),
    "a retention study of prompts": Place(retention, PROMPT_STAGE, options={"methods": [PROMPT]}),
    "instruction tuning": Place(transfer_study, ("replay",)),
    "a scheme of instruction tuning": Place(scheme_of_transfer, ("scheme", "replay")),
    "an arm of instruction tuning": Place(arm_of_transfer, ("scheme", "replay")),
    "a fine-tuning": Place(fine_tuning, (*ONE_TASK, "replay")),
}


@pytest.fixture(scope="module")
def rooms(tmp_path_factory, tiny_causal, causal, make_task):
    return Rooms(tmp_path_factory.mktemp("rooms"), tiny_causal, causal, make_task)


@pytest.fixture(scope="module")
def usual(rooms):
    """Return what comes of a recipe in a place, kept for all options."""
    known = {}

    def result(name, place, recipe):
        key = (name, *sorted(recipe))
        if key not in known:
            known[key] = place(rooms, recipe)
        return known[key]

    return result


def test_every_option_of_the_recipe_is_tried():
    assert set(OPTIONS) == set(TrainingConfig.model_fields)
    for name, value in OPTIONS.items():
        changed = TrainingConfig(**{**RECIPE, **BESIDE.get(name, {}), **value})
        assert getattr(changed, name) != getattr(TrainingConfig(), name)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", PLACES)
def test_an_option_acts_or_is_refused(name, option, rooms, usual):
    place = PLACES[name]
    recipe = {**RECIPE, **BESIDE.get(option, {})}
    changed = {**recipe, **OPTIONS[option]}
    if option in place.refused:
        sentence = rf"training\.{option}\b.* (must be left out|leave it out)"
        with pytest.raises(InputError, match=sentence) as told:
            place(rooms, {**RECIPE, **OPTIONS[option]})
        assert str(told.value).count("\n") == 0
    elif option == "max_loss" and option not in place.same:
        with pytest.raises(RunError, match=r"exploded to .*limit 0\.0"):
            place(rooms, changed)
    elif option in place.same:
        np.testing.assert_allclose(place(rooms, changed), usual(name, place, recipe), rtol=2e-3, atol=1e-4)
    else:
        found, expected = place(rooms, changed), usual(name, place, recipe)
        assert found.shape != expected.shape or np.abs(found - expected).max() > 1e-5


SHORT = {"prompt_length": 3, "prompt_steps": 2}
METHOD_OPTIONS = {
    "demonstrations": 1,
    "r": 3,
    "alpha": 3,
    "dropout": 0.5,
    "target_modules": ["o_proj"],
    "prefix_length": 4,
    "prefix_learning_rate": 0.05,
    "projection": True,
    "lora": {"r": 3},
    "first_steps": 3,
    "first_learning_rate": 0.05,
    "first_checkpoint_every": 1,
    "prompt_length": 4,
    "prompt_init": "uniform",
    "prompts": {"per_task": "shared", "shared": "per_task"},
    "prompt_steps": 3,
    "prompt_learning_rate": 0.01,
    "prompt_weight_decay": 5.0,
    "prompt_checkpoint_every": 1,
    "weights": LORA,
    "order": "sequence",
    "modules": ["v_proj"],
    "alphas": [0.5],
    "others": {"text": TEXT, "seq_len": 16, "ratio": 0.5, "weight": 1e4},
}
"""By option of a method another value than the default."""
OF_METHODS = [
    (name, option)
    for name, kind in METHODS.items()
    for option, value in kind.model_fields.items()
    if (name, option) != ("random_prompt", "prompt_init")  # which has one value
]
METHOD_PLACES = {
    "a run of a learner": (of_learner, ("prompt_checkpoint_every", "first_checkpoint_every"), ()),
    # One task has one prompt, which is its own and that of all, and no order.
    "a fine-tuning": (
        fine_tuning,
        ("prompt_checkpoint_every", "first_checkpoint_every", "demonstrations"),
        ("prompts", "order"),
    ),
}


OF_TARGETS = ("kl_to_base", "replay", "self_distillation", "wise_ft")
"""Methods that need what only tuning on targets has."""


def test_every_option_of_a_method_is_tried():
    assert {option for _, option in OF_METHODS} == set(METHOD_OPTIONS)


@pytest.mark.parametrize("place", METHOD_PLACES)
@pytest.mark.parametrize(("name", "option"), OF_METHODS)
def test_an_option_of_a_method_acts_or_is_refused(place, name, option, rooms):
    run, refused, same = METHOD_PLACES[place]
    fields = METHODS[name].model_fields
    usual = {"name": name, **{key: value for key, value in SHORT.items() if key in fields}}
    if "others" in fields:
        usual["others"] = {**METHOD_OPTIONS["others"], "ratio": 0.25}
    if name == "prefix":
        usual["prefix_length"] = 3
    value = METHOD_OPTIONS[option]
    if option == "prompts":
        value = value[fields[option].default]
    changed = {**usual, option: value}
    assert getattr(METHODS[name](**{k: v for k, v in changed.items() if k != "name"}), option) != (
        fields[option].default
    )
    if name in OF_TARGETS:
        with pytest.raises(InputError, match=rf"method {name} (is chosen by|puts others).* cotune tune"):
            run(rooms, RECIPE, method=usual)
        if place == "a fine-tuning":
            return
        run = cotune_tune
    elif option in refused:
        with pytest.raises(InputError, match=rf"method\.{option} .*(must be left out|must be 0)"):
            run(rooms, RECIPE, method=changed)
        return
    found, expected = (np.array(run(rooms, RECIPE, method=method)) for method in (changed, usual))
    if option in same:
        np.testing.assert_array_equal(found, expected)
    else:
        assert found.shape != expected.shape or np.abs(found - expected).max() > 1e-6


def test_what_lies_beside_a_recipe_acts_or_is_refused(rooms):
    own = r"learning_rate changes nothing under prompt, which has method\.prompt_learning_rate instead"
    warm = {"steps": 1, "learning_rate": 0.5}
    with pytest.raises(InputError, match=rf"learner: warm_start\.{own}"):
        rooms.learner(method=PROMPT, warm_start=warm)
    with pytest.raises(InputError, match=rf"^{own}, so it must be left out, got 0\.5"):
        Variation.read('{"method": {"name": "prompt"}, "learning_rate": 0.5}').of(rooms.learner())
    with pytest.raises(InputError, match="study: learning_rates changes nothing under prompt"):
        retention(rooms, {}, methods=[PROMPT], learning_rates=[0.5])
    # One method that takes an option is enough where several share the recipe.
    retention(rooms, {"learning_rate": 0.05}, methods=[LORA, PROMPT])
    with pytest.raises(InputError, match=r"side_by_side must be 1 or left out: .*, got 3"):
        rooms.learner(side_by_side=3, training={"balancing": {"name": "pcgrad"}})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"replay": {"text": TEXT}}, "study: replay: every ratio is 0, so it must be left out"),
        ({"replay": {"text": TEXT, "ratio": 1}, "replay_ratios": [1]}, r"replay\.ratio: must be left out"),
        (
            {"replay": {"text": TEXT}, "replay_ratios": [1], "arms": [{"label": "x", "replay": 1}]},
            "replay_ratios: is for schemes, and there are arms alone",
        ),
        (
            {"training": {"scheme": {"name": "uniform"}}, "schemes": ["proportional"]},
            r"training\.scheme: must be left out, since every arm names its scheme",
        ),
    ],
)
def test_what_a_transfer_study_says_elsewhere_is_refused(options, told, rooms):
    training = options.get("training", {})
    with pytest.raises(InputError, match=told):
        transfer_study(rooms, training, **{k: v for k, v in options.items() if k != "training"})


def test_a_preset_fills_in_what_a_method_does_not_take(rooms):
    config = parse(TuneConfig, {"model": "m", "method": PROMPT, "preset": "paper-mt5"}, "tune")
    assert config.training.scale_parameter
    with pytest.raises(InputError, match=r"training\.learning_rate changes nothing under prompt"):
        parse(
            TuneConfig,
            {"model": "m", "method": PROMPT, "preset": "paper-mt5", "training": {"learning_rate": 0.5}},
            "tune",
        )
