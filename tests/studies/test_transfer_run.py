import csv
import json

import pytest

from cotune.findings.transfer import transfer_findings
from cotune.studies import collect_study, run_study, study_status
from cotune.studies.transfer._checkpoints import Checkpoints


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


def table(folder, name="results.csv"):
    with (folder / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_study_measures_every_checkpoint_on_every_held_out_task(transfer):
    study, counter = transfer.study(), Counter()
    result = run_study(study, counter)
    assert counter.stages == [("pretrained", 2, 0), ("tuning", 2, 0), ("measuring", 8, 0)]
    data = result.data
    assert [arm.label for arm in data.arms] == ["proportional", "even"]
    assert sorted(task.name for task in data.held_out) == ["less", "reverse"]
    for run in data.runs:
        assert [checkpoint.step for checkpoint in run.checkpoints] == [0, 1, 3]
        zero, middle, last = run.checkpoints
        assert zero.held_out == ()
        assert {loss.task for loss in zero.seen} == {"first", "middle", "greater", "last"}
        assert zero.seen != last.seen
        for task in data.held_out:
            assert [p.examples for p in middle.of(task.name).transfer] == [0, 4]
            assert [p.examples for p in last.of(task.name).transfer] == [0, 2, 4]
            assert all(len(p.scores) == 1 for p in last.of(task.name).transfer)
            assert [p.examples for p in last.of(task.name).in_context] == [1, 2]
        assert sum(dict(run.instructions).values()) == 3 * 4, "as many under every scheme"
    one, other = data.runs
    assert one.instructions != other.instructions
    assert one.last != other.last, "the sizes of the tasks differ, and so the schemes"

    rows = table(study.folder)
    # The pretrained model: two tasks, transfer of 3 and in context 2.
    assert len([row for row in rows if row["arm"] == "pretrained"]) == 2 * (3 + 2)
    seen = 3 * 4 * 2
    assert len([row for row in rows if row["arm"] == "even"]) == seen + 2 * (2 + 2) + 2 * (3 + 2)
    assert len(table(study.folder, "points.csv")) == 2 + 2 * 2 * 2
    found = json.loads((study.folder / "results.json").read_text())
    assert found["findings"]["relation"]["overall"]["n"] == 10
    assert len(found["claims"]) == 4
    assert any("0.936" in line for line in result.sentences())
    page = result.report.read_text()
    assert "0.936" in page
    assert "<script" not in page
    assert not (study.folder / "shared" / "checkpoints").exists()
    assert not (study.folder / "shared" / "states").exists()

    again = Counter()
    assert run_study(transfer.study(), again).data == data
    assert again.runs == []
    status = study_status(study)
    assert status.complete
    assert list(status.sentences()) == list(result.sentences())
    assert [claim["agreement"] for claim in status.to_dict()["claims"]] == [
        claim.agreement for claim in result.findings.claims
    ]
    assert collect_study(study).data == data


def test_an_arm_of_no_learning_transfers_as_the_pretrained_model(transfer):
    """Weights that moved by nothing to speak of give the baseline's own numbers."""
    still = {**transfer.data["training"], "learning_rate": 1e-30}
    data = run_study(transfer.study(training=still, schemes=["uniform"])).data
    (run,) = data.runs
    for before in data.pretrained.held_out:
        assert run.last.of(before.task) == before
    findings = transfer_findings(data)
    assert findings.arms[0].relative == 1
    assert all(entry.transfer == 0 and entry.in_context == 0 for entry in findings.forgetting)


def test_replay_comes_on_top_and_its_effect_is_paired(transfer):
    text = {"text": {"source": "toy_language", "n_documents": 40}, "seq_len": 48, "pack": False}
    study = transfer.study(schemes=["uniform"], replay=text, replay_ratios=[0, 0.5], checkpoints=[])
    data = run_study(study).data
    without, replayed = data.runs
    assert [arm.label for arm in data.arms] == ["uniform", "uniform, replay 0.5"]
    assert (without.windows, replayed.windows) == (0, 3 * 4 // 2)
    assert without.instructions == replayed.instructions
    assert all(loss is not None for loss in replayed.replay_losses)
    (effect,) = transfer_findings(data).replay
    pairs = [(replayed.last.of(task.name), without.last.of(task.name)) for task in data.held_out]
    differences = [one.shown(2).loss - other.shown(2).loss for one, other in pairs]
    assert effect.in_context_loss.mean == pytest.approx(sum(differences) / 2)
    assert effect.in_context_loss.n == 2
    assert "Replay at a ratio of 0.5" in (study.folder / "report.html").read_text()


def test_what_is_added_later_is_measured_and_nothing_else(transfer):
    run_study(transfer.study(schemes=["uniform"]))
    counter = Counter()
    run_study(transfer.study(schemes=["uniform", "proportional"]), counter)
    assert [record.kind for record in counter.runs] == ["instruct"] + ["measure"] * 4
    # Other questions need the checkpoints again: all is tuned once more, the pretrained model asked anew.
    counter = Counter()
    shown = {**transfer.data["in_context"], "shots": [1]}
    run_study(transfer.study(schemes=["uniform"], in_context=shown), counter)
    assert [record.kind for record in counter.runs] == ["measure"] * 2 + ["instruct"] + ["measure"] * 4


def test_a_study_that_was_stopped_goes_on(transfer, monkeypatch):
    class StopError(Exception):
        pass

    def add_and_stop(self, step, seen, parts):
        add(self, step, seen, parts)
        if step == 1:
            raise StopError

    class Stopping(Counter):
        def finished(self, record):
            super().finished(record)
            if len(self.runs) == 1 + 2:
                raise StopError

    changes = {"schemes": ["uniform"]}
    whole = run_study(transfer.study(**changes)).data
    study = transfer.study(**changes)
    folder = study.folder
    folder.rename(folder.with_name("whole"))
    add = Checkpoints.add
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "add", add_and_stop)
        with pytest.raises(StopError):
            run_study(study)
    assert [stage.done for stage in study_status(study).stages] == [2, 0, 0]
    with pytest.raises(StopError):
        run_study(study, Stopping())
    status = study_status(study)
    assert [(stage.done, stage.wanted) for stage in status.stages] == [(2, 2), (1, 1), (2, 4)]
    assert status.sentences()[0] == "So far, by 5 of 7 runs:"
    counter = Counter()
    data = run_study(study, counter).data
    assert len(counter.runs) == 2
    for one, other in zip(data.runs, whole.runs, strict=True):
        assert one.checkpoints == other.checkpoints
        assert one.losses == other.losses


def test_arms_may_differ_in_method_and_tasks(transfer):
    arms = [
        {"label": "lora on two", "method": {"name": "lora", "r": 2}, "tasks": ["first", "g*"]},
        {
            "label": "promot",
            "method": {"name": "promot", "prompt_length": 2, "prompt_steps": 1, "prompt_learning_rate": 0.05},
            "scheme": {"name": "temperature", "temperature": 2},
            "training": {"learning_rate": 0.0001},
        },
    ]
    study = transfer.study(schemes=..., arms=arms)
    data = run_study(study).data
    one, other = data.runs
    assert {loss.task for loss in one.last.seen} == {"first", "greater"}
    assert [(arm.label, arm.method, arm.scheme) for arm in data.arms] == [
        ("lora on two", "lora", "round robin"),
        ("promot", "promot", "temperature 2"),
    ]
    assert len(other.last.seen) == 4
    assert data.failures == ()


def test_groups_of_a_grouping_study_give_a_model_each(transfer):
    groups = {"groups": [["first", "middle", "reverse"], ["greater", "unknown"], ["max"]]}
    (transfer.folder / "groups.json").write_text(json.dumps(groups))
    data = run_study(transfer.study(schemes=..., arms=[{"label": "grouped", "groups": "groups.json"}])).data
    assert [arm.groups for arm in data.arms] == [2]
    assert [(run.group, {loss.task for loss in run.last.seen}) for run in data.runs] == [
        ("group-0", {"first", "middle"}),
        ("group-1", {"greater"}),
    ]
    assert [run.last.step for run in data.runs] == [1, 1], "each has its share of the steps"


def test_runs_that_fail_are_told_and_the_others_reported(transfer):
    arms = [
        {"label": "good"},
        {"label": "bad", "training": {"max_loss": 1e-6}},
    ]
    counter = Counter()
    result = run_study(transfer.study(schemes=..., arms=arms), counter)
    assert [run.arm for run in result.data.runs] == ["good"]
    (failure,) = result.data.failures
    assert failure.name == "bad, seed 3"
    assert "exploded" in failure.error
    again = Counter()
    run_study(transfer.study(schemes=..., arms=arms), again)
    assert again.runs == []


def test_an_encoder_decoder_is_studied_as_well(transfer, tiny_sentinel):
    """Replayed text is corrupted in spans there."""
    text = {"text": {"source": "toy_language", "n_documents": 40}, "seq_len": 48, "pack": False}
    study = transfer.study(
        model=str(tiny_sentinel), schemes=["uniform"], replay=text, replay_ratios=[0, 0.5], checkpoints=[]
    )
    data = run_study(study).data
    without, replayed = data.runs
    assert replayed.windows == 6
    assert all(loss is not None for loss in replayed.replay_losses)
    for run in data.runs:
        for task in data.held_out:
            measured = run.last.of(task.name)
            assert [p.examples for p in measured.transfer] == [0, 2, 4]
            assert [p.examples for p in measured.in_context] == [1, 2]
    assert without.last != replayed.last
    assert without.last.held_out != data.pretrained.held_out
    assert study_status(study).complete


def test_gradients_and_markings_are_measured_beside_the_rest_and_change_nothing(transfer):
    shown = {**transfer.data["transfer"], "examples": [0, 4], "exemplars": 2}
    plain = run_study(transfer.study(schemes=["uniform"], transfer=shown)).data
    (transfer.folder / "study").rename(transfer.folder / "plain")
    study = transfer.study(
        schemes=["uniform"],
        transfer=shown,
        further_markings=["exemplars"],
        gradient_steps=[0, 2, 3],
        gradient_examples=4,
    )
    counter = Counter()
    result = run_study(study, counter)
    assert counter.stages == [("pretrained", 4, 0), ("tuning", 1, 0), ("measuring", 6, 0)]
    data, findings = result.data, result.findings
    (run,), (without,) = data.runs, plain.runs
    assert run.losses == without.losses, "to take gradients does not train"
    assert run.checkpoints == without.checkpoints, "nor does another step of them leave a checkpoint"
    assert data.pretrained == plain.pretrained

    assert [step for step, _ in run.gradients] == [0, 2, 3]
    start, *_, end = (of for _, of in run.gradients)
    assert start.tasks == ("first", "middle", "greater", "last")
    assert start.norms != end.norms
    assert [one.step for one in findings.conflicts] == [0, 2, 3]
    assert all(-1 <= one.direction.mean <= 1 for one in findings.conflicts)
    rows = table(study.folder, "gradients.csv")
    assert len(rows) == 3 * (4 + 6)
    assert {row["task"] for row in rows if row["norm"]} == {row["task"] for row in rows}

    assert [(one.marking, one.arm) for one in data.marked] == [("exemplars", ""), ("exemplars", "uniform")]
    for one in data.marked:
        assert {of.task for of in one.held_out} == {"reverse", "less"}
        assert all([p.examples for p in of.transfer] == [0, 4] for of in one.held_out)
        assert all(of.in_context == () for of in one.held_out)
    assert data.marked[0].held_out[0].transfer != data.pretrained.held_out[0].transfer, "another prompt"
    counts = {row["marking"]: 0 for row in table(study.folder)}
    for row in table(study.folder):
        counts[row["marking"]] += row["measure"] == "transfer"
    assert counts["exemplars"] == 2 * 2 * 2
    (difference,) = findings.marking_differences
    assert difference.level.sign == 0, "one seed decides nothing"
    told = "\n".join(result.sentences())
    assert "uniform, step 0 to 3: direction " in told
    assert "Marked by exemplars less by id" in told
    page = result.report.read_text()
    assert page.count('role="img"') == 11 + 3 + 1
    assert "mean cosine of two tasks" in page
    early = table(study.folder, "early.csv")
    assert {row["predictor"] for row in early} == {
        *("0 examples", "4 examples"),
        *("in context", "before tuning"),
    }
    assert {row["p"] for row in early} == {""}, "two tasks tell nothing"
    assert study_status(study).complete
