"""Many instructions for one data set, after Table 2 of AdaGroup (make bench-instructions).

For RTE and word-in-context half of the instructions are ours and half are written by SmolLM2 from examples
and as variations (propose, score, keep): so small a model writes little that a person would, whatever its
score. Each instruction is a task. A grouping study of each
data set then trains, for the same steps and with as many trained parameters: one LoRA for each of our groups,
of those of spectral clustering and of Lloyd's algorithm, and one LoRA, prefix or prompt on all instructions.

Instructions and finished runs are kept in the folder: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cotune._files import write_text
from cotune.benchmark.instructions import INSTRUCTED
from cotune.cli._progress import duration, progress
from cotune.findings.comparison import format_gain
from cotune.findings.wording import format_number
from cotune.studies import Study, plan_study, run_study
from cotune.studies.grouping import GroupingResult
from cotune.studies.task_files import read_tasks

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
WORDS = 26
"""Examples of RTE with more words are left out: a processor reads about 150 tokens a second in training."""
TITLES = {"grouped": "ours (SDP)", "joint": "multi-instruction LoRA"}
"""What the table calls the arms that a verdict is about."""
SOURCES = {"examples": "written from examples", "variation": "variations", "given": "ours"}
ADAPTERS = 3
"""Groups, and so adapters of the arms that have groups."""


@dataclass(frozen=True)
class DataSet:
    """A data set with its reader, and how an instruction of ours says what is asked for."""

    name: str
    options: Mapping[str, Any]
    grammar: str
    thing: str

    @property
    def ours(self) -> list[str]:
        """Twenty-five instructions, the first five with nothing in common."""
        own = INSTRUCTED[self.grammar]
        asked = [[f"{ask} {self.thing}. {close}" for ask in own.asks] for close in own.closes]
        first = [f"{ask} {self.thing}. {close}" for ask, close in zip(own.asks, own.closes, strict=True)]
        return list(dict.fromkeys([*first, *(text for texts in asked for text in texts)]))


def data_sets(source: Path, folder: Path) -> list[DataSet]:
    """Return both data sets; short pairs of RTE are written into the folder."""
    for split in ("train", "validation"):
        rows = (source / "classification" / "rte" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        short = [row for row in rows if _words(json.loads(row)) <= WORDS]
        name = "test" if split == "validation" else split
        write_text(folder / "data" / "rte" / f"{name}.jsonl", "".join(row + "\n" for row in short))
    rte = {
        "reader": "jsonl",
        "path": str(folder / "data" / "rte"),
        "input": "Text: {{ premise }} Statement: {{ hypothesis }}",
        "target": "{{ label }}",
        "labels": {"entailment": "yes", "not_entailment": "no"},
    }
    wic = {
        "reader": "instruction_induction",
        "path": str(source / "instruction_induction" / "word_in_context.json"),
        "target": "{{ output }}",
        "labels": {"same": "yes", "not the same": "no"},
    }
    return [
        DataSet("rte", rte, "rte", "the statement"),
        DataSet("word_in_context", wic, "wic", "the word in both sentences"),
    ]


def _words(row: Mapping[str, str]) -> int:
    return len(row["premise"].split()) + len(row["hypothesis"].split())


def write_instructions(data: DataSet, file: Path, count: int, model: Path) -> None:
    """Write half of a data set's instructions with the model, beside half of ours; nothing is done again."""
    if file.exists() and len(yaml.safe_load(file.read_text(encoding="utf-8"))[data.name]) == count:
        return
    from cotune.instructions import (
        InstructionsConfig,
        ScoredInstruction,
        generate_instructions,
        instructions_text,
    )
    from cotune.models import LanguageModel

    (task,) = _read(data, file.parent)
    config = InstructionsConfig(
        n=4 * count, proposals=max(2, count), variations=max(2, 2 * count), examples=12
    )
    half = count // 2
    begun = time.process_time()
    found = generate_instructions(LanguageModel.load(model), task, config, given=data.ours[: count - half])
    written = [each for each in found if each.source != "given"][:half]
    # Ours stay whatever they score; those much like a better one were left out, with their score.
    scored = {each.instruction: each for each in found}
    nan = float("nan")
    ours = [
        scored.get(text, ScoredInstruction(text, nan, nan, "given"))
        for text in data.ours[: count - len(written)]
    ]
    comment = (
        f"{len(written)} kept of those that {model.name} wrote, after proposing, scoring and varying, and "
        f"{len(ours)} of ours, in {time.process_time() - begun:.0f} processor seconds; those without a score "
        "are much like a better one."
    )
    write_text(file, instructions_text({data.name: [*written, *ours]}, comment))
    print(f"{data.name}: {comment}", flush=True)


def _read(data: DataSet, folder: Path) -> list[Any]:
    entry = {"tasks": [{**data.options, "max_examples": {"train": 256, "validation": 1, "test": 1}}]}
    file = folder / f"{data.name}-plain.yaml"
    write_text(file, yaml.safe_dump(entry, sort_keys=False))
    return read_tasks(file)


