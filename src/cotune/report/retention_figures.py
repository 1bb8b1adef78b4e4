"""The paper's figures: curves along training, label share, gradient cosines, the trade-off."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

from cotune.findings.retention import (
    PRETRAINED,
    At,
    CheckpointValue,
    ModuleAlignment,
    RetentionCheckpoint,
    RetentionFindings,
    RetentionRun,
    RetentionScores,
    along_steps,
    checkpoint_at,
    last_stage,
    target_score,
)
from cotune.findings.wording import count, significant
from cotune.report.figures.lines import (
    NEUTRAL,
    Frame,
    LinePlot,
    Point,
    Series,
    line_plot,
    log_range,
    value_range,
)

By = Literal["answer", "first_word"]
_GROUPS = ("mlp", "query", "key", "value", "query_key_value")


def learning_curves(scores: RetentionScores, rate: float) -> tuple[LinePlot, ...]:
    """Target and average in-context score along the last stage, a plot for each method (Fig. 1)."""
    lines: dict[str, CheckpointValue] = {"target": _target}
    for shots in scores.shots:
        lines[f"{shots}-shot in context"] = partial(_average, scores, shots=shots)
    by_method = {
        method: [
            series
            for style, (name, value) in enumerate(lines.items())
            for series in _along_steps(scores.runs(method, rate), name, style, value)
        ]
        for method in scores.data.methods
    }
    references = [
        (f"{shots}-shot, {PRETRAINED}", style, _average(scores, scores.data.pretrained, shots))
        for style, shots in enumerate(scores.shots, start=1)
    ]
    return _panels(by_method, "score, %", references, low=0.0)


def label_shares(scores: RetentionScores, rate: float, by: By = "answer") -> tuple[LinePlot, ...]:
    """Share of answers that are, or begin with, the target's labels along the last stage (Fig. 2)."""
    by_shots = {
        f"{shots}-shot prompts": [
            series
            for style, method in enumerate(scores.data.methods)
            for series in _along_steps(
                scores.runs(method, rate),
                method,
                style,
                partial(_share, scores, shots=shots, by=by),
            )
        ]
        for shots in scores.shots
    }
    what = "labels" if by == "answer" else "labels as first word"
    return _panels(by_shots, f"{what}, % of answers", [], low=0.0)


def gradient_cosines(scores: RetentionScores, rate: float) -> tuple[LinePlot, ...]:
    """Cosine of full and format gradient by module group, a plot for each method (Fig. 3 and 8)."""
    return _panels(_by_group(scores, rate, lambda part: part.cosine), "cosine", [], low=0.0, high=1.0)


def gradient_norms(scores: RetentionScores, rate: float) -> tuple[LinePlot, ...]:
    """Norms of the full (solid) and the format gradient (dashed), a plot for each method."""
    full = _by_group(scores, rate, lambda part: part.full_norm)
    format = _by_group(scores, rate, lambda part: part.format_norm, dashed=True)
    both = {method: [*full[method], *format.get(method, [])] for method in full}
    return _panels(both, "norm of the gradient", [], log_y=True)


def trade_offs(scores: RetentionScores, shots: int) -> tuple[LinePlot, ...]:
    """Draw the trade-off for the tasks of each type, where there are several, as Fig. 6 and 7 do."""
    plots = (trade_off(scores, shots, kind) for kind in scores.types)
    return tuple(plot for plot in plots if plot is not None)


def trade_off(scores: RetentionScores, shots: int, kind: str | None = None) -> LinePlot | None:
    """Average in-context score against target score, a point for each checkpoint (Fig. 6 and 7)."""
    tasks = None if kind is None else scores.types[kind]
    first = scores.data.learning_rates[0]
    series = []
    for style, method in enumerate(scores.data.methods):
        for own in (True, False):
            runs = [r for r in scores.data.runs if r.method == method and (r.learning_rate == first) == own]
            points, tips = _cloud(scores, runs, shots, tasks)
            if points:
                cloud = Series(method, style, points, joined=False, dashed=not own, tooltips=tips)
                series.append(cloud)
    if not series:
        return None
    everything = [point for one in series for point in one.points]
    before = _average(scores, scores.data.pretrained, shots, tasks)
    x_range = value_range([x for x, _ in everything])
    if math.isfinite(before):
        level = [(x_range[0], before), (x_range[1], before)]
        series.append(Series(PRETRAINED, NEUTRAL, level, dashed=True, marked=False))
    of = f", {kind}" if kind else ""
    frame = Frame(
        x_label="target test score, %",
        y_label=f"average {shots}-shot score{of}, %",
        x_range=x_range,
        y_range=value_range([y for _, y in everything], low=0.0, high=before),
        width=640.0,
        height=380.0,
    )
    alt = f"Average {shots}-shot score{of} against target score of {count(len(everything), 'checkpoint')}"
    return line_plot(kind or "", alt, series, frame)


