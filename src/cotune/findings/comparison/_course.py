"""Whether a comparison that ends once it is decided goes on after a look, and how it went."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from cotune.findings.comparison._choice import UNDECIDED, choosable
from cotune.findings.comparison._compare import compare
from cotune.findings.comparison._looks import Course, Ending, Look, LookTaken
from cotune.findings.comparison._types import CONFIDENCE, ArmScore, Comparison
from cotune.findings.comparison._verdict import differ
from cotune.findings.wording import count, duration

HOPELESS = 0.05
"""A look that leaves less probability than this for the last one to decide is the last."""


def contenders(comparison: Comparison) -> tuple[str, ...]:
    """Return the arms of the choice that none was found to be better than."""
    seen = comparison.overall.outlook
    beaten = {worse for _, worse in seen.told_apart} if seen else set()
    return tuple(arm for arm in choosable(comparison.arms) if arm not in beaten)


def ending_after(comparison: Comparison, look: Look) -> Ending | None:
    """Return why the comparison ends with a look, None where it goes on.

    A verdict that differs between budgets ends it as well: no further seed would make one of the two.
    """
    if comparison.overall.decision != UNDECIDED:
        return "decided"
    if differ(comparison.verdicts):
        return "depends on the budget"
    if comparison.overall.outlook is None:
        return "nothing to choose"
    if look.is_last:
        return "most seeds"
    return "hopeless" if comparison.overall.outlook.chance < HOPELESS else None


class Looks:
    """Looks at a comparison one by one, and says what is to be trained for the next.

    Parameters
    ----------
    arms : sequence of str
        All arms.
    planned : sequence of int
        Seeds at every look there can be, ascending.
    apart : collection of str
        Arms whose trainings have nothing in common; see :func:`compare`.
    left_out : mapping of str to int, optional
        Further test examples of the data, by task; see :func:`compare`.
    """

    def __init__(
        self,
        arms: Sequence[str],
        planned: Sequence[int],
        apart: Collection[str] = (),
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self._apart, self._left_out = apart, left_out
        self.arms, self.planned = tuple(arms), tuple(planned)
        self.taken: list[LookTaken] = []
        self.comparison: Comparison | None = None
        self.training = self.arms
        self._trained = dict.fromkeys(choosable(arms), 1)

    @property
    def look(self) -> Look:
        """The look that is next."""
        return Look(len(self.taken) + 1, self.planned, dict(self._trained))

    @property
    def seeds(self) -> dict[str, int]:
        """Seeds of every arm that the next look asks for."""
        return {arm: self.planned[self._trained.get(arm, 1) - 1] for arm in self.arms}

    def take(self, records: Iterable[ArmScore], minutes: float = 0.0) -> Ending | None:
        """Read the records of all seeds asked for; return why it ends, None where a further look follows."""
        look = self.look
        found = self.comparison = compare(
            records,
            self.arms,
            look=look,
            before=self.comparison,
            apart=self._apart,
            left_out=self._left_out,
        )
        seen = found.overall.outlook
        chance = seen.chance if seen else math.nan
        cost = look.significance(1 - CONFIDENCE)
        self.taken.append(
            LookTaken(look.number, look.seeds, self.training, cost, found.overall.decision, chance, minutes)
        )
        ending = ending_after(found, look)
        if ending is None:
            self.training = contenders(found)
            self._trained |= dict.fromkeys(self.training, look.number + 1)
        return ending

    def course(self, ending: Ending, why: str = "") -> Course:
        """Say how it went."""
        return course_of(self.taken, self.planned, ending, why)


def course_of(looks: Sequence[LookTaken], planned: Sequence[int], ending: Ending, why: str = "") -> Course:
    """Put together how it went; ``why`` explains an ending that only the study knows the reason of."""
    last, most = looks[-1], count(planned[-1], "seed")
    reasons = {
        "decided": "it is decided",
        "depends on the budget": "it is decided otherwise at one budget than at another",
        "nothing to choose": "there is nothing to choose from",
        "hopeless": f"{most} would decide with a probability of about {100 * last.chance:.0f} % only",
        "most seeds": f"{most} are the most there can be",
        "most cost": "a further seed would cost too much",
        "under way": f"runs of look {last.number + 1} are missing",
    }
    seeds = f"{last.seeds}" if len(looks) == 1 else f"{looks[0].seeds} to {last.seeds}"
    went = "Not ended yet" if ending == "under way" else "Ended"
    sentence = (
        f"{went} after {count(len(looks), 'look')} at {seeds} of at most {most}, "
        f"{duration(60 * last.minutes)} of processor time: {reasons[ending]}{why}."
    )
    dropped = [f"{arm} at look {_until(looks, arm)}" for arm in looks[0].arms if arm not in last.arms]
    if dropped:
        sentence += f" Trained no more once they were read for the last time: {', '.join(dropped)}."
    return Course(tuple(looks), tuple(planned), ending, sentence)


def _until(looks: Sequence[LookTaken], arm: str) -> int:
    return max(look.number for look in looks if arm in look.arms)
