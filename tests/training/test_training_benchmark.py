"""The short form of `make bench-train`: the loop beside transformers' own, both in one process."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TASKS = ("task184_one", "task187_two", "task1411_three", "task1622_four")


@pytest.fixture
def data(tmp_path):
    """Files of the form of Natural Instructions, under names that the benchmark reads."""
    draw = random.Random(0)
    for name in TASKS:
        words = ["".join(draw.sample("abcdefgh", 3)) for _ in range(80)]
        instances = [{"id": f"{name}-{at}", "input": w, "output": [w[::-1]]} for at, w in enumerate(words)]
        task = {"Definition": [f"Write the letters of {name} backwards."], "Instances": instances}
        (tmp_path / f"{name}.json").write_text(json.dumps(task))
    return tmp_path


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_loops_train_in_turn_and_their_losses_agree(tiny_causal, data, precision):
    options = f"--steps 2 --rounds 2 --mixtures 1 2 --precision {precision}".split()
    script = str(ROOT / "benchmarks" / "train.py")
    command = [sys.executable, script, "--model", str(tiny_causal), "--data", str(data), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    apart = [float(value) for value in re.findall(r"losses differ by at most (\S+)", done.stdout)]
    assert len(apart) == 2
    assert max(apart) < (1e-4 if precision == "fp32" else 0.1)
