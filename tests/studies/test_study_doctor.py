"""What is damaged, left over or missing in a folder is found, mended where it can be, and done again."""

import shutil
import sqlite3

import pytest
import torch
import yaml

from cotune._seals import SUMS
from cotune.cli.main import main
from cotune.exceptions import DamageError, InputError
from cotune.studies import Study, run_study
from cotune.studies.doctor import examine
from cotune.studies.engine import locked, open_store


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several threads may add up in another order from run to run; studies give each worker one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def done(tmp_path_factory, one_thread):
    """A study of function classes that keeps adapters, run to its end; and what it came to."""
    folder = tmp_path_factory.mktemp("doctor")
    learner = {
        "kind": "function_classes",
        "base_steps": 2,
        "width": 8,
        "heads": 2,
        "eval_prompts": 8,
        "side_by_side": 1,
    }
    data = {
        "name": "classes",
        "learner": {**learner, "classes": ["linear-1.0", "tree-1.0", "relu-1.0"]},
        "affinity": {"estimator": "higher_order", "subset_size": 2, "steps_per_task": 1},
        "comparison": {"budgets": [1], "seeds": 2, "arms": ["grouped", "joint"]},
        "executor": {"workers": 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(data))
    run_study(Study.load(folder / "study.yaml"))
    return folder


@pytest.fixture
def study(done, tmp_path):
    shutil.copytree(done, tmp_path / "copy")
    return Study.load(tmp_path / "copy" / "study.yaml")


class Told:
    def __init__(self):
        self.notes, self.keys = [], []

    def stage(self, title, total, reused):
        pass

    def finished(self, record):
        self.keys.append(record.key)

    def note(self, text):
        self.notes.append(text)


def found(study, **options):
    diagnosis = examine(study.path, study.folder, **options)
    return [(f.path.relative_to(study.folder).as_posix(), f.mended) for f in diagnosis.findings]


def results(folder):
    names = ("groups.json", "adapters/group-0/model.safetensors")
    lines = (folder / "results.csv").read_text().splitlines()
    assert lines[0].endswith("seconds")
    scores = [line.rpartition(",")[0] for line in lines]
    return {**{name: (folder / name).read_bytes() for name in names}, "results.csv": scores}


def spoil(path, at=0.5):
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(content)


def test_a_healthy_study_has_no_faults(study, capsys):
    assert main(["doctor", str(study.folder)]) == 0
    assert capsys.readouterr().out == f"{study.folder}: nothing is wrong\n"


def test_every_sort_of_fault_is_found_mended_and_done_again(study, done, capsys):
    folder = study.folder
    (base,) = (folder / "shared").glob("base-*.safetensors")
    spoil(base)
    spoil(folder / "adapters" / "group-0" / "model.safetensors")
    (folder / ".groups.json.abcdefgh.new").write_text("half")
    (folder / "notes.txt").write_text("mine")
    with sqlite3.connect(study.home.store) as db:
        db.execute("UPDATE runs SET scores = replace(scores, '0.', '1.') WHERE rowid IN (2, 3)")
    shown = found(study)
    expected = {
        ".groups.json.abcdefgh.new": False,
        "adapters/group-0": False,
        f"shared/{base.name}": False,
        "notes.txt": True,
    }
    assert dict(shown) == {**expected, "runs.sqlite": False}
    assert [path for path, _ in shown].count("runs.sqlite") == 2
    assert main(["doctor", str(study.folder)]) == 1
    assert "6 faults found, 1 mended" in capsys.readouterr().out
    assert main(["doctor", str(study.folder), "--fix", "--json"]) == 0
    capsys.readouterr()
    assert (folder / "notes.txt").read_text() == "mine"
    assert found(study) == [("notes.txt", True)]
    told = Told()
    run_study(study, told)
    assert len(told.keys) >= 3, "two rows and an adapter were done again"
    assert found(study) == [("notes.txt", True)]
    assert results(folder) == results(done / "study")


def test_a_model_that_is_missing_is_told(study, done):
    shutil.rmtree(study.folder / "adapters" / "group-0")
    assert found(study) == [("adapters/group-0", False)]
    told = Told()
    run_study(study, told)
    assert (len(told.keys), told.notes) == (1, [])
    assert results(study.folder) == results(done / "study")


def test_what_is_damaged_is_done_again_by_the_next_run_and_said(study, done):
    folder = study.folder
    (base,) = (folder / "shared").glob("base-*.safetensors")
    spoil(base)
    spoil(folder / "adapters" / "group-0" / SUMS)
    with sqlite3.connect(study.home.store) as db:
        (key,) = db.execute("SELECT key FROM runs WHERE rowid = 2").fetchone()
        db.execute("UPDATE runs SET losses = '[1.0]' WHERE rowid = 2")
    assert not study.status().complete
    assert study.status().sentences()[-1].startswith(f"1 row of {study.home.store} is damaged and left out")
    assert study.collect().incidents[0].startswith("1 row of")
    told = Told()
    run_study(study, told)
    assert key in told.keys
    assert len(told.keys) == 2
    said = "\n".join(told.notes)
    for words in (
        f"{base} is damaged: it is not",
        f"{folder / 'adapters' / 'group-0'} is damaged",
        "1 row of",
    ):
        assert words in said
    assert results(folder) == results(done / "study")
    again = Told()
    run_study(study, again)
    assert (again.notes, again.keys) == ([], [])


def test_a_study_of_an_older_version_gets_its_checksums(study):
    for path in [*study.folder.rglob(SUMS), *study.folder.rglob("*.sha256")]:
        path.unlink()
    with sqlite3.connect(study.home.store) as db:
        db.execute("ALTER TABLE runs DROP COLUMN checksum")
        db.execute("PRAGMA user_version = 0")
    assert study.status().complete, "it is read as it is"
    told = Told()
    run_study(study, told)
    assert told.keys == []
    assert told.notes == ["What the study had done before had no checksums; it gets them as it is."]
    assert found(study) == []


@pytest.mark.parametrize("place", ["page", "header", "half", "all"])
def test_whole_rows_of_a_damaged_store_are_saved(study, done, place):
    store = study.home.store
    content = bytearray(store.read_bytes())
    if place == "page":
        content[8192:12288] = bytes(4096)
    elif place == "header":
        content[:64] = bytes(64)
    elif place == "half":
        content[len(content) // 2 :] = b""
    else:
        content[:] = b"\xff" * len(content)
    store.write_bytes(content)
    with pytest.raises(DamageError, match=r"cotune doctor .* --fix"):
        run_study(study)
    content = store.read_bytes()  # its journal is another one
    assert found(study) == [("runs.sqlite", False)]
    assert store.read_bytes() == content, "who only looks changes nothing"
    with open_store(done / "study" / "runs.sqlite") as whole:
        everything = whole.keys()
    diagnosis = examine(study.path, fix=True)
    assert diagnosis.healthy
    assert store.with_name("runs.sqlite.damaged").read_bytes()[4096:] == content[4096:]
    with open_store(store) as saved:
        kept = saved.keys()
    assert kept <= everything
    if place == "header":
        assert kept == everything
    if place == "all":
        assert kept == set()
    told = Told()
    run_study(study, told)
    assert len(told.keys) == len(everything - kept), "what was saved is not done again"
    assert results(study.folder) == results(done / "study")


def test_a_folder_that_does_not_say_whose_it_is_is_named_anew(study, capsys):
    file = study.folder / "study.json"
    for spoilt in (file.read_text().replace("classes", "klasses"), None):
        file.write_text(spoilt) if spoilt else file.unlink()
        with pytest.raises(DamageError, match=r"cotune doctor .*study.yaml --folder .* --fix"):
            run_study(study)
        assert main(["doctor", str(study.path), "--fix"]) == 0
        assert "study.json does not say whose the folder is: written anew" in capsys.readouterr().out
        assert study.status().complete


def test_a_folder_killed_before_its_name_was_written_is_free(study):
    shutil.rmtree(study.folder)
    study.folder.mkdir()
    for name in (".lock", ".study.json.abcdefgh.new"):
        (study.folder / name).touch()
    run_study(study)
    assert study.status().complete
    assert found(study) == []


def test_no_doctor_while_a_process_is_at_work_or_where_there_is_nothing(study, tmp_path):
    with (
        locked(study.folder / ".lock", ""),
        pytest.raises(InputError, match="Another process is running the study"),
    ):
        examine(study.path)
    with pytest.raises(InputError, match="the folder of no study and of no model"):
        examine(tmp_path)
    shutil.rmtree(study.folder)
    with pytest.raises(InputError, match="no run of the study"):
        examine(study.path)


def test_what_somebody_keeps_in_the_folder_is_left_alone(study):
    own = {
        "notes.json": "not JSON at all",
        "vectors.npz": "a file without checksum",
        "my adapter/adapter_config.json": "{}",
        "my adapter/adapter_model.safetensors": "no weights",
        "notebook/answers.json": "75.3",
    }
    for name, content in own.items():
        file = study.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    told = Told()
    run_study(study, told)
    assert told.notes == []
    found = examine(study.path, fix=True)
    assert {name: (study.folder / name).read_text() for name in own} == own
    assert {finding.path.name for finding in found.findings} == {name.split("/")[0] for name in own}
    assert all(finding.what == "is not cotune's" for finding in found.findings)
