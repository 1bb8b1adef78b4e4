"""A kind of study that the engine never heard of: what a kind gives is all that one has to write."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import squares
import yaml

import cotune
from cotune.cli.main import main
from cotune.exceptions import InputError
from cotune.studies import KINDS, Study, collect_study, load_config, plan_study, run_study, study_status
from cotune.studies.engine import open_store


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "squares", squares.SquaresStudy)

    def write(**changes):
        data = {"kind": "squares", "name": "few", "numbers": [1, 4, -2], "executor": {"workers": 0}}
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump({**data, **changes}))
        return Study.load(path)

    return write


class Told:
    """Remembers what it was told."""

    def __init__(self):
        self.stages, self.keys, self.notes = [], [], []

    def stage(self, title, total, reused):
        self.stages.append((title, total, reused))

    def finished(self, record):
        self.keys.append(record.key)

    def note(self, text):
        self.notes.append(text)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_kind_is_planned_run_and_reported_by_the_engine(study, workers):
    few = study(executor={"workers": workers})
    plan = plan_study(few)
    assert (plan.workers, plan.wall_seconds) == (max(workers, 1), 6.0 / max(workers, 1))
    assert (plan.memory_bytes, plan.disk_bytes) == (100 * max(workers, 1), 7 + 10 * max(workers, 1))
    assert plan.notes[-1] == "Nothing is assumed."
    assert plan_study(few, measure=False).wall_seconds is None
    assert not few.folder.exists()
    with pytest.raises(InputError, match="no run of the study"):
        study_status(few)

    told = Told()
    result = run_study(few, told)
    assert result.sentences() == ["-2 squared is 4", "1 squared is 1", "4 squared is 16"]
    assert told.stages == [("squaring", 3, 0)]
    assert told.notes == ["squares: negative numbers lose their sign"]
    assert result.report.read_text() == "<br>".join(result.sentences())
    status = study_status(few)
    assert status.complete
    assert status.sentences() == ["3 squares are known"]

    again = Told()
    assert run_study(few, again).to_dict() == result.to_dict()
    assert (again.stages, again.keys) == ([("squaring", 3, 3)], [])
    assert collect_study(few).to_dict() == result.to_dict()


def test_stages_that_follow_from_others_are_not_known_before(study):
    run_study(study(numbers=[1, 3]))
    grown = study(numbers=[1, 3, 5], again=True)
    before = study_status(grown)
    assert [(s.title, s.done, s.wanted, s.failed) for s in before.stages] == [
        ("squaring", 2, 3, 1),
        ("again", 0, None, 0),
    ]
    assert before.errors == ("The number 3 was not squared.",)
    assert not before.complete
    result = run_study(grown)
    assert result.squares == {1: 1, 5: 25, 25: 625}, "one that failed takes none beside it along"
    assert study_status(grown).complete
    # What is to be kept and is lost is made again, and nothing else.
    shutil.rmtree(grown.folder / "largest")
    told = Told()
    run_study(grown, told)
    assert told.keys == [grown.key(squares.SquareRun(25))]
    with open_store(grown.home.store) as store:
        assert len(store) == 4
    assert not run_study(grown, told, retry_failed=True).squares.get(3)
    assert told.keys[1:] == [grown.key(squares.SquareRun(3))]


def test_the_commands_know_a_kind_from_the_table_alone(study, capsys):
    path = str(study().path)
    for command, expected in (
        (["plan", path], "squaring: 3 runs"),
        (["run", path], "4 squared is 16"),
        (["status", path], "squaring: 3 of 3 runs"),
        (["report", path], "report: "),
    ):
        assert main(command) == 0
        assert expected in capsys.readouterr().out
    assert main(["status", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["known"] == 3
    study(numbers=[100])
    assert main(["run", path]) == 2
    assert "must be at most 99" in capsys.readouterr().err


def sentences(result):
    return [account.sentence() for account in result.accounts]


def test_what_was_planned_stands_beside_what_was_taken(study, capsys):
    path = str(study().path)
    assert main(["plan", path]) == 0
    assert main(["plan", path, "--no-measure"]) == 0, "what is not measured replaces nothing"
    result = run_study(study())
    (account,) = result.accounts
    assert (account.title, account.planned, account.planned_seconds, account.runs) == ("squaring", 3, 6.0, 3)
    with open_store(study().home.store) as store:
        assert account.seconds == sum(record.cpu_seconds for record in store)
    assert account.ratio == account.seconds / 6
    # A plan of what is done does not replace the one that was made before.
    assert main(["plan", path]) == 0
    assert sentences(collect_study(study())) == sentences(result)
    assert main(["report", path]) == 0
    capsys.readouterr()
    assert main(["run", path]) == 0
    assert "squaring: planned 3 runs in 6.0 s of processor time, taken " in capsys.readouterr().out
    changed = study(numbers=[1, 4, 5])
    assert run_study(changed).accounts == [], "that was the plan of another file"


def test_a_plan_of_what_was_left_counts_no_earlier_run(study):
    run_study(study(numbers=[1]))
    wanted = study(numbers=[1, 2, 4])
    plan_study(wanted, keep=True)
    (account,) = run_study(wanted).accounts
    assert account.runs == 2
    assert account.sentence().startswith("planned 3 runs in 6.0 s of processor time, taken 2 runs in ")


def test_a_plan_without_runs_says_what_was_planned(study):
    few = study()
    plan_study(few)
    assert not few.folder.exists(), "nothing is kept unless it is asked for"
    plan_study(few, keep=True)
    assert [path.name for path in sorted(few.folder.iterdir())] == [".lock", "plan.json", "study.json"]
    (few.folder / "plan.json").write_text("spoilt")
    assert run_study(few).accounts == []


def test_a_kind_has_its_own_keys_and_no_other(study, tmp_path):
    assert load_config(study().path).numbers == (1, 4, -2)
    with pytest.raises(InputError, match="held_out: unknown key"):
        study(held_out="x")
    with pytest.raises(InputError, match="did you mean 'squares'"):
        study(kind="square")


def _imports(file: Path) -> set[str]:
    """Return all modules a file imports, those for typing alone too."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return {f"{node.module}.{name.name}" for node in nodes for name in node.names if node.module}


def test_the_engine_knows_no_kind_and_the_kinds_not_one_another():
    root = Path(cotune.__file__).parent / "studies"
    rooms = {kind: f"cotune.studies.{kind}" for kind in KINDS}
    for file in sorted((root / "engine").rglob("*.py")):
        assert not [i for i in _imports(file) if i.startswith(tuple(rooms.values()))], file
        assert "cotune.studies.kinds" not in " ".join(_imports(file)), file
    for kind in rooms:
        others = tuple(room for other, room in rooms.items() if other != kind)
        for file in sorted((root / kind).rglob("*.py")):
            assert not [i for i in _imports(file) if i.startswith(others)], file


def test_a_whole_kind_is_five_classes_over_the_engine_alone():
    file = Path(squares.__file__)
    classes = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)]
    assert len(classes) == 5, "configuration, run, worker, result and study"
    from_studies = {name for name in _imports(file) if name.startswith("cotune.studies.")}
    assert all(name.startswith("cotune.studies.engine.") for name in from_studies)
    assert not [name for name in from_studies if "._" in name], "nothing but what the engine offers"


def test_looking_at_a_study_loads_nothing_that_it_has_no_use_for():
    code = "import sys, cotune.studies.kinds; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "sklearn", "pandas"} & set(loaded.stdout.split())
