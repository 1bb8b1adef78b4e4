"""How the benchmark of the function classes is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cotune.cli._table import print_table

if TYPE_CHECKING:
    from cotune.benchmark.functions import FunctionsResult


def print_functions(result: FunctionsResult) -> None:
    """Print verdicts, the agreement of every grouping, errors by position, and the processor time."""
    from cotune.benchmark.functions_report import agreement_rows, mean_by_position, verdict

    for laws in dict.fromkeys(run.laws for run in result.laws):
        runs = result.of_laws(laws)
        seeds = [f"seed {run.seed}" for run in runs]
        rows = [
            (f"{algorithm}, {matrix}{words}", *(f"{value + 0.0:.2f}" for value in values))
            for positions, words in (("all", ""), ("first", ", before any example"))
            for algorithm, matrix, values in agreement_rows(runs, positions)
        ]
        print(f"{verdict(result, laws)}\n")
        print_table(("agreement with the types (ARI)", *seeds), rows)
        errors = mean_by_position(runs)
        seen = range(len(next(iter(errors.values()))))
        print()
        print_table(
            ("squared error by examples seen", *(str(count) for count in seen)),
            [(family, *(f"{value:.3f}" for value in values)) for family, values in errors.items()],
        )
        print()
    _print_curves(result)
    print(f"\nprocessor time: {result.cpu_seconds:.0f} s")


def _print_curves(result: FunctionsResult) -> None:
    import numpy as np

    keys = result.curves[0].errors
    rows = []
    types = list(dict.fromkeys(target for target, _ in keys))
    for target, company in sorted(keys, key=lambda key: (types.index(key[0]), key[1] != key[0])):
        mean = np.mean([run.errors[target, company] for run in result.curves], axis=0)
        words = "alone" if company == target else f"with {company}"
        rows.append((f"{target} {words}", *(f"{value:.3f}" for value in mean)))
    seen = range(len(next(iter(keys.values()))))
    print_table(("trained from scratch (Fig. 4), error by examples seen", *map(str, seen)), rows)


def as_dict(result: FunctionsResult) -> dict[str, Any]:
    """Return what was found as plain JSON types."""
    return {
        "laws": [
            {
                "laws": run.laws,
                "seed": run.seed,
                "found": [
                    {
                        "algorithm": found.algorithm,
                        "matrix": found.matrix,
                        "positions": found.positions,
                        "labels": list(found.labels),
                        "agreement": found.agreement,
                    }
                    for found in run.found
                ],
                "by_position": {family: values.tolist() for family, values in run.by_position.items()},
                "cpu_seconds": run.cpu_seconds,
            }
            for run in result.laws
        ],
        "curves": [
            {"seed": run.seed, "target": target, "with": company, "errors": errors.tolist()}
            for run in result.curves
            for (target, company), errors in run.errors.items()
        ],
        "cpu_seconds": result.cpu_seconds,
    }
