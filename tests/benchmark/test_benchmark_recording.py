from dataclasses import replace

import numpy as np
import pytest
import yaml
from benchmark_samples import table

from cotune.benchmark.recording import affinity_only, assign, read_families, record, screened
from cotune.benchmark.study_files import paper_study, recording_study
from cotune.exceptions import InputError
from cotune.studies import Study

LEARNER = {
    "kind": "function_classes",
    "classes": ["linear-1.0", "linear-0.9", "tree-1.0", "tree-0.9"],
    "width": 8,
    "layers": 1,
    "heads": 1,
    "points": 4,
    "batch_size": 6,
    "base_steps": 4,
    "eval_prompts": 10,
}


@pytest.fixture
def study(tmp_path):
    data = {
        "name": "small functions",
        "learner": LEARNER,
        "affinity": {"estimator": "higher_order", "subset_size": 2, "subsets": 6, "steps_per_task": 2},
        "executor": {"workers": 0},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(data))
    return Study.load(path)


def test_a_recording_trains_for_the_affinity_alone_and_resumes(study):
    done = []

    class Events:
        def stage(self, title, total, reused):
            done.append((title, total, reused))

        def finished(self, record):
            pass

        def note(self, text):
            pass

    found = record(study, Events())
    assert found.scenario == "function_classes"
    assert found.families == ("linear", "linear", "tree", "tree")
    assert np.isfinite(found.affinity.matrix).all()
    assert len(found.single) == 4
    again = record(study, Events(), name="again", n_groups=2)
    np.testing.assert_array_equal(again.affinity.matrix, found.affinity.matrix)
    assert again.name == "again"
    assert done == [("affinity", 10, 0), ("affinity", 10, 10)]


def test_families_can_be_named(study):
    found = record(study, families={"big": ["*-1.0"], "small": ["*-0.9"]})
    assert found.families == ("big", "small", "big", "small")


def test_what_the_table_says_of_its_origin(study):
    origin = record(study).provenance
    assert origin["estimator"].startswith("higher-order (Eq. 6), 6 runs on subsets of 2")
    assert origin["runs"] == "10"
    assert origin["learner"] == "FunctionClassLearner"


def test_a_recording_compares_nothing(study):
    assert study.config.comparison is not None
    assert affinity_only(study).config.comparison is None


def test_screening_keeps_reasons_and_shares_in_the_table():
    one = table(families=2, size=4, noise=0.0)
    single = one.affinity.matrix.max(1) - 0.5 * np.ptp(one.affinity.matrix, axis=1)
    assert screened(replace(one, single=tuple(single)), 0.9).dropped == {}
    harmed = list(single)
    harmed[2] = one.affinity.matrix[2].max() + 1  # nobody's company helps task 2
    found = screened(replace(one, single=tuple(harmed)), 0.9)
    assert "task 2" not in found.tasks
    assert "3 of its 6 transfers within 'family 0'" in found.dropped["task 2"]
    assert found.provenance["positive transfers within families"] == "family 0 100 %, family 1 100 %"
    with pytest.raises(InputError, match="has no scores of tasks trained alone"):
        screened(one, 0.9)


def test_families_are_checked():
    tasks = ["a1", "a2", "b1"]
    assert assign(tasks, {"a": ["a*"], "b": ["b1"]}) == {"a1": "a", "a2": "a", "b1": "b"}
    for families, sentence in (
        ({"a": ["a*"]}, "Task b1 is in none of the families a"),
        ({"a": ["a*", "c1"], "b": ["b1"]}, "No task matches 'c1' of family 'a'"),
        ({"a": ["*"], "b": ["b1"]}, "Task b1 is in two families, 'a' and 'b'"),
    ):
        with pytest.raises(InputError, match=sentence):
            assign(tasks, families)


@pytest.mark.parametrize("text", ["", "a: b", "[a, b]", "a: []", "{"])
def test_a_file_without_families_is_refused(tmp_path, text):
    path = tmp_path / "families.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"families\.yaml"):
        read_families(path)


def test_study_files_keep_local_paths_usable_from_where_they_lie(tmp_path):
    data, home, model = (tmp_path / name for name in ("data", "home", "model"))
    for folder in (data, home, model):
        folder.mkdir()
    (data / "rows.jsonl").write_text('{"input": "a", "target": "b"}\n')
    (data / "more.yaml").write_text(yaml.safe_dump({"reader": "jsonl", "path": "rows.jsonl"}))
    (data / "hub.yaml").write_text(yaml.safe_dump({"tasks": [{"reader": "huggingface", "path": "some/one"}]}))
    paths = [data / "rows.jsonl", data / "more.yaml", data / "hub.yaml"]
    study = recording_study("name", str(model), paths, home)
    assert study["learner"]["model"] == "../model"
    assert [entry["path"] for entry in study["tasks"]] == ["../data/rows.jsonl"] * 2 + ["some/one"]
    assert recording_study("name", "hub/model", paths, home)["learner"]["model"] == "hub/model"


def test_the_papers_studies_take_another_model():
    assert paper_study("rte")["learner"]["model"] == "google-t5/t5-base"
    assert paper_study("rte", "own/model")["learner"]["model"] == "own/model"
    with pytest.raises(InputError, match=r"got 'rtee' \(did you mean 'rte'\?\)"):
        paper_study("rtee")
