from pathlib import Path

import pytest

from cotune.answering import InContextConfig, evaluate_in_context, normalised_average, summarise
from cotune.models import LanguageModel
from cotune.tasks import READERS


@pytest.mark.real
def test_a_real_model_learns_in_context(real_data, smollm2):
    caps = {"train": 64, "validation": 8, "test": 16}
    reader = READERS["instruction_induction"](
        path=str(real_data / "instruction_induction"),
        include=["singular_to_plural", "active_to_passive"],
        instruction_number=None,
        max_examples=caps,
    )
    tasks = reader.read(base=Path(), seed=0)
    model = LanguageModel.load(smollm2)
    scores = evaluate_in_context(model, model.base, tasks, InContextConfig(shots=(0, 4), draws=2), seed=0)
    rows = summarise(scores)
    for row in rows:
        print(f"{row.task} {row.shots}-shot {row.metric} {row.mean:.3f} +- {row.stderr_draws or 0:.3f}")
    without, with_four = normalised_average(rows)
    assert without.mean < 0.1
    assert with_four.mean > 0.6
