"""What lies below an adapter, computed once for many tasks: what is planned, and what it takes.

The data are made, words of the tokenizer in a row: 100 tasks of 256 examples of about 60 tokens, 20 of them
the instruction. The model has the checkpoint's widths, two layers and random weights, which take as long as
any others: what is to be foretold is a million states from a few.

    python benchmarks/states.py
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from cotune.tasks import Example, Task
from cotune.training.language_model import LanguageModelConfig, LanguageModelLearner

ROOT = Path(__file__).parents[1]
TRAIN = 0.75
"""Share of the examples that are trained on; the others are scored."""


def two_layers(checkpoint: Path, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write a model of two layers and random weights, else like a checkpoint."""
    config = AutoConfig.from_pretrained(checkpoint)
    config.num_hidden_layers = 2
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def words_of(tokenizer: PreTrainedTokenizerBase, n_words: int = 2000) -> list[str]:
    """Return words that are one token each behind a blank."""
    found = []
    for index in range(len(tokenizer)):
        word = str(tokenizer.decode([index])).strip()
        if word.isalpha() and tokenizer.encode(f" {word}", add_special_tokens=False) == [index]:
            found.append(word)
        if len(found) == n_words:
            break
    return found or ["0"]


def made_tasks(words: Sequence[str], options: argparse.Namespace) -> list[Task]:
    """Draw tasks: an instruction, and inputs and targets in a row."""
    rng = np.random.default_rng(0)
    n_shared, n_target = options.tokens // 3, max(1, options.tokens // 15)

    def text(n_words: int) -> str:
        return " ".join(rng.choice(words, n_words))

    def examples(n: int) -> tuple[Example, ...]:
        n_input = options.tokens - n_shared - n_target
        return tuple(Example(text(n_input), (text(n_target),)) for _ in range(n))

    n_train = round(TRAIN * options.examples)
    tasks = []
    for number in range(options.tasks):
        splits = {"train": examples(n_train), "validation": examples(options.examples - n_train)}
        tasks.append(Task(f"made_{number:03}", text(n_shared), {**splits, "test": examples(1)}, metric="nll"))
    return tasks


def main(argv: Sequence[str] | None = None) -> None:
    """Print the plan beside what was taken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / ".cache" / "smollm2", help="whose widths")
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--examples", type=int, default=256, help="of a task")
    parser.add_argument("--tokens", type=int, default=60, help="of an example")
    options = parser.parse_args(argv)
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = AutoTokenizer.from_pretrained(options.model)
        two_layers(options.model, folder / "model", tokenizer)
        tasks = made_tasks(words_of(tokenizer), options)
        config = LanguageModelConfig(model=str(folder / "model"), precision="fp32", adapt_from=1)

        def learner() -> LanguageModelLearner:
            made = LanguageModelLearner(config, tasks)
            made.load()
            return made

        planning = learner()
        kept = planning.kept_states
        assert kept is not None
        planned = [planning.timing().below]
        taking = learner()
        begin = time.process_time()
        taking.prepare(folder)
        taken = time.process_time() - begin
        planned.append(learner().timing().below)
        size = (folder / kept.file).stat().st_size
    ratio, of_each = 2 * taken / sum(planned), [taken / one for one in planned]
    print(
        f"{platform.machine()}, one thread, fp32: {kept.n_examples} examples of {kept.n_tokens} tokens below "
        f"layer 1 of 2\nbytes: {kept.n_bytes} planned, {size} taken\nCPU s: {planned[0]:.1f} planned before "
        f"and {planned[1]:.1f} after, {taken:.1f} taken, ratio {ratio:.3f} ({min(of_each):.3f} to "
        f"{max(of_each):.3f})"
    )


if __name__ == "__main__":
    main()
