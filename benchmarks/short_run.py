"""Where the processor time of a short run goes: six steps on three tasks and their scores, part by part.

Affinity takes hundreds of such runs. What is not arithmetic in them (putting the adapter on, drawing and
laying out batches, what Python does between the kernels) is paid hundreds of times too.

    python benchmarks/short_run.py
    python benchmarks/short_run.py --adapt-from 0.75 --kernels
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from cotune.models import _language_model
from cotune.models._frozen import FrozenModel
from cotune.models.prefix import FrozenPrefix
from cotune.studies import Study
from cotune.studies.grouping import GroupingStudy
from cotune.training import _loop, stages
from cotune.training.language_model import LanguageModelLearner
from cotune.training.methods import Lora

STUDY = Path(__file__).with_name("record_families.yaml")
TRAINING = {"batch_size": 6, "schedule": "linear"}
KERNELS = {
    "matrix products": ("addmm", "mm", "bmm", "baddbmm", "linear", "matmul"),
    "attention": ("scaled_dot_product", "flash_attention"),
    "softmax and loss": ("softmax", "nll_loss", "logsumexp", "cross_entropy"),
    "copies": ("copy_", "cat", "clone", "index", "gather", "embedding", "fill_", "zero_", "contiguous"),
}
"""Kernels by a part of their name; the first that fits."""


class Clock:
    """Processor seconds by part: what is done within a part that has a name of its own counts there alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open = ["the rest"]
        self._since = time.process_time()

    def _turn(self) -> None:
        now = time.process_time()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what is done in the context under a name."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def counting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that counts under a name."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return counted

    def attaching(self, attach: Callable[..., Any]) -> Callable[..., Any]:
        """Return a context whose beginning and end count, and not what is done within."""

        @contextmanager
        def attached(*args: Any, **kwargs: Any) -> Iterator[Any]:
            context = attach(*args, **kwargs)
            with self.part("adapter on and off"):
                found = context.__enter__()
            try:
                yield found
            finally:
                with self.part("adapter on and off"):
                    context.__exit__(None, None, None)

        return attached


@contextmanager
def parted(clock: Clock) -> Iterator[None]:
    """Let runs within the context count the parts of what they do."""
    parts = [
        ("drawing and laying out", FrozenModel, "batch"),
        ("forward", FrozenModel, "target_losses"),
        ("backward", torch.Tensor, "backward"),
        ("optimiser", _loop.TrainingRun, "_update"),
        ("optimiser", stages, "begin_stage"),
        ("scoring: laying out", LanguageModelLearner, "_scores"),
        ("scoring: passes", _language_model, "row_losses"),
        ("states of lower layers", FrozenPrefix, "states"),
    ]
    with ExitStack() as stack:
        for name, owner, attribute in parts:
            counted = clock.counting(name, getattr(owner, attribute))
            stack.enter_context(patch.object(owner, attribute, counted))
        stack.enter_context(patch.object(Lora, "attach", clock.attaching(Lora.attach)))
        yield


def learner_of(options: argparse.Namespace) -> LanguageModelLearner:
    """Return the learner of the study that is profiled, its model loaded and what lies below computed."""
    study = Study.load(options.study, options.study.parent)
    assert isinstance(study, GroupingStudy)
    config = study.config.learner
    changes: dict[str, Any] = {"precision": options.precision, "adapt_from": options.adapt_from}
    if options.model is not None:
        changes["model"] = str(options.model)
    changes["training"] = config.training.model_copy(update=TRAINING)
    learner = config.model_copy(update=changes).build(study.tasks, study.base)
    assert isinstance(learner, LanguageModelLearner)
    learner.load()
    return learner


def kernels(run: Callable[[], Any]) -> dict[str, float]:
    """Return the seconds of each kind of kernel in a run."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as found:
        run()
    seconds: defaultdict[str, float] = defaultdict(float)
    for event in found.key_averages():
        name = event.key.removeprefix("aten::")
        kind = next(
            (k for k, words in KERNELS.items() if any(word in name for word in words)), "element by element"
        )
        seconds[kind] += event.self_cpu_time_total / 1e6
    return dict(seconds)


def main(argv: Sequence[str] | None = None) -> None:
    """Print what each part of a run takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="fp32")
    parser.add_argument("--adapt-from", type=float, help="the adapter above this share of the layers alone")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--runs", type=int, default=3, help="runs, each on other tasks")
    parser.add_argument("--kernels", action="store_true", help="also by kind of kernel, of one more run")
    options = parser.parse_args(argv)
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    learner = learner_of(options)
    every = sorted(learner.tasks)
    spread = max(len(every) // 3, 1)
    subsets = [
        tuple(sorted({every[(at + spread * i) % len(every)] for i in range(3)})) for at in range(options.runs)
    ]

    def fit(at: int, steps: int) -> None:
        learner.fit(subsets[at], at, steps=steps, split="validation")

    clocks = []
    for at in range(options.runs):
        fit(at, options.steps if learner.lower is not None else 1)  # what is made once is not to count
        clock = Clock()
        with parted(clock), clock.part("the rest"):
            fit(at, options.steps)
        clocks.append(clock.seconds)
    total = sum(map(sum, (clock.values() for clock in clocks)))
    print(
        f"{platform.machine()}, one thread, {learner.model.base.dtype}, {options.steps} steps on three "
        f"tasks: {total / options.runs:.2f} CPU s a run\n"
    )
    print("| part | CPU s a run | share |\n|---|---:|---:|")
    names = sorted({name for clock in clocks for name in clock}, key=lambda n: -sum(c[n] for c in clocks))
    for name in names:
        seconds = sum(clock[name] for clock in clocks)
        print(f"| {name} | {seconds / options.runs:.3f} | {seconds / total:.1%} |")
    if options.kernels:
        found = kernels(lambda: fit(0, options.steps))
        print("\n| kernels of one run | CPU s | share |\n|---|---:|---:|")
        for name, seconds in sorted(found.items(), key=lambda item: -item[1]):
            print(f"| {name} | {seconds:.3f} | {seconds / sum(found.values()):.1%} |")


if __name__ == "__main__":
    main()
