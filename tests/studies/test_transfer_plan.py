import pytest

from cotune.exceptions import InputError
from cotune.lab.toy_language import TOY_CHECKPOINT
from cotune.studies import Study, plan_study, run_study
from cotune.studies.engine import open_store


def test_a_plan_counts_what_is_then_done_and_writes_nothing(transfer):
    study = transfer.study(schemes=["uniform"])
    plan = plan_study(study)
    assert not study.folder.exists()
    pretrained, tuning, measuring = plan.stages
    assert (pretrained.runs, tuning.runs, measuring.runs) == (2, 1, 4)
    assert tuning.steps == 3
    # A draw of two numbers of examples and two steps each, for two tasks.
    assert pretrained.steps == 2 * 2 * 2
    assert measuring.steps == 2 * 1 * 2 + pretrained.steps
    assert plan.wall_seconds > 0
    run_study(study)
    with open_store(study.home.store) as store:
        tokens = [record.tokens for record in store if record.kind == "instruct"]
    assert tuning.tokens == pytest.approx(sum(tokens), rel=0.2)


def test_a_plan_counts_the_text_that_is_replayed(transfer):
    text = {"text": {"source": "toy_language"}, "seq_len": 32}
    study = transfer.study(schemes=["uniform"], replay=text, replay_ratios=[0, 2.0])
    alone = transfer.study(schemes=["uniform"])
    (with_text, without) = (plan_study(one, measure=False).stages[1].tokens for one in (study, alone))
    # Both arms, and two windows for each of three steps of four examples.
    assert with_text == 2 * without + 2 * 3 * 4 * 32


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"held_out": "revers"}, r"held_out: no task read is named 'revers' \(did you mean 'reverse'"),
        ({"held_out": "*"}, "train: no task is left"),
        ({"along": 3}, "along: must be of transfer.examples 0, 2, 4, got 3"),
        ({"checkpoints": [9]}, "checkpoints: must be at most steps 3, got 9"),
        (
            {"schemes": ["proportionl"]},
            r"schemes.0: scheme.name: must be one of.*did you mean 'proportional'",
        ),
        ({"schemes": ["uniform", "uniform"]}, "two arms are labelled 'uniform'"),
        ({"method": {"name": "prompt"}}, "leaves the weights as they are"),
        ({"gradient_steps": [4]}, "gradient_steps: must be at most steps 3, got 4"),
        ({"gradient_examples": 3}, "gradient_examples: .*greater than or equal to 4"),
        ({"further_markings": ["id"]}, "further_markings: must be others than transfer.marking"),
        ({"further_markings": ["instruction", "instruction"]}, "each once, got instruction, instruction"),
        ({"further_markings": ["exemplars"], "transfer": {"examples": [0, 14]}, "along": 14}, "than the 18"),
        ({"replay_ratios": [0, 0.5]}, "replay: is missing"),
        ({"replay_ratios": [1], "replay": {"text": {"source": "files", "path": "gone.txt"}}}, "gone.txt"),
        ({"arms": [{"label": "x", "tasks": "nothing"}]}, "x: tasks: no task read is named 'nothing'"),
        ({"arms": [{"label": "x", "groups": "nowhere"}]}, "x: groups: .*nowhere is no groups.json"),
        ({"arms": [{"lable": "x"}]}, "lable: unknown key.*label"),
        ({"transfer": {"examples": [0, 4, 40]}}, "fewer than the 40"),
    ],
)
def test_mistakes_are_told_before_anything_is_done(transfer, changes, told):
    with pytest.raises(InputError, match=told):
        run_study(transfer.study(**changes))
    assert not (transfer.folder / "study").exists()


def test_a_task_of_three_examples_has_no_gradients_to_compare(transfer):
    tasks = transfer.data["tasks"]
    few = [{**tasks[1], "max_examples": {"train": 3, "validation": 2, "test": 4}}]
    study = transfer.study(tasks=[tasks[0], *few, tasks[2]], gradient_steps=[0])
    with pytest.raises(InputError, match="4 batches are compared, and last has 3 training examples"):
        run_study(study)
    assert not study.folder.exists()


def test_a_plan_counts_gradients_and_markings(transfer):
    sizes = {**transfer.data["transfer"], "exemplars": 2}
    changes = {"schemes": ["uniform"], "further_markings": ["exemplars"], "transfer": sizes}
    plan = plan_study(transfer.study(**changes), measure=False)
    without = plan_study(transfer.study(schemes=["uniform"], transfer=sizes), measure=False)
    assert [stage.runs for stage in plan.stages] == [4, 1, 6]
    # Under the further marking as many fine-tunings, of the pretrained model and the last checkpoint.
    pretrained, _, measuring = without.stages
    assert plan.stages[0].steps == 2 * pretrained.steps
    assert plan.stages[2].steps == measuring.steps + pretrained.steps
    assert pretrained.prompts < plan.stages[0].prompts < 2 * pretrained.prompts, "asked in context once"


def test_the_demo_compares_three_schemes_with_and_without_replay(tmp_path):
    file = TOY_CHECKPOINT.parent / "transfer.yaml"
    study = Study.load(file, tmp_path / "demo")
    assert (len(study.train), len(study.held_out)) == (12, 6)
    assert not {task.name for task in study.train} & {task.name for task in study.held_out}
    assert {len(task["train"]) for task in study.train} == {32, 128, 512}, "schemes differ where sizes do"
    labels = [arm.label for arm in study.config.compared]
    assert labels == [
        f"{scheme}{replay}"
        for scheme in ("proportional", "uniform", "annealed 10 1 64")
        for replay in ("", ", replay 0.5")
    ]
    assert len(study.tunings) == len(labels) * 3
    plan = plan_study(study, measure=False)
    # Four checkpoints of each tuning, on every held-out task.
    assert [stage.runs for stage in plan.stages] == [6, 18, 18 * 4 * 6]
