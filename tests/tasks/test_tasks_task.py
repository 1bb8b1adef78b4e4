import subprocess
import sys

import pytest

import cotune.tasks
from cotune.exceptions import InputError
from cotune.tasks import SPLITS, Example, Task, check_tasks


def make_task(name="a", **changes):
    splits = {split: (Example(f"{split} input", ("yes",), ("yes", "no")),) for split in SPLITS}
    return Task(**{"name": name, "instruction": "Answer.", "splits": splits, "metric": "accuracy"} | changes)


def test_a_task_is_indexed_by_split():
    assert make_task()["test"][0].input == "test input"


def test_a_task_is_shown_in_a_line():
    text = repr(make_task(splits=dict.fromkeys(SPLITS, (Example("x" * 9999, ("y",)),) * 999)))
    assert text.startswith(
        "Task('a', 'Answer.', metric='accuracy', format='default', train=999, validation=999"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "b"},
        {"instruction": "Reply."},
        {"metric": "token_f1"},
        {"splits": dict.fromkeys(SPLITS, (Example("x", ("y",)),))},
        {"stops": ("###",)},
        {"stops": ()},
    ],
)
def test_fingerprint_changes_with_all_that_a_run_sees(changes):
    assert make_task(**changes).fingerprint != make_task().fingerprint


def test_fingerprint_ignores_what_a_run_does_not_see():
    assert make_task(notes=("1 row dropped",), category="nli").fingerprint == make_task().fingerprint


def test_fingerprint_of_a_task_without_stops_of_its_own_is_that_of_before_there_were_any():
    assert make_task().fingerprint == "854fedc640cf78c8b7110c7faeea472c712f62fec9a5ccc1211175b7cbea69b7"


def test_two_tasks_with_one_name_are_refused():
    check_tasks([make_task("a"), make_task("b")])
    with pytest.raises(InputError, match="Two tasks are named 'a'"):
        check_tasks([make_task("a"), make_task("b"), make_task("a")])


def test_importing_the_room_imports_nothing_heavy():
    code = (
        "import sys, cotune.tasks; "
        "heavy = {'torch', 'transformers', 'datasets', 'pydantic', 'jinja2', 'rouge_score', 'sacrebleu'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_exported_is_there():
    assert all(getattr(cotune.tasks, name) is not None for name in cotune.tasks.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cotune.tasks.nothing
