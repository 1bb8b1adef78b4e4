from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import yaml

from cotune._repr import Brief


@dataclass(frozen=True, slots=True)
class ScoredInstruction(Brief):
    """An instruction with what it is worth.

    Parameters
    ----------
    instruction : str
        The text.
    score : float
        Mean log-likelihood of the targets under it in nats per token, or accuracy; higher is better.
    gain : float
        The score less that without any instruction.
    source : {"examples", "variation", "given"}
        Whether a model wrote it from examples, or as a variation of another, or it was given.
    """

    instruction: str
    score: float
    gain: float
    source: Literal["examples", "variation", "given"]


def instructions_text(found: Mapping[str, Sequence[ScoredInstruction]], comment: str = "") -> str:
    """Return the content of a file that the readers' option ``instructions`` takes.

    Parameters
    ----------
    found : mapping of str to sequence of ScoredInstruction
        By the name of the task.
    comment : str
        Lines to open the file with.
    """
    content = {task: [_plain(each) for each in instructions] for task, instructions in found.items()}
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def _plain(each: ScoredInstruction) -> dict[str, str | float]:
    """Return an instruction as plain types; what was not scored has no number."""
    numbers = {"score": round(each.score, 4), "gain": round(each.gain, 4)}
    known = {name: value for name, value in numbers.items() if math.isfinite(value)}
    return {"instruction": each.instruction, **known, "source": each.source}