def learning_rate_sweep(findings: RetentionFindings, at: At) -> LinePlot | None:
    """Share of the pretrained score kept by learning rate; every run is a point, lines join the means."""
    rates = sorted(findings.data.learning_rates)
    series = []
    for style, method in enumerate(findings.data.methods):
        kept = {rate: findings.kept_by(method, rate, at) for rate in rates}
        means = [(rate, 100 * found.mean if found else math.nan) for rate, found in kept.items()]
        single = [
            (rate, 100 * share) for rate, found in kept.items() if found for share in found.shares.values()
        ]
        if single:
            tips = [f"{method}, learning rate {x:g}: {significant(y)} %" for x, y in single]
            series.append(Series(method, style, means, marked=False))
            series.append(Series(method, style, single, joined=False, tooltips=tips))
    if len(rates) < 2 or not series:
        return None
    frame = Frame(
        x_label="learning rate",
        y_label=f"kept of the {findings.scores.most_shots}-shot score, %",
        x_range=log_range(rates),
        y_range=value_range([y for one in series for _, y in one.points], low=0.0, high=100.0),
        log_x=True,
        x_ticks=rates,
        width=480.0,
        height=300.0,
    )
    title = "At equal target score" if at == "equal" else "At the best checkpoint"
    return line_plot(title, f"{title}: share of the pretrained score kept by learning rate", series, frame)


def _along_steps(
    runs: Sequence[RetentionRun], name: str, style: int, value: CheckpointValue, *, dashed: bool = False
) -> list[Series]:
    """Draw the mean over the runs, and each run beside it where there are several."""
    curve = along_steps(runs, value)
    if curve is None:
        return []
    several = len(curve.runs) > 1
    seeds = f", mean of {count(len(curve.runs), 'seed')}" if several else ""
    tips = [f"{name}, step {int(x):,}: {significant(y)}{seeds}" for x, y in curve.mean]
    faint = [Series(name, style, points, faint=True) for points in curve.runs] if several else []
    return [*faint, Series(name, style, curve.mean, dashed=dashed, marked=not dashed, tooltips=tips)]


def _panels(
    by_name: Mapping[str, Sequence[Series]],
    y_label: str,
    references: Sequence[tuple[str, int, float]],
    *,
    low: float | None = None,
    high: float | None = None,
    log_y: bool = False,
) -> tuple[LinePlot, ...]:
    """Lay out plots with common axes, leaving out those without any series."""
    shown = {name: list(series) for name, series in by_name.items() if series}
    points = [point for series in shown.values() for one in series for point in one.points]
    if not points:
        return ()
    x_range = value_range([x for x, _ in points])
    levels = [y for *_, y in references if math.isfinite(y)]
    ys = [*(y for _, y in points), *levels]
    frame = Frame(
        x_label="step",
        y_label=y_label,
        x_range=x_range,
        y_range=log_range(ys) if log_y else value_range(ys, low=low, high=high),
        log_y=log_y,
    )
    flat = [
        Series(name, style, [(x_range[0], y), (x_range[1], y)], dashed=True, marked=False)
        for name, style, y in references
        if math.isfinite(y)
    ]
    return tuple(
        line_plot(name, f"{y_label} along steps, {name}", [*flat, *series], frame)
        for name, series in shown.items()
    )


def _by_group(
    scores: RetentionScores,
    rate: float,
    value: Callable[[ModuleAlignment], float],
    *,
    dashed: bool = False,
) -> dict[str, list[Series]]:
    def of(group: str) -> CheckpointValue:
        def pick(checkpoint: RetentionCheckpoint) -> float:
            return next((value(p) for p in checkpoint.alignment if p.group == group), math.nan)

        return pick

    return {
        method: [
            series
            for style, group in enumerate(_GROUPS)
            for series in _along_steps(
                scores.runs(method, rate), group.replace("_", ", "), style, of(group), dashed=dashed
            )
        ]
        for method in scores.data.methods
    }


def _cloud(
    scores: RetentionScores, runs: Iterable[RetentionRun], shots: int, tasks: Sequence[str] | None
) -> tuple[list[Point], list[str]]:
    points, tips = [], []
    for run in runs:
        for checkpoint in last_stage(run):
            x, y = _target(checkpoint), _average(scores, checkpoint, shots, tasks)
            if math.isfinite(x) and math.isfinite(y):
                chosen = " (best)" if checkpoint is checkpoint_at(run, "best") else ""
                points.append((x, y))
                tips.append(
                    f"{run.method}, learning rate {run.learning_rate:g}, seed {run.seed}, step "
                    f"{checkpoint.step:,}{chosen}: target {significant(x)}, in context {significant(y)}"
                )
    return points, tips


def _target(checkpoint: RetentionCheckpoint) -> float:
    """Mean test score of the targets in percent; NaN where none was measured."""
    return 100 * target_score(checkpoint)


def _share(scores: RetentionScores, checkpoint: RetentionCheckpoint, shots: int, by: By) -> float:
    """Share of answers that are labels, or begin with one, in percent; NaN where no task tells."""
    return 100 * scores.label_share(checkpoint, shots, by)


def _average(
    scores: RetentionScores,
    checkpoint: RetentionCheckpoint,
    shots: int,
    tasks: Sequence[str] | None = None,
) -> float:
    """Average in-context score in percent; NaN where it was not measured."""
    mean = scores.average([checkpoint], shots, tasks)
    return math.nan if mean is None else 100 * mean.mean
