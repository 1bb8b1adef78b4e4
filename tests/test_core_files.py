import os
import subprocess
import sys

import pytest

from cotune._files import new_folder, write_text


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
