"""How far runs are is told before they end, from whatever process does them."""

import json

import pytest

from cotune.cli._progress import BarEvents, JsonEvents, PlainEvents
from cotune.studies import RunRecord, run_study
from cotune.studies.engine import UnderWay, WorkerPool
from cotune.studies.engine._board import Board, Steps


class Listening:
    """Remembers what it was told."""

    def __init__(self):
        self.told = []

    def stage(self, title, total, reused):
        self.told.append(title)

    def finished(self, record):
        self.told.append(record)

    def note(self, text):
        pass

    def under_way(self, progress):
        self.told.append(progress)


@pytest.mark.parametrize("side_by_side", [1, 3])
def test_every_step_is_told_and_the_share_of_the_work_rises_to_all(workshop, side_by_side):
    learner = {**workshop.data["learner"], "side_by_side": side_by_side}
    affinity = {"estimator": "higher_order", "subset_size": 2, "steps_per_task": 3}
    study = workshop.study(learner=learner, affinity=affinity, comparison=None)
    events = Listening()
    run_study(study, events)
    progress = [told for told in events.told if isinstance(told, UnderWay)]
    shares = [told.share for told in progress]
    assert shares == sorted(shares)
    assert (shares[0] > 0, shares[-1]) == (True, 1.0)
    steps = [told.steps[0] for told in progress if told.steps]
    runs = [3] * 4 + [6] * 6
    passes = -(-4 // side_by_side) * 3 + -(-6 // side_by_side) * 6
    assert len(steps) == passes
    assert {of for _, of in steps} == set(runs)
    again = Listening()
    run_study(study, again)
    assert not any(isinstance(told, UnderWay) for told in again.told), "what is stored has no steps"


def test_who_is_not_told_of_steps_is_told_of_runs(workshop):
    class Few:
        stage = note = finished = lambda self, *_: None

    assert run_study(workshop.study(comparison=None), Few()).groups is not None


def begin(at, board):
    global place
    board.take(at)
    place = board


def write(steps):
    place.write(steps)
    return place.read()


def test_workers_write_on_a_board_that_the_command_reads():
    board, far = Board(2), Steps(12_345, 1_999_999, 2_000_000)
    assert board.read() == []
    with WorkerPool(1, 1, write, begin, (board,)) as pool:
        assert list(pool.results([far])) == [(far, [far])]
        assert board.read() == [far]
    board.take(1)
    board.write(Steps(0, 1, 2))
    assert board.read() == [far, Steps(0, 1, 2)]
    board.clear()
    assert board.read() == [far]
    board.clear_of(far.job)
    assert board.read() == []


def test_workers_of_a_study_say_how_far_they_are(workshop, monkeypatch):
    """What they wrote stands on the board until their job ends; the command looks at it after every wait."""
    read, seen = Board.read, []

    def look(board):
        seen.append(read(board))
        return seen[-1]

    monkeypatch.setattr(Board, "read", look)
    monkeypatch.setattr("cotune.studies.engine._executor._LOOK_SECONDS", 0.05)
    affinity = {"estimator": "higher_order", "subset_size": 4, "steps_per_task": 40}
    run_study(workshop.study(affinity=affinity, comparison=None, executor={"workers": 1}), Listening())
    assert all(0 < step <= steps for told in seen for _, step, steps in told)
    assert seen[-1] == [], "a job that has ended is at no step"


class Clock:
    """Time as the test has it."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr("cotune.cli._progress.time.monotonic", lambda: self.now)


def test_lines_tell_steps_ever_less_often_until_a_run_ends(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    events = PlainEvents()
    events.stage("comparison", 16, 0)
    lines = []
    for second in range(1, 601):
        clock.now = 1000.0 + second
        events.under_way(UnderWay([(second // 3, 228)], second / 3 / 228 / 4))
        lines += [(second, line) for line in capsys.readouterr().out.splitlines()[second == 1 :]]
    assert [second for second, _ in lines] == [10, 30, 70, 150, 310, 470]
    told = "comparison: 0 of 16 runs, step 23 of 228 in 1 min 10 s, about 44 min 26 s left"
    assert dict(lines)[70] == told
    events.finished(RunRecord("key", "fit", {}))
    clock.now += 11
    events.under_way(UnderWay([(3, 19), (5, 228)], 0.3))
    assert "1 of 16 runs, steps 3 of 19 and 5 of 228" in capsys.readouterr().out


def test_json_tells_steps_now_and_then(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    events = JsonEvents()
    for second in range(25):
        clock.now = 1000.0 + second
        events.under_way(UnderWay([(second, 228)], 0.5))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["runs"] for line in lines] == [[{"step": at, "steps": 228}] for at in (10, 20)]


def test_the_bar_moves_with_the_work_and_counts_runs():
    events = BarEvents()
    events.stage("comparison", 16, 4)
    (bar,) = events._progress.tasks
    events.under_way(UnderWay([(57, 228)], 0.5))
    assert (bar.completed, bar.fields["runs"], bar.fields["steps"]) == (10, "4/16", "step 57 of 228")
    events.finished(RunRecord("key", "fit", {}))
    assert bar.fields["runs"] == "5/16"
    events.stop()
