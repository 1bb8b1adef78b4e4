import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from cotune._config import parse
from cotune._seals import seal_file
from cotune.exceptions import InputError, RunError
from cotune.lab import FunctionClassConfig, FunctionClassLearner
from cotune.lab.function_classes import LAW_SETS
from cotune.training.learner import Fit, Learner, Score, SideBySideLearner

TINY = {
    "points": 4,
    "width": 8,
    "batch_size": 6,
    "base_steps": 5,
    "steps": 4,
    "eval_prompts": 7,
    "side_by_side": 2,
}
PAIR = ("linear-1.0", "tree-0.9")
SUBSETS = [PAIR, ("relu-1.1",), ("linear-0.9", "linear-1.0", "relu-1.0"), LAW_SETS["scales"]]
SEEDS = [0, 5, 0, 2]


def tiny_learner(**changes):
    return FunctionClassLearner(FunctionClassConfig(**{**TINY, **changes}))


@pytest.fixture(scope="module")
def learner():
    return tiny_learner()


def assert_same_scores(left, right, tolerance=1e-4):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name].value, right[name].value, rtol=tolerance)
        np.testing.assert_allclose(
            left[name].per_example, right[name].per_example, rtol=tolerance, atol=tolerance
        )


class TestConformance:
    def test_it_is_a_learner_that_trains_many_in_one_pass(self, learner):
        assert isinstance(learner, Learner)
        assert isinstance(learner, SideBySideLearner)
        assert learner.tasks == LAW_SETS["scales"]
        assert learner.side_by_side == 2

    def test_scores_are_raw_losses_of_the_subsets_tasks(self, learner):
        scores = learner.fit_score(PAIR, 0)
        assert set(scores) == set(PAIR)
        for score in scores.values():
            assert isinstance(score, Score)
            assert (score.metric, score.higher_is_better) == ("mse", False)
            assert len(score.per_example) == 7
            assert score.value == pytest.approx(np.mean(score.per_example))
            assert score.utility == -score.value < 0
            assert Score.from_dict(json.loads(json.dumps(score.to_dict()))) == score

    def test_a_fit_holds_scores_and_losses(self, learner):
        fit = learner.fit(PAIR, 0, steps=3, split="test")
        assert isinstance(fit, Fit)
        assert set(fit.scores) == set(PAIR)
        assert len(fit.losses) == 3
        assert fit.tokens is None is learner.expected_tokens(PAIR, 3)

    def test_families_are_the_types_of_function(self, learner):
        assert learner.families["tree-1.1"] == "tree"
        assert list(learner.families) == list(learner.tasks)
        assert learner.check() == dict.fromkeys(learner.tasks, ())

    def test_task_fingerprints_tell_the_tasks_apart(self, learner):
        prints = {learner.task_fingerprint(name) for name in learner.tasks}
        assert len(prints) == 9
        assert learner.task_fingerprint(PAIR[0]) == tiny_learner(classes=PAIR).task_fingerprint(PAIR[0])


class TestDeterminism:
    def test_subset_and_seed_determine_the_scores(self, learner):
        first = learner.fit_score(PAIR, 3)
        assert tiny_learner().fit_score(PAIR, 3) == first
        assert learner.fit_score(PAIR[::-1], 3) == first

    def test_another_seed_gives_other_scores_on_the_same_prompts(self, learner):
        first, other = (learner.squared_errors([PAIR], [seed])[0] for seed in (0, 1))
        assert all(not np.allclose(first[name], other[name]) for name in PAIR)
        assert all(np.corrcoef(first[name].ravel(), other[name].ravel())[0, 1] > 0.9 for name in PAIR)

    def test_the_base_seed_changes_the_prompts_scored_on(self, learner):
        first, other = (one.squared_errors([PAIR], [0])[0] for one in (learner, tiny_learner(base_seed=1)))
        assert all(abs(np.corrcoef(first[name].ravel(), other[name].ravel())[0, 1]) < 0.8 for name in PAIR)

    def test_splits_hold_different_prompts(self, learner):
        fits = [learner.fit(PAIR, 0, steps=4, split=split) for split in ("validation", "test")]
        assert fits[0].losses == fits[1].losses
        assert fits[0].scores == learner.fit_score(PAIR, 0)
        assert fits[0].scores[PAIR[0]].per_example != fits[1].scores[PAIR[0]].per_example


