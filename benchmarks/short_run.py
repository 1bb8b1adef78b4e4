"""Where the processor time of a short run goes: six steps on three tasks and their scores, part by part.

Affinity takes hundreds of such runs. What is not arithmetic in them (putting the adapter on, drawing and
laying out batches, what Python does between the kernels) is paid hundreds of times too.

With ``--turns`` the runs of ``bench-affinity`` take turns in three ways, triple by triple: an adapter on all
layers, one on the upper layers from tokens, and the same one from states that are computed once before.
Ratios are of processor time on the same triple, beside what the operations alone would give.

    python benchmarks/short_run.py
    python benchmarks/short_run.py --adapt-from 0.75 --kernels
    python benchmarks/short_run.py --adapt-from 0.75 --steps 18 --turns 8
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from affinity import recorded_tasks
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from cotune.affinity import cover_pairs
from cotune.models import _language_model
from cotune.models._frozen import FrozenModel
from cotune.models.prefix import FrozenPrefix
from cotune.studies import Study
from cotune.studies.grouping import GroupingStudy
from cotune.training import _loop, stages
from cotune.training.language_model import LanguageModelLearner
from cotune.training.methods import Lora
from cotune.training.proxy import Proxy

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


def study_of(options: argparse.Namespace) -> GroupingStudy:
    """Return the study that is profiled, with the tasks that were recorded."""
    study = Study.load(options.study, options.study.parent)
    assert isinstance(study, GroupingStudy)
    return replace(study, config=study.config.model_copy(update={"tasks": recorded_tasks(study)}))


def learner_of(
    options: argparse.Namespace, study: GroupingStudy, adapt_from: float | None
) -> LanguageModelLearner:
    """Return the learner of a study, its model loaded."""
    config = study.config.learner
    changes: dict[str, Any] = {"precision": options.precision, "adapt_from": adapt_from}
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


ALL, TOKENS, STATES = "all layers", "upper layers, from tokens", "upper layers, from states"


@dataclass
class Run:
    """What a run took, in processor seconds or in operations, and its training tokens."""

    whole: float
    scoring: float
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens for each unit of training."""
        return self.tokens / (self.whole - self.scoring)


class Turns:
    """Runs on triples in three ways.

    Parameters
    ----------
    options : Namespace
        Of the command line.
    shared : Path
        Folder for the states.
    """

    def __init__(self, options: argparse.Namespace, shared: Path) -> None:
        study = study_of(options)
        self._steps = options.steps
        self._learner = learner_of(options, study, None)
        self._upper = self._learner.proxied(Proxy(adapt_from=options.adapt_from))
        names = self._learner.tasks
        drawn = cover_pairs(len(names), min(3, len(names)), options.over, study.config.seed)
        self.triples = [tuple(sorted(names[i] for i in row)) for row in drawn][: options.turns]
        with counter() as operations:
            begin = time.process_time()
            self._upper.prepare(shared)
            self.making = time.process_time() - begin
        self.making_operations = operations.get_total_flops()

    def run(self, way: str, at: int, steps: int, measure: Callable[[], float]) -> Run:
        """Do a run, by a measure that only grows."""
        learner = self._learner if way == ALL else self._upper
        scoring = 0.0
        scores = LanguageModelLearner._scores

        def scored(*args: Any, **kwargs: Any) -> Any:
            nonlocal scoring
            begin = measure()
            try:
                return scores(*args, **kwargs)
            finally:
                scoring += measure() - begin

        with ExitStack() as stack:
            stack.enter_context(patch.object(LanguageModelLearner, "_scores", scored))
            if way == TOKENS:
                stack.enter_context(
                    patch.object(LanguageModelLearner, "_from_states", lambda _: nullcontext())
                )
            begin = measure()
            fit = learner.fit(self.triples[at], at, steps=steps, split="validation")
            whole = measure() - begin
        assert fit.tokens is not None
        return Run(whole, scoring, fit.tokens)

    def all(self) -> list[dict[str, Run]]:
        """Let the ways take turns on every triple, another one first on each."""
        ways = [ALL, TOKENS, STATES]
        for way in ways:
            self.run(way, 0, 1, time.process_time)  # what is made once is not to count
        found = []
        for at in range(len(self.triples)):
            order = ways[at % 3 :] + ways[: at % 3]
            found.append({way: self.run(way, at, self._steps, time.process_time) for way in order})
        return found

    def operations(self, count: int) -> list[dict[str, Run]]:
        """Count what the same runs do, of the first triples."""
        found = []
        for at in range(min(count, len(self.triples))):
            runs = {}
            for way in (ALL, TOKENS, STATES):
                with counter() as operations:
                    runs[way] = self.run(way, at, self._steps, operations.get_total_flops)
            found.append(runs)
        return found


