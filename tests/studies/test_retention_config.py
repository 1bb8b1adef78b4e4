import json

import pytest

from cotune.exceptions import InputError
from cotune.studies import KINDS, Study, load_config


def message(study):
    with pytest.raises(InputError) as caught:
        study.check()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_file_is_read_with_what_it_leaves_out(retention):
    config = load_config(retention.file())
    assert config.kind == "retention"
    assert [arm.label for arm in config.methods] == ["full", "promot"]
    assert config.methods[1].method.prompt_length == 4
    assert config.rates == (config.training.learning_rate,)
    assert config.equal_target == "auto"
    lora = {"name": "promot", "weights": {"name": "lora", "r": 2}, "demonstrations": 1}
    named = load_config(retention.file(methods=[lora, {"name": "full", "label": "all weights"}]))
    assert [arm.label for arm in named.methods] == ["promot (lora) + 1-shot", "all weights"]


def test_a_preset_fills_in_what_the_file_leaves_out(retention):
    left_out = {"steps": ..., "checkpoint_every": ..., "training": {"batch_size": 8}}
    config = load_config(
        retention.file(
            preset="paper-mt5",
            methods=[{"name": "full"}, {"name": "promot", "prompt_length": 20}],
            learning_rates=[0.001, 0.01],
            **left_out,
        )
    )
    assert (config.steps, config.checkpoint_every) == (1000, 100)
    assert (config.training.optimizer, config.training.batch_size) == ("adafactor", 8)
    assert config.rates == (0.001, 0.01)
    assert (config.in_context.num_beams, config.in_context.shots) == (4, (1, 2))
    promot = config.methods[1].method
    assert (promot.prompt_length, promot.prompt_steps, promot.prompt_learning_rate) == (20, 5000, 0.2)
    assert config.max_prompt_tokens == 1024
    assert (
        load_config(retention.file(preset="paper-mt5", max_prompt_tokens=64, **left_out)).max_prompt_tokens
        == 64
    )
    assert load_config(retention.file(preset="paper-mt5", **left_out)).rates == (0.001,)


def test_methods_that_leave_the_weights_are_known(retention):
    names = ["full", "lora", "prompt", "prefix", "promot", "joint", "random_prompt"]
    config = load_config(retention.file(methods=[{"name": name} for name in names]))
    left = [arm.name for arm in config.methods if not arm.tunes_weights]
    assert left == ["prompt", "prefix"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "retension"}, "kind: must be one of: grouping, retention, transfer; got 'retension'"),
        (
            {"methods": [{"name": "promott"}]},
            "methods.0.name: must be one of: dft, full, joint, kl_to_base, lora, ",
        ),
        ({"methods": [{"name": "promott"}]}, "got 'promott' (did you mean 'promot'?)"),
        (
            {"methods": [{"name": "promot", "prompt_lenght": 3}]},
            "methods.0.prompt_lenght: unknown key (did you mean 'prompt_length'?)",
        ),
        ({"methods": [{"name": "full", "label": 3}]}, "methods.0: label: must be a text, got 3"),
        ({"methods": [{"name": "full"}, {"name": "full"}]}, "methods: 'full' stands twice; give one of"),
        ({"preset": "paper-mt6"}, "'paper-mt6' is not a preset (did you mean 'paper-mt5'?)"),
        ({"preset": "paper-mt5", "training": 3}, "training: "),
        ({"methods": []}, "methods: tuple should have at least 1 item"),
        ({"targets": ["weighted", "weighted"]}, "targets: 'weighted' stands twice"),
        ({"targets": ...}, "targets: is required and missing"),
        ({"tasks": []}, "tasks: a retention study needs tasks"),
        ({"learning_rates": [0.1, 0.1]}, "learning_rates: 0.1 stands twice"),
        (
            {"learning_rates": [0.1], "training": {"learning_rate": 0.2}},
            "training.learning_rate: learning_rates names the learning rates; leave one out",
        ),
        ({"checkpoints": [1, 4]}, "checkpoints: must be at most steps 3, got 4"),
        ({"gradient_steps": [9]}, "gradient_steps: must be at most steps 3, got 9"),
        ({"equal_target": -0.5}, "equal_target"),
        ({"in_context": {"shot": [1]}}, "in_context.shot: unknown key (did you mean 'shots'?)"),
        ({"model": ...}, "model: is required and missing"),
    ],
)
def test_mistakes_name_file_key_and_what_is_valid(retention, changes, expected):
    path = retention.file(**changes)
    with pytest.raises(InputError) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert expected in str(caught.value)


