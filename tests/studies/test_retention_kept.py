"""Methods that put something beside the targets, or mix weights, under the protocol of a retention study."""

from __future__ import annotations

import json

import pytest

from cotune.exceptions import InputError
from cotune.studies import plan_study, run_study
from cotune.studies.retention._data import replay_arms

KL = {"name": "kl_to_base", "others": {"tasks": "max", "shots": 1, "ratio": 0.5}}
TEXT = {"text": {"source": "toy_language", "n_documents": 40}, "pack": False, "ratio": 0.5}
DISTILLED = {"name": "self_distillation", "others": TEXT, "weights": {"name": "lora", "r": 2}}
WISE = {"name": "wise_ft", "alphas": [0.5, 1.0]}


def test_all_stand_under_the_same_protocol(retention):
    methods = [WISE, KL, DISTILLED, {"name": "dft"}, {"name": "value_only"}]
    study = retention.study(methods=methods, evaluation=["copy", "less"], keep=True)
    planned = plan_study(study, measure=False)
    result = run_study(study)
    data, runs = result.data, {run.method: run for run in result.data.runs}
    assert set(runs) == {"wise_ft", "kl_to_base", "self_distillation (lora)", "dft", "value_only"}
    for run in data.runs:
        last = [c for c in run.checkpoints if c.stage == run.checkpoints[-1].stage]
        assert [c.change.moved for c in last] == [False, *[True] * (len(last) - 1)]
        assert run.checkpoints[run.best] in last[1:]
        assert last[0].in_context == data.pretrained.in_context
        assert 0 < last[-1].change.weights < 1
        assert (study.folder / "models").is_dir()
    wise = [(c.stage, c.step) for c in runs["wise_ft"].checkpoints]
    assert wise == [*(("weights", step) for step in (0, 2, 3)), *(("mix", step) for step in (0, 1, 2))]
    half, whole = (c.change.weights for c in runs["wise_ft"].checkpoints[-2:])
    assert half == pytest.approx(whole / 2, rel=1e-3)
    # What is planned is what was done: pretrained, and every checkpoint but those before a first step.
    on_targets, in_context = 12 + 10, 2 * 8 * (2 + 2)
    asked = (1 + 6 + 4 * 3) * on_targets + (1 + 4 + 4 * 2) * in_context
    assert sum(stage.prompts for stage in planned.stages) == asked


def test_what_stands_beside_is_in_the_key_of_a_run(retention):
    def key(**changes):
        study = retention.study(evaluation=["copy"], **changes)
        return study.key(study.runs["tuning"][0])

    assert key(methods=[KL]) != key(methods=[{**KL, "others": {**KL["others"], "ratio": 0.25}}])
    tasks = [dict(one) for one in retention.data["tasks"]]
    tasks[1] = {**tasks[1], "max_examples": {"train": 10, "validation": 1, "test": 8}}
    assert key(methods=[KL]) != key(methods=[KL], tasks=tasks), "max is not asked, and is in the key"
    less = {"name": "full"}
    tasks[1] = {**tasks[1], "include": ["copy", "max"]}
    fewer = {**retention.data["tasks"][1], "include": ["copy", "max"]}
    assert key(methods=[less]) == key(methods=[less], tasks=[tasks[0], fewer])
    other = {**DISTILLED, "others": {**TEXT, "text": {"source": "toy_language", "n_documents": 41}}}
    assert key(methods=[DISTILLED]) != key(methods=[other])


def test_methods_that_differ_in_how_much_stands_beside_alone_are_put_together(retention):
    def of_ratio(ratio, **options):
        others = {**KL["others"], "ratio": ratio}
        return {**KL, "label": f"{ratio:g} {options}", **options, "others": others}

    lora = {"weights": {"name": "lora"}}
    methods = [
        *({"name": "full"}, of_ratio(0.5), of_ratio(0.25)),
        of_ratio(0.25, demonstrations=1),
        *(of_ratio(0.1, **lora), of_ratio(0.2, **lora)),
        DISTILLED,
    ]
    found = list(replay_arms(retention.study(methods=methods).config.methods))
    assert [(arm.label, arm.ratio) for arm in found[:3]] == [
        *(("full", 0.0), ("0.5 {}", 0.5), ("0.25 {}", 0.25)),
    ]
    assert len(found) == 5, "a single ratio is no family, and there is no lora alone"


def test_the_smallest_replay_is_told_as_far_as_it_is_known(retention):
    kl = [{**KL, "label": f"kl {r}", "others": {**KL["others"], "ratio": r}} for r in (0.25, 0.5)]
    methods = [{"name": "full"}, *kl]
    study = retention.study(methods=methods, evaluation=["copy", "less"], replay_keeps=0.99)
    result = run_study(study)
    (found,) = result.findings.smallest
    kept = {one.method: one.mean for one in result.findings.kept if one.at == found.at}
    assert found.found.tried == ((0.0, kept["full"]), (0.25, kept["kl 0.25"]), (0.5, kept["kl 0.5"]))
    assert found.sentence in result.sentences()
    assert "The smallest ratio of kl_to_base that keeps 99" in found.sentence
    assert "is not known: " in found.sentence
    stored = json.loads((study.folder / "results.json").read_text())
    assert stored["smallest_replay"][0]["found"]["why"] == found.found.why
    assert found.found.why in result.report.read_text()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({**KL, "others": {"tasks": "mxa"}}, r"named 'mxa' \(did you mean 'max'\?\)"),
        ({**KL, "others": {"tasks": "weighted"}}, "No task beside those tuned on is named 'weighted'"),
        ({**KL, "others": {"tasks": "max", "shots": 30}}, "max"),
        ({"name": "replay"}, r"methods\.0\.method\.others: is required and missing|others"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_spent(retention, method, message):
    with pytest.raises(InputError, match=message):
        run_study(retention.study(methods=[method]))
    assert not (retention.folder / "study" / "runs.sqlite").exists()