def write_study(data: DataSet, instructions: Path, options: argparse.Namespace, model: Path) -> Path:
    """Write the study file of a data set."""
    one = {"name": "joint", "match_parameters": True}
    content = {
        "name": f"{options.count} instructions for {data.name}",
        "tasks": {
            **data.options,
            "instructions": str(instructions),
            "max_examples": {"train": 128, "validation": 1, "test": options.test},
        },
        "learner": {
            "kind": "language_model",
            "model": str(model),
            "precision": "fp32",
            # Small enough that a prompt of as many parameters as three of these is no longer than a page.
            "method": {"name": "lora", "r": 1, "alpha": 4, "target_modules": ["v_proj"]},
            "training": {"learning_rate": 3.0e-3, "batch_size": 4, "tasks_per_batch": 1},
        },
        # Nothing is trained for it, and instructions of one data set are compared on the same examples.
        "affinity": {"estimator": "gradient_cosine", "examples": 8},
        "grouping": {"n_clusters": min(ADAPTERS, options.count)},
        "executor": {"workers": "auto" if options.workers is None else options.workers},
        "comparison": {
            "budgets": [options.steps],
            "seeds": options.seeds,
            "arms": [
                {**one, "label": "joint"},
                {**one, "label": "prefix tuning", "method": {"name": "prefix"}, "learning_rate": 0.01},
                {**one, "label": "prompt tuning", "method": {"name": "prompt", "prompt_learning_rate": 0.05}},
                "spectral",
                "lloyd",
                "grouped",
            ],
        },
    }
    path = instructions.with_name(f"{data.name}.yaml")
    write_text(path, yaml.safe_dump(content, sort_keys=False))
    return path


def table(results: Mapping[str, GroupingResult]) -> str:
    """Return Table 2 and what stands beside it, in Markdown."""
    lines = []
    for name, result in results.items():
        comparison = result.comparison
        if comparison is None:
            continue
        trained = {arm.title: arm for arm in result.arms}
        gains = {c.arm: c.gain for c in comparison.contrasts if c.budget is None}
        lines += [f"\n### {name}\n"]
        lines += ["| arm | adapters | trained parameters | accuracy | spread | worst | ours less the arm |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for average in comparison.averages:
            arm, score = trained[average.arm], average.score
            row = [
                TITLES.get(average.arm, average.arm),
                str(arm.adapters),
                f"{arm.parameters:,}",
                format_gain(score, signed=False),
                format_number(average.spread, 3),
                f"{format_number(average.worst.value, 3)} ({average.worst.task})",
                format_gain(gains[average.arm]) if average.arm in gains else "",
            ]
            lines.append(f"| {' | '.join(row)} |")
        seconds = sum(record.cpu_seconds for stage in result.stages for record in stage.records)
        lines += [f"\n{comparison.overall.sentence}\n", f"{seconds:.0f} processor seconds of runs."]
    return "\n".join(lines)


def sources(files: Mapping[str, Path]) -> str:
    """Say where the instructions came from and what they add to none, one line for each data set."""
    lines = []
    for name, file in files.items():
        rows: Sequence[Mapping[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))[name]
        parts = []
        for kind, told in SOURCES.items():
            # Those much like a better one were not scored.
            gains = [row.get("gain", 0.0) for row in rows if row["source"] == kind]
            helpful = [gain for gain in gains if gain > 0]
            best = f", the best by {format_number(max(helpful), 3)} nats" if helpful else ""
            parts += [f"{len(gains)} {told}, of which {len(helpful)} help{best}"] if gains else []
        lines.append(f"{name}: {len(rows)} instructions: {'; '.join(parts)}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Write instructions, run both studies and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "bench-instructions")
    parser.add_argument("--model", type=Path, default=ROOT / ".cache" / "smollm2")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--count", type=int, default=20, help="instructions of a data set")
    parser.add_argument("--steps", type=int, default=2, help="training steps for each instruction")
    parser.add_argument("--test", type=int, default=16, help="test examples")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, help="processes; one a core by default, 0 for this one")
    parser.add_argument("--plan", action="store_true", help="only tell what the studies will cost")
    parser.add_argument("--markdown", type=Path, help="where to write the tables too")
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    started, processor = time.perf_counter(), time.process_time()
    model = options.model.resolve()
    files: dict[str, Path] = {}
    results: dict[str, GroupingResult] = {}
    for data in data_sets(options.data.resolve(), options.folder.resolve()):
        files[data.name] = options.folder.resolve() / f"{data.name}-instructions.yaml"
        write_instructions(data, files[data.name], options.count, model)
        study = Study.load(write_study(data, files[data.name], options, model))
        if options.plan:
            for stage in plan_study(study).stages:
                print(f"{data.name}: {stage}", flush=True)
            continue
        with progress(as_json=False) as events:
            result = run_study(study, events)
        assert isinstance(result, GroupingResult)
        print(f"report: {result.report}", flush=True)
        results[data.name] = result
    text = f"{sources(files)}\n{table(results)}\n"
    print(text)
    if options.markdown is not None:
        write_text(options.markdown, text)
    spent = duration(time.perf_counter() - started)
    print(f"{spent}, {time.process_time() - processor:.0f} processor seconds beside the runs'")


if __name__ == "__main__":
    main()