def counter() -> FlopCounterMode:
    """Count the operations of matrix products and of attention."""
    ops = torch.ops.aten

    def forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return int(sdpa_flop_count(query, key, value))

    def backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return int(sdpa_backward_flop_count(gradient, query, key, value))

    of_cpu = {
        ops._scaled_dot_product_flash_attention_for_cpu: forward,
        ops._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }
    return FlopCounterMode(display=False, custom_mapping=of_cpu)


RATIOS: dict[str, Callable[[dict[str, Run], float], float]] = {
    "a run from states, of one on all layers": lambda runs, _: runs[STATES].whole / runs[ALL].whole,
    "the same, with its share of the making": lambda runs, making: (
        (runs[STATES].whole + making) / runs[ALL].whole
    ),
    "a run from states, of one from tokens": lambda runs, _: runs[STATES].whole / runs[TOKENS].whole,
    "training tokens from states, of those from tokens": lambda runs, _: (
        runs[STATES].rate / runs[TOKENS].rate
    ),
    "training tokens from states, of those on all layers": lambda runs, _: runs[STATES].rate / runs[ALL].rate,
}


def in_turns(options: argparse.Namespace) -> None:
    """Print what runs take in three ways, and the ratios beside those of operations."""
    with TemporaryDirectory() as folder:
        turns = Turns(options, Path(folder))
        measured, counted = turns.all(), turns.operations(options.count)
    print(
        f"{platform.machine()}, one thread, {options.precision}, {len(measured)} triples of {options.steps} "
        f"steps, upper layers from {options.adapt_from:g}; states made in {turns.making:.1f} CPU s, "
        f"{turns.making_operations / 1e9:.4g} billion operations, and shared by {options.over} runs\n"
    )
    print("| runs | CPU s | of it scoring | training tokens / CPU s | billion operations |")
    print("|---|---:|---:|---:|---:|")
    for way in (ALL, TOKENS, STATES):
        runs = [one[way] for one in measured]
        cells = [statistics.mean(r.whole for r in runs), statistics.mean(r.scoring for r in runs)]
        rate = sum(r.tokens for r in runs) / sum(r.whole - r.scoring for r in runs)
        done = statistics.mean(one[way].whole for one in counted) / 1e9
        print(f"| {way} | {cells[0]:.2f} | {cells[1]:.2f} | {rate:.0f} | {done:.3g} |")
    print("\n| ratio | mean ± sd over triples | least to most | of operations |\n|---|---|---|---:|")
    for name, ratio in RATIOS.items():
        found = [ratio(runs, turns.making / options.over) for runs in measured]
        done = statistics.mean(ratio(runs, turns.making_operations / options.over) for runs in counted)
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        about = f"{statistics.mean(found):.2f} ± {spread:.2f} | {min(found):.2f} to {max(found):.2f}"
        print(f"| {name} | {about} | {done:.2f} |")


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
    parser.add_argument("--turns", type=int, help="triples on which runs take turns in three ways instead")
    parser.add_argument("--count", type=int, default=2, help="of them, triples whose operations are counted")
    parser.add_argument("--over", type=int, default=90, help="runs that share the making of states")
    options = parser.parse_args(argv)
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    if options.turns is not None:
        if options.adapt_from is None:
            parser.error("--turns compares an adapter on the upper layers: give --adapt-from too")
        in_turns(options)
        return
    learner = learner_of(options, study_of(options), options.adapt_from)
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