class TestManyInOnePass:
    def test_one_pass_gives_what_separate_calls_give(self, learner):
        together = learner.fit_score_many(SUBSETS, SEEDS)
        for subset, seed, scores in zip(SUBSETS, SEEDS, together, strict=True):
            assert_same_scores(scores, learner.fit_score(subset, seed))

    def test_runs_may_differ_in_length(self, learner):
        steps = [2, 4, 3, 2]
        fits = learner.fit_many(SUBSETS, SEEDS, steps=steps, split="test")
        for fit, subset, seed, n_steps in zip(fits, SUBSETS, SEEDS, steps, strict=True):
            alone = learner.fit(subset, seed, steps=n_steps, split="test")
            assert_same_scores(fit.scores, alone.scores)
            np.testing.assert_allclose(fit.losses, alone.losses, rtol=1e-4)

    def test_the_size_of_a_pass_does_not_matter(self, learner):
        one_pass = tiny_learner(side_by_side=4).fit_score_many(SUBSETS, SEEDS)
        for left, right in zip(one_pass, learner.fit_score_many(SUBSETS, SEEDS), strict=True):
            assert_same_scores(left, right)

    def test_no_runs_are_no_results(self, learner):
        assert learner.fit_many([], [], steps=[], split="test") == []

    def test_scores_average_the_squared_errors(self, learner):
        (errors,) = learner.squared_errors([PAIR], [0])
        score = learner.fit_score(PAIR, 0)[PAIR[0]]
        assert errors[PAIR[0]].shape == (7, 4)
        assert score.value == pytest.approx(errors[PAIR[0]].mean())
        assert score.per_example == pytest.approx(errors[PAIR[0]].mean(1))


class TestSteps:
    def test_a_call_may_say_how_long(self, learner):
        short = learner.fit_score(PAIR, 0, steps=2)
        assert short != learner.fit_score(PAIR, 0)
        assert short == learner.fit(PAIR, 0, steps=2, split="validation").scores
        assert short == tiny_learner(steps=2).fit_score(PAIR, 0)

    def test_training_on_one_type_learns_it_from_the_context(self):
        learner = tiny_learner(
            classes=("linear-1.0",), dimension=1, width=16, base_steps=250, batch_size=32, eval_prompts=200
        )
        (errors,) = learner.squared_errors([("linear-1.0",)], [0])
        by_position = errors["linear-1.0"].mean(0)
        # Without examples nothing beats predicting 0, whose error is the variance, 1.
        assert by_position[0] == pytest.approx(1, abs=0.35)
        assert by_position[-1] < 0.4 * by_position[0]


