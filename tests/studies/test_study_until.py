"""Comparisons that end once they are decided: looks, limits, and the same after every interruption."""

import json

import pytest

from cotune.exceptions import InputError
from cotune.studies import collect_study, plan_study, run_study, study_status
from cotune.studies.grouping._detect import detect_note
from cotune.studies.grouping._until import most_seeds, seeds_at_looks
from cotune.studies.grouping.config import ComparisonConfig

UNTIL = {"budgets": [2], "seeds": 2, "until": "decided", "max_seeds": 8}
EASY = {"effect": 1.0, "harm": 1.5, "noise": 0.3, "side_by_side": 1}
"""One run at a time, so that a study can be interrupted between any two."""


def easy(planted, stem="study", **changes):
    return planted.study(stem, learner=EASY, grouping={"n_clusters": 3}, comparison={**UNTIL, **changes})


class StopsAfter:
    """Interrupts a study after some runs of a look, as a kill would."""

    def __init__(self, look, runs):
        self.look, self.left = look, runs
        self.begun = look == 1

    def stage(self, title, total, reused):
        self.compares = title == "comparison"

    def note(self, text):
        self.begun = self.begun or text.startswith(f"Look {self.look} ")

    def finished(self, record):
        self.left -= self.begun and self.compares
        if not self.left:
            raise KeyboardInterrupt


def told(result):
    found = result.comparison.to_dict()
    for look in found["course"]["looks"]:
        del look["minutes"]
    del found["course"]["sentence"]  # has the minutes too
    return found


def test_a_study_looks_until_it_is_decided(planted):
    result = run_study(easy(planted))
    comparison, course = result.comparison, result.comparison.course
    assert comparison.overall.decision == "train in these groups"
    assert course.ending == "decided"
    assert course.planned == (2, 3, 4, 5, 6, 7, 8)
    assert 2 < course.looks[-1].seeds < 8
    # Arms of no verdict stay at the first look, and so do those found to be worse.
    seeds = {arm: {s.seed for s in result.scores if s.arm == arm} for arm in comparison.arms}
    assert seeds["random"] == {0, 1}
    assert len(seeds["grouped"]) == course.looks[-1].seeds
    assert course.sentence in result.sentences()
    assert course.sentence in (result.study.folder / "report.html").read_text().replace("&#39;", "'")
    # Status and report come to the same from the store alone.
    assert study_status(result.study).complete
    assert study_status(result.study).known["course"] == course.to_dict()
    assert study_status(result.study).known["overall"]["decision"] == "train in these groups"
    lines = study_status(result.study).lines
    assert comparison.overall.sentence in lines
    assert not any(line.startswith("So far") for line in lines)
    assert told(collect_study(result.study)) == told(result)


@pytest.mark.parametrize(("look", "runs"), [(1, 5), (2, 1), (2, 6)])
def test_interrupted_anywhere_a_study_takes_the_same_looks(planted, look, runs):
    whole = told(run_study(easy(planted, "whole")))
    study = easy(planted, "broken")
    with pytest.raises(KeyboardInterrupt):
        run_study(study, StopsAfter(look, runs))
    unfinished = study_status(study)
    assert not unfinished.complete
    resumed = run_study(study)
    assert told(resumed) == whole
    assert study_status(study).complete


def test_looks_under_way_are_read_up_to_the_last_that_is_whole(planted):
    study = easy(planted)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, StopsAfter(2, 5))
    course = collect_study(study).comparison.course
    assert course.ending == "under way"
    assert course.sentence.startswith("Not ended yet after 1 look at 2 of at most 8 seeds")
    assert study_status(study).lines[-1] == course.sentence
    runs = study_status(study).stages[1]
    assert f"So far, by {runs.done} of {runs.wanted} runs of the comparison:" in study_status(study).lines
    plan = plan_study(study)
    assert plan.notes[-2].startswith(
        "The comparison is counted up to its next look; its looks are planned for"
    )
    assert (plan.stages[1].stored, plan.stages[1].runs) == (runs.done, runs.wanted)


