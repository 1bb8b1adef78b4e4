"""Groups, their proof and their stability in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cotune.grouping import CertifiedGrouping, Stability

NAMED = 5
"""Most tasks that are called unsure by name."""


def describe_groups(members: Sequence[Sequence[str]]) -> list[str]:
    """One group a line; names in quotation marks if one has a comma."""
    quoted = any("," in task for group in members for task in group)
    return [
        f"group-{number}: " + ", ".join(f"'{task}'" if quoted else task for task in group)
        for number, group in enumerate(members)
    ]


def describe_proof(clustering: CertifiedGrouping) -> str:
    """Say k, objective and bound, and what ended the proof."""
    proof = "certified optimal" if clustering.certified_ else f"gap {clustering.gap_:.2g}"
    by = f" (chosen by {clustering.k_rule_})" if clustering.n_clusters == "auto" else ""
    if clustering.status_ in ("max_iter", "time_limit"):
        proof += f" ({clustering.status_.replace('_', ' ')}; the bound holds)"
    told = (
        f"k = {clustering.n_clusters_}{by}, objective {clustering.objective_:.6g}, "
        f"upper bound {clustering.upper_bound_:.6g}, {proof}"
    )
    asked = asked_for(clustering)
    if asked != clustering.n_clusters_:
        told += (
            f"\nthe threshold at {clustering.rounding_c:g} / n made other groups than the {asked} asked for"
        )
    return told + describe_evidence(clustering)


def asked_for(clustering: CertifiedGrouping) -> int:
    """Return the number of groups that was given or chosen, which a threshold need not keep to."""
    if clustering.n_clusters == "auto":
        return clustering.k_choices_[clustering.k_rule_]
    return int(clustering.n_clusters)


def describe_evidence(clustering: CertifiedGrouping) -> str:
    """Say how sure k is and which partition was taken, a line each, or nothing."""
    told = ""
    shares = list(clustering.k_weights_.items())
    if len(shares) > 1:
        named = ", ".join(f"k = {k} {100 * share:.3g} %" for k, share in shares[:NAMED] if share >= 0.0005)
        told += f"\nevidence: {named}; runner-up k = {shares[1][0]}"
    if clustering.partition_ == "likelihood":
        proof = "certified optimal" if clustering.density_certified_ else f"gap {clustering.density_gap_:.2g}"
        told += (
            "\nthe groups are those of the largest likelihood; those of the largest density divide them "
            f"otherwise: objective {clustering.density_objective_:.6g}, {proof}"
        )
    return told


def describe_stability(tasks: Sequence[str], stability: Stability) -> str:
    """Say how often resamples of the runs left the tasks in their groups."""
    resamples = f"{len(stability.n_clusters)} resamples of the runs"
    unsure = sorted(
        (share, task) for task, share in zip(tasks, stability.confidence, strict=True) if share < 0.9
    )
    if not unsure:
        return f"stability: every task stays in its group in at least 90 % of {resamples}"
    named = ", ".join(f"{task} ({100 * share:.0f} %)" for share, task in unsure[:NAMED])
    more = f" and {len(unsure) - NAMED} more" if len(unsure) > NAMED else ""
    return (
        f"stability: {len(tasks) - len(unsure)} of {len(tasks)} tasks stay in their group in at least 90 % "
        f"of {resamples}; least sure: {named}{more}"
    )
