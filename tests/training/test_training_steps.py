"""Steps are told to who listens, from wherever they are done."""

from cotune.lab.function_classes import FunctionClassConfig
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.training.language_model import LanguageModelConfig
from cotune.training.stages import begin_stage
from cotune.training.steps import listening, tell_step


def learner(**options):
    training = {"batch_size": 2, "tasks_per_batch": 1, "learning_rate": 1e-3}
    config = LanguageModelConfig(**{"model": str(TOY_CHECKPOINT), "training": training, **options})
    return config.build(toy_tasks(["copy", "max"], train=8, validation=2, test=2), TOY_CHECKPOINT)


def test_nobody_is_told_but_who_listens():
    told = []
    tell_step(1, 2)
    with listening(lambda *steps: told.append(steps)):
        tell_step(1, 3)
        with listening(lambda *steps: told.append(("within", *steps))):
            tell_step(2, 3)
        tell_step(3, 3)
    tell_step(4, 4)
    assert told == [(1, 3), ("within", 2, 3), (3, 3)]


def test_every_step_of_a_run_is_told_and_one_of_many_at_once_once():
    told = []
    with listening(lambda *steps: told.append(steps)):
        learner().fit(("copy", "max"), 0, steps=3, split="validation")
    assert told == [(1, 3), (2, 3), (3, 3)]
    told.clear()
    with listening(lambda *steps: told.append(steps)):
        beside = learner(side_by_side=2)
        beside.fit_many([("copy",), ("max",)], [0, 0], steps=[2, 2], split="validation")
    assert told == [(1, 2), (2, 2)]


def test_stages_are_told_one_after_the_other():
    told = []
    method = {"name": "promot", "prompt_length": 2, "prompt_steps": 3, "weights": {"name": "lora", "r": 1}}
    with listening(lambda *steps: told.append(steps)):
        learner(method=method).fit(("copy",), 0, steps=2, split="validation")
    assert told == [(1, 3), (2, 3), (3, 3), (1, 2), (2, 2)]


def test_a_run_that_goes_on_tells_the_steps_of_the_whole():
    told, runs = [], learner()
    model, method = runs.model, runs.config.method
    (stage,) = method.stages(5, runs.config.training, ("copy",))
    with method.attach(model, ("copy",)) as attached:
        batches = runs._batches(("copy",), 0, attached, stage)
        first = begin_stage(model, attached, stage)
        first.run([next(batches), next(batches)])
        rest = begin_stage(model, attached, stage)
        rest.load_state_dict(first.state_dict())
        with listening(lambda *steps: told.append(steps)):
            rest.run(batches)
    assert told == [(3, 5), (4, 5), (5, 5)]


def test_models_of_function_classes_tell_theirs():
    told = []
    functions = FunctionClassConfig(classes=("linear-1.0", "tree-1.0"), base_steps=1).build()
    with listening(lambda *steps: told.append(steps)):
        functions.fit(("linear-1.0",), 0, steps=2, split="validation")
    assert told[-2:] == [(1, 2), (2, 2)]