def test_what_is_hopeless_or_at_its_limit_says_so(planted):
    none = planted.study(
        learner={"effect": 0.0, "harm": 0.0}, grouping={"n_clusters": 3}, comparison={**UNTIL, "max_seeds": 4}
    )
    result = run_study(none)
    assert result.comparison.overall.decision == "not decided by these runs"
    assert result.comparison.course.ending in ("hopeless", "most seeds")
    assert result.comparison.overall.needs is not None


def test_cost_limits_the_seeds():
    config = ComparisonConfig(seeds=3, until="decided", max_cost=100)
    assert most_seeds(config, first_minutes=40, seed_minutes=10) == 9
    assert most_seeds(config, first_minutes=40, seed_minutes=1) == 16, "max_seeds is a limit too"
    assert most_seeds(config, first_minutes=140, seed_minutes=10) == 3
    assert most_seeds(config, first_minutes=0.0, seed_minutes=0.0) == 16
    assert seeds_at_looks(3, 9) == (3, 4, 5, 6, 7, 8, 9)
    assert seeds_at_looks(14, 20) == (14, 15, 16, 18, 20)
    assert seeds_at_looks(5, 5) == (5,)


def test_looks_stay_as_planned_until_the_file_changes(planted):
    first = run_study(easy(planted)).comparison
    file = planted.folder / "study" / "shared" / "looks.json"
    assert json.loads(file.read_text())["seeds"] == list(first.course.planned)
    # As if runs had been dearer when the looks were planned.
    noted = {**json.loads(file.read_text()), "seeds": [2, 3, 4, 5]}
    del noted["sha256"]  # a file without is taken as it is
    file.write_text(json.dumps(noted))
    assert run_study(easy(planted)).comparison.course.planned == (2, 3, 4, 5)
    changed = run_study(easy(planted, max_seeds=9)).comparison
    assert changed.course.planned[-1] == 9
    assert any("planned anew, for at most 9 seeds where it were 5" in note for note in changed.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_seeds": 9}, "max_seeds is a limit of 'until: decided'"),
        ({"max_cost": 9}, "max_cost is a limit of 'until: decided'"),
        ({"until": "decided", "seeds": 9, "max_seeds": 8}, "must be at most max_seeds 8, got 9"),
        ({"until": "sure"}, "until: "),
    ],
)
def test_limits_that_cannot_hold_are_refused(planted, changes, words):
    with pytest.raises(InputError, match=words):
        planted.study(comparison=changes)


def test_a_plan_says_what_looks_may_cost_and_which_difference_they_can_tell(planted, workshop):
    limits = {"until": "decided", "max_seeds": 6}
    asked = workshop.study(comparison={"budgets": [1], "seeds": 2, **limits})
    looks, told = plan_study(asked).notes[-2:]
    assert looks.startswith("The comparison is counted for its first look, about ")
    assert "max_seeds allows 6 seeds" in looks
    assert told.startswith("With 6 seeds the comparison can tell differences of about 0.")
    assert "assumed, as no runs are stored" in told
    dear = workshop.study(comparison={"budgets": [1], "seeds": 2, **limits, "max_cost": 1e-9})
    assert "max_cost allows 2 seeds" in plan_study(dear).notes[-2]
    fixed = workshop.study(comparison={"budgets": [1], "seeds": 2})
    assert plan_study(fixed).notes[-1].startswith("With 2 seeds the comparison can tell")
    one = workshop.study(comparison={"budgets": [1], "seeds": 1})
    assert plan_study(one).notes[-1] == "With one seed no difference between arms can be told."

    study = easy(planted)
    assert plan_study(study).notes[-1].endswith("is not known before runs are stored.")
    run_study(study)
    assert plan_study(study).notes[-1].endswith("by the spread of the runs that are stored.")


def test_more_seeds_tell_smaller_differences(workshop):
    config = ComparisonConfig(seeds=2)
    differences = [
        float(detect_note(config, workshop.study().tasks, most, None).split("about ")[1].split()[0])
        for most in (2, 4, 16)
    ]
    assert differences[0] >= differences[1] >= differences[2] < differences[0]
