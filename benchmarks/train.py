"""Training throughput beside a plain transformers.Trainer + PEFT loop on the same batches (make bench-train).

Both train a LoRA of the same initial weights on the same examples in the same order, on one thread; what
differs is that cotune encodes an instruction shared by examples once. Losses are printed
beside each other: they agree up to rounding. Throughput counts every example's own tokens.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import SequentialSampler
from transformers import (
    AutoModelForCausalLM,
    DataCollatorForSeq2Seq,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils.logging import disable_progress_bar

from cotune.models import Encoded, LanguageModel
from cotune.models.boundary import Boundary
from cotune.models.layers import layer_lists
from cotune.models.prefix import FrozenPrefix, Layout, opening_of
from cotune.tasks import READERS, Mixture, format_prompt, format_target
from cotune.training._loop import TrainingRun
from cotune.training.below import layers_below
from cotune.training.config import TrainingConfig
from cotune.training.methods import Lora
from cotune.training.timing import clock

ROOT = Path(__file__).parents[1]
TASKS = ["task184_*", "task187_*", "task1411_*", "task1622_*"]


def batches(model: LanguageModel, data: Path, config: TrainingConfig, steps: int) -> list[list[Encoded]]:
    """Draw the batches both loops train on."""
    caps = {"train": 64, "validation": 8, "test": 8}
    reader = READERS["natural_instructions"](path=str(data), include=TASKS, max_examples=caps)
    pools = []
    for task in reader.read(base=Path(), seed=0):
        pool = [
            model.encoder.encode(
                lambda text, task=task: format_prompt(task.instruction, text),
                e.input,
                format_target(e.targets[0]),
            )
            for e in task["train"]
        ]
        pools.append([example for example in pool if example is not None])
    mixture = Mixture([len(pool) for pool in pools], config.batch_size, config.tasks_per_batch, 0)
    return [[pools[row.task][i] for row in mixture[step] for i in row.examples] for step in range(steps)]


def cotune_loop(
    model: LanguageModel,
    drawn: list[list[Encoded]],
    config: TrainingConfig,
    layers: Sequence[int] | None = None,
    below: FrozenPrefix | None = None,
) -> tuple[list[float], float]:
    """Train with cotune, on some layers alone and from what lies below; return losses and seconds."""
    torch.manual_seed(0)
    method = Lora(target_modules=("q_proj", "v_proj"))
    method = method if layers is None else method.above(layers)
    with method.attach(model) as module, model.starting_above(below):
        begin = clock(model.device.type)
        run = TrainingRun(model, module, len(drawn), config)
        run.run(drawn)
        return list(run.log.losses), clock(model.device.type) - begin


class _Recorder(TrainerCallback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))


class _InOrder(Trainer):
    def _get_train_sampler(self, dataset=None):
        return SequentialSampler(self.train_dataset)


def trainer_loop(
    folder: Path, model: LanguageModel, drawn: list[list[Encoded]], config: TrainingConfig
) -> tuple[list[float], float]:
    """Train with transformers.Trainer and PEFT; return losses and seconds."""
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=model.base.dtype, trust_remote_code=False)
    torch.manual_seed(0)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    adapted = get_peft_model(base, lora)
    rows = [
        {
            "input_ids": [*example.prompt, *example.target],
            "labels": [-100] * len(example.prompt) + list(example.target),
        }
        for batch in drawn
        for example in batch
    ]
    recorder = _Recorder()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            per_device_train_batch_size=config.batch_size,
            max_steps=len(drawn),
            learning_rate=config.learning_rate,
            lr_scheduler_type="constant",
            weight_decay=config.weight_decay,
            max_grad_norm=config.clip or 0.0,
            logging_steps=1,
            logging_nan_inf_filter=False,
            report_to="none",
            save_strategy="no",
            use_cpu=model.device.type == "cpu",
            disable_tqdm=True,
            bf16=model.base.dtype == torch.bfloat16,
            seed=0,
        )
        trainer = _InOrder(
            model=adapted,
            args=arguments,
            train_dataset=rows,
            data_collator=DataCollatorForSeq2Seq(model.tokenizer, padding=True),
            callbacks=[recorder],
        )
        trainer.remove_callback(PrinterCallback)
        begin = clock(model.device.type)
        trainer.train()
        return recorder.losses, clock(model.device.type) - begin


@dataclass
class Throughput:
    """Tokens a second by round of the two loops, and how far their losses are apart."""

    ours: list[float]
    plain: list[float]
    apart: float

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.plain, strict=True)]

    def sentence(self, second: str) -> str:
        return (
            f"tokens per {second} cotune {statistics.median(self.ours):.0f}, Trainer + PEFT "
            f"{statistics.median(self.plain):.0f}, ratio {statistics.median(self.ratios):.2f} "
            f"({min(self.ratios):.2f} to {max(self.ratios):.2f}); losses differ by at most {self.apart:.1e}"
        )


def throughput(
    folder: Path, model: LanguageModel, drawn: list[list[Encoded]], config: TrainingConfig, rounds: int
) -> Throughput:
    """Let the two loops take turns on the model's device."""
    tokens = sum(len(example) for batch in drawn for example in batch)
    ours, plain, apart = [], [], 0.0
    for _ in range(rounds):
        our_losses, seconds = cotune_loop(model, drawn, config)
        ours.append(tokens / seconds)
        their_losses, seconds = trainer_loop(folder, model, drawn, config)
        plain.append(tokens / seconds)
        apart = max(abs(a - b) for a, b in zip(our_losses, their_losses, strict=True))
    return Throughput(ours, plain, apart)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / ".cache" / "smollm2")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "natural_instructions")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--mixtures", type=int, nargs="+", default=[1, 2, 4], help="tasks a step")
    parser.add_argument("--steps", type=int, default=6, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=3, help="the two loops in turn, so often")
    parser.add_argument(
        "--adapt-from", type=float, help="also an adapter above this share of the layers, alone"
    )
    options = parser.parse_args(argv)
    warnings.filterwarnings("ignore", category=FutureWarning)
    disable_progress_bar()
    torch.set_num_threads(1)
    model = LanguageModel.load(options.model, precision=options.precision)
    print(f"{platform.machine()}, one thread, {model.base.dtype}, {options.steps} steps a round")
    for tasks_per_batch in options.mixtures:
        config = TrainingConfig(batch_size=8, tasks_per_batch=tasks_per_batch, learning_rate=1e-3, warmup=0)
        drawn = batches(model, options.data, config, options.steps)
        found = throughput(options.model, model, drawn, config, options.rounds)
        print(
            f"8 examples of {tasks_per_batch} task(s) a step: {found.sentence('CPU second')}",
            flush=True,
        )
        if options.adapt_from is not None:
            upper(model, drawn, config, options, statistics.median(found.plain))


