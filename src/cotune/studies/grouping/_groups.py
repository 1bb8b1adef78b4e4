"""Groups with all that is said of them: the objective and its bound, how sure they are, others beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from cotune._html import heat_map, paragraphs
from cotune._repr import Brief
from cotune.findings.grouping import gain_text, less_effects
from cotune.grouping import CertifiedGrouping, Prepared, objective
from cotune.studies.grouping._describe import describe_groups, describe_proof, describe_stability
from cotune.studies.grouping._found import FoundGroups
from cotune.studies.grouping._gain import GainGroups, groups_of, to_dict
from cotune.studies.grouping._gain_words import describe_gain, describe_units

if TYPE_CHECKING:
    from cotune.grouping import Stability


@dataclass(frozen=True)
class OtherGroups:
    """What another grouper made of the same matrix with the same k."""

    name: str
    labels: tuple[int, ...]
    objective: float


@dataclass(frozen=True)
class Groups(Brief):
    """The groups of a study.

    Parameters
    ----------
    tasks : tuple of str
        All tasks, in the order of the labels.
    prepared : Prepared
        The matrix that was clustered and how it came about.
    clustering : CertifiedGrouping
        The fitted grouping, with value, bound and the path of k.
    others : tuple of OtherGroups
        The baselines.
    stability : Stability or None
        How often the groups came back over resamples of the runs; None where there are too few runs.
    found : FoundGroups or None
        The groups, where the estimator found them itself; then ``clustering`` is another grouper on the
        same matrix with as many groups, whose bound holds for them too.
    source : str
        What the affinities are of.
    gain : GainGroups or None
        The groups of largest predicted gain, where they are the answer; then ``clustering``, ``objective``,
        ``gap``, ``certified`` and ``stability`` are of the groups by density beside them.
    reading : tuple of str
        How the file of a table was read.
    note : str
        Why the groups are not those of largest predicted gain, where runs were given.
    """

    tasks: tuple[str, ...]
    prepared: Prepared
    clustering: CertifiedGrouping
    others: tuple[OtherGroups, ...]
    stability: Stability | None = None
    found: FoundGroups | None = None
    source: str = "affinity matrix"
    gain: GainGroups | None = None
    note: str = ""
    reading: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[int, ...]:
        """Group of every task, numbered by first appearance."""
        if self.gain is not None:
            return self.gain.labels
        return self.density_labels

    @property
    def density_labels(self) -> tuple[int, ...]:
        """Group of every task by density, or as the estimator found them."""
        labels = self.clustering.labels_ if self.found is None else self.found.labels
        return tuple(int(label) for label in labels)

    @property
    def objective(self) -> float:
        """Sum of the densities of the groups (Eq. 3) on the matrix that was clustered."""
        if self.found is None:
            return float(self.clustering.objective_)
        return objective(self.prepared.matrix, self.found.labels)

    @property
    def gap(self) -> float:
        """Distance of the objective from the bound, relative as :attr:`SDPClustering.gap_`."""
        clustering = self.clustering
        if self.found is None:
            return float(clustering.gap_)
        everyone = float(self.prepared.matrix.sum()) / len(self.tasks)
        unit = max(abs(clustering.objective_ - everyone), abs(clustering.sdp_value_ - everyone))
        return float((clustering.upper_bound_ - self.objective) / unit) if unit > 0 else 0.0

    @property
    def certified(self) -> bool:
        """Whether the bound proves the groups by density optimal among partitions into as many."""
        return bool(self.gap <= self.clustering.tol) if self.found else bool(self.clustering.certified_)

    @property
    def members(self) -> list[tuple[str, ...]]:
        """Tasks of every group."""
        return groups_of(self.tasks, self.labels)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield "members", self.members
        if self.gain is not None:
            yield from (("predicted_gain", self.gain.over_alone), ("upper_bound", self.gain.bound))
        else:
            yield from ((name, getattr(self, name)) for name in ("objective", "gap", "certified"))
        yield "source", self.source

    def _repr_html_(self) -> str:
        order = [self.tasks.index(task) for group in self.members for task in group]
        matrix = less_effects(self.prepared.matrix)[np.ix_(order, order)]
        starts = accumulate(len(group) for group in self.members)
        lines = paragraphs(self.sentences(), f"{len(self.members)} groups of {len(self.tasks)} tasks")
        return lines + heat_map([self.tasks[at] for at in order], matrix, starts)

    def sentences(self) -> Sequence[str]:
        """Say what was grouped and how, the groups, their proof and how sure they are, a line each."""
        lines = [f"{len(self.tasks)} tasks, {self.source}", *(f"  {note}" for note in self.reading)]
        if self.gain is None:
            lines += [f"  {step}" for step in self.prepared.steps]
        lines += [*self.answer(), describe_proof(self.clustering)]
        return lines if self.stability is None else [*lines, describe_stability(self.tasks, self.stability)]

    def answer(self) -> list[str]:
        """Say the groups, a line each, what they are predicted to gain, and those by density beside them."""
        groups = describe_groups(self.members)
        if self.gain is None:
            return [*([f"  {self.note}"] if self.note else []), *groups]
        units = [f"  {line}" for line in describe_units(self.tasks, self.gain)]
        return [*units, *groups, *describe_gain(self.tasks, self.gain), *self._beside(self.gain)]

    def _beside(self, gain: GainGroups) -> list[str]:
        by = "by density" if self.found is None else f"by the estimator ({self._by})"
        if self.density_labels == gain.labels:
            return [f"{by} the same groups:"]
        value = gain_text(gain.value_of(self.density_labels), gain.gains.unit)
        members = groups_of(self.tasks, self.density_labels)
        return [
            f"{by}, with a predicted gain of {value} a task:",
            *(f"  {', '.join(m)}" for m in members),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``groups.json`` holds.

        ``groups``, ``labels`` and ``k`` are the answer, by what ``answer`` says. Objective, bound, proof,
        evidence and stability are of the grouping by density (or by the estimator): beside the groups where
        those are the answer, under ``density`` where the groups of largest predicted gain are, whose own
        bound is in ``gain``.
        """
        answer = {
            "tasks": list(self.tasks),
            "answer": self._by if self.gain is None else "gain",
            "note": self.note,
            "groups": [list(group) for group in self.members],
            "labels": list(self.labels),
            "k": len(self.members),
            **({"reading": list(self.reading)} if self.reading else {}),
        }
        if self.gain is None:
            return answer | self._density_dict()
        return answer | {"gain": to_dict(self.gain, self.tasks), "density": self._beside_dict(self.gain)}

    @property
    def _by(self) -> str:
        return "density" if self.found is None else self.found.method

    def _beside_dict(self, gain: GainGroups) -> dict[str, Any]:
        members = groups_of(self.tasks, self.density_labels)
        return {
            "by": self._by,
            "groups": [list(group) for group in members],
            "labels": list(self.density_labels),
            "k": len(members),
            "predicted_gain": gain.value_of(self.density_labels),
            **self._density_dict(),
        }

    def _density_dict(self) -> dict[str, Any]:
        return {
            "objective": self.objective,
            "sdp_value": float(self.clustering.sdp_value_),
            "upper_bound": float(self.clustering.upper_bound_),
            "gap": self.gap,
            "certified": self.certified,
            "status": self.clustering.status_,
            **self._evidence_dict(),
            "stability": self._stability_dict(),
            "preparation": list(self.prepared.steps),
            "baselines": {
                other.name: {"labels": list(other.labels), "objective": other.objective}
                for other in self.others
            },
        }

    def _evidence_dict(self) -> dict[str, Any]:
        """How sure k is, and the densest groups where others were taken."""
        found = self.clustering
        ranked = list(found.k_weights_)
        labels = [int(label) for label in found.density_labels_]
        densest = {
            "labels": labels,
            "groups": [list(group) for group in groups_of(self.tasks, labels)],
            "objective": float(found.density_objective_),
            "gap": float(found.density_gap_),
            "certified": bool(found.density_certified_),
        }
        return {
            "k_rule": found.k_rule_ if found.k_path_ else None,
            "k_weights": {str(k): share for k, share in found.k_weights_.items()},
            "k_runner_up": ranked[1] if len(ranked) > 1 else None,
            "k_choices": dict(found.k_choices_),
            "k_curve": [_finite(record) for record in sorted(found.k_path_, key=lambda record: record["k"])],
            "partition": found.partition_,
            "densest": densest,
        }

    def _stability_dict(self) -> dict[str, Any] | None:
        if self.found is not None:
            if self.found.confidence is None:
                return None
            confidence = dict(zip(self.tasks, self.found.confidence.tolist(), strict=True))
            return {"resamples": self.found.resamples, "confidence": confidence}
        if self.stability is None:
            return None
        return {
            "resamples": len(self.stability.n_clusters),
            "confidence": dict(zip(self.tasks, self.stability.confidence.tolist(), strict=True)),
            "co_assignment": self.stability.co_assignment.tolist(),
        }


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of the curve as JSON can hold it."""
    return {key: value if np.isfinite(value) else None for key, value in record.items()}
