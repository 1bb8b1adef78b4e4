"""The model card: what was trained and how, what it can do before and after, how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cotune.evaluation.saved_model import RECORD
from cotune.studies import model_card
from cotune.studies.evaluating import format_mean
from cotune.studies.model_card import LICENCE, PLACE, CardScore
from cotune.studies.tuning._result import TuneResult
from cotune.studies.tuning._scores import TuneScores
from cotune.tasks import Task, Turn, format_prompt, format_turns

if TYPE_CHECKING:
    from cotune.models import Encoder


def write_card(result: TuneResult, targets: Sequence[Task], folder: Path, encoder: Encoder) -> None:
    """Write the card of a tuned model into its folder.

    Parameters
    ----------
    result : TuneResult
        What was found.
    targets : sequence of Task
        The tasks tuned on.
    folder : Path
        Holds the model already.
    encoder : Encoder
        Says how a prompt is dressed.
    """
    sections = [
        _front_matter(result, folder),
        f"# {result.names}, tuned by {result.config['method']['name']}\n\n{_summary(result)}",
        "## Scores\n\n" + "\n".join(_score_lines(result.before, result.after)),
        _loading(result, targets, folder, encoder),
        _training(result),
        _data(result),
        LICENCE,
    ]
    model_card.write_card(folder, sections)


def _score_lines(before: TuneScores, after: TuneScores) -> Iterator[str]:
    """Yield the table of scores before and after, in Markdown."""
    yield "| task | metric | shots | before | after |"
    yield "|---|---|---|---|---|"
    for row, was in zip(after.targets, before.targets, strict=True):
        name, shots = f"**{row.task}** (target)", f"{row.shots}, as trained"
        yield f"| {name} | {row.metric} | {shots} | {format_mean(was)} | {format_mean(row)} |"
    for row, was in zip(after.in_context, before.in_context, strict=True):
        yield f"| {row.task} | {row.metric} | {row.shots} | {format_mean(was)} | {format_mean(row)} |"
    for n, mean in before.averages.items():
        yield f"| average of the others | | {n} | {mean:.3f} | {after.averages[n]:.3f} |"


def _summary(result: TuneResult) -> str:
    pairs = zip(result.before.targets, result.after.targets, strict=True)
    went = "; ".join(
        f"{after.metric} on {after.n_examples} test examples"
        + (f" of {after.task}" if len(result.targets) > 1 else "")
        + f" went from {before.mean:.3f} to {after.mean:.3f}"
        for before, after in pairs
    )
    tasks = "the task" if len(result.targets) == 1 else "the tasks"
    return " ".join(
        [
            f"`{result.base}` tuned on {tasks} {result.names} by the method "
            f"{result.config['method']['name']} of cotune: {went}.",
            *result.findings,
        ]
    )


def _front_matter(result: TuneResult, folder: Path) -> str:
    method = str(result.config["method"]["name"])
    scores = [CardScore(row.task, row.metric, row.mean) for row in result.after.targets]
    name = f"{result.names} by {method}"
    return model_card.front_matter(folder, result.base, name=name, tags=[method], scores=scores)


def _loading(result: TuneResult, targets: Sequence[Task], folder: Path, encoder: Encoder) -> str:
    shots = result.config["method"]["demonstrations"]
    shown = (
        f" Between the instruction and the input stand {shots} solved examples of the training split, each "
        "followed by its answer."
        if shots
        else ""
    )
    texts = "\n".join(json.dumps(_prompt(target, encoder), ensure_ascii=False) for target in targets)
    follows = (
        "its answer follows after a space"
        if encoder.chat is None
        else "`tokenizer.apply_chat_template` writes them, and the answer follows"
    )
    return (
        f"{model_card.loading_section(folder, result.base, seq2seq=encoder.seq2seq)}\n\n"
        f"It was trained on prompts of this form; {follows}:{shown}\n\n"
        f"```json\n{texts}\n```"
    )


def _prompt(target: Task, encoder: Encoder) -> str:
    """Return the prompt of an input that stands for all."""
    choices = target["test"][0].choices
    if encoder.chat is None:
        return encoder.profile.prompt(format_prompt(target.instruction, PLACE, choices, format=target.format))
    asked = (Turn("user", PLACE),)
    return encoder.chat.spelled(format_turns(target.instruction, asked, choices, format=target.format))


def _training(result: TuneResult) -> str:
    best = ", ".join(
        f"{stage} after step {checkpoint.step} (validation {abs(checkpoint.score):.3f})"
        for stage, checkpoint in result.best.items()
    )
    versions = ", ".join(map(" ".join, result.versions.items()))
    recipe = {k: v for k, v in result.config.items() if k != "model"}
    return (
        f"## Training\n\nBest checkpoints: {best}. {result.trainable_parameters:,} parameters trained, "
        f"{result.tokens:,} tokens. {versions}. All of it is in `{RECORD}`; the recipe:\n\n"
        f"```json\n{json.dumps(recipe, indent=1, ensure_ascii=False)}\n```"
    )


def _data(result: TuneResult) -> str:
    facts = (*result.targets, *result.evaluation)
    rows = ((str(task["name"]), task["examples"], str(task["fingerprint"])) for task in facts)
    lines = ["## Data\n", *model_card.data_table(rows)]
    lines.append(f"\nFingerprint of the base model: `{result.base_fingerprint}`.")
    notes = ["", *(f"- {note}" for note in result.notes)] if result.notes else []
    return "\n".join([*lines, *notes])
