"""Predictors of negative transfer on one axis (Fig. 8 of AdaGroup), on the toy language.

A task suffers in a subset where it scores worse than trained alone. Each predictor says who will, on subsets
of three to six tasks that it has not seen; F1 of the class "suffers", averaged over tasks, as in the paper:

- pairwise: mean over the others of the score with each alone (loss-based affinity, Standley et al. 2020);
- lookahead: mean relative fall of the loss through a step on each other (gradient-based, Fifty et al. 2021);
- gradient cosine: mean cosine with the others, no training;
- higher-order: mean over the others of Eq. 6, from the runs of the surrogates;
- linear and kernel surrogate, from these runs;
- all: everybody always suffers, which the share of those who do makes the F1 of saying nothing.

    OMP_NUM_THREADS=1 python benchmarks/figure_8.py --markdown figure-8.md --figure figure-8.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from cotune.affinity import KernelSurrogate, TransferF1, f1_by_size, higher_order, mean_of_pairs
from cotune.studies import Study, run_study
from cotune.studies.grouping.estimators import run_scores

Array = NDArray[np.float64]
Rule = tuple[Callable[[NDArray[np.bool_]], Array], Array | None]
"""What predicts subsets, and what predictions are below where a task suffers; None for its score alone."""

OTHERS: dict[str, dict[str, Any]] = {
    "pairwise": {"estimator": "pairwise", "steps_per_task": None},
    "lookahead": {"estimator": "lookahead", "steps": None},
    "gradient cosine": {"estimator": "gradient_cosine", "examples": 32},
}
"""Estimators that take runs of their own, with what the study's file decides of them."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--folder", type=Path, default=Path("figure_8_runs"), help="where runs are kept")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0")
    parser.add_argument("--markdown", type=Path, help="also write the table to this Markdown file")
    parser.add_argument(
        "--figure", type=Path, help="also draw F1 against the size of subsets to this SVG file"
    )
    options = parser.parse_args(argv)
    content = yaml.safe_load(options.study.read_text())
    options.folder.mkdir(parents=True, exist_ok=True)
    seeds = [measured({**content, "seed": seed}, options.folder / str(seed)) for seed in range(options.seeds)]
    lines = table(seeds)
    print("\n".join(lines))
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")
    if options.figure:
        draw(seeds, options.figure)


def measured(content: dict[str, Any], folder: Path) -> dict[str, list[TransferF1]]:
    """Return the F1 of every predictor with one seed, by size of the subsets."""
    study, result = done(content, content["affinity"], folder)
    estimator, learner, seed = study.config.estimator, study.learner, content["seed"]
    own = estimator.runs(learner, seed)
    held_out = estimator.held_out_fits(learner, seed, own)
    scores = run_scores(learner.tasks, result.affinity_records)
    judged = run_scores(learner.tasks, {run: result.affinity_records[run] for run in held_out})
    trained = run_scores(learner.tasks, {run: result.affinity_records[run] for run in own})
    assert scores is not None
    assert judged is not None
    assert trained is not None
    alone = np.nanmean(np.where(singles(scores)[:, None], scores, np.nan), axis=0)
    runs, subsets = trained[~singles(trained)], judged[~singles(judged)]
    inside = ~np.isnan(runs)
    rules: dict[str, Rule] = {
        "linear surrogate": (result.estimate.predict, None),
        "kernel surrogate": (KernelSurrogate().fit(inside, runs).predict, None),
        "higher-order": (partial(mean_of_pairs, higher_order(inside, runs)), None),
    }
    for name, other in OTHERS.items():
        _, found = done(content, settled(other, content, len(alone)), folder)
        below = None if name == "pairwise" else np.zeros(len(alone))
        rules[name] = (partial(mean_of_pairs, found.estimate.affinity), below)
    rules["all"] = (lambda asked: np.where(asked, -np.inf, np.nan), None)
    members = ~np.isnan(subsets)
    return {name: scored(rule, members, subsets, alone) for name, rule in rules.items()}


def done(content: dict[str, Any], affinity: dict[str, Any], folder: Path) -> tuple[Any, Any]:
    """Run a study of the same tasks with some estimator; what the folder has is not done again."""
    file = folder.with_suffix(".yaml")
    file.write_text(yaml.safe_dump({**content, "affinity": affinity}, sort_keys=False))
    study = Study.load(file, folder)
    return study, run_study(study)


def settled(affinity: dict[str, Any], content: dict[str, Any], n: int) -> dict[str, Any]:
    """Fill in the training steps of the study's file."""
    steps = content["affinity"]["steps_per_task"]
    given = {"steps_per_task": steps, "steps": steps * n}
    settled = {key: given.get(key) if value is None else value for key, value in affinity.items()}
    return {**settled, "every": max(1, steps // 4)} if "steps" in settled else settled


def singles(scores: Array) -> NDArray[np.bool_]:
    return np.asarray((~np.isnan(scores)).sum(1) == 1)


def scored(rule: Rule, members: NDArray[np.bool_], scores: Array, alone: Array) -> list[TransferF1]:
    predict, below = rule
    guess = np.where(members, np.nan_to_num(predict(members), neginf=-1e300), np.nan)
    return f1_by_size(guess, members, scores, alone, predicted_alone=below)


def table(seeds: Sequence[dict[str, list[TransferF1]]]) -> list[str]:
    """F1 by predictor and size: the mean over seeds, lowest and highest."""
    sizes = [found.size for found in seeds[0]["all"]]
    lines = [
        "| predictor | " + " | ".join(f"{size} tasks" for size in sizes) + " |",
        "|---|" + "---:|" * len(sizes),
    ]
    for name in seeds[0]:
        cells = []
        for at in range(len(sizes)):
            values = [seed[name][at].f1 for seed in seeds]
            cells.append(f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    worse = [np.mean([seed["all"][at].prevalence for seed in seeds]) for at in range(len(sizes))]
    return [*lines, "| truly worse off | " + " | ".join(f"{100 * share:.0f} %" for share in worse) + " |"]


def draw(seeds: Sequence[dict[str, list[TransferF1]]], path: Path) -> None:
    """Draw the means over seeds, a line a predictor, with bars from the lowest to the highest seed."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "figure_8", "font.size": 9})
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    colours = ("#0072B2", "#56B4E9", "#009E73", "#D55E00", "#E69F00", "#CC79A7", "#999999")
    for place, ((name, found), colour) in enumerate(zip(seeds[0].items(), colours, strict=True)):
        values = np.array([[seed[name][at].f1 for at in range(len(found))] for seed in seeds])
        means = values.mean(0)
        # Beside one another, so that no bar hides another.
        sizes = np.array([of.size for of in found]) + 0.04 * (place - (len(colours) - 1) / 2)
        spread = np.stack([means - values.min(0), values.max(0) - means]) if len(seeds) > 1 else None
        style = "o--" if name == "all" else "o-"
        axes.errorbar(sizes, means, spread, fmt=style, color=colour, label=name, markersize=3, elinewidth=0.8)
    axes.set(xlabel="tasks in a subset", ylabel="F1 of predicted negative transfer", ylim=(0, 1))
    axes.set_xticks([of.size for of in seeds[0]["all"]])
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    figure.legend(loc="outside upper center", frameon=False, ncols=4, fontsize=8)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
