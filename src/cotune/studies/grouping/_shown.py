"""From groups to the report's plain values, whether a study or a table alone stands behind them."""

from __future__ import annotations

from cotune.findings.grouping import (
    Baseline,
    GroupingData,
    GroupRow,
    KRule,
    PredictedGains,
    less_effects,
)
from cotune.grouping import CertifiedGrouping, density, objective
from cotune.studies.grouping._gain_words import predicted_gains
from cotune.studies.grouping._groups import Groups

_K_RULES = {
    "evidence": "evidence of a block model (-2 log, less that of one group)",
    "entry_cv": "entry cross-validation",
    "bic": "block-normal BIC",
    "average_density": "average density (Eq. 2, the paper's)",
    "summed_density": "summed density (Eq. 3)",
}


def shown_matrix(groups: Groups) -> tuple[list[list[float]], tuple[str, ...]]:
    """Return the matrix that was clustered as it is drawn, and how it came about."""
    shown = "shown less row and column effects, which add the same to every partition (Xe = e)"
    return less_effects(groups.prepared.matrix).tolist(), (*groups.prepared.steps, shown)


def grouping_data(groups: Groups, *, given: str = "given in the study") -> GroupingData:
    """Return what a report shows of groups; ``given`` says where k came from if no rule chose it."""
    clustering, stability = groups.clustering, groups.stability
    densities = density(groups.prepared.matrix, groups.labels)
    confidence, resamples = _sureness(groups)
    gains = None if groups.gain is None else groups.gain.by_group
    rows = tuple(
        GroupRow(
            name=f"group-{number}",
            tasks=members,
            density=float(densities[number]),
            gain=None if gains is None else gains[number],
        )
        for number, members in enumerate(groups.members)
    )
    return GroupingData(
        groups=rows,
        gain=_predicted(groups),
        density_labels=groups.density_labels if groups.gain else (),
        notes=(_sentence(groups.note),) if groups.note else (),
        objective=groups.objective,
        sdp_value=float(clustering.sdp_value_),
        upper_bound=float(clustering.upper_bound_),
        gap=groups.gap,
        certified=groups.certified,
        k_rule=_k_rule(groups, given),
        method=_method(groups),
        k_path=_k_curves(clustering),
        baselines=_baselines(groups),
        co_assignment=stability.co_assignment.tolist() if stability else None,
        confidence=confidence,
        resamples=resamples,
    )


def _predicted(groups: Groups) -> PredictedGains | None:
    gain = groups.gain
    if gain is None:
        return None
    worth = objective(groups.prepared.matrix, groups.labels)
    return predicted_gains(groups.tasks, gain, worth, gain.value_of(groups.density_labels))


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def _method(groups: Groups) -> str:
    if groups.gain is not None:
        return "predicted gain"
    return groups.found.method if groups.found else "sdp"


def _baselines(groups: Groups) -> tuple[Baseline, ...]:
    """Other groupers; those by density first, where the groups are of largest predicted gain."""
    others = [Baseline(name=o.name, labels=o.labels, objective=o.objective) for o in groups.others]
    if groups.gain is not None:
        name = groups.found.method if groups.found else "density (sdp)"
        others.insert(0, Baseline(name=name, labels=groups.density_labels, objective=groups.objective))
    return tuple(others)


def _k_rule(groups: Groups, given: str) -> str:
    if groups.found is not None:
        return "found with the groups"
    return _K_RULES[groups.clustering.k_rule_] if groups.clustering.k_path_ else given


def _sureness(groups: Groups) -> tuple[tuple[float, ...], int]:
    """How often each task stayed in its group, over how many resamples."""
    found = groups.found
    if found is not None:
        return (() if found.confidence is None else tuple(found.confidence.tolist())), found.resamples
    if groups.stability is not None:
        return tuple(groups.stability.confidence.tolist()), len(groups.stability.n_clusters)
    return (), 0


def _k_curves(clustering: CertifiedGrouping) -> tuple[KRule, ...]:
    """One curve for every rule that was computed; not all of them are at every number of tasks."""
    path = clustering.k_path_
    if len(path) < 2:
        return ()
    return tuple(
        KRule(
            name=words,
            ks=tuple(int(record["k"]) for record in path),
            values=tuple(float(record[rule]) for record in path),
            errors=tuple(float(r["entry_cv_se"]) for r in path) if rule == "entry_cv" else (),
            chosen=clustering.k_choices_[rule],
            better="high" if "density" in rule else "low",
        )
        for rule, words in _K_RULES.items()
        if rule in clustering.k_choices_
    )
