"""What a study of which tasks to train together found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use

if TYPE_CHECKING:
    from cotune.findings.grouping._affinity import (
        CompanyGains,
        SampledPairs,
        company_gains,
        least_agreeing,
        less_effects,
        means_between,
        sampling,
        square,
    )
    from cotune.findings.grouping._gain import (
        Interval,
        PredictedGains,
        TriedPredictor,
        gain_text,
        interval_text,
        measured_text,
    )
    from cotune.findings.grouping._groups import (
        ComparedGroups,
        certificate,
        found_labels,
        groupers,
        groups_in_words,
        headline,
    )
    from cotune.findings.grouping._records import (
        AffinityData,
        ArmCost,
        ArmRow,
        Baseline,
        GroupingData,
        GroupingFindings,
        GroupRow,
        KRule,
        MatrixRows,
        NegativeTransfer,
        ReferenceLabels,
        TaskRow,
    )
    from cotune.findings.grouping._sweep import (
        SettingRow,
        SettingScore,
        score_text,
        sweep_sentences,
        with_scores,
    )

_HOMES = {
    "AffinityData": "_records",
    "ArmCost": "_records",
    "ArmRow": "_records",
    "Baseline": "_records",
    "CompanyGains": "_affinity",
    "ComparedGroups": "_groups",
    "GroupRow": "_records",
    "GroupingData": "_records",
    "GroupingFindings": "_records",
    "Interval": "_gain",
    "KRule": "_records",
    "MatrixRows": "_records",
    "NegativeTransfer": "_records",
    "PredictedGains": "_gain",
    "ReferenceLabels": "_records",
    "SampledPairs": "_affinity",
    "SettingRow": "_sweep",
    "SettingScore": "_sweep",
    "TaskRow": "_records",
    "TriedPredictor": "_gain",
    "certificate": "_groups",
    "company_gains": "_affinity",
    "found_labels": "_groups",
    "gain_text": "_gain",
    "groupers": "_groups",
    "groups_in_words": "_groups",
    "headline": "_groups",
    "interval_text": "_gain",
    "least_agreeing": "_affinity",
    "less_effects": "_affinity",
    "means_between": "_affinity",
    "measured_text": "_gain",
    "sampling": "_affinity",
    "score_text": "_sweep",
    "square": "_affinity",
    "sweep_sentences": "_sweep",
    "with_scores": "_sweep",
}

__all__ = [
    "AffinityData",
    "ArmCost",
    "ArmRow",
    "Baseline",
    "CompanyGains",
    "ComparedGroups",
    "GroupRow",
    "GroupingData",
    "GroupingFindings",
    "Interval",
    "KRule",
    "MatrixRows",
    "NegativeTransfer",
    "PredictedGains",
    "ReferenceLabels",
    "SampledPairs",
    "SettingRow",
    "SettingScore",
    "TaskRow",
    "TriedPredictor",
    "certificate",
    "company_gains",
    "found_labels",
    "gain_text",
    "groupers",
    "groups_in_words",
    "headline",
    "interval_text",
    "least_agreeing",
    "less_effects",
    "means_between",
    "measured_text",
    "sampling",
    "score_text",
    "square",
    "sweep_sentences",
    "with_scores",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
