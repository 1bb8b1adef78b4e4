"""In-context evaluation beside lm-evaluation-harness on the same prompts and model (make bench-eval).

Both answer the same k-shot prompts of eight real tasks with the same loaded model, greedily or by the
likelihood of every choice, on one thread. What is timed is the whole evaluation: with cotune from the tasks
to the scores, with the harness from the written prompts to its samples. The scores of both come from cotune's
metrics on the answers each gave; answers that differ are counted, and the first of them printed.
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
from pathlib import Path
from typing import Any, TypeVar

import torch

from cotune.answering import InContextConfig, evaluate_in_context
from cotune.answering._prompts import TaskPrompts
from cotune.models import LanguageModel
from cotune.tasks import READERS, Task, draw_demonstrations, format_prompt, get_format, get_metric

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
GENERATED = ["active_to_passive", "larger_animal", "negation", "singular_to_plural", "translation_en-de"]
CHOSEN = {
    "rte": {"builtin": "rte"},
    "sst2": {"input": "Review: {{ text }}\nSentiment:", "target": "{{ label }}"},
    "trec": {"input": "Question: {{ text }}\nType:", "target": "{{ label }}"},
}
LABELS = {
    "sst2": ["negative", "positive"],
    "trec": ["description", "entity", "abbreviation", "human", "location", "number"],
}
Result = TypeVar("Result")


def read_tasks(data: Path, n_examples: int) -> list[Task]:
    """Read five tasks whose answers are written and three whose answers are chosen."""
    caps = {"train": 64, "validation": 8, "test": n_examples}
    written = READERS["instruction_induction"](
        path=str(data / "instruction_induction"), include=GENERATED, max_examples=caps, metric="exact_match"
    )
    chosen = READERS["jsonl"](
        path=str(data / "classification"),
        include=list(CHOSEN),
        format="plain",
        max_examples=caps,
        templates={
            name: options | ({"choices": LABELS[name]} if name in LABELS else {})
            for name, options in CHOSEN.items()
        },
    )
    return [*written.read(base=Path(), seed=0), *chosen.read(base=Path(), seed=0)]


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
    stops = list(get_format(task.format).stops)
    return common | {
        "output_type": "generate_until",
        "generation_kwargs": {"until": stops, "do_sample": False, "max_gen_toks": max_new_tokens},
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
        style = get_format(task.format)
        answers = []
        for example, sample in zip(task["test"], samples, strict=True):
            if chosen:
                likelihoods = [float(response[0]) for response in sample["filtered_resps"]]
                answers.append(example.choices[likelihoods.index(max(likelihoods))])
            else:
                answers.append(style.answer(sample["filtered_resps"][0]))
        return replace(run, result=answers)


def score(task: Task, answers: Sequence[str]) -> float:
    metric = get_metric(task.metric)
    values = [metric.score(a, e.targets) for a, e in zip(answers, task["test"], strict=True)]
    return sum(values) / len(values)


def compare(
    model: LanguageModel, harness: Harness, task: Task, shots: int, folder: Path
) -> tuple[Timed, Timed]:
    """Evaluate one task with both, print what came out, and return what it took."""
    config = InContextConfig(shots=(shots,), draws=1, classification="likelihood", max_prompt_tokens=2048)
    work = partial(evaluate_in_context, model, model.base, [task], config, seed=0)
    ours = timed(work)
    (result,) = ours.result
    assert result.n_cut == 0, "the harness is given the prompts in full"
    limit = TaskPrompts(task, config, model.encoder, seed=0).max_new_tokens
    described = harness_task(task, folder, shots, limit)
    theirs = harness.answers(task, described)
    kind = "chosen" if task["test"][0].choices else "written"
    differing = [(a, b) for a, b in zip(result.answers, theirs.result, strict=True) if a != b]
    print(
        f"{task.name:20s} {kind:8s} {len(task['test']):4d}   {result.value:6.3f} "
        f"{score(task, theirs.result):8.3f} {len(differing):7d}   {ours.cpu:6.1f} {theirs.cpu:8.1f}   "
        f"{ours.wall:6.1f} {theirs.wall:8.1f}   {theirs.cpu / ours.cpu:5.2f}",
        flush=True,
    )
    for mine, other in differing[:3]:
        print(f"    differs: {mine!r} against {other!r}")
    return ours, theirs


def quiet() -> None:
    """Keep the harness and its libraries from talking between the lines of the table."""
    warnings.filterwarnings("ignore")
    os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", LMEVAL_LOG_LEVEL="ERROR")
    logging.disable(logging.WARNING)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / ".cache" / "smollm2")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--examples", type=int, default=24, help="test examples of a task")
    parser.add_argument("--batch-size", type=int, default=8, help="of the harness, for choices")
    parser.add_argument("--generation-batch-size", type=int, default=24, help="of the harness, for writing")
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    model = LanguageModel.load(options.model)
    # Loads what is imported late, and tries once whether rows can be shared, before anything is timed.
    model.generate(model.base, [model.encoder.encode(str, "Hello")], max_new_tokens=1)
    import lm_eval

    harness = Harness(model, options)
    print(
        f"{platform.machine()}, one thread, {model.dtype}, {options.shots} shots, lm-evaluation-harness "
        f"{lm_eval.__version__} with batches of {options.batch_size} (choices) and "
        f"{options.generation_batch_size} (writing)\n"
        f"{'':35s}  score              answers   CPU seconds       wall seconds      ratio\n"
        f"{'task':20s} {'answers':8s} {'n':>4s}   cotune  harness  differ   cotune  harness   cotune  harness"
        "    (CPU)"
    )
    total = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = str(Path(folder) / "datasets")
        for task in read_tasks(options.data, options.examples):
            total.append(compare(model, harness, task, options.shots, Path(folder)))
    for kind in ("cpu", "wall"):
        ours, theirs = (sum(getattr(run, kind) for run in side) for side in zip(*total, strict=True))
        print(
            f"all tasks, {kind} seconds: cotune {ours:.1f}, harness {theirs:.1f}, ratio {theirs / ours:.2f}"
        )


if __name__ == "__main__":
    main()
