import json
import shutil
from pathlib import Path

import pytest

from cotune.models import fingerprint, load_encoder, model_fingerprint


@pytest.fixture
def checkpoint(tiny_causal, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_causal, tmp_path / "model"))


def flip(file: Path, at: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 1]))


def test_the_name_of_the_folder_does_not_matter(checkpoint, tmp_path):
    moved = checkpoint.rename(tmp_path / "other")
    (moved / "README.md").write_text("About the model.")
    (moved / "tokenizer_tests").mkdir()
    (copy := tmp_path / "copy").mkdir()
    shutil.copytree(moved, copy, dirs_exist_ok=True)
    (copy / "README.md").unlink()
    assert model_fingerprint(moved) == model_fingerprint(copy)


@pytest.mark.parametrize("at", [0, 60_000, -1])
def test_every_byte_of_the_weights_matters(checkpoint, at):
    before = model_fingerprint(checkpoint)
    weights = checkpoint / "model.safetensors"
    where = at % weights.stat().st_size
    flip(weights, where)
    assert model_fingerprint(checkpoint) != before
    flip(weights, where)
    assert model_fingerprint(checkpoint) == before


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
)
def test_every_file_that_scores_depend_on_matters(checkpoint, name):
    before = model_fingerprint(checkpoint)
    content = json.loads((checkpoint / name).read_text())
    (checkpoint / name).write_text(json.dumps({**content, "extra": 1}))
    changed = model_fingerprint(checkpoint)
    (checkpoint / name).unlink()
    assert len({before, changed, model_fingerprint(checkpoint)}) == 3


def test_the_token_that_closes_targets_matters_wherever_it_is_named(checkpoint):
    file = checkpoint / "tokenizer_config.json"
    content = json.loads(file.read_text())
    del content["eos_token"]
    file.write_text(json.dumps(content))
    prints = set()
    for token, number in (("</s>", 1), ("<pad>", 0)):
        (checkpoint / "special_tokens_map.json").write_text(json.dumps({"eos_token": token}))
        assert load_encoder(checkpoint).tokenizer.eos_token_id == number
        prints.add(model_fingerprint(checkpoint))
    assert len(prints) == 2


def test_files_are_told_apart_by_name_and_by_where_one_ends(checkpoint):
    first, second = checkpoint / "a.safetensors", checkpoint / "b.safetensors"
    prints = set()
    for one, other in ((b"xy", b"z"), (b"x", b"yz"), (b"z", b"xy")):
        first.write_bytes(one)
        second.write_bytes(other)
        prints.add(model_fingerprint(checkpoint))
    assert len(prints) == 3


def test_a_large_file_is_read_in_blocks_with_its_ends_and_its_size(checkpoint, monkeypatch):
    block = 1 << 12  # a 256th of the real size, so that the file can be small
    monkeypatch.setattr(fingerprint, "_BLOCK", block)
    large = checkpoint / "large.safetensors"
    size = 400 * block
    large.write_bytes(bytes(size))
    before = model_fingerprint(checkpoint)
    spacing = (size - block) // 255
    for at in (0, block - 1, spacing, 100 * spacing + 40, size - block, size - 1):
        flip(large, at)
        assert model_fingerprint(checkpoint) != before
        flip(large, at)
    between = block + 1
    assert between < spacing
    flip(large, between)
    assert model_fingerprint(checkpoint) == before
    large.write_bytes(bytes(size + 1))
    assert model_fingerprint(checkpoint) != before


def test_a_file_of_middling_size_is_read_whole(checkpoint):
    middling = checkpoint / "middling.safetensors"
    middling.write_bytes(bytes(3 << 20))
    before = model_fingerprint(checkpoint)
    flip(middling, (1 << 20) + 1)
    assert model_fingerprint(checkpoint) != before
