"""The examples of docstrings run as they are printed, and whoever is public has one."""

import doctest
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import pytest

import cotune

RETURNED = {"Evaluation", "Groups", "Plan", "Preview", "Status", "StudyResult", "TuneResult"}
"""What functions return, which their examples show."""

RAISED = {"CotuneError", "InputError", "RunError"}


def modules_with_examples():
    """Return the names of the modules whose docstrings have examples."""
    found = []
    for module in pkgutil.walk_packages(cotune.__path__, "cotune."):
        if module.ispkg or module.name == "cotune.__main__":
            continue
        spec = importlib.util.find_spec(module.name)
        if spec.origin and ">>>" in Path(spec.origin).read_text(encoding="utf-8"):
            found.append(module.name)
    return found


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "capitals.csv").write_text(CAPITALS)
    (tmp_path / "study.yaml").write_text(STUDY)
    module = importlib.import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testmod(module, extraglobs={"cotune": cotune}, optionflags=flags)
    assert tried
    assert not failed


CAPITALS = "question,answer\n" + "".join(
    f"What is the capital of {country}?,{city}\n"
    for country, city in [
        ("France", "Paris"),
        ("Italy", "Rome"),
        ("Spain", "Madrid"),
        ("Peru", "Lima"),
        ("Japan", "Tokyo"),
        ("Kenya", "Nairobi"),
        ("Cuba", "Havana"),
        ("Egypt", "Cairo"),
        ("Nepal", "Kathmandu"),
        ("Chad", "N'Djamena"),
        ("Iraq", "Baghdad"),
        ("Ghana", "Accra"),
    ]
)
STUDY = """\
name: planted
learner: {kind: planted, tasks: 6, groups: 2}
affinity: {estimator: higher_order}
grouping: {objective: density, n_clusters: 2}
comparison: null
executor: {workers: 0}
"""


@pytest.mark.parametrize("name", sorted({*cotune.__all__} - RETURNED - RAISED - {"__version__"}))
def test_what_is_public_has_an_example(name):
    assert ">>> " in inspect.getdoc(getattr(cotune, name))
