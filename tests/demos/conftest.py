import json
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def found(request, tmp_path_factory):
    """Run the demo that the module names, and return its results."""
    name = request.module.DEMO
    folder = tmp_path_factory.mktemp("demo") / name
    command = [sys.executable, "-m", "cotune", "demo", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (folder / "report.html").is_file()
    assert str(folder / "report.html") in done.stdout
    print(done.stdout)
    return json.loads((folder / "results.json").read_text())
