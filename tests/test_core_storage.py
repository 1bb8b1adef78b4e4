"""What a disk refuses is said with path, reason and remedy."""

import errno
import os

import pytest

from cotune._files import leftovers, new_file, new_folder, sweep, write_text
from cotune._storage import explained, writing
from cotune.exceptions import InputError, StorageError


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no room is left on its disk; make room; what was finished is kept"),
        (errno.EROFS, "its disk can only be read; name a folder that can be written"),
        (errno.EACCES, "its rights do not allow it; change them"),
        (errno.EIO, "its disk reports an error; see to the disk"),
    ],
)
def test_an_error_of_the_system_is_a_sentence(tmp_path, monkeypatch, code, words):
    path = tmp_path / "results.csv"
    path.write_text("old")

    def refuses(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuses)
    with pytest.raises(StorageError) as caught:
        write_text(path, "new")
    assert str(caught.value).startswith(f"{path} cannot be written: {words}")
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]
    assert path.read_text() == "old"


def test_a_folder_in_the_place_of_a_file_and_a_file_in_that_of_a_folder(tmp_path):
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(StorageError, match=r"results.csv cannot be written: it is a folder; take the folder"):
        write_text(tmp_path / "results.csv", "text")
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "adapter"):
        with (
            pytest.raises(StorageError, match=r"cannot be written: .*(is a file|in its place)"),
            new_folder(path),
        ):
            pass
    assert (tmp_path / "file").read_text() == "x"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Error while serializing: I/O error: No space left on device (os error 28)", "no room"),
        ('IoError(Os { code: 30, kind: ReadOnlyFilesystem, message: "..." })', "only be read"),
        (
            "[enforce fail at inline_container.cc:668] . PytorchStreamWriter failed writing file data/0",
            "an error",
        ),
        ("[enforce fail at inline_container.cc:672] . unexpected pos 64704 vs 64656", "an error"),
        ("basic_ios::clear: iostream error", "an error"),
    ],
)
def test_libraries_in_other_languages_are_understood(tmp_path, text, words):
    with (
        pytest.raises(StorageError, match=rf"model.bin cannot be written: .*{words}"),
        writing(tmp_path / "model.bin"),
    ):
        raise RuntimeError(text)


def test_other_errors_are_left_as_they_are():
    path = "x"
    assert explained(ValueError("no number"), path) is None
    assert explained(OSError(errno.ECHILD, "no child"), path) is None
    with pytest.raises(InputError, match="as it was"), writing(path):
        raise InputError("as it was")
    with pytest.raises(KeyError), writing(path):
        raise KeyError("key")


def test_what_killed_processes_left_is_swept_up_and_nothing_else(tmp_path):
    for name in (".report.html.a1b2c3_x.new", "shared/.rounds.npz.abcdefgh.new", "keep/.gitignore", ".lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "adapters" / ".group-0.12345678.new" / "deep" / ".x.12345678.new").mkdir(parents=True)
    assert len(leftovers(tmp_path)) == 3
    assert sweep(tmp_path) == 3
    assert sweep(tmp_path) == 0
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [".gitignore", ".lock"]
    with new_file(tmp_path / "a" / "b.csv") as fresh:
        fresh.write_text("x")
        assert leftovers(tmp_path) == [fresh]


def test_a_name_without_its_folder_is_not_said_alone(tmp_path):
    """As errors have it of a file in a folder that ``shutil.rmtree`` removes."""
    error = OSError(errno.EIO, os.strerror(errno.EIO), "tuning.pt")
    assert str(explained(error, tmp_path / "state")).startswith(f"{tmp_path / 'state'} cannot be written")
