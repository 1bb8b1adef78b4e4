import csv
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml

from cotune.exceptions import InputError, RunError
from cotune.studies import Study, collect_study, plan_study, run_study, study_status
from cotune.studies.engine import open_store
from cotune.tasks import get_metric


class Counter:
    """Counts what a study does."""

    def __init__(self):
        self.stages, self.runs, self.notes = [], [], []

    def stage(self, title, total, reused):
        self.stages.append((title, total, reused))

    def finished(self, record):
        self.runs.append(record)

    def note(self, text):
        self.notes.append(text)


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_the_main_job_leaves_its_files_and_runs_nothing_twice(workshop):
    study, counter = workshop.study(), Counter()
    result = run_study(study, counter)
    folder = study.folder
    names = list(study.learner.tasks)
    assert sorted(names) == ["copy", "first", "last", "repeat"]

    table = rows(folder / "affinity.csv")
    assert table[0] == ["task", *names]
    written = np.array([[float(cell) for cell in row[1:]] for row in table[1:]])
    np.testing.assert_array_equal(written, result.estimate.affinity.matrix)

    groups = json.loads((folder / "groups.json").read_text())
    assert groups["k"] == 2 == len(groups["groups"])
    assert sorted(task for group in groups["groups"] for task in group) == sorted(names)
    assert [names.index(task) for task in groups["tasks"]] == [0, 1, 2, 3]
    for task, label in zip(groups["tasks"], groups["labels"], strict=True):
        assert task in groups["groups"][label]
    assert groups["objective"] <= groups["upper_bound"] + 1e-9
    assert groups["gap"] >= 0

    scored = rows(folder / "results.csv")[1:]
    # Four arms, two budgets, two seeds, four tasks; every cell has a score.
    assert len(scored) == 4 * 2 * 2 * 4
    assert all(row[6] for row in scored)
    assert {row[0] for row in scored} == {"grouped", "joint", "single", "random"}
    assert result.comparison.overall.decision in (folder / "report.html").read_text().lower()

    assert counter.stages[0][1:] == (4, 0)
    assert len(counter.runs) == 4 + counter.stages[1][1]
    again = Counter()
    second = run_study(workshop.study(), again)
    assert again.runs == []
    assert [stage[1] == stage[2] for stage in again.stages] == [True, True]
    assert second.groups.to_dict() == result.groups.to_dict()
    assert second.scores == result.scores


def test_arms_take_the_same_number_of_steps(workshop):
    from cotune.lab import PlantedConfig
    from cotune.studies.grouping import ComparisonConfig
    from cotune.studies.grouping._comparison import ArmRuns

    learner = PlantedConfig(tasks=5, groups=2).build((), workshop.folder)
    plan = ArmRuns.plan(learner, (0, 1, 0, 1, 1), ComparisonConfig(budgets=(3, 7)), 5)
    for (_, budget, _), runs in plan.cells.items():
        assert sum(run.steps for run in runs) == 5 * budget
        assert sorted(task for run in runs for task in run.subset) == sorted(learner.tasks)
    sizes = {cell: sorted(len(run.subset) for run in runs) for cell, runs in plan.cells.items()}
    assert sizes["random", 3, 0] == sizes["grouped", 3, 0] == [2, 3]
    assert sizes["joint", 3, 0] == [5]
    draws = {tuple(run.subset for run in plan.cells["random", 3, seed]) for seed in range(3)}
    assert len(draws) > 1


def test_adapters_load_in_plain_peft_and_score_as_recorded(workshop):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    study = workshop.study()
    result = run_study(study)
    groups = json.loads((study.folder / "groups.json").read_text())
    expected = {
        (s.task): s.per_example for s in result.scores if (s.arm, s.budget, s.seed) == ("grouped", 2, 0)
    }
    for number, tasks in enumerate(groups["groups"]):
        base = AutoModelForCausalLM.from_pretrained(study.config.learner.model)
        model = PeftModel.from_pretrained(base, str(study.folder / "adapters" / f"group-{number}")).eval()
        for task in tasks:
            score = study.learner.score(model, task, "test")
            np.testing.assert_allclose(score.per_example, expected[task], atol=1e-5)


