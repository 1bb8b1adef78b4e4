import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from cotune.exceptions import InputError
from cotune.studies import Study, collect_study, plan_study, run_study, study_status
from cotune.studies.engine import open_store


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


def table(folder):
    with (folder / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_study_measures_every_checkpoint_and_runs_nothing_twice(retention):
    study, counter = retention.study(gradient_steps=[0, 2]), Counter()
    result = run_study(study, counter)
    assert counter.stages == [("pretrained", 1, 0), ("tuning", 2, 0)]
    assert [record.kind for record in counter.runs] == ["pretrained", "tune", "tune"]
    data = result.data
    full, promot = data.runs
    assert [(c.stage, c.step) for c in full.checkpoints] == [("weights", 0), ("weights", 2), ("weights", 3)]
    assert [(c.stage, c.step) for c in promot.checkpoints[:2]] == [("prompt", 0), ("prompt", 2)]
    assert [(c.stage, c.step) for c in promot.checkpoints[2:]] == [
        (c.stage, c.step) for c in full.checkpoints
    ]

    for run in data.runs:
        for checkpoint in run.checkpoints:
            cells = [(value.task, value.shots, len(value.draws)) for value in checkpoint.in_context]
            assert cells == [(task, shots, 2) for task in ("copy", "max", "less") for shots in (1, 2)]
            asked = checkpoint.stage == "weights" and checkpoint.step in (0, 2)
            assert bool(checkpoint.alignment) == asked
            if checkpoint.stage == "prompt" or checkpoint.step == 0:
                assert checkpoint.in_context == data.pretrained.in_context
        assert run.cost.cpu_seconds > 0
        assert run.cost.trainable_parameters == 153792
    assert promot.cost.tokens > full.cost.tokens
    assert promot.cost.disk_bytes == full.cost.disk_bytes + 4 * 64 * 4

    rows = table(study.folder)
    assert {row["method"] for row in rows} == {"pretrained", "full", "promot"}
    # Two scores of the target and six of the others at each of 1 + 3 + 5 checkpoints.
    assert len(rows) == 9 * (2 + 6)
    assert data.title in result.report.read_text()
    assert json.loads((study.folder / "results.json").read_text())["runs"][1]["method"] == "promot"
    assert not (study.folder / "shared" / "states").exists()

    again = Counter()
    second = run_study(retention.study(gradient_steps=[0, 2]), again)
    assert again.runs == []
    assert second.data == data


def test_what_the_last_stage_changed_stands_beside_every_result(retention):
    study = retention.study()
    result = run_study(study)
    for run in result.data.runs:
        last = [c for c in run.checkpoints if c.stage == "weights"]
        assert [c.change.moved for c in last] == [False, True, True]
        assert [c.change for c in run.checkpoints if c.stage != "weights"] == [None] * (
            len(run.checkpoints) - 3
        )
        assert 0 < last[-1].change.weights < 1
        assert last[-1].change.kl_target > last[-1].change.kl_other > 0
        assert run.checkpoints[run.best].step > 0
    found = result.findings.changed_by("full", 0.001, "best")
    best = result.data.runs[0].checkpoints[result.data.runs[0].best]
    assert found.weights == best.change.weights
    rows = [row for row in table(study.folder) if "best" in row["chosen"] and row["method"] == "full"]
    assert {float(row["weights_changed"]) for row in rows} == {best.change.weights}
    of_target, of_others = (
        {float(row["kl"]) for row in rows if (row["task"] == "weighted") == target}
        for target in (True, False)
    )
    assert (of_target, of_others) == ({best.change.kl_target}, {best.change.kl_other})
    assert json.loads((study.folder / "results.json").read_text())["last_stage"][0]["method"] == "full"
    page = result.report.read_text()
    assert "What the last stage changed" in page
    assert all(cell in page for cell in found.cells)
    lines = list(result.sentences())
    told = lines[lines.index("What the last stage changed, at best:") :]
    assert "KL target" in told[1]
    assert all(cell in told[2] for cell in ("full", *found.cells))


def test_a_run_that_tunes_nothing_is_no_result(retention):
    """At a learning rate that moves no number the weights are the base's to the bit: that keeps nothing."""
    lora = {"name": "lora", "label": "lora"}
    study = retention.study(
        methods=[{"name": "full"}, retention.data["methods"][1], lora], learning_rates=[1e-30]
    )
    result = run_study(study)
    data, verdict = result.data, result.findings.verdict
    for run in data.runs:
        assert all(not c.change.moved for c in run.checkpoints if c.change)
        assert run.best is run.equal is None
        assert run.checkpoints[-1].in_context == data.pretrained.in_context
    assert data.threshold is None
    assert verdict.headline == "No method can be compared."
    assert all(not kept.shares for kept in result.findings.kept)
    said = [s for s in verdict.remarks if s.startswith("Nothing was tuned in 1 of 1 run of ")]
    assert len(said) == 3
    assert set(said) <= set(result.sentences())
    assert "keeps" not in " ".join(result.sentences())
    assert not [row for row in table(study.folder) if row["chosen"]]
    assert "nothing was tuned" in result.report.read_text()


def test_nothing_untuned_is_kept_on_disk(retention):
    study = retention.study(methods=[{"name": "full"}], learning_rates=[1e-30], keep=True)
    run_study(study)
    assert not (study.folder / "models" / "full").exists()
    # What an earlier version kept, when step 0 could be chosen, is made again.
    tuned = retention.study(methods=[{"name": "full"}], keep=True)
    run_study(tuned)
    kept = tuned.folder / "models" / "full"
    record = json.loads((kept / "cotune.json").read_text())
    (kept / "cotune.json").write_text(json.dumps({k: v for k, v in record.items() if k != "chosen"}))
    again = Counter()
    run_study(retention.study(methods=[{"name": "full"}], keep=True), again)
    assert [run.identity["method"] for run in again.runs] == ["full"]
    assert json.loads((kept / "cotune.json").read_text()) == record


def test_records_of_before_changes_were_measured_are_read(retention):
    """What an earlier version stored has no change: it counts as not measured, and nothing is run again."""
    study = retention.study(methods=[{"name": "full"}])
    first = run_study(study)
    with open_store(study.folder / "runs.sqlite") as store:
        for record in list(store):
            checkpoints = record.payload["checkpoints"]
            for checkpoint in checkpoints:
                del checkpoint["change"], checkpoint["untouched"]
                for score in checkpoint["targets"]:
                    del score["answers"]
                for value in checkpoint["in_context"]:
                    del value["answers"], value["first_word_share"]
            record.payload.pop("sample", None)
            store.put([replace(record, payload={**record.payload, "checkpoints": checkpoints})])
    again = Counter()
    result = run_study(retention.study(methods=[{"name": "full"}]), again)
    assert again.runs == []
    assert [run.best for run in result.data.runs] == [run.best for run in first.data.runs]
    assert all(c.change is None for c in result.data.runs[0].checkpoints)
    assert set(result.findings.changes[0].cells) == {"\N{EN DASH}"}
    assert result.findings.answered == ()


def test_label_shares_count_what_is_no_answer_of_the_task(retention):
    data = run_study(retention.study(methods=[{"name": "full"}])).data
    shares = {value.task: value.label_share for value in data.runs[0].checkpoints[-1].in_context}
    assert data.labels == ("T", "F")
    assert shares["less"] is None, "its right answers are the target's labels"
    assert 0 <= shares["copy"] <= 1
    free = run_study(retention.study(targets="copy", methods=[{"name": "full"}]))
    assert free.data.labels == ()
    assert all(value.label_share is None for value in free.data.runs[0].checkpoints[-1].in_context)


def test_a_few_answers_before_and_after_are_kept_and_shown(retention):
    result = run_study(retention.study(methods=[{"name": "full"}]))
    data = result.data
    asked = {task.name: task.sample for task in (*data.targets, *data.evaluation)}
    assert [len(sample) for sample in asked.values()] == [3, 3, 3, 3]
    assert all(text.removesuffix(" >") == right for text, right in asked["copy"]), (
        "the example is its own answer"
    )
    (shown, *_) = result.findings.answered
    best = data.runs[0].checkpoints[data.runs[0].best]
    assert (shown.method, shown.step, shown.shots) == ("full", best.step, 2)
    by_task = {of.task: of.answers for of in shown.tasks}
    assert list(by_task) == ["weighted", "copy", "max", "less"]
    before = next(v for v in data.pretrained.in_context if (v.task, v.shots) == ("copy", 2))
    assert tuple(a.before for a in by_task["copy"]) == before.answers
    assert {a.after for a in by_task["weighted"]} <= {"T", "F"}
    page = result.report.read_text()
    assert "What was answered" in page
    assert all(answer.before in page for answer in by_task["copy"])
    values = data.runs[0].checkpoints[-1].in_context
    assert {v.task: v.first_word_share is None for v in values} == {"copy": False, "max": False, "less": True}
    assert all(v.label_share <= v.first_word_share for v in values if v.label_share is not None)


def test_averages_are_told_by_type_of_task(retention):
    one = {"methods": [{"name": "full"}]}
    result = run_study(retention.study(**one))
    types = {task.name: task.type for task in result.data.evaluation}
    assert types == {"copy": "short answers", "max": "short answers", "less": "classification"}
    scores = result.findings.scores
    best = result.data.runs[0].checkpoints[result.data.runs[0].best]
    mean = {v.task: sum(v.draws) / len(v.draws) for v in best.in_context if v.shots == 2}
    found = {(a.type, a.at): a for a in result.findings.by_type if a.shots == 2}
    both = found["short answers", "best"]
    assert (both.tasks, both.mean) == (2, pytest.approx((mean["copy"] + mean["max"]) / 2))
    assert found["classification", "best"].mean == pytest.approx(mean["less"])
    assert both.before == scores.average([result.data.pretrained], 2, ("copy", "max")).mean
    page = result.report.read_text()
    assert "average, short answers (2 tasks)" in page
    assert "By type of task" in page
    stored = json.loads((result.report.parent / "results.json").read_text())
    assert {a["type"] for a in stored["by_type"]} == {"short answers", "classification"}
    again = Counter()
    named = run_study(retention.study(**one, types={"all of it": "*"}), again)
    assert again.runs == [], "what a task is called changes no run"
    assert named.findings.by_type == ()
    with pytest.raises(InputError, match="types: task 'copy' is of two types, one and other"):
        run_study(retention.study(**one, types={"one": "c*", "other": ["copy", "max"]}))
    with pytest.raises(
        InputError, match=r"types\.one: no task read is named 'cpoy' \(did you mean 'copy'\?\)"
    ):
        run_study(retention.study(**one, types={"one": "cpoy"}))


def test_the_first_stage_is_done_once_for_all_learning_rates(retention):
    promot = retention.data["methods"][1]
    study = retention.study(methods=[promot], learning_rates=[0.001, 0.01])
    data = run_study(study).data
    one, other = data.runs
    assert one.checkpoints[:3] == other.checkpoints[:3]
    assert one.checkpoints[-1] != other.checkpoints[-1]
    assert len(list(study.stages.glob("*.json"))) == 1
    # Each is charged with all that it would have cost alone.
    assert min(one.cost.tokens, other.cost.tokens) > 0
    assert one.cost.tokens == other.cost.tokens


def test_methods_that_leave_the_weights_keep_the_pretrained_scores(retention):
    prompt = {"name": "prompt", "prompt_length": 4, "prompt_steps": 2, "prompt_learning_rate": 0.05}
    study = retention.study(methods=[{"name": "full"}, prompt], learning_rates=[0.001, 0.003])
    result = run_study(study)
    runs = [run for run in result.data.runs if run.method == "prompt"]
    assert [run.learning_rate for run in runs] == [0.001, 0.003]
    assert all(c.in_context == result.data.pretrained.in_context for run in runs for c in run.checkpoints)
    line = next(line for line in result.sentences() if line.startswith("prompt"))
    assert "100%" in line


def test_the_best_model_of_every_method_is_kept_and_made_again_when_lost(retention):
    import shutil

    from transformers import AutoModelForCausalLM

    study = retention.study(keep=True, learning_rates=[0.001, 0.003])
    run_study(study)
    models = study.folder / "models"
    assert sorted(folder.name for folder in models.iterdir()) == ["full", "promot"]
    AutoModelForCausalLM.from_pretrained(models / "full")
    AutoModelForCausalLM.from_pretrained(models / "promot" / "weights")
    assert not (study.folder / "shared" / "models").exists()
    before = (models / "full" / "model.safetensors").read_bytes()
    shutil.rmtree(models / "full")
    counter = Counter()
    run_study(retention.study(keep=True, learning_rates=[0.001, 0.003]), counter)
    assert [record.identity["method"] for record in counter.runs] == ["full"]
    assert (models / "full" / "model.safetensors").read_bytes() == before


def test_no_label_leads_out_of_the_folder_of_models(retention):
    labels = ["..", "../../x", "/etc", "a/b", "CON", "x" * 300]
    prompt = {"name": "prompt", "prompt_steps": 1}
    methods = [{**prompt, "prompt_length": n, "label": label} for n, label in enumerate(labels, start=1)]
    options = {"keep": True, "methods": methods}
    study = retention.study(**options)
    outside = set(study.folder.parent.iterdir()) | {study.folder}
    run_study(study)
    assert set(study.folder.parent.iterdir()) == outside
    models = list((study.folder / "models").iterdir())
    assert len(models) == len(labels)
    assert all((model / "adapter_model.safetensors").is_file() for model in models)
    assert "a%2Fb" in {model.name for model in models}
    again = Counter()
    run_study(retention.study(**options), again)
    assert again.runs == []


def test_models_are_not_kept_where_a_link_leads_elsewhere(retention, tmp_path):
    precious = tmp_path / "precious" / "full"
    precious.mkdir(parents=True)
    options = {"methods": [{"name": "full"}]}
    study = retention.study(**options)
    run_study(study)
    (study.folder / "models").symlink_to(precious.parent)
    with pytest.raises(InputError, match="there must be no links to elsewhere"):
        run_study(retention.study(**options, keep=True))
    assert list(precious.parent.iterdir()) == [precious]


def test_the_limit_of_examples_is_not_for_the_targets(retention):
    shown = {"shots": [1], "draws": 1, "max_examples": 1}
    data = run_study(retention.study(in_context=shown, methods=[{"name": "full"}])).data
    assert [task.examples for task in (*data.targets, *data.evaluation)] == [10, 1, 1, 1]
    last = data.runs[0].checkpoints[-1]
    assert {draw for value in last.in_context for draw in value.draws} <= {0.0, 1.0}
    # Twelve validation examples give twelfths; that none of the three checkpoints is at 0 or 1 is the seed's.
    scores = {checkpoint.targets[0].validation for checkpoint in data.runs[0].checkpoints}
    assert any(0 < score < 1 for score in scores)
    assert all(12 * score == pytest.approx(round(12 * score)) for score in scores)


def test_prompts_that_were_cut_are_told(retention):
    # Four demonstrations of copy take 32 tokens and its inputs four, those of the others less.
    shown = {"shots": [4], "draws": 1}
    result = run_study(retention.study(max_prompt_tokens=34, in_context=shown, methods=[{"name": "full"}]))
    assert result.data.notes == ("copy: to fit, the input of up to 8 prompts of a draw was cut at its end.",)


def test_runs_that_fail_are_told_and_the_others_reported(retention):
    study = retention.study(training={"batch_size": 4, "tasks_per_batch": 1, "max_loss": 0.001})
    counter = Counter()
    result = run_study(study, counter)
    errors = [record.error for record in counter.runs if record.error]
    assert len(errors) == 2
    assert all("Tuning by" in error and "exploded" in error for error in errors)
    assert [failure.name for failure in result.data.failures] == [
        "full, learning rate 0.001, seed 3",
        "promot, learning rate 0.001, seed 3",
    ]
    assert result.report.is_file()
    assert result.sentences()[0] == "No method can be compared."
    assert sorted(study_status(study).errors) == sorted(errors)
    again = Counter()
    run_study(study, again)
    assert again.runs == []


def test_status_and_report_of_a_study_in_parts(retention):
    study = retention.study()
    with pytest.raises(InputError, match="no run of the study"):
        study_status(study)
    assert not study.folder.exists()
    run_study(retention.study(methods=[{"name": "full"}]))
    status = study_status(study)
    assert not status.complete
    assert [(stage.title, stage.done, stage.wanted) for stage in status.stages] == [
        ("pretrained", 1, 1),
        ("tuning", 1, 2),
    ]
    result = collect_study(study)
    assert [run.method for run in result.data.runs] == ["full"]
    assert result.report.is_file()
    verdict = result.findings.verdict
    told = ["So far, by 1 of 2 runs:", verdict.headline, verdict.sentence]
    assert list(status.sentences()) == told
    assert status.to_dict()["verdict"] == {"headline": told[1], "sentence": told[2]}


def test_a_plan_counts_what_is_then_done_and_writes_nothing(retention):
    study = retention.study(learning_rates=[0.001, 0.003])
    plan = plan_study(study)
    assert not study.folder.exists()
    pretrained, tuning = plan.stages
    assert (pretrained.runs, tuning.runs) == (1, 4)
    assert tuning.steps == 2 * 3 + 2 * (2 + 3)
    assert plan.wall_seconds > 0
    assert plan.memory_bytes > 2**27
    assert any("promot" in note and "done once" in note for note in plan.notes)
    # 12 + 10 prompts of the target, and 3 tasks of 8 examples with 2 numbers of shots and 2 draws.
    assert pretrained.prompts == 22 + 96
    one = plan_study(retention.study(methods=[{"name": "full"}]), measure=False)
    assert one.wall_seconds is None
    assert one.stages[1].prompts == 3 * 22 + 2 * 96
    tokens = run_study(retention.study(methods=[{"name": "full"}])).data.runs[0].cost.tokens
    assert one.stages[1].tokens == pytest.approx(tokens, rel=0.1)


def test_a_plan_counts_what_stands_beside_the_targets(retention):
    of_tasks = {"tasks": ["copy", "less"], "shots": 3, "ratio": 1.0}
    of_text = {"text": {"source": "toy_language"}, "pack": False, "ratio": 2.0}
    methods = [
        {"name": "full"},
        {"name": "kl_to_base", "others": of_tasks},
        {"name": "self_distillation", "others": of_tasks},
        {"name": "replay", "others": of_text},
    ]
    shown = {"shots": [1], "draws": 1, "max_examples": 2}
    fixed = {"steps": 8, "checkpoint_every": 8, "in_context": shown}
    counted = {
        method["name"]: plan_study(retention.study(methods=[method], **fixed), measure=False).stages[1].tokens
        for method in methods
    }
    runs = run_study(retention.study(methods=methods, **fixed)).data.runs
    taken = {run.method: run.cost.tokens for run in runs}
    assert min(taken.values()) == taken["full"] < taken["kl_to_base"] / 2
    for name in ("full", "kl_to_base", "replay"):
        assert counted[name] == pytest.approx(taken[name], rel=0.1)
    # What the base answers is as long as the right answer at most.
    assert taken["self_distillation"] <= counted["self_distillation"] * 1.1
    assert taken["self_distillation"] > 0.8 * counted["self_distillation"]


SCRIPT = """
import sys
from pathlib import Path
from cotune.studies import Study, run_study
from cotune.studies.retention._watcher import RunWatcher

checkpoint = RunWatcher.checkpoint
def told(self, attached, stage, step):
    if (stage.name, step) == ("weights", 4):
        print("here", flush=True)
        sys.stdin.read()  # until it is killed
    return checkpoint(self, attached, stage, step)
RunWatcher.checkpoint = told
run_study(Study.load(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("lost", [False, True], ids=["its state there", "its state lost"])
def test_a_killed_study_goes_on_within_its_run_and_ends_with_the_same_results(
    retention, tmp_path, monkeypatch, lost
):
    from cotune.studies.retention._watcher import RunWatcher

    promot = {**retention.data["methods"][1], "prompt_steps": 3}
    changes = {"methods": [promot], "steps": 6, "checkpoint_every": 1}
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    file = retention.file(f"killed{lost:d}", **changes)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(script), str(file)], text=True, **pipes) as process:
        assert "here" in process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    folder = retention.folder / file.stem
    with open_store(folder / "runs.sqlite") as store:
        assert [record.kind for record in store] == ["pretrained"]
    status = study_status(Study.load(file))
    assert status.sentences() == ["promot at learning rate 0.001 with seed 3: step 3 of 6"]
    assert status.to_dict()["under_way"][0]["step"] == 3

    if lost:
        (state,) = (folder / "shared" / "states").glob("*/tuning")
        shutil.rmtree(state)
    asked = []
    checkpoint = RunWatcher.checkpoint

    def told(self, attached, stage, step):
        asked.append((stage.name, step))
        return checkpoint(self, attached, stage, step)

    monkeypatch.setattr(RunWatcher, "checkpoint", told)
    run_study(Study.load(file))
    assert ("weights", 6) in asked
    again = {("prompt", 3), ("weights", 2)} & set(asked)
    assert again == ({("weights", 2)} if lost else set()), "what was done is not done again"
    whole_run = run_study(Study.load(retention.file("whole", **changes)))
    (run,), (other,) = collect_study(Study.load(file)).data.runs, whole_run.data.runs
    assert [one.change for one in run.checkpoints] == [one.change for one in other.checkpoints]
    assert run.checkpoints[-1].change is not None
    verdict = collect_study(Study.load(file)).findings.verdict
    assert list(study_status(Study.load(file)).sentences()) == [verdict.headline, verdict.sentence]
    whole = (retention.folder / "whole" / "results.csv").read_bytes()
    assert (folder / "results.csv").read_bytes() == whole