def test_tasks_that_are_not_there_are_named_with_the_nearest(retention):
    expected = "targets: there is no task 'wieghted' among those read (did you mean 'weighted'?)"
    assert expected in message(retention.study(targets="wieghted"))
    expected = "evaluation: no task read is named 'cop' (did you mean 'copy'?)"
    assert expected in message(retention.study(evaluation=["cop"]))
    assert "no task is left to evaluate" in message(retention.study(evaluation="weighted"))


def test_patterns_choose_the_tasks_evaluated_and_never_a_target(retention):
    names = [task.name for task in retention.study(evaluation=["*e*", "m?x"]).evaluation]
    assert names == ["max", "less"]
    assert [task.name for task in retention.study().evaluation] == ["copy", "max", "less"]


def test_a_task_with_fewer_training_examples_than_shots_is_named(retention):
    text = message(retention.study(in_context={"shots": [1, 30], "draws": 1}))
    assert "Task copy has 20 training examples" in text
    assert "30 shots" in text


def test_an_equal_target_beyond_the_metric_is_refused(retention):
    text = message(retention.study(equal_target=95))
    assert "equal_target: must be at most 1, the most that accuracy gives, got 95" in text


def test_targets_of_two_directions_are_refused(retention):
    tasks = [*retention.data["tasks"], {"reader": "toy_language", "include": ["greater"], "metric": "nll"}]
    text = message(retention.study(tasks=tasks, targets=["weighted", "greater"]))
    assert "must have one direction, got weighted accuracy, greater nll" in text


def test_gradients_need_labels(retention):
    text = message(retention.study(targets="copy", gradient_steps=[1]))
    assert "the target copy has none" in text


def test_the_key_depends_on_all_that_determines_a_run_and_on_no_label(retention):
    study = retention.study()
    runs = list(study.cells.values())
    keys = [study.key(run) for run in runs]
    assert len(set(keys)) == 2

    def keys_with(**changes):
        other = retention.study(**changes)
        return [other.key(run) for run in other.cells.values()]

    renamed = [{**method, "label": f"my {method['name']}"} for method in retention.data["methods"]]
    assert keys_with(methods=renamed) == keys
    assert keys_with(executor={"workers": 2}, equal_target=0.5, keep=True) == keys
    assert keys_with(seeds=2)[0] in keys
    for changes in (
        {"seed": 4},
        {"steps": 4},
        {"checkpoint_every": 1},
        {"checkpoints": [1]},
        {"gradient_steps": [1]},
        {"training": {"batch_size": 5, "tasks_per_batch": 1}},
        {"in_context": {"shots": [1], "draws": 2}},
        {"evaluation": ["copy"]},
        {"max_prompt_tokens": 64},
    ):
        assert not set(keys_with(**changes)) & set(keys), changes


def test_a_method_with_its_own_learning_rate_runs_once_for_all_that_are_tried(retention):
    prompt = {"name": "prompt", "prompt_length": 4, "prompt_steps": 2}
    study = retention.study(methods=[{"name": "full"}, prompt], learning_rates=[0.001, 0.01], seeds=2)
    assert len(study.cells) == 8
    assert len(set(study.cells.values())) == 4 + 2


def test_the_folder_of_a_study_of_another_model_is_refused(retention):
    study = retention.study()
    with study.home.hold():
        pass
    assert json.loads((study.folder / "study.json").read_text())["identity"]["name"] == "keep it"
    other = retention.file("other", model=str(retention.folder), name="keep it")
    with pytest.raises(InputError, match="another model"):
        Study.load(other, study.folder).home.check()


def test_every_option_is_described():
    for name, field in KINDS["retention"].config_class.model_fields.items():
        assert field.description, name
