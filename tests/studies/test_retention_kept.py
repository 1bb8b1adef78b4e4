"""Methods that put something beside the targets, or mix weights, under the protocol of a retention study."""

from __future__ import annotations

import pytest

from cotune.exceptions import InputError
from cotune.studies import plan_study, run_study

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
