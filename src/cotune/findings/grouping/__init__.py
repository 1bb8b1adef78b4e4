"""What a study of which tasks to train together found."""

from cotune.findings.grouping._affinity import (
    CompanyGains,
    SampledPairs,
    company_gains,
    least_agreeing,
    means_between,
    sampling,
    square,
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

__all__ = [
    "AffinityData",
    "ArmRow",
    "Baseline",
    "CompanyGains",
    "ComparedGroups",
    "GroupRow",
    "GroupingData",
    "GroupingFindings",
    "KRule",
    "MatrixRows",
    "NegativeTransfer",
    "ReferenceLabels",
    "SampledPairs",
    "TaskRow",
    "certificate",
    "company_gains",
    "found_labels",
    "groupers",
    "groups_in_words",
    "headline",
    "least_agreeing",
    "means_between",
    "sampling",
    "square",
]