def test_a_few_answers_of_kept_adapters_are_stored_and_shown(workshop):
    study = workshop.study(tasks={**workshop.data["tasks"], "metric": "token_f1"})
    result = run_study(study)
    header, *table = rows(study.folder / "answers.csv")
    assert header == ["task", "adapter", "input", "right_answer", "before", "after"]
    groups = json.loads((study.folder / "groups.json").read_text())["groups"]
    assert {(row[0], row[1]) for row in table} == {
        (task, f"group-{number}") for number, tasks in enumerate(groups) for task in tasks
    }
    metric = get_metric("token_f1")
    scores = {s.task: s for s in result.scores if (s.arm, s.budget, s.seed) == ("grouped", 2, 0)}
    for task in study.tasks:
        asked = [row for row in table if row[0] == task.name]
        assert [row[2:4] for row in asked] == [[e.input, e.targets[0]] for e in task["test"]]
        found = [metric.score(row[5], [row[3]]) for row in asked]
        np.testing.assert_allclose(found, scores[task.name].per_example)
    page = (study.folder / "report.html").read_text()
    assert "A few answers to every task" in page
    with open_store(study.home.store) as store:
        stored = list(store)
    assert sum("answers" in (record.payload or {}) for record in stored) == len(groups)


def test_a_kept_adapter_has_a_card_that_loads_it_and_tells_its_scores(workshop, monkeypatch):
    study = workshop.study()
    result = run_study(study)
    groups = json.loads((study.folder / "groups.json").read_text())["groups"]
    scores = {s.task: s for s in result.scores if (s.arm, s.budget, s.seed) == ("grouped", 2, 0)}
    for number, tasks in enumerate(groups):
        folder = study.folder / "adapters" / f"group-{number}"
        card = (folder / "README.md").read_text()
        front = yaml.safe_load(card.split("---")[1])
        told = {r["dataset"]["name"]: r["metrics"][0]["value"] for r in front["model-index"][0]["results"]}
        assert told == {task: pytest.approx(scores[task].value, abs=1e-4) for task in tasks}
        assert result.comparison.overall.sentence in card
        assert study.config.learner.model in card
        for task in tasks:
            assert f"| {task} | nll | {scores[task].value:.3f} |" in card
            assert f"Given three words, {task}." in card
        (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        monkeypatch.chdir(folder)
        loaded = {}
        exec(code, loaded)
        score = study.learner.score(loaded["model"].eval(), tasks[0], "test")
        np.testing.assert_allclose(score.per_example, scores[tasks[0]].per_example, atol=1e-5)
        prompts = json.loads(re.findall(r"```json\n(.*?)```", card, re.DOTALL)[0])
        assert list(prompts) == list(tasks)
        example = study.learner._data.kept(tasks[0], "test")[0]
        written = loaded["tokenizer"].decode(example[1].prompt)
        assert written == prompts[tasks[0]].replace("<the input>", example[0].input)


def test_a_lost_adapter_is_trained_again_and_nothing_else(workshop):
    import shutil

    study = workshop.study()
    run_study(study)
    weights = study.folder / "adapters" / "group-1" / "adapter_model.safetensors"
    before = weights.read_bytes()
    shutil.rmtree(weights.parent)
    counter = Counter()
    run_study(workshop.study(), counter)
    assert len(counter.runs) == 1
    assert weights.read_bytes() == before


def test_a_changed_number_of_groups_takes_old_adapters_away(workshop):
    run_study(workshop.study())
    study = workshop.study(grouping={"n_clusters": 1})
    run_study(study)
    assert [p.name for p in sorted((study.folder / "adapters").iterdir())] == ["group-0"]


def test_higher_order_affinity_with_scores_and_singles(workshop):
    study = workshop.study(
        affinity={"estimator": "higher_order", "subset_size": 2, "steps_per_task": 1}, comparison=None
    )
    counter = Counter()
    result = run_study(study, counter)
    assert len(counter.runs) == 6 + 4
    assert result.estimate.affinity.counts[0, 1] == 1
    assert set(result.estimate.single) == set(study.learner.tasks)
    assert result.estimate.affinity.matrix.max() < 0  # losses are negated at the boundary
    table = rows(study.folder / "scores.csv")
    assert len(table) == 1 + 10
    assert result.comparison is None


def test_a_diverging_run_ends_itself_and_not_the_study(workshop):
    calm = Counter()
    run_study(Study.load(workshop.file("calm")), calm)
    peaks = sorted(max(record.losses) for record in calm.runs if record.losses)
    training = {**workshop.data["learner"]["training"], "max_loss": peaks[len(peaks) // 2]}
    learner = {**workshop.data["learner"], "training": training}
    study, counter = workshop.study(learner=learner), Counter()
    result = run_study(study, counter)
    failed = [record for record in counter.runs if record.error]
    assert 0 < len(failed) < len(counter.runs)
    assert all(
        "exploded" in record.error and record.identity["subset"][0] in record.error for record in failed
    )
    assert all(record.error in (study.folder / "report.html").read_text() for record in failed[:1])
    status = study_status(workshop.study(learner=learner))
    assert status.complete
    assert len(status.errors) == len(failed)
    again = Counter()
    run_study(workshop.study(learner=learner), again)
    assert again.runs == []
    run_study(workshop.study(learner=learner), again, retry_failed=True)
    assert len(again.runs) == len(failed)
    assert result.scores


def test_when_all_affinity_runs_fail_the_study_says_so(workshop):
    training = {**workshop.data["learner"]["training"], "max_loss": 0.01}
    learner = {**workshop.data["learner"], "training": training}
    affinity = {"estimator": "higher_order", "subset_size": 2, "steps_per_task": 1}
    with pytest.raises(RunError, match="All 10 runs for the affinity failed, the first so: Training"):
        run_study(workshop.study(learner=learner, affinity=affinity))


def test_status_and_report_of_a_study_in_parts(workshop):
    study = workshop.study()
    with pytest.raises(InputError, match="no run of the study"):
        study_status(study)
    with pytest.raises(InputError, match="no run of the study"):
        collect_study(study)
    assert not study.folder.exists()
    run_study(workshop.study(comparison=None))
    status = study_status(workshop.study())
    assert not status.complete
    affinity = status.stages[0]
    assert (affinity.title, affinity.wanted, affinity.done) == ("affinity", 4, 4)
    assert status.stages[1].done == 0
    result = collect_study(workshop.study())
    assert result.comparison is None
    assert result.groups is not None
    assert result.report.is_file()


def test_a_plan_counts_and_measures_and_writes_nothing(workshop):
    study = workshop.study()
    plan = plan_study(study)
    affinity, comparison = plan.stages
    assert affinity.runs == 4
    assert comparison.steps == sum(run.steps for run in _comparison_runs(study)), (
        "the number of groups is given, so the plan is exact"
    )
    assert comparison.tokens > 0
    assert plan.wall_seconds > 0
    assert plan.memory_bytes > 2**27
    assert not study.folder.exists()
    quick = plan_study(workshop.study(), measure=False)
    assert quick.wall_seconds is None
    assert quick.stages[1].runs == comparison.runs


def _comparison_runs(study):
    from cotune.studies.grouping._comparison import ArmRuns

    result = ArmRuns.plan(study.learner, (0, 0, 1, 1), study.config.comparison, study.config.seed)
    return result.runs


def test_the_pipeline_runs_function_classes_side_by_side(workshop, monkeypatch):
    learner = {"kind": "function_classes", "base_steps": 3, "width": 8, "heads": 2, "eval_prompts": 8}
    study = workshop.study(
        tasks=[],
        learner={**learner, "classes": ["linear-1.0", "tree-1.0", "relu-1.0"]},
        affinity={"estimator": "higher_order", "subset_size": 2, "steps_per_task": 1},
        comparison={"budgets": [1], "seeds": 2, "arms": ["grouped", "joint"]},
    )
    counter = Counter()
    result = run_study(study, counter)
    assert len(counter.runs) == counter.stages[0][1] + counter.stages[1][1]
    assert result.comparison is not None
    assert (study.folder / "adapters" / "group-0" / "model.safetensors").is_file()


SCRIPT = """
import sys
from pathlib import Path
from cotune.studies import Study, run_study
class Events:
    def stage(self, title, total, reused): pass
    def note(self, text): pass
    def finished(self, record): print(record.key, flush=True)
if __name__ == "__main__":
    run_study(Study.load(Path(sys.argv[1])), Events())
"""


def test_a_killed_study_keeps_its_runs_ends_its_workers_and_comes_to_the_same_groups(workshop, tmp_path):
    import psutil

    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    file = workshop.file("killed", executor={"workers": 1})
    process = subprocess.Popen([sys.executable, str(script), str(file)], stdout=subprocess.PIPE, text=True)
    done = [process.stdout.readline().strip() for _ in range(7)]
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    done += [line.strip() for line in process.stdout]
    process.wait()
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert gone
    assert not alive, "workers outlived their killed parent"

    with open_store(workshop.folder / "killed" / "runs.sqlite") as store:
        kept = store.keys()
        stamps = {record.key: record.seconds for record in store}
    assert set(done) <= kept
    counter = Counter()
    resumed = run_study(Study.load(file), counter)
    assert len(counter.runs) > 0
    assert not kept & {record.key for record in counter.runs}
    with open_store(workshop.folder / "killed" / "runs.sqlite") as store:
        assert {record.key: record.seconds for record in store if record.key in kept} == stamps
    whole = run_study(workshop.study())
    assert resumed.groups.to_dict() == whole.groups.to_dict()
    by_cell = {(s.arm, s.budget, s.seed, s.task): s.value for s in whole.scores}
    for score in resumed.scores:
        expected = by_cell[score.arm, score.budget, score.seed, score.task]
        np.testing.assert_allclose(score.value, expected, rtol=1e-4)
