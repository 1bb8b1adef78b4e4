"""In-context evaluation beside lm-evaluation-harness on the same prompts and model (make bench-eval).

Both answer the same k-shot prompts of the eight real tasks in evaluate.yaml with the same loaded model,
greedily or by the likelihood of every choice, on one thread. What is timed is the whole evaluation: with
cotune from the tasks to the scores, with the harness from the written prompts to its samples. The scores of
both come from cotune's metrics on the answers each gave; answers that differ are counted, and the first of
them printed. Where the harness is not installed (``cotune[harness]``), cotune is measured alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch

from cotune.answering import InContextConfig, evaluate_in_context
from cotune.answering._postprocessing import extract_answer
from cotune.answering._prompts import TaskPrompts
from cotune.models import LanguageModel
from cotune.studies.task_files import read_tasks
from cotune.tasks import Task, draw_demonstrations, format_prompt, get_metric, stops_of

ROOT = Path(__file__).parents[1]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed:
    """What came out and what it took."""

    result: Any
    wall: float
    cpu: float


def timed(work: Callable[[], Result]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Timed(result, time.perf_counter() - wall, time.process_time() - cpu)


def documents(task: Task, shots: int) -> list[dict[str, Any]]:
    """Write the prompts that cotune makes for draw 0 of seed 0, for the harness to read."""
    inputs = {example.input for example in task["test"]}
    shown = draw_demonstrations(task, shots, seed=0, draw=(0,), exclude=inputs)
    return [
        {
            "prompt": format_prompt(task.instruction, e.input, e.choices, shown, task.format),
            "choices": list(e.choices),
            "label": e.choices.index(e.targets[0]) if e.choices else 0,
        }
        for e in task["test"]
    ]


def harness_task(task: Task, folder: Path, shots: int, max_new_tokens: int) -> dict[str, Any]:
    """Describe a task to the harness, its prompts verbatim."""
    file = folder / f"{task.name}.jsonl"
    file.write_text("".join(json.dumps(document) + "\n" for document in documents(task, shots)))
    common = {
        "task": task.name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test",
        "doc_to_text": "prompt",
        "doc_to_target": "label",
        "target_delimiter": " ",
    }
    if task["test"][0].choices:
        return common | {
            "output_type": "multiple_choice",
            "doc_to_choice": "choices",
            "metric_list": [{"metric": "acc"}],
        }
    return common | {
        "output_type": "generate_until",
        "generation_kwargs": {
            "until": list(stops_of(task)),
            "do_sample": False,
            "max_gen_toks": max_new_tokens,
        },
        "metric_list": [{"metric": "bypass"}],
    }


class Harness:
    """lm-evaluation-harness on the loaded model; its index of tasks, slow to build, is left out."""

    def __init__(self, model: LanguageModel, options: argparse.Namespace) -> None:
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

        sizes = {True: options.batch_size, False: options.generation_batch_size}
        self._models = {
            chosen: HFLM(
                pretrained=model.base, tokenizer=model.tokenizer, batch_size=size, device=str(model.device)
            )
            for chosen, size in sizes.items()
        }
        self._manager = TaskManager(include_defaults=False)

    def answers(self, task: Task, described: dict[str, Any]) -> Timed:
        """Evaluate one task; return the answers taken, with the time from its requests to its samples."""
        from lm_eval import evaluate

        chosen = bool(task["test"][0].choices)
        # Its progress bars come by way of the standard error.
        with contextlib.redirect_stderr(io.StringIO()):
            loaded = self._manager.load([described])
            run = timed(lambda: evaluate(self._models[chosen], loaded, bootstrap_iters=0))
        samples = sorted(run.result["samples"][task.name], key=lambda sample: sample["doc_id"])
        answers = []
        for example, sample in zip(task["test"], samples, strict=True):
            if chosen:
                likelihoods = [float(response[0]) for response in sample["filtered_resps"]]
                answers.append(example.choices[likelihoods.index(max(likelihoods))])
            else:
                answers.append(extract_answer(sample["filtered_resps"][0], stops_of(task), example))
        return replace(run, result=answers)


def score(task: Task, answers: Sequence[str]) -> float:
    metric = get_metric(task.metric)
    values = [metric.score(a, e.targets) for a, e in zip(answers, task["test"], strict=True)]
    return sum(values) / len(values)


def compare(
    model: LanguageModel, harness: Harness | None, task: Task, shots: int, folder: Path
) -> tuple[Timed, ...]:
    """Evaluate one task with both or cotune alone, print what came out, and return what it took."""
    # The likelihood of a choice is that of all its tokens: what the harness calls acc.
    config = InContextConfig(
        shots=(shots,), draws=1, classification="likelihood", label_score="sum", max_prompt_tokens=2048
    )
    work = partial(evaluate_in_context, model, model.base, [task], config, seed=0)
    ours = timed(work)
    (result,) = ours.result
    assert result.n_cut == 0, "the harness is given the prompts in full"
    kind = "chosen" if task["test"][0].choices else "written"
    row = f"{task.name:20s} {kind:8s} {len(task['test']):4d}   {result.value:6.3f} "
    if harness is None:
        print(
            f"{row}{'-':>8s} {'-':>7s}   {ours.cpu:6.1f} {'-':>8s}   {ours.wall:6.1f} {'-':>8s}   {'-':>5s}",
            flush=True,
        )
        return (ours,)
    limit = TaskPrompts(task, config, model.encoder, seed=0).max_new_tokens
    described = harness_task(task, folder, shots, limit)
    theirs = harness.answers(task, described)
    differing = [(a, b) for a, b in zip(result.answers, theirs.result, strict=True) if a != b]
    print(
        f"{row}{score(task, theirs.result):8.3f} {len(differing):7d}   {ours.cpu:6.1f} {theirs.cpu:8.1f}   "
        f"{ours.wall:6.1f} {theirs.wall:8.1f}   {theirs.cpu / ours.cpu:5.2f}",
        flush=True,
    )
    for mine, other in differing[:3]:
        print(f"    differs: {mine!r} against {other!r}")
    return ours, theirs


def about(harness: Harness | None, options: argparse.Namespace) -> str:
    """Say what cotune is measured beside."""
    if harness is None:
        return "lm-evaluation-harness skipped: it is not installed (pip install 'cotune[harness]')"
    return (
        f"lm-evaluation-harness {version('lm_eval')} with batches of {options.batch_size} (choices) and "
        f"{options.generation_batch_size} (writing)"
    )


def quiet() -> None:
    """Keep the harness and its libraries from talking between the lines of the table."""
    warnings.filterwarnings("ignore")
    os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", LMEVAL_LOG_LEVEL="ERROR")
    logging.disable(logging.WARNING)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / ".cache" / "smollm2")
    parser.add_argument(
        "--tasks", type=Path, default=Path(__file__).with_suffix(".yaml"), help="a file of tasks"
    )
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--examples", type=int, default=24, help="at most so many test examples of a task")
    parser.add_argument("--batch-size", type=int, default=8, help="of the harness, for choices")
    parser.add_argument("--generation-batch-size", type=int, default=24, help="of the harness, for writing")
    options = parser.parse_args(argv)
    quiet()
    torch.set_num_threads(1)
    model = LanguageModel.load(options.model)
    # Loads what is imported late, and tries once whether rows can be shared, before anything is timed.
    model.generate(model.base, [model.encoder.encode(str, "Hello")], max_new_tokens=1)
    harness = Harness(model, options) if find_spec("lm_eval") else None
    print(
        f"{platform.machine()}, one thread, {model.dtype}, {options.shots} shots, {about(harness, options)}\n"
        f"{'':35s}  score              answers   CPU seconds       wall seconds      ratio\n"
        f"{'task':20s} {'answers':8s} {'n':>4s}   cotune  harness  differ   cotune  harness   cotune  harness"
        "    (CPU)"
    )
    total = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = str(Path(folder) / "datasets")
        for task in read_tasks(options.tasks, options={"max_examples": {"test": options.examples}}):
            total.append(compare(model, harness, task, options.shots, Path(folder)))
    for kind in ("cpu", "wall"):
        ours, *theirs = (sum(getattr(run, kind) for run in side) for side in zip(*total, strict=True))
        beside = "".join(f", harness {spent:.1f}, ratio {spent / ours:.2f}" for spent in theirs)
        print(f"all tasks, {kind} seconds: cotune {ours:.1f}{beside}")


if __name__ == "__main__":
    main()
