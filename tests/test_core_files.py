import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune._files import file_names, inside, new_file, new_folder, remove_folder, write_text
from cotune.exceptions import InputError

HOSTILE = [
    "",
    ".",
    "..",
    "../../x",
    "/etc",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "CON",
    "nul.txt",
    "x" * 300,
    "x" * 301,
]
HOSTILE += [
    "full",
    "Full",
    "FULL",
    "full.",
    "full ",
    " full",
    ".full",
    "a=b",
    "a%3Db",
    "\ud800",
    "é",
    "e\u0301",
    "~",
]
NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(), st.text("aAbB./%= ", max_size=4))


def test_text_replaces_text(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "one\n")
    write_text(path, "zwei ü\n")
    assert path.read_text(encoding="utf-8") == "zwei ü\n"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_failed_write_leaves_the_old_text_and_no_litter(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half \ud800")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_files_are_readable_as_others_are(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    write_text(tmp_path / "ours", "")
    with new_folder(tmp_path / "folder"):
        pass
    (tmp_path / "theirs").mkdir()
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "theirs").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_what_others_write_into_a_folder_has_the_modes_of_the_umask(tmp_path):
    from safetensors.numpy import save_file

    before = os.umask(0o027)
    try:
        with new_folder(tmp_path / "folder") as fresh:
            (fresh / "inner").mkdir(mode=0o700)
            save_file({"x": np.zeros(2)}, fresh / "inner" / "x.safetensors")
            (fresh / "link").symlink_to(tmp_path / "elsewhere")
        with new_file(tmp_path / "deep" / "file") as file:
            save_file({"x": np.zeros(2)}, file)
    finally:
        os.umask(before)
    modes = {
        path.name: stat.S_IMODE(path.lstat().st_mode) for path in tmp_path.rglob("*") if not path.is_symlink()
    }
    assert modes.pop("x.safetensors") == modes.pop("file") == 0o640
    assert set(modes.values()) == {0o750}


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder"
    with new_folder(path) as fresh:
        (fresh / "a").write_text("1")
        assert not path.exists()
    assert (path / "a").read_text() == "1"

    def fail():
        with new_folder(path) as fresh:
            (fresh / "b").write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    assert [p.name for p in path.iterdir()] == ["a"]
    with new_folder(path) as fresh:
        (fresh / "c").write_text("3")
    assert [p.name for p in path.iterdir()] == ["c"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_process_killed_while_writing_leaves_the_old_text(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    script = (
        "import os, signal, sys; from pathlib import Path; import cotune._files as f;"
        "f.os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL);"
        "f.write_text(Path(sys.argv[1]), 'new' * 100000)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == -9
    assert path.read_text() == "old"
    (left,) = {*tmp_path.iterdir()} - {path}
    write_text(tmp_path / "file", "another file")
    assert left.exists()
    write_text(path, "new")  # the same path again takes away what the process left
    assert sorted(place.name for place in tmp_path.iterdir()) == ["file", "file.txt"]


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_what_is_under_way_is_not_taken_for_left_over(tmp_path, make):
    path = tmp_path / "out"
    with make(path) as one:
        with make(path) as other:
            assert one.exists()
            assert one != other
        assert one.exists()
    assert [place.name for place in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_was_left_over_is_taken_away_with_all_it_holds(tmp_path):
    left = tmp_path / ".out.abcdefgh.new"
    (left / "a").mkdir(parents=True)
    (left / "a" / "b").write_text("half")
    (tmp_path / ".out.abcdefgi.new").symlink_to(tmp_path)
    write_text(tmp_path / "out", "whole")
    assert sorted(place.name for place in tmp_path.iterdir()) == [".out.abcdefgi.new", "out"]


@given(st.lists(NAMES, unique=True))
def test_files_are_called_by_names_that_are_safe_and_never_the_same(names):
    called = file_names(names)
    assert list(called) == names
    assert len({name.lower() for name in called.values()}) == len(names)
    for name in called.values():
        assert 0 < len(name) <= 200
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set('/\\:*?"<>|')
        assert not name.startswith(".")
        assert not name.endswith((".", " "))
        assert name.partition(".")[0].strip().lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
    assert file_names(reversed(names)) == called


@given(st.lists(NAMES, unique=True), NAMES)
def test_names_that_have_nothing_beside_them_are_called_alike_in_any_company(names, name):
    together = file_names({*names, name})[name]
    alone = file_names([name])[name]
    assert together == alone or any(n != name and n.lower() == name.lower() for n in names)


def test_plain_names_stay_as_they_are():
    plain = ["ProMoT", "full", "promot (lora) + 2-shot", "a,b", "lr_0.001~x", "Größe"]
    called = ["ProMoT", "full", "promot %28lora%29 %2B 2-shot", "a%2Cb", "lr_0.001~x", "Gr%C3%B6%C3%9Fe"]
    assert list(file_names(plain).values()) == called
    assert file_names(["Full", "full"])["full"] == "full"


@pytest.fixture
def study(tmp_path):
    """A folder with a file, and beside it one that is somebody else's."""
    for file in (tmp_path / "study" / "runs.sqlite", tmp_path / "else" / "full" / "precious"):
        write_text(file, "kept")
    (tmp_path / "study" / "models").mkdir()
    return tmp_path / "study"


def test_a_folder_within_is_removed_and_one_that_is_not_there_is_no_matter(study):
    write_text(study / "models" / "full" / "weights", "")
    for _ in range(2):
        remove_folder(study / "models" / "full", study)
    assert not any((study / "models").iterdir())


@pytest.mark.parametrize("path", [".", "..", "models/..", "models/../../else", "models/../models", "/etc"])
def test_no_path_leads_the_removal_out_of_a_folder(study, path):
    with pytest.raises(InputError, match="nothing there is replaced or taken away"):
        remove_folder(study / path, study, ignore_errors=True)
    assert (study / "runs.sqlite").read_text() == "kept"
    assert (study / "models").is_dir()


@pytest.mark.parametrize("link", ["models", "models/full"])
def test_no_link_leads_the_removal_out_of_a_folder(study, link):
    (study / "models").rmdir()
    (study / link).parent.mkdir(exist_ok=True)
    elsewhere = {"models": "../else", "models/full": "../../else/full"}[link]
    (study / link).symlink_to(elsewhere)
    path = study / "models" / "full" if link == "models" else study / link
    for attempt in (lambda: remove_folder(path, study, ignore_errors=True), lambda: inside(path, study)):
        with pytest.raises(InputError, match="links to elsewhere"):
            attempt()
    assert (study.parent / "else" / "full" / "precious").read_text() == "kept"


def test_a_folder_that_is_reached_by_a_link_is_a_folder_as_others(study):
    (study.parent / "link").symlink_to("study")
    write_text(study / "models" / "full" / "weights", "")
    remove_folder(study.parent / "link" / "models" / "full", study.parent / "link")
    assert not (study / "models" / "full").exists()
