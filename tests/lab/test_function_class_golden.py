"""The first training losses against recorded ones.

After an intended change of the recipe, and with it of the learner's format version, record them anew with
``python tests/lab/test_function_class_golden.py``.
"""

import json
from pathlib import Path

import numpy as np
import torch

from cotune.lab import FunctionClassConfig, FunctionClassLearner

GOLDEN = Path(__file__).parent / "golden" / "losses.json"
STEPS = 20


def first_losses():
    """Losses of a run whose base model was trained for as many steps: both kinds of training count."""
    learner = FunctionClassLearner(FunctionClassConfig(base_steps=STEPS))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fit = learner.fit(("linear-1.0", "relu-0.9", "tree-1.1"), 1, steps=STEPS, split="test")
    finally:
        torch.set_num_threads(threads)
    return fit.losses


def test_the_first_losses_are_the_recorded_ones():
    recorded = json.loads(GOLDEN.read_text())
    assert len(recorded) == STEPS
    # BLAS kernels differ across processors.
    np.testing.assert_allclose(first_losses(), recorded, rtol=1e-4)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(first_losses(), indent=1) + "\n")
