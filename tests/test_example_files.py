"""The examples: those of what comes with cotune can be run anywhere, and all say what they need."""

import re
from pathlib import Path

import pytest

from cotune.cli.main import main
from cotune.studies import Study, load_config

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))
ANYWHERE = [file for file in FILES if file.name.startswith("toy_")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_an_example_prints_are_commands_for_files_that_are_there(file):
    load_config(file)
    typed = re.findall(r"^#   cotune (\w+) (\S+)", file.read_text(encoding="utf-8"), flags=re.M)
    assert typed
    for command, argument in typed:
        assert command in ("preview", "plan", "run")
        assert (EXAMPLES.parent / argument).is_file()
    assert f"examples/{file.name}" in [argument for _, argument in typed]
    if file not in ANYWHERE:  # what needs a hub names what does not
        assert f"toy_{'groups' if 'instructions' in file.name else file.stem}.yaml" in file.read_text()


@pytest.mark.parametrize("stem", ["toy_groups", "toy_promot"])
def test_an_example_of_the_model_that_comes_with_cotune_is_sound(stem):
    study = Study.load(EXAMPLES / f"{stem}.yaml")
    assert all(study.check().values())


@pytest.mark.demo
def test_these_examples_run_as_they_are_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    for file in ANYWHERE:
        (tmp_path / "examples" / file.name).write_text(file.read_text(encoding="utf-8"))
    for stem in ("toy_groups", "toy_promot", "toy_combination"):
        for command in ("plan", "run"):
            assert main([command, f"examples/{stem}.yaml"]) == 0, capsys.readouterr().err
        assert (tmp_path / "examples" / stem / "report.html").is_file()
