"""The numbers of a retention report: means and errors, the table, the verdict, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
from retention_samples import KEPT, RATES, TASKS, in_context, retention_report

from cotune.exceptions import InputError
from cotune.findings.retention import (
    InContextValue,
    Mean,
    RetentionCheckpoint,
    RetentionRun,
    RetentionScores,
    RetentionTask,
    TargetScore,
    retention_verdict,
)
from cotune.findings.wording import DASH
from cotune.report.retention_table import retention_table

# Table 2 of the paper, 1-shot: pretrained, fine-tuning, ProMoT, ProMoT + 1-shot.
TABLE_2 = {
    "CB": (46.43, 73.214, 66.070, 83.929),
    "WiC": (49.687, 50.000, 51.411, 51.254),
    "triviaQA": (17.582, 0.150, 17.643, 17.820),
    "web_questions": (9.695, 0.049, 11.073, 10.138),
    "WMT16_ende": (3.974, 0.000, 2.018, 2.256),
    "WMT16_enro": (1.818, 0.000, 0.704, 0.870),
    "XSum": (6.410, 0.000, 7.020, 6.941),
    "WikiLingua": (4.585, 0.000, 4.841, 4.874),
}
METHODS = ("fine-tuning", "ProMoT", "ProMoT + 1-shot")
RTE = (92.06, 92.78, 93.86)


def of_table_2(column):
    return tuple(
        InContextValue(task=task, shots=1, draws=(values[column] / 100,)) for task, values in TABLE_2.items()
    )


@pytest.fixture
def table_2():
    runs = tuple(
        RetentionRun(
            method=method,
            learning_rate=1e-3,
            seed=0,
            checkpoints=(
                RetentionCheckpoint(
                    stage="model",
                    step=1000,
                    targets=(TargetScore(task="RTE", validation=RTE[i] / 100, test=RTE[i] / 100),),
                    in_context=of_table_2(i + 1),
                ),
            ),
            best=0,
        )
        for i, method in enumerate(METHODS)
    )
    return retention_report(
        targets=(RetentionTask(name="RTE", metric="accuracy"),),
        evaluation=tuple(RetentionTask(name=task, metric="its own") for task in TABLE_2),
        methods=METHODS,
        rates=(1e-3,),
        seeds=(),
        pretrained=RetentionCheckpoint(stage="pretrained", step=0, in_context=of_table_2(0)),
        runs=runs,
        threshold=None,
    )


def row_of(table, name):
    return next(row for row in table.rows if row.name == name)


def texts(row):
    return [[cell.text for cell in column] for column in row.cells]


def kept_by_seed(method, shares):
    """Replace what a method keeps at its chosen checkpoint, seed by seed."""
    data = retention_report(methods=("full", "joint"), rates=RATES[:1])

    def changed(run):
        if run.method != method:
            return run
        values = in_context(shares[run.seed], np.random.default_rng(0))
        checkpoint = replace(run.checkpoints[run.equal], in_context=values)
        return replace(run, checkpoints=(checkpoint,), equal=0, best=0)

    return replace(data, runs=tuple(map(changed, data.runs)))


def test_the_paper_s_table_and_its_normalised_averages(table_2):
    table = retention_table(table_2, at="best")
    assert table.columns == ("pretrained", *METHODS)
    assert texts(row_of(table, "RTE")) == [[DASH], ["92.1"], ["92.8"], ["93.9"]]
    assert texts(row_of(table, "average")) == [["17.5"], ["15.4"], ["20.1"], ["22.3"]]
    assert [row.name for row in table.rows][:2] == ["RTE", "CB"]
    kinds = [column[0].kind for column in row_of(table, "CB").cells]
    assert kinds == ["low", "", "", "high"]
    assert [column[0].kind for column in row_of(table, "XSum").cells] == ["", "low", "high", ""]


def test_the_verdict_on_the_paper_s_table(table_2):
    verdict = retention_verdict(table_2)
    assert verdict.headline.replace("\xa0", " ") == (
        "ProMoT + 1-shot keeps 127 % of the in-context learning, fine-tuning 88 %."
    )
    assert "average 1-shot score over 8 tasks, 17.5 before tuning" in verdict.sentence
    assert "with one seed, which proves little" in verdict.sentence


def test_a_mean_has_both_sources_of_error():
    seeds_only = np.array([[1.0, 1.0], [3.0, 3.0]])
    assert Mean.of(seeds_only) == Mean(2.0, 1.0, 2)
    assert Mean.of(seeds_only.T) == Mean(2.0, 1.0, 2)
    assert Mean.of(np.array([[1.0, 3.0]])) == Mean(2.0, 1.0, 1)
    assert math.isnan(Mean.of(np.array([[1.0]])).stderr)


def test_the_standard_error_is_that_of_crossed_seeds_and_draws():
    rng = np.random.default_rng(0)
    n, n_seeds, n_draws = 4000, 3, 4
    values = (
        rng.normal(0, 2, (n, n_seeds, 1))
        + rng.normal(0, 3, (n, 1, n_draws))
        + rng.normal(0, 1, (n, n_seeds, n_draws))
    )
    true = 2**2 / n_seeds + 3**2 / n_draws + 1 / (n_seeds * n_draws)
    estimated = np.mean([Mean.of(one).stderr ** 2 for one in values])
    interaction = 1 / (n_seeds * n_draws)
    assert estimated == pytest.approx(true + interaction, rel=0.05)


def test_the_table_shows_the_chosen_checkpoints():
    data = retention_report(methods=("full", "promot"))
    equal, best = (retention_table(data, at=at) for at in ("equal", "best"))
    assert equal.learning_rate == RATES[0]
    assert equal.shots == (1, 4)
    runs = [run for run in data.runs if run.method == "promot" and run.learning_rate == RATES[0]]
    for table, position in ((equal, "equal"), (best, "best")):
        chosen = [run.checkpoints[getattr(run, position)] for run in runs]
        target = np.mean([c.targets[0].test for c in chosen])
        sort = np.mean([v.draws for c in chosen for v in c.in_context if (v.task, v.shots) == ("sort", 4)])
        assert row_of(table, "more").cells[2][0].text == f"{100 * target:.1f}"
        assert row_of(table, "sort").cells[2][1].text == f"{100 * sort:.1f}"
    assert retention_table(data, learning_rate=RATES[1]) != equal


def test_methods_that_miss_the_target_score_are_told():
    data = retention_report(methods=("full", "promot"), rates=RATES[:1])
    runs = [replace(run, equal=None) if run.method == "full" or run.seed == 2 else run for run in data.runs]
    data = replace(data, runs=tuple(runs))
    table = retention_table(data)
    assert table.columns == ("pretrained", "promot")
    assert table.remarks == (
        "full reached the target score in no run.",
        "promot reached the target score in 2 of 3 runs.",
    )
    verdict = retention_verdict(data)
    assert verdict.headline.startswith("promot keeps 9")
    assert "best checkpoint by validation score" in verdict.sentence, "one method alone is no comparison"
    assert verdict.remarks[0] == (
        "At learning rate 0.0003 not every run reached the target score: full in none of 3 runs, promot in 2 "
        "of 3 runs."
    )
    assert retention_table(data, at="best").columns == ("pretrained", "full", "promot")


def test_losses_are_shown_in_their_own_units_and_left_out_of_averages():
    data = retention_report(methods=("full",), rates=RATES[:1])
    tasks = tuple(replace(t, higher_is_better=t.name != "sort") for t in data.evaluation)
    table = retention_table(replace(data, evaluation=tasks))
    assert table.rows[-2].name == "average of 3 of 4 tasks"
    assert row_of(table, "sort").cells[0][1].text == f"{np.mean(_draws(data.pretrained, 'sort', 4)):.3f}"
    three = np.mean([_draws(data.pretrained, name, 4) for name in TASKS if name != "sort"])
    assert table.rows[-2].cells[0][1].text == f"{100 * three:.1f}"


def _draws(checkpoint, task, shots):
    return next(v.draws for v in checkpoint.in_context if (v.task, v.shots) == (task, shots))


def test_the_verdict_orders_the_methods_by_what_they_keep():
    verdict = retention_verdict(retention_report())
    plain = verdict.sentence.replace("\xa0", " ")
    kept = [
        plain.index(f"{method} {100 * KEPT[method]:.0f} %"[:-5]) for method in ("promot", "joint", "full")
    ]
    assert kept == sorted(kept)
    assert verdict.headline.replace("\xa0", " ") == "promot keeps 94 % of the in-context learning, full 45 %."
    assert "promot is ahead of joint, the next, in each of 3 seeds." in plain
    assert "prompt leaves the model as it is" in " ".join(verdict.remarks)
    assert "reached the target score: prompt in 2 of 3 runs." in " ".join(verdict.remarks)
    assert any(remark.startswith("At learning rate 0.001, ") for remark in verdict.remarks)
    assert any(remark.startswith("At each method's best checkpoint, ") for remark in verdict.remarks)


def test_the_verdict_is_about_the_learning_rate_where_most_methods_reach_the_target():
    data = retention_report(methods=("full", "promot"))
    missed = [
        replace(run, equal=None) if run.method == "promot" and run.learning_rate == RATES[0] else run
        for run in data.runs
    ]
    verdict = retention_verdict(replace(data, runs=tuple(missed)))
    assert verdict.sentence.startswith("At learning rate 0.001, at the first checkpoint that scores 90 %")
    assert any(
        remark.startswith("At learning rate 0.0003, chosen the same way: full") for remark in verdict.remarks
    )


def test_seeds_that_miss_the_target_are_counted():
    data = retention_report(methods=("full", "promot"), rates=RATES[:1])
    runs = [replace(run, equal=None) if (run.method, run.seed) == ("full", 1) else run for run in data.runs]
    verdict = retention_verdict(replace(data, runs=tuple(runs)))
    assert "over 2 of 3 seeds)" in verdict.sentence
    assert "promot is ahead of full, the next, in each of 2 seeds." in verdict.sentence


def test_an_order_that_differs_between_seeds_is_open():
    verdict = retention_verdict(kept_by_seed("full", {0: 0.9, 1: 0.9, 2: 0.3}))
    assert "full is ahead of joint, the next, in 2 of 3 seeds only" in verdict.sentence
    assert "30 to 90\xa0% over 3 seeds" in verdict.sentence


def test_a_share_is_of_the_same_run_s_tasks():
    data = kept_by_seed("full", {0: 0.5, 1: 0.6, 2: 0.7})
    kept = RetentionScores(data).kept("full", RATES[0], "equal", 4)
    assert kept == {seed: pytest.approx(share, abs=0.02) for seed, share in {0: 0.5, 1: 0.6, 2: 0.7}.items()}


@pytest.mark.parametrize(
    "change",
    [
        {"runs": ()},
        {"methods": ("prompt",), "seeds": (0, 2)},
        {"pretrained": RetentionCheckpoint(stage="pretrained", step=0, in_context=()), "runs": ()},
    ],
)
def test_nothing_to_compare_is_said(change):
    verdict = retention_verdict(retention_report(**change))
    assert verdict.headline == "No method can be compared."


def _with_run(**change):
    data = retention_report(methods=("full",), rates=RATES[:1], seeds=(0,))
    return replace(data, runs=(replace(data.runs[0], **change),))


def _with_checkpoint(**change):
    return _with_run(checkpoints=(RetentionCheckpoint(stage="model", step=1, **change),), best=0, equal=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            retention_report(targets=()),
            "needs at least one target, evaluation task, method and learning rate",
        ),
        (retention_report(learning_rates=(), runs=()), "and learning rate"),
        (retention_report(targets=(RetentionTask(name="sort", metric="x"),)), "lists task 'sort' twice"),
        (_with_run(method="fll"), "has the run of fll, learning rate 0.0003, seed 0, but not its method"),
        (
            _with_run(learning_rate=7.0),
            "learning rate 7, seed 0, but not its method or not its learning rate",
        ),
        (_with_run(best=99), "has 5 checkpoints, so none is number 99"),
        (
            _with_checkpoint(in_context=(InContextValue(task="sort", shots=4, draws=(0.5,)),)),
            "has 1 draws of task 'sort' at 4 shots, the pretrained model 3; they must agree",
        ),
        (
            _with_checkpoint(targets=(TargetScore(task="les", validation=0.1, test=0.1),)),
            "has a score of 'les', which is none of the targets",
        ),
    ],
)
def test_parts_that_contradict_each_other_are_refused(data, message):
    with pytest.raises(InputError, match=message) as caught:
        retention_verdict(data)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        retention_table(data)
