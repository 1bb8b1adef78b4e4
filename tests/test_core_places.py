"""Paths that files and commands give, and where they lead on this machine and on another."""

import pytest

from cotune import _places
from cotune.cli.main import main
from cotune.exceptions import InputError
from cotune.studies.starting._found import _relative
from cotune.tasks.readers import READERS

NOWHERE = "~nobody-of-that-name/x"
SAID = "starts from the home folder '~nobody-of-that-name', which this machine does not know"


@pytest.mark.parametrize("find", [_places.at, _places.named, lambda base, path: _relative(path, base)])
def test_a_home_that_nobody_has_is_told(find, tmp_path):
    with pytest.raises(InputError, match=SAID):
        find(tmp_path, NOWHERE)


@pytest.mark.parametrize("reader", ["auto", "jsonl", "huggingface", "natural_instructions"])
def test_readers_tell_it(reader, tmp_path):
    with pytest.raises(InputError, match=SAID):
        READERS.choose({"reader": reader, "path": NOWHERE}).read(base=tmp_path, seed=0)


@pytest.mark.parametrize(
    "command",
    [
        ("preview", NOWHERE, "--model", "toy_language"),
        ("tune", "tasks.jsonl", "--model", NOWHERE, "--out", "model"),
        ("eval", NOWHERE, "tasks.jsonl"),
        ("init", NOWHERE, "--model", "toy_language"),
    ],
    ids=lambda command: command[0],
)
def test_commands_end_with_status_2(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f'{{"input": "{n}", "output": "{n % 2}"}}\n' for n in range(9))
    (tmp_path / "tasks.jsonl").write_text(rows)
    assert main(list(command)) == 2
    assert SAID in capsys.readouterr().err
