import pytest
import yaml

from cotune.exceptions import InputError
from cotune.studies import Study, load_config


def message(path):
    with pytest.raises(InputError) as caught:
        load_config(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


def test_a_study_file_is_read(workshop):
    config = load_config(workshop.file())
    assert config.learner.training.batch_size == 2
    assert config.affinity.examples == 2
    assert config.comparison.budgets == (1, 2)
    assert load_config(workshop.file(comparison=None)).comparison is None
    assert load_config(workshop.file(kind="grouping")) == config


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grupping": {}}, "grupping: unknown key (did you mean 'grouping'?)"),
        ({"grouping": {"n_cluster": 2}}, "grouping.n_cluster: unknown key (did you mean 'n_clusters'?)"),
        ({"learner": {"kind": "langage_model"}}, "learner.kind: must be one of: "),
        ({"learner": {"kind": "language_model"}}, "learner.model: is required and missing"),
        (
            {"learner": {"kind": "language_model", "model": "m", "training": {"lerning_rate": 1}}},
            "learner.training.lerning_rate: unknown key (did you mean 'learning_rate'?)",
        ),
        (
            {"learner": {"kind": "language_model", "model": "m", "method": {"name": "lora", "rank": 3}}},
            "learner.method.rank: unknown key",
        ),
        (
            {"learner": {"kind": "language_model", "model": "m", "training": {"learning_rate": -1}}},
            "learner.training.learning_rate: input should be greater than 0, got -1",
        ),
        (
            {"learner": {"kind": "language_model", "model": "m", "training": {"batch_size": 1}}},
            "learner.training: tasks_per_batch must be at most batch_size 1, got 2",
        ),
        ({"affinity": {"examples": 3}}, "affinity: needs the key 'estimator'"),
        ({"tasks": {"reader": "natural_instruction", "path": "x"}}, "did you mean 'natural_instructions'?"),
        ({"tasks": []}, "tasks: the learner needs tasks"),
        ({"comparison": {"arms": ["grouped", "alone"]}}, "comparison.arms.1: name must be one of: grouped"),
        ({"kind": "gruping"}, "kind: must be one of: grouping"),
        ({"kind": "gruping"}, "got 'gruping' (did you mean 'grouping'?)"),
        ({"name": ...}, "name: is required and missing"),
    ],
)
def test_mistakes_name_file_key_and_what_is_valid(workshop, changes, expected):
    assert expected in message(workshop.file(**changes))


def test_what_is_not_a_mapping_or_not_yaml(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("name: [unclosed\ntasks: x\n")
    with pytest.raises(InputError, match=r"study.yaml, line \d+"):
        load_config(path)
    path.write_text("- a\n- b\n")
    assert "mapping" in message(path)
    path.write_text("name: a\nname: b\n")
    with pytest.raises(InputError, match="line 2: the key 'name' stands twice"):
        load_config(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_checks_before_compute(workshop):
    with pytest.raises(
        InputError, match=r"grouping.n_clusters: must be at most the number of tasks 4, got 5"
    ):
        workshop.study(grouping={"n_clusters": 5}).check()
    with pytest.raises(InputError, match="subset size"):
        workshop.study(affinity={"estimator": "higher_order", "subset_size": 9}).check()
    one = {**workshop.data["tasks"], "include": ["copy"]}
    with pytest.raises(InputError, match="at least two tasks"):
        workshop.study(tasks=one).check()
    twice = [workshop.data["tasks"], workshop.data["tasks"]]
    with pytest.raises(InputError, match="copy"):
        workshop.study(tasks=twice).check()


def test_notes_count_what_was_cut_by_reader_and_by_model(workshop):
    learner = {**workshop.data["learner"], "max_prompt_tokens": 32, "max_target_tokens": 10}
    tasks = {**workshop.data["tasks"], "exclude": ["repeat"]}
    notes = workshop.study(learner=learner, tasks=tasks).check()
    assert any("capped" in note for note in notes["copy"])
    assert any("cut at the end" in note for note in notes["copy"])
    assert any("were dropped" in note for note in notes["copy"])


def test_the_folder_lies_beside_the_file_and_leads_back_to_it(workshop):
    study = workshop.study()
    assert study.folder == workshop.folder / "study"
    with study.home.hold():
        pass
    again = Study.load(study.folder)
    assert again.path == study.path
    assert again.folder == study.folder


def test_folders_of_others_are_refused_and_left_alone(workshop):
    study = workshop.study()
    with study.home.hold():
        pass
    before = sorted(p.name for p in study.folder.iterdir())
    with pytest.raises(InputError, match="belongs to the study 'words'"):
        Study.load(workshop.file("other", name="other"), study.folder).home.check()
    elsewhere = workshop.file("third", tasks={**workshop.data["tasks"], "path": "elsewhere"})
    with pytest.raises(InputError, match="other tasks or another model"):
        Study.load(elsewhere, study.folder).home.check()
    assert sorted(p.name for p in study.folder.iterdir()) == before
    with pytest.raises(InputError, match="files of something else"):
        Study.load(study.path, workshop.tasks).home.check()
    with pytest.raises(InputError, match="is a file"):
        Study.load(study.path, study.path).home.check()
    # Editing anything but name, tasks' source and model leaves the folder the study's.
    workshop.study(seed=4, comparison=None).home.check()


def test_two_processes_do_not_share_a_folder(workshop):
    study = workshop.study()
    with study.home.hold(), pytest.raises(InputError, match="Another process"), study.home.hold():
        pass


def test_every_option_is_described():
    from cotune.studies import KINDS
    from cotune.studies.grouping.estimators import ESTIMATORS
    from cotune.studies.grouping.learners import LEARNERS

    kinds = [kind.config_class for kind in KINDS.values()]
    for cls in (*kinds, *ESTIMATORS.values(), *LEARNERS.values()):
        for name, field in cls.model_fields.items():
            assert field.description, f"{cls.__name__}.{name}"


def test_the_shipped_examples_are_valid():
    from pathlib import Path

    examples = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
    assert examples
    for example in examples:
        assert load_config(example).name == yaml.safe_load(example.read_text())["name"]
