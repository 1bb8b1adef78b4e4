"""The model card: what was trained and how, what it can do before and after, how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cotune.evaluation.saved_model import ADAPTER, RECORD
from cotune.studies.evaluating import format_mean
from cotune.studies.tuning._result import TuneResult
from cotune.studies.tuning._scores import TuneScores
from cotune.tasks import SPLITS, Task, format_prompt

if TYPE_CHECKING:
    from cotune.models import Encoder

_CARD = "README.md"
_PLACE = "<the input>"


def write_card(result: TuneResult, target: Task, folder: Path, encoder: Encoder) -> None:
    """Write the card of a tuned model into its folder, in place of those that libraries put there.

    Parameters
    ----------
    result : TuneResult
        What was found.
    target : Task
        The task tuned on.
    folder : Path
        Holds the model already.
    encoder : Encoder
        Says how a prompt is dressed.
    """
    for card in folder.glob(f"**/{_CARD}"):
        card.unlink()
    sections = [
        _front_matter(result, folder),
        f"# {result.target['name']}, tuned by {result.config['method']['name']}\n\n{_summary(result)}",
        "## Scores\n\n" + "\n".join(_score_lines(result.before, result.after)),
        _loading(result, target, folder, encoder),
        _training(result),
        _data(result),
        "## Licence\n\nNot known: it follows from the licences of the base model and of the data. Say which "
        "it is before you publish the model.",
    ]
    (folder / _CARD).write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _score_lines(before: TuneScores, after: TuneScores) -> Iterator[str]:
    """Yield the table of scores before and after, in Markdown."""
    first = after.target
    yield "| task | metric | shots | before | after |"
    yield "|---|---|---|---|---|"
    name, shots = f"**{first.task}** (target)", f"{first.shots}, as trained"
    old, new = map(format_mean, (before.target, first))
    yield f"| {name} | {first.metric} | {shots} | {old} | {new} |"
    for row, was in zip(after.in_context, before.in_context, strict=True):
        yield f"| {row.task} | {row.metric} | {row.shots} | {format_mean(was)} | {format_mean(row)} |"
    for n, mean in before.averages.items():
        yield f"| average of the others | | {n} | {mean:.3f} | {after.averages[n]:.3f} |"


def _summary(result: TuneResult) -> str:
    target, before, after = result.target, result.before.target, result.after.target
    return (
        f"`{result.base}` tuned on the task {target['name']} by the method "
        f"{result.config['method']['name']} of cotune: {after.metric} on {after.n_examples} test examples "
        f"went from {before.mean:.3f} to {after.mean:.3f}." + (f" {result.kept}" if result.kept else "")
    )


def _front_matter(result: TuneResult, folder: Path) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    target, row = result.target, result.after.target
    data = ModelCardData(
        # The hub takes only its own names for a base.
        base_model=None if Path(result.base).is_dir() else result.base,
        library_name="transformers" if (folder / "config.json").is_file() else "peft",
        license="unknown",
        tags=["cotune", str(result.config["method"]["name"])],
        model_name=f"{target['name']} by {result.config['method']['name']}",
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type=str(target["name"]),
                dataset_name=str(target["name"]),
                dataset_split="test",
                metric_type=row.metric,
                metric_value=round(row.mean, 4),
            )
        ],
    )
    return f"---\n{data.to_yaml()}\n---"


def _loading(result: TuneResult, target: Task, folder: Path, encoder: Encoder) -> str:
    example = target["test"][0]
    prompt = format_prompt(target.instruction, _PLACE, example.choices, format=target.format)
    shots = result.config["method"]["demonstrations"]
    shown = (
        f" Between the instruction and the input stand {shots} solved examples of the training split, each "
        "followed by its answer."
        if shots
        else ""
    )
    code = "\n".join(_code(result, folder, encoder))
    text = json.dumps(encoder.profile.prompt(prompt), ensure_ascii=False)
    return (
        f"## Loading\n\nIn this folder, with transformers{' and PEFT' if 'peft' in code else ''} alone:\n\n"
        f"```python\n{code}\n```\n\n"
        f"It was trained on prompts of this form; its answer follows after a space:{shown}\n\n"
        f"```json\n{text}\n```"
    )


def _code(result: TuneResult, folder: Path, encoder: Encoder) -> Iterator[str]:
    """Yield the lines that load what lies in the folder."""
    auto = "AutoModelForSeq2SeqLM" if encoder.seq2seq else "AutoModelForCausalLM"
    weights = "weights" if (folder / "weights").is_dir() else "."
    adapted = (folder / weights / ADAPTER).is_file()
    base = json.dumps(result.base if adapted else f"./{weights}".rstrip("."))
    if adapted or weights != ".":
        yield "from peft import PeftModel"
    yield f"from transformers import {auto}, AutoTokenizer"
    yield ""
    yield f"tokenizer = AutoTokenizer.from_pretrained({base})"
    yield f"model = {auto}.from_pretrained({base})"
    if weights == ".":
        if adapted:
            yield 'model = PeftModel.from_pretrained(model, "./")'
        return
    if adapted:
        yield 'model = PeftModel.from_pretrained(model, "./weights").merge_and_unload()'
    yield "# For inputs of the task; all others are better off without this line."
    yield 'model = PeftModel.from_pretrained(model, "./prompt")'


def _training(result: TuneResult) -> str:
    best = ", ".join(
        f"{stage} after step {checkpoint.step} (validation {abs(checkpoint.score):.3f})"
        for stage, checkpoint in result.best.items()
    )
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    recipe = {k: v for k, v in result.config.items() if k != "model"}
    return (
        f"## Training\n\nBest checkpoints: {best}. {result.trainable_parameters:,} parameters trained, "
        f"{result.tokens:,} tokens. {versions}. All of it is in `{RECORD}`; the recipe:\n\n"
        f"```json\n{json.dumps(recipe, indent=1, ensure_ascii=False)}\n```"
    )


def _data(result: TuneResult) -> str:
    lines = ["## Data\n", "| task | train | validation | test | fingerprint |", "|---|---|---|---|---|"]
    for facts in (result.target, *result.evaluation):
        sizes = " | ".join(str(facts["examples"][split]) for split in SPLITS)
        lines.append(f"| {facts['name']} | {sizes} | `{facts['fingerprint'][:16]}` |")
    lines.append(f"\nFingerprint of the base model: `{result.base_fingerprint}`.")
    notes = ["", *(f"- {note}" for note in result.notes)] if result.notes else []
    return "\n".join([*lines, *notes])
