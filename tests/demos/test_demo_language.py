"""What the first demo promises, by the command itself: groups, adapters, one of them evaluated, a report."""

import json
import subprocess
import sys

import pytest
import yaml

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Run the demo where a user would; return its folder and what it printed."""
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [sys.executable, "-m", "cotune", "demo"], cwd=home, capture_output=True, text=True, check=True
    )
    return home / "demo", done.stdout


def test_it_ends_with_groups_of_all_tasks_adapters_and_a_report(shown):
    folder, out = shown
    groups = json.loads((folder / "groups.json").read_text())["groups"]
    assert sum(map(len, groups)) == 12
    for number in range(len(groups)):
        adapter = folder / "adapters" / f"group-{number}"
        assert {"adapter_config.json", "adapter_model.safetensors"} <= {
            file.name for file in adapter.iterdir()
        }
    assert out.rstrip().endswith(f"report: {folder / 'report.html'}")
    assert (folder / "scores.csv").is_file()


def test_company_helps_its_tasks(shown):
    folder, out = shown
    groups = json.loads((folder / "groups.json").read_text())
    assert 1 < len(groups["groups"]) < 12
    assert groups["gain"]["over_alone"]["low"] > 0
    assert "training in these groups beats" in out


def test_the_adapter_that_is_evaluated_has_learned_its_tasks(shown):
    folder, out = shown
    tasks = yaml.safe_load((folder / "tasks.yaml").read_text())["include"]
    lines = out.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("cotune eval demo/adapters/group-"))
    rows = [line.split() for line in lines[start + 2 : start + 2 + len(tasks)]]
    assert [row[0] for row in rows] == tasks
    before, after = (sum(float(row[at]) for row in rows) / len(rows) for at in (2, 3))
    assert after > before
