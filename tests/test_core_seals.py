"""What is written with a checksum is noticed when it is damaged, wherever, and by whatever."""

import json
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune._seals import (
    check,
    damage,
    file_damage,
    forget_file,
    json_text,
    read_json,
    seal,
    sealed_file,
    sealed_folder,
)
from cotune.exceptions import DamageError


@pytest.fixture
def folder(tmp_path):
    with sealed_folder(tmp_path / "adapter") as fresh:
        (fresh / "weights").mkdir()
        (fresh / "weights" / "model.bin").write_bytes(bytes(range(256)))
        (fresh / "config with space.json").write_text("{}")
        (fresh / "README.md").write_text("# Model\n")
    return tmp_path / "adapter"


def test_a_whole_folder_is_whole_and_standard_tools_agree(folder):
    assert damage(folder) == ""
    check(folder, "")
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count(": OK")) == (0, 2), done
    (folder / "README.md").write_text("my own words")
    (folder / "notes.txt").write_text("beside it")
    assert damage(folder) == "", "cards and notes are for people"


def test_every_damage_to_a_folder_is_noticed(folder):
    model, sums = folder / "weights" / "model.bin", folder / "SHA256SUMS"
    for file in (model, sums):
        whole = file.read_bytes()
        for at in range(0, len(whole), 7):
            bit, zeros = bytes([whole[at] ^ 4]), bytes(len(whole) - at - 1)
            for spoilt in (whole[:at] + bit + whole[at + 1 :], whole[:at], whole[: at + 1] + zeros):
                if spoilt == whole:
                    continue
                file.write_bytes(spoilt)
                assert damage(folder) != "", (file, at, spoilt)
        file.write_bytes(whole)
    assert damage(folder) == ""
    model.unlink()
    assert damage(folder) == "weights/model.bin cannot be read (No such file or directory)"
    sums.unlink()
    assert damage(folder) == "it has no SHA256SUMS"
    with pytest.raises(DamageError, match=r"adapter is damaged: it has no SHA256SUMS; train it again\."):
        check(folder, "train it again")
    seal(folder)
    assert damage(folder) == ""
    assert damage(folder / "none") == "it is missing"


def test_a_file_has_its_checksum_beside_it_and_every_damage_is_noticed(tmp_path):
    path = tmp_path / "rounds.npz"
    with sealed_file(path) as fresh:
        fresh.write_bytes(b"first content")
    assert file_damage(path) == ""
    for spoilt in (b"first contend", b"first conten", b""):
        path.write_bytes(spoilt)
        assert file_damage(path) == "it is not what was written"
    beside = tmp_path / "rounds.npz.sha256"
    beside.write_text(beside.read_text().replace("rounds", "pounds"))
    path.write_bytes(b"first content")
    assert file_damage(path) == "it has no checksum in rounds.npz.sha256"
    forget_file(path)
    forget_file(path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("killed", ["checksum", "file"])
def test_a_file_that_is_replaced_is_whole_whenever_the_process_is_killed(tmp_path, monkeypatch, killed):
    path = tmp_path / "rounds.npz"
    with sealed_file(path) as fresh:
        fresh.write_bytes(b"first")
    replace = os.replace

    def dies(source, target):
        if (killed == "checksum") == str(target).endswith(".sha256"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt), sealed_file(path) as fresh:
        fresh.write_bytes(b"second")
    assert path.read_bytes() == b"first"
    assert file_damage(path) == ""
    monkeypatch.undo()
    for content in (b"second", b"third"):
        with sealed_file(path) as fresh:
            fresh.write_bytes(content)
        assert file_damage(path) == ""
    path.write_bytes(b"first")
    assert file_damage(path), "what was replaced twice is not whole any more"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    content=st.dictionaries(st.text().filter(lambda key: key != "sha256"), plain),
    indent=st.sampled_from([None, 2]),
)
def test_json_comes_back_as_it_went_in(tmp_path_factory, content, indent):
    path = tmp_path_factory.mktemp("json") / "study.json"
    path.write_bytes(json_text(content, indent).encode(errors="surrogatepass"))
    assert read_json(path) == content


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
def test_every_damage_to_json_is_noticed(tmp_path_factory, at, bit, cut):
    path = tmp_path_factory.mktemp("json") / "study.json"
    whole = json_text(
        {"identity": {"name": "study", "sources": "0" * 64}, "step": 12, "é": [1.5]}, 2
    ).encode()
    at %= len(whole)
    spoilt = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]
    path.write_bytes(spoilt)
    with pytest.raises(DamageError, match=r"study\.json is damaged"):
        read_json(path)


def test_json_without_a_checksum_is_an_older_file(tmp_path):
    path = tmp_path / "study.json"
    path.write_text(json.dumps({"identity": {"name": "x"}, "sources": "short"}, indent=2))
    assert read_json(path)["sources"] == "short"
    for text in ("[1, 2]", "{", "null", ""):
        path.write_text(text)
        with pytest.raises(DamageError):
            read_json(path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")
