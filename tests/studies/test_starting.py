"""From a folder of data to a study file that is valid, says what was found, and runs."""

import json
import re

import pytest
import yaml

import cotune
from cotune.cli.main import main
from cotune.exceptions import InputError
from cotune.lab.toy_language import TOY_CHECKPOINT
from cotune.models import locate_model
from cotune.studies.kinds import plan_study
from cotune.studies.starting import start_study


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Texts of three shapes, in files of three kinds, and a file that says nothing of what it is."""
    monkeypatch.chdir(tmp_path)
    numbers = [f"{n % 16} {n // 16} {n * 5 % 16} >" for n in range(60)]
    write(tmp_path / "data" / "first.jsonl", [{"input": n, "output": n.split()[0]} for n in numbers])
    write(
        tmp_path / "data" / "chat.jsonl",
        [
            {"messages": [{"role": "user", "content": n}, {"role": "assistant", "content": n.split()[1]}]}
            for n in numbers
        ],
    )
    rows = [f"{n},{'T' if int(n.split()[0]) % 2 else 'F'}" for n in numbers]
    (tmp_path / "data" / "odd.csv").write_text("text,label\n" + "\n".join(rows))
    (tmp_path / "data" / "strange.csv").write_text("Frage,Antwort hier\nx y,z\nu v,w\n")
    return tmp_path


def test_a_study_is_written_that_says_what_was_found_and_is_valid(folder):
    started = start_study("data", "toy_language")
    assert [task.name for task in started.tasks] == ["chat", "first", "odd"]
    assert list(started.left_out) == ["strange"]
    text = (folder / "study.yaml").read_text()
    assert "#   odd: read as text/label: 60 examples; 42 / 6 / 12 used, accuracy" in text
    assert "#   strange: data has fields that are not recognised (Frage, Antwort hier)" in text
    assert yaml.safe_load(text)["tasks"]["metric"] == "nll"
    study = cotune.Study.load("study.yaml")
    assert [task.name for task in study.tasks] == ["chat", "first", "odd"]
    study.check()
    assert study.config.name == "data"
    assert started.sentences()[-1] == "  cotune run study.yaml"


def test_tasks_of_one_metric_keep_it(folder):
    for name in ("chat.jsonl", "strange.csv"):
        (folder / "data" / name).unlink()
    (folder / "data" / "even.csv").write_text((folder / "data" / "odd.csv").read_text())
    (folder / "data" / "first.jsonl").unlink()
    start_study("data", "toy_language", "of-labels.yaml")
    content = yaml.safe_load((folder / "of-labels.yaml").read_text())
    assert "metric" not in content["tasks"]
    assert "exclude" not in content["tasks"]


def test_paths_hold_from_where_the_file_is(folder):
    (folder / "studies").mkdir()
    start_study("data", "toy_language", "studies/one.yaml")
    content = yaml.safe_load((folder / "studies" / "one.yaml").read_text())
    assert content["tasks"]["path"] == "../data"
    assert content["learner"]["model"] == "toy_language"
    assert len(cotune.Study.load("studies/one.yaml").tasks) == 3


def test_limits_are_fitted_to_what_would_be_lost(folder, tiny_causal):
    rows = [
        {"input": f"{n} " * (4 + 600 * (n == 3)), "output": "word " * (1 + 150 * (n == 5))} for n in range(40)
    ]
    write(folder / "data" / "long.jsonl", rows)
    start_study("data", str(tiny_causal))
    content = yaml.safe_load((folder / "study.yaml").read_text())
    limits = {key: content["learner"].get(key) for key in ("max_prompt_tokens", "max_target_tokens")}
    text = (folder / "study.yaml").read_text()
    assert limits["max_prompt_tokens"] == 512
    assert "1 prompt of more tokens" in text
    assert limits["max_target_tokens"] % 32 == 0
    assert limits["max_target_tokens"] > 128
    assert "tokens 1 example would be dropped" in text
    notes = [note for of_task in cotune.Study.load("study.yaml").check().values() for note in of_task]
    assert not any("were dropped" in note for note in notes)


def test_nothing_is_replaced_and_one_task_is_sent_to_tune(folder):
    (folder / "study").mkdir()
    with pytest.raises(InputError, match="Results would go to study, which exists"):
        start_study("data", "toy_language")
    (folder / "mine.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"mine\.yaml exists and is not replaced"):
        start_study("data", "toy_language", "mine.yaml")
    with pytest.raises(InputError, match=r"cotune tune data/odd\.csv --model toy_language --out odd-tuned"):
        start_study("data/odd.csv", "toy_language", "new.yaml")
    with pytest.raises(InputError, match="nowhere"):
        start_study("nowhere/at/all", "toy_language", "new.yaml")
    assert not (folder / "new.yaml").exists()


def test_the_model_that_comes_with_cotune_has_a_name(folder):
    assert locate_model("toy_language", folder) == TOY_CHECKPOINT
    (folder / "toy_language").mkdir()
    (folder / "toy_language" / "config.json").write_text("{}")
    assert locate_model("toy_language", folder) == folder / "toy_language"  # one's own goes before
    assert locate_model("org/toy_language", folder) == "org/toy_language"


def test_the_command(folder, capsys):
    assert main(["init", "data", "--model", "toy_language"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("study.yaml: 3 tasks to group\n")
    assert "cotune preview study.yaml" in out
    assert main(["init", "data", "--model", "toy_language"]) == 2
    assert main(["init", "data", "--model", "toy_language", "--out", "b.yaml", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["tasks"]) == {"chat", "first", "odd"}


def test_a_retention_study_is_written_and_runs(folder):
    (folder / "data" / "strange.csv").unlink()
    started = start_study("data", "toy_language", kind="retention", targets=["odd"])
    assert started.sentences()[0] == "study.yaml: 2 tasks to keep in context, target: odd"
    study = cotune.Study.load("study.yaml")
    study.check()
    assert study.config.targets == ("odd",)
    assert [arm.name for arm in study.config.methods] == ["lora", "promot"]
    text = (folder / "study.yaml").read_text()
    assert "leave of 2 other tasks in context?" in text
    content = yaml.safe_load(text)
    small = {"steps": 2, "checkpoints": [], "learning_rates": [1e-3], "seeds": 1, "executor": {"workers": 0}}
    content |= {**small, "methods": [{"name": "lora", "r": 8}], "in_context": {"shots": [1], "draws": 1}}
    for reader in content["tasks"]:
        reader["max_examples"] = {"train": 8, "validation": 2, "test": 2}
    (folder / "short.yaml").write_text(yaml.safe_dump(content))
    assert main(["run", "short.yaml"]) == 0


def test_a_transfer_study_is_written_and_is_valid(folder):
    started = start_study("data", "toy_language", kind="transfer", held_out=["o*", "chat"])
    assert started.apart == ("chat", "odd")
    assert list(started.left_out) == ["strange"]
    study = cotune.Study.load("study.yaml")
    study.check()
    assert study.config.held_out == ("chat", "odd")
    assert study.config.training.tasks_per_batch == 1, "one task is trained on"
    assert plan_study(study, measure=False).stages
    start_study("data", "toy_language", "two.yaml", kind="transfer", held_out=["odd"])
    assert len(cotune.Study.load("two.yaml").config.compared) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "grupping"}, "--kind must be grouping, retention, transfer, got 'grupping'"),
        ({"kind": "retention"}, "A retention study needs --target TASK"),
        (
            {"kind": "transfer", "targets": ["odd"]},
            "--target is for --kind retention; this is a transfer study",
        ),
        ({"held_out": ["odd"]}, "--held-out is for --kind transfer; this is a grouping study"),
        (
            {"kind": "retention", "targets": ["even"]},
            "--target even: no such task; there are chat, first, odd",
        ),
        (
            {"kind": "transfer", "held_out": ["*"]},
            "--held-out names all 3 tasks, and nothing is left to train on",
        ),
    ],
)
def test_a_kind_and_what_it_sets_apart_must_fit(folder, options, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        start_study("data", "toy_language", **options)
    assert not (folder / "study.yaml").exists()
