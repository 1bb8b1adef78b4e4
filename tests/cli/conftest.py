"""The command in this process, and tasks of the toy language in files."""

import json
from dataclasses import asdict

import pytest
import yaml

from cotune.cli.main import main
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.tasks import SPLITS


@pytest.fixture(scope="session")
def toy():
    """Return the folder of the toy language's checkpoint."""
    return str(TOY_CHECKPOINT)


@pytest.fixture(scope="session")
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def cotune(capsys, one_thread):
    """Run the command; return status, output and errors."""

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def write_task(folder, name, sizes=(48, 12, 16), **options):
    """Write a task of the toy language as JSON lines, and a YAML file that says how to read them."""
    train, validation, test = sizes
    (task,) = toy_tasks([name], train=train, validation=validation, test=test)
    (folder / name).mkdir(parents=True)
    for split in SPLITS:
        rows = [asdict(example) for example in task[split]]
        lines = [json.dumps({"input": row["input"], "target": row["targets"][0]}) for row in rows]
        (folder / name / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    choices = list(task["train"][0].choices)
    reader = {"reader": "jsonl", "path": name, "format": "plain", "metric": task.metric}
    reader |= {"choices": choices} if choices else {}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(reader | options))
    return file


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Write some tasks of the toy language once; return their YAML files by name."""
    folder = tmp_path_factory.mktemp("tasks")
    found = {name: write_task(folder, name) for name in ("weighted", "copy", "max")}
    likelihood = folder / "likelihood"
    found["weighted as likelihood"] = write_task(likelihood, "weighted", metric="nll")
    found["copy as likelihood"] = write_task(likelihood, "copy", metric="nll")
    return found
