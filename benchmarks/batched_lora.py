"""Several LoRAs in one pass over SmolLM2 beside as many separate runs (make bench-batched).

Both train adapters of the same initial weights on the same batches in the same order, on one thread; what
differs is that one pass holds rows of several adapters. Throughput counts every example's own tokens. With
``--adapt-from`` the adapters are on the upper layers alone, and passes start from what lies below them, which
is computed before anything is timed.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from cotune.models import Encoded, LanguageModel
from cotune.models.boundary import Boundary
from cotune.models.layers import layer_lists
from cotune.models.prefix import FrozenPrefix, Layout
from cotune.training._loop import TrainingRun
from cotune.training._lora_stack import LoraStack, adapter_of, train_side_by_side
from cotune.training.below import layers_below
from cotune.training.config import TrainingConfig
from cotune.training.methods import Lora
from cotune.training.timing import clock

ROOT = Path(__file__).parents[1]
METHOD = Lora(target_modules=("q_proj", "v_proj"))

Batches = list[list[Encoded]]


def draw(model: LanguageModel, seed: int, steps: int, examples: int, tokens: int) -> Batches:
    """Draw batches of examples of a given length that share nothing, an eighth of each to be learned."""
    rng = np.random.default_rng(seed)
    n_targets = max(1, tokens // 8)
    lowest = min(100, model.vocabulary_size // 2)  # special tokens are below
    rows = rng.integers(lowest, model.vocabulary_size, (steps, examples, tokens)).tolist()
    return [[Encoded(tuple(r[:-n_targets]), tuple(r[-n_targets:])) for r in batch] for batch in rows]


def starting_at(
    model: LanguageModel, at: int, drawn: Sequence[Batches]
) -> tuple[Lora, AbstractContextManager[None]]:
    """Return the method on the layers from a place up, and a context in which passes start there."""
    if at == 0:
        return METHOD, nullcontext()
    layout = Layout(seq2seq=False, most_rows=10**9)
    layout.add(example for batches in drawn for batch in batches for example in batch)
    prefix = FrozenPrefix(model, Boundary(model, at), layout)
    prefix.check()
    prefix.keep()
    return METHOD.above(range(at, len(layer_lists(model.base)[0]))), model.starting_above(prefix)


def separate(
    model: LanguageModel, drawn: Sequence[Batches], config: TrainingConfig, method: Lora = METHOD
) -> tuple[list[tuple[float, ...]], float]:
    """Train one after the other; return losses and seconds."""
    losses = []
    begin = clock(model.device.type)
    for seed, batches in enumerate(drawn):
        torch.manual_seed(seed)
        with method.attach(model) as attached:
            run = TrainingRun(model, attached, len(batches), config)
            run.run(batches)
            losses.append(run.log.losses)
    return losses, clock(model.device.type) - begin


def batched(
    model: LanguageModel, drawn: Sequence[Batches], config: TrainingConfig, method: Lora = METHOD
) -> tuple[list[tuple[float, ...]], float]:
    """Train all in one pass; return losses and seconds."""
    begin = clock(model.device.type)
    adapters = []
    for seed in range(len(drawn)):
        torch.manual_seed(seed)
        with method.attach(model):
            adapter = adapter_of(model.base)
        assert adapter is not None
        adapters.append(adapter)
    streams = [cycle(batches) for batches in drawn]
    names = [f"LoRA {seed}" for seed in range(len(drawn))]
    logs = train_side_by_side(model, LoraStack(adapters), streams, len(drawn[0]), config, names)
    return [log.losses for log in logs], clock(model.device.type) - begin


@dataclass
class Beside:
    """Tokens a second by round of one pass and of separate runs, and how far their losses are apart."""

    together: list[float]
    alone: list[float]
    apart: float

    def sentence(self, second: str) -> str:
        ratios = [b / a for a, b in zip(self.alone, self.together, strict=True)]
        return (
            f"tokens per {second} batched {statistics.median(self.together):.0f}, separate "
            f"{statistics.median(self.alone):.0f}, ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}); losses differ by at most {self.apart:.1e}"
        )


def beside(
    model: LanguageModel,
    drawn: Sequence[Batches],
    config: TrainingConfig,
    rounds: int,
    method: Lora = METHOD,
) -> Beside:
    """Let the two take turns on the model's device."""
    total = sum(len(example) for batches in drawn for batch in batches for example in batch)
    alone, together = [], []
    for _ in range(rounds):
        separate_losses, seconds = separate(model, drawn, config, method)
        alone.append(total / seconds)
        batched_losses, seconds = batched(model, drawn, config, method)
        together.append(total / seconds)
    apart = np.abs(np.array(separate_losses) - np.array(batched_losses)).max()
    return Beside(together, alone, float(apart))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the comparison for several boundaries, sizes of a batch and numbers of adapters."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / ".cache" / "smollm2")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--adapters", type=int, nargs="+", default=[8], help="in a pass")
    parser.add_argument(
        "--adapt-from", type=float, nargs="+", default=[0.0], help="shares of the layers below the adapters"
    )
    parser.add_argument("--steps", type=int, default=3, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=3, help="the two in turn, so often")
    parser.add_argument(
        "--batches", nargs="+", default=["8x64", "8x16", "4x16", "2x8"], help="examples x tokens of a step"
    )
    options = parser.parse_args(argv)
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    model = LanguageModel.load(options.model, precision=options.precision)
    print(f"{platform.machine()}, one thread, {model.base.dtype}, {options.steps} steps a round", flush=True)
    total = len(layer_lists(model.base)[0])
    for at in (layers_below(share, total) for share in options.adapt_from):
        print(f"Adapters on layers {at} to {total - 1}" + (", from what lies below:" if at else ":"))
        for size in options.batches:
            examples, tokens = map(int, size.split("x"))
            config = TrainingConfig(batch_size=examples, tasks_per_batch=1, warmup=0)
            for adapters in options.adapters:
                drawn = [draw(model, seed, options.steps, examples, tokens) for seed in range(adapters)]
                method, starting = starting_at(model, at, drawn)
                with starting:
                    found = beside(model, drawn, config, options.rounds, method)
                print(
                    f"{adapters} adapters, {examples} examples of {tokens} tokens a step: "
                    f"{found.sentence('CPU second')}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
