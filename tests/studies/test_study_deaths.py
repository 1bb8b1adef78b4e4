"""Workers that die in the middle of a run: they are replaced, the run is done again once, and it is said."""

import mortal
import pytest
import squares
import yaml

from cotune.cli.commands.study import print_result
from cotune.exceptions import InputError, RunError
from cotune.studies import KINDS, Study, run_study, study_status
from cotune.studies.engine import Deaths, Job, LocalConfig, WorkerPool
from cotune.studies.engine._executor import _LOOK_SECONDS
from cotune.studies.engine._pool import _death


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "squares", mortal.MortalStudy)

    def write(numbers, workers=2):
        data = {"kind": "squares", "name": "few", "numbers": numbers, "executor": {"workers": workers}}
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(data))
        return Study.load(path)

    return write


class Told:
    def __init__(self):
        self.notes, self.records = [], []

    def stage(self, title, total, reused):
        pass

    def finished(self, record):
        self.records.append(record)

    def note(self, text):
        self.notes.append(text)


def test_workers_that_die_are_replaced_and_a_run_that_kills_two_has_failed(study, tmp_path, capsys):
    told, numbers = Told(), [2, 13, 5, 7, 11]
    result = run_study(study(numbers), told)
    assert result.squares == {2: 4, 5: 25, 7: 49, 11: 121}
    assert {name: (tmp_path / name).read_text() for name in ("7", "13")} == {"7": "x", "13": "xx"}
    killed = "A worker was killed by SIGKILL, as systems do when memory runs out; its"
    assert sorted(told.notes) == 2 * [f"{killed} 2 runs are, each alone, done again."]
    assert result.incidents == ["3 workers died: 3 runs done again and 1 run given up as failed"]
    assert len(told.records) == len(numbers)
    (error,) = [record.error for record in told.records if record.error]
    assert error.startswith("The worker that did the run died twice, the last was killed by SIGKILL")
    assert run_study(study(numbers)).incidents == [], "nobody died this time"
    print_result(result)
    assert "3 workers died: 3 runs" in capsys.readouterr().out
    assert study_status(study(numbers)).errors == (error,)


def test_an_error_of_a_worker_is_the_commands_own(study):
    """What a worker cannot load is told in its own words, and is no death."""
    with LocalConfig(workers=1).open(mortal.Refusing()) as executor:
        runs = (squares.SquareRun(2),)
        with pytest.raises(InputError, match=r"There is no model to be had\.") as caught:
            list(executor.run([Job(runs, ("k",))], lambda _: None))
    assert "in start" in "".join(caught.value.__notes__), "where it was raised is told to who debugs"


def test_a_death_in_the_middle_of_an_answer_leaves_nobody_waiting():
    with WorkerPool(2, 1, mortal.echo_or_die) as pool:
        pool.put(["die in the middle of a word", "a", "die", "b", "c"])
        ended = []
        while pool.busy:
            ended += pool.take(_LOOK_SECONDS)
        deaths = {job: death for job, _, death in ended if death}
        assert deaths == {
            "die in the middle of a word": "was killed by SIGTERM",
            "die": "ended by itself with status 3",
        }
        assert {job for job, result, _ in ended if result} == {"a", "b", "c"}
        with pytest.raises(RunError, match=r"A worker process ended by itself with status 3\."):
            list(pool.results(["die"]))


def test_a_worker_that_died_at_rest_is_replaced_without_a_word():
    with WorkerPool(1, 1, mortal.echo_or_die) as pool:
        assert list(pool.results(["a"])) == [("a", "a")]
        (worker,) = pool._workers.values()
        worker.process.kill()
        worker.process.join()
        assert list(pool.results(["b"])) == [("b", "b")]


def test_deaths_without_end_end_the_command():
    deaths = Deaths()
    job = Job((squares.SquareRun(2),), ("k",))
    for number in range(50):
        deaths.died(Job(job.runs, (f"k{number}",)), "ended by itself with status 1")
    deaths.ended()
    assert deaths.died(job, "x", most=0)[1][0].error.startswith(
        "The worker that did the run died, the last x"
    )
    for _ in range(49):
        deaths.died(job, "x", most=1000)
    with pytest.raises(RunError, match="51 workers after another died without finishing a run"):
        deaths.died(job, "x")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-9, "was killed by SIGKILL, as systems do when memory runs out"),
        (-11, "was killed by SIGSEGV"),
        (-99, "was killed by signal 99"),
        (1, "ended by itself with status 1"),
    ],
)
def test_what_ended_a_process_is_said(status, words):
    assert _death(status) == words
