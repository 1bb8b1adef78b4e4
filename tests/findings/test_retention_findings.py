"""The findings of a retention study: means and errors, the verdict, and what is refused."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from samples.retention import KEPT, RATES, in_context, retention_report, table_2_report

from cotune.evaluation.last_stage import StageChange
from cotune.exceptions import InputError
from cotune.findings.retention import (
    InContextValue,
    Mean,
    RetentionCheckpoint,
    RetentionScores,
    RetentionTask,
    TargetScore,
    along_steps,
    checkpoint_at,
    retention_findings,
    target_score,
)


def verdict_of(data):
    return retention_findings(data).verdict


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


def test_the_verdict_on_the_paper_s_table():
    verdict = verdict_of(table_2_report())
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


def test_the_verdict_orders_the_methods_by_what_they_keep():
    verdict = verdict_of(retention_report())
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
    verdict = verdict_of(replace(data, runs=tuple(missed)))
    assert verdict.sentence.startswith("At learning rate 0.001, at the first checkpoint that scores 90 %")
    assert any(
        remark.startswith("At learning rate 0.0003, chosen the same way: full") for remark in verdict.remarks
    )


def test_methods_that_miss_the_target_score_are_told():
    data = retention_report(methods=("full", "promot"), rates=RATES[:1])
    runs = [replace(run, equal=None) if run.method == "full" or run.seed == 2 else run for run in data.runs]
    verdict = verdict_of(replace(data, runs=tuple(runs)))
    assert verdict.headline.startswith("promot keeps 9")
    assert "best checkpoint by validation score" in verdict.sentence, "one method alone is no comparison"
    assert verdict.remarks[0] == (
        "At learning rate 0.0003 not every run reached the target score: full in none of 3 runs, promot in 2 "
        "of 3 runs."
    )


def test_seeds_that_miss_the_target_are_counted():
    data = retention_report(methods=("full", "promot"), rates=RATES[:1])
    runs = [replace(run, equal=None) if (run.method, run.seed) == ("full", 1) else run for run in data.runs]
    verdict = verdict_of(replace(data, runs=tuple(runs)))
    assert "over 2 of 3 seeds)" in verdict.sentence
    assert "promot is ahead of full, the next, in each of 2 seeds." in verdict.sentence


def test_an_order_that_differs_between_seeds_is_open():
    verdict = verdict_of(kept_by_seed("full", {0: 0.9, 1: 0.9, 2: 0.3}))
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
    verdict = verdict_of(retention_report(**change))
    assert verdict.headline == "No method can be compared."


def changed_at(data, method, change, **more):
    """Let every run of a method have changed this by every checkpoint of its last stage."""

    def of(run):
        if run.method != method:
            return run
        stage = run.checkpoints[-1].stage
        return replace(
            run,
            checkpoints=tuple(
                replace(c, change=change, **more) if c.stage == stage and c.step else c
                for c in run.checkpoints
            ),
        )

    return replace(data, runs=tuple(map(of, data.runs)))


def test_what_changed_nothing_is_not_kept_best_or_equal():
    whole = retention_report(methods=("full", "joint", "promot"), rates=RATES[:1])
    data = changed_at(whole, "promot", StageChange.none())
    findings = retention_findings(data)
    assert "promot" not in findings.verdict.headline + findings.verdict.sentence
    assert not findings.kept_by("promot", RATES[0], "best").shares
    assert not findings.kept_by("promot", RATES[0], "equal").shares
    assert findings.changed_by("promot", RATES[0], "best").cells[0] == "nothing was tuned"
    assert findings.changed_by("promot", RATES[0], "best").unmoved == 3
    assert findings.verdict.remarks[0].startswith("Nothing was tuned in 3 of 3 runs of promot")


def test_a_checkpoint_before_the_first_step_is_no_result_whoever_chose_it():
    data = retention_report(methods=("full", "joint"), rates=RATES[:1])
    runs = tuple(replace(run, best=0, equal=0) if run.method == "full" else run for run in data.runs)
    findings = retention_findings(replace(data, runs=runs))
    assert not findings.kept_by("full", RATES[0], "equal").shares
    assert not findings.kept_by("full", RATES[0], "best").shares
    assert findings.verdict.headline.startswith("joint keeps")


def test_changes_are_means_over_the_seeds_that_have_one():
    change = StageChange(moved=True, weights=0.02, kl_target=1.5, answers_target=0.25)
    findings = retention_findings(changed_at(retention_report(rates=RATES[:1]), "full", change))
    found = findings.changed_by("full", RATES[0], "equal")
    assert (found.runs, found.unmoved, found.weights, found.kl_target) == (3, 0, 0.02, 1.5)
    assert math.isnan(found.kl_other)
    assert [cell.replace("\xa0", " ") for cell in found.cells] == [
        "2.0 %",
        "1.5",
        "\N{EN DASH}",
        "25 %",
        "\N{EN DASH}",
    ]
    assert findings.changed_by("joint", RATES[0], "equal").cells == 5 * ("\N{EN DASH}",), "not measured"
    assert findings.to_dict()["last_stage"][0]["weights"] == 0.02


def test_where_the_prompt_alone_reaches_the_target_it_is_said():
    def starting_at(run, score):
        first = next(i for i, c in enumerate(run.checkpoints) if c.stage == "model")
        there = (TargetScore(task="more", validation=score, test=score - 0.02),)
        begun = replace(run.checkpoints[first], targets=there, untouched=True)
        early = tuple(replace(c, untouched=True) for c in run.checkpoints[:first])
        return replace(run, checkpoints=(*early, begun, *run.checkpoints[first + 1 :]))

    data = retention_report(methods=("full", "promot"), rates=RATES[:1])
    runs = [starting_at(run, 0.92 if run.seed else 0.7) for run in data.runs]
    findings = retention_findings(replace(data, runs=tuple(runs)))
    (alone,) = findings.untuned
    assert (alone.model, alone.runs, alone.reached) == ("promot", 3, 2), "full has no prompt"
    plain = findings.verdict.remarks[0].replace("\xa0", " ")
    assert plain.startswith("The prompt alone reaches the target score (90.0 %) in 2 of 3 runs of promot")
    assert "validation 84.7 %, test 82.7 %" in plain
    assert findings.to_dict()["untuned"][0]["reached"] == 2
    with_lora = [
        replace(
            run,
            checkpoints=tuple(replace(c, stage=c.stage.replace("prompt", "lora")) for c in run.checkpoints),
        )
        for run in runs
    ]
    said = retention_findings(replace(data, runs=tuple(with_lora))).verdict.remarks[0]
    assert said.startswith("The lora alone reaches the target score")
    for run in findings.data.runs:
        assert checkpoint_at(run, "equal").step > 0
    strong = replace(data.pretrained, targets=(TargetScore(task="more", validation=0.95, test=0.9),))
    said = retention_findings(replace(data, pretrained=strong)).verdict.remarks[0]
    assert said.startswith("The pretrained model reaches the target score")


def collapsed(data):
    """Let full answer "T 13" to everything: labels by the first word, and none exactly."""

    def of(run):
        if run.method != "full":
            return run
        return replace(
            run,
            checkpoints=tuple(
                replace(
                    c,
                    in_context=tuple(
                        v if v.label_share is None else replace(v, label_share=0.02, first_word_share=1.0)
                        for v in c.in_context
                    ),
                )
                for c in run.checkpoints
            ),
        )

    return replace(data, runs=tuple(map(of, data.runs)))


def test_labels_are_told_by_the_answer_and_by_the_first_word():
    findings = retention_findings(collapsed(retention_report(methods=("full", "promot"), rates=RATES[:1])))
    full = next(s for s in findings.label_shares if (s.method, s.at) == ("full", "best"))
    assert (full.answer, full.first_word) == (pytest.approx(0.02), 1.0)
    (said,) = [s for s in findings.said if "answers of full" in s]
    assert "labels of the target: 2.0 % exactly, 100 % by the first word" in said.replace("\xa0", " ")
    assert said in findings.verdict.remarks
    assert findings.to_dict()["label_shares"]
    promot = next(s for s in findings.label_shares if (s.method, s.at) == ("promot", "best"))
    assert math.isnan(promot.first_word), "not measured"


def test_without_a_target_score_to_compare_at_it_is_said_why():
    rule = "no tuned weights come further on the targets' validation examples than untuned ones"
    data = replace(retention_report(rates=RATES[:1]), threshold=None, threshold_rule=rule)
    assert f"There is no target score to compare at: {rule}." in verdict_of(data).remarks


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
        verdict_of(data)
    assert "\n" not in str(caught.value)


def test_everything_is_worked_out_once_for_sentences_and_pages():
    data = retention_report()
    findings = retention_findings(data)
    assert findings.chosen == ("equal", "best")
    assert len(findings.kept) == len(data.methods) * len(RATES) * 2
    kept = findings.kept_by("full", RATES[0], "equal")
    assert kept.shares == findings.scores.kept("full", RATES[0], "equal", 4)
    assert kept.mean == pytest.approx(np.mean(list(kept.shares.values())))
    assert kept.runs == 3
    assert findings.kept_by("full", 7.0, "equal") is None
    assert retention_findings(replace(data, threshold=None)).chosen == ("best",)


def test_a_method_costs_the_mean_over_its_runs():
    costs = {cost.method: cost for cost in retention_findings(retention_report()).costs}
    assert list(costs) == list(KEPT)
    assert costs["full"].runs == 6
    assert costs["full"].cpu_seconds == pytest.approx(13.5)
    assert math.isnan(costs["full"].trainable_parameters)
    assert costs["joint"].trainable_parameters == 1280


def test_what_was_not_measured_is_null_in_json():
    data = _with_checkpoint(targets=(TargetScore(task="more", validation=0.5, test=float("nan")),))
    found = retention_findings(data).to_dict()
    score = found["runs"][0]["checkpoints"][0]["targets"][0]
    assert score == {"task": "more", "validation": 0.5, "test": None, "answers": []}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_means_along_steps_are_over_the_steps_that_all_runs_have():
    data = retention_report(methods=("full",), rates=RATES[:1])
    first, second, third = data.runs
    second = replace(second, checkpoints=second.checkpoints[1:])
    unmeasured = replace(third, checkpoints=(RetentionCheckpoint(stage="model", step=20),))
    curve = along_steps((first, second, unmeasured), target_score)
    assert [step for step, _ in curve.mean] == [20, 40, 80, 160]
    assert [len(points) for points in curve.runs] == [5, 4], "a run without any value is left out"
    assert curve.mean[-1][1] == pytest.approx(
        np.mean([run.checkpoints[-1].targets[0].test for run in data.runs])
    )
    assert along_steps((unmeasured,), target_score) is None


def test_only_the_last_stage_counts_along_steps():
    (run,) = retention_report(methods=("promot",), rates=RATES[:1], seeds=(0,)).runs
    assert run.checkpoints[0].stage == "prompt"
    assert [step for step, _ in along_steps([run], target_score).mean] == [0, 20, 40, 80, 160]