class TestBaseModel:
    def test_it_is_stored_once_under_the_fingerprint(self, tmp_path):
        first = tiny_learner()
        first.prepare(tmp_path / "new")
        (stored,) = (tmp_path / "new").glob("*.safetensors")
        assert stored.name == f"base-{first.fingerprint}.safetensors"
        content, written = stored.read_bytes(), stored.stat().st_mtime_ns
        second = tiny_learner()
        second.prepare(tmp_path / "new")
        assert second.fit_score(PAIR, 0) == first.fit_score(PAIR, 0)
        assert (stored.read_bytes(), stored.stat().st_mtime_ns) == (content, written)

    def test_it_is_read_and_not_trained_again(self, tmp_path):
        first = tiny_learner()
        first.prepare(tmp_path)
        (stored,) = tmp_path.glob("*.safetensors")
        save_file({name: 2 * value for name, value in load_file(stored).items()}, stored)
        seal_file(stored)
        second = tiny_learner()
        second.prepare(tmp_path)
        assert second.fit_score(PAIR, 0) != first.fit_score(PAIR, 0)

    def test_preparing_after_use_changes_nothing(self, tmp_path):
        learner = tiny_learner()
        before = learner.fit_score(PAIR, 0)
        learner.prepare(tmp_path)
        assert learner.fit_score(PAIR, 0) == before

    def test_a_damaged_file_is_trained_again(self, tmp_path):
        learner = tiny_learner()
        learner.prepare(tmp_path)
        (stored,) = tmp_path.glob("*.safetensors")
        whole = stored.read_bytes()
        stored.write_bytes(whole[:-10])
        tiny_learner().prepare(tmp_path)
        assert stored.read_bytes() == whole

    def test_a_file_of_something_else_is_refused(self, tmp_path):
        learner = tiny_learner()
        learner.prepare(tmp_path)
        (stored,) = tmp_path.glob("*.safetensors")
        save_file({name: value[..., :1].clone() for name, value in load_file(stored).items()}, stored)
        seal_file(stored)
        with pytest.raises(InputError, match=rf"{stored.name} does not hold .*; delete it"):
            tiny_learner().prepare(tmp_path)

    def test_a_run_can_be_saved(self, tmp_path, learner):
        learner.fit(PAIR, 0, steps=2, split="test", save_to=tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        assert weights["positions"].shape == (1, 7, 8)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["model.safetensors", "model.safetensors.sha256"]

    def test_a_used_learner_can_be_sent_to_another_process(self, learner):
        before = learner.fit_score(PAIR, 0)
        assert pickle.loads(pickle.dumps(learner)).fit_score(PAIR, 0) == before


class TestErrors:
    @pytest.mark.parametrize(
        ("subset", "message"),
        [
            (
                ("linear-10",),
                r"must hold function classes of .*; got 'linear-10' \(did you mean 'linear-1.0'\?\)",
            ),
            ((), r"at least one class, and none twice; got \[\]"),
            (("tree-1.0", "tree-1.0"), r"none twice; got \['tree-1.0', 'tree-1.0'\]"),
        ],
    )
    def test_subsets(self, learner, subset, message):
        with pytest.raises(InputError, match=message):
            learner.fit_score(subset, 0)

    def test_requests(self, learner):
        with pytest.raises(InputError, match=r"got 1 subsets, 2 seeds and 1 numbers of steps"):
            learner.fit_score_many([PAIR], [0, 1])
        with pytest.raises(InputError, match=r"steps must be at least 1, got 0"):
            learner.fit_score(PAIR, 0, steps=0)
        with pytest.raises(InputError, match=r"split must be one of: validation, test; got 'train'"):
            learner.fit(PAIR, 0, steps=1, split="train")
        with pytest.raises(InputError, match="'sine'"):
            learner.task_fingerprint("sine")

    def test_a_diverging_run_is_named_with_its_step(self):
        diverging = tiny_learner(lr=1e30)
        with pytest.raises(RunError, match=r"linear-1\.0 \+ tree-0\.9 with seed 7 is (nan|inf) at step \d;"):
            diverging.fit_score_many([PAIR], [7])

    def test_a_run_that_diverges_in_its_last_step_is_named(self):
        with pytest.raises(RunError, match=r"relu-1\.0 with seed 7 is not finite after step 1\b"):
            tiny_learner(lr=1e30).fit_score(("relu-1.0",), 7, steps=1)

    def test_a_diverging_base_model_is_named(self):
        with pytest.raises(RunError, match=r"the base model is (nan|inf) at step \d;"):
            tiny_learner(base_lr=1e30).fit_score(PAIR, 0)


class TestConfig:
    def test_it_builds_its_learner(self):
        config = FunctionClassConfig(**TINY)
        assert config.build().config == config
        assert not config.reads_tasks

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"classes": ["sine"]}, r"classes: each must be one of: linear-1\.0, .*; got 'sine'"),
            ({"classes": ["tree-1.0", "tree-1.0"]}, r"classes: must name at least one class, and none twice"),
            ({"classes": []}, r"classes: must name at least one class"),
            ({"width": 9}, r"width must be a multiple of heads 2, got 9"),
            ({"widht": 8}, r"widht: unknown key \(did you mean 'width'\?\)"),
            ({"points": 0}, r"points: input should be greater than 0, got 0"),
        ],
    )
    def test_errors_say_what_is_valid(self, options, message):
        with pytest.raises(InputError, match=rf"^study: {message}"):
            parse(FunctionClassConfig, options, "study")

    def test_every_field_is_described_and_none_can_be_changed(self):
        fields = FunctionClassConfig.model_fields
        assert all(field.description for field in fields.values())
        with pytest.raises(ValidationError, match="frozen"):
            FunctionClassConfig().width = 64

    def test_the_fingerprint_covers_all_that_determines_a_score(self):
        reference = tiny_learner().fingerprint
        changed = {name: getattr(tiny_learner().config, name) for name in FunctionClassConfig.model_fields}
        changed = {name: 2 * value for name, value in changed.items() if name not in ("classes", "base_seed")}
        changed |= {"classes": PAIR, "base_seed": 1}
        assert changed.pop("side_by_side") == 4
        prints = {tiny_learner(**{name: value}).fingerprint for name, value in changed.items()}
        assert len(prints | {reference}) == len(changed) + 1
        assert tiny_learner(side_by_side=4).fingerprint == reference


def test_importing_the_lab_does_not_load_torch():
    code = "import sys, cotune.lab; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