def upper(
    model: LanguageModel,
    drawn: list[list[Encoded]],
    config: TrainingConfig,
    options: argparse.Namespace,
    plain: float,
) -> None:
    """Print the throughput of an adapter on the upper layers, from what lies below and from tokens."""
    total = len(layer_lists(model.base)[0])
    at = layers_below(options.adapt_from, total)
    examples = [example for batch in drawn for example in batch]
    layout = Layout(seq2seq=False, most_rows=10**9)
    layout.add(examples, opening_of(examples))
    below = FrozenPrefix(model, Boundary(model, at), layout)
    below.check()
    begin = clock(model.device.type)
    below.keep()
    built = clock(model.device.type) - begin
    tokens = sum(map(len, examples))
    kept, whole = [], []
    for _ in range(options.rounds):
        losses, seconds = cotune_loop(model, drawn, config, range(at, total), below)
        kept.append(tokens / seconds)
        other, seconds = cotune_loop(model, drawn, config, range(at, total))
        whole.append(tokens / seconds)
    ratios = [a / b for a, b in zip(kept, whole, strict=True)]
    apart = max(abs(a - b) for a, b in zip(losses, other, strict=True))
    print(
        f"  the adapter on layers {at} to {total - 1}: tokens per CPU second from states "
        f"{statistics.median(kept):.0f}, from tokens {statistics.median(whole):.0f}, "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), beside Trainer + "
        f"PEFT on all layers {statistics.median(kept) / plain:.2f}; losses differ by at most {apart:.1e}; "
        f"states of {layout.n_rows} tokens computed in {built:.1f} CPU s",
        flush=True,
    )


if __name__ == "__main__":
    main()
