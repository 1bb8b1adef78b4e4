"""Make the toy language's checkpoint: ``python -m cotune.lab.toy_language.pretrain --out DIR``."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from cotune import __version__
from cotune._files import new_folder, write_text
from cotune.exceptions import InputError
from cotune.lab.toy_language._abilities import measure_abilities
from cotune.lab.toy_language._checkpoint import ABILITIES
from cotune.lab.toy_language._pretraining import PretrainingConfig, make_model, pretrain
from cotune.lab.toy_language._tasks import PRETRAINED, TOY_TASKS
from cotune.lab.toy_language._tokenizer import make_tokenizer
from cotune.models import LanguageModel

SHOTS = (1, 4)
LAST_STEPS = 50


def make_checkpoint(out: Path, config: PretrainingConfig, *, prompts: int = 256) -> dict[str, Any]:
    """Pretrain a model of the toy language, measure what it can do, and write both.

    Parameters
    ----------
    out : Path
        The folder to write: a transformers checkpoint, and what was measured in ``abilities.json``. One that
        an earlier call wrote is replaced.
    config : PretrainingConfig
        The recipe.
    prompts : int
        The most prompts of a task that its score comes from.

    Returns
    -------
    dict
        The content of ``abilities.json``.

    Raises
    ------
    InputError
        If the folder exists and holds something else.
    """
    if out.exists() and not (out / ABILITIES).is_file():
        raise InputError(
            f"The folder {out} exists and is no toy checkpoint to replace; name one that does not exist."
        )
    tokenizer = make_tokenizer()
    model = make_model(config, tokenizer)
    start = time.process_time()
    losses = pretrain(model, tokenizer, config)
    seconds = time.process_time() - start
    with new_folder(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        scores = measure_abilities(LanguageModel.load(folder), tuple(TOY_TASKS), shots=SHOTS, prompts=prompts)
        report = {
            "pretrained": _by_shots(scores, pretrained=True),
            "not_pretrained": _by_shots(scores, pretrained=False),
            "prompts": prompts,
            "loss": sum(losses[-LAST_STEPS:]) / len(losses[-LAST_STEPS:]),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "recipe": config.plain(),
            "cpu_seconds": round(seconds),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} thread(s)",
            "versions": {
                "cotune": __version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
        }
        write_text(folder / ABILITIES, json.dumps(report, indent=1) + "\n")
    return report


def _by_shots(scores: Mapping[str, Mapping[int, float]], *, pretrained: bool) -> dict[str, dict[str, float]]:
    """Return, by number of demonstrations, the exact match of each task and their mean."""
    names = [name for name in scores if (name in PRETRAINED) == pretrained]
    result = {}
    for k in SHOTS:
        values = {name: round(scores[name][k], 4) for name in names}
        result[f"{k}-shot"] = {"mean": round(sum(values.values()) / len(values), 4), **values}
    return result


def main() -> None:
    """Read the command line, make the checkpoint and say what it can do."""
    parser = argparse.ArgumentParser(prog="python -m cotune.lab.toy_language.pretrain", description=__doc__)
    default = PretrainingConfig()
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--steps", type=int, default=default.steps, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=default.seed, help="default %(default)s")
    options = parser.parse_args()
    torch.set_num_threads(1)  # More would change the order of sums, and with it the weights.
    transformers.utils.logging.disable_progress_bar()
    try:
        report = make_checkpoint(options.out, PretrainingConfig(steps=options.steps, seed=options.seed))
    except (InputError, ValueError) as error:
        parser.error(str(error))
    for kind in ("pretrained", "not_pretrained"):
        means = ", ".join(f"{shots} {values['mean']:.3f}" for shots, values in report[kind].items())
        print(f"{kind.replace('_', ' ')} tasks, exact match: {means}")
    print(f"{report['cpu_seconds']} CPU seconds, written to {options.out}")


if __name__ == "__main__":
    main()
