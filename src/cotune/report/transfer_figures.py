"""The figures of a transfer study: curves by number of examples and along training, and the scatter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from cotune.findings.transfer import (
    ArmCurve,
    Conflict,
    Pick,
    Quantity,
    ScatterPoint,
    TransferData,
    TransferFindings,
    TransferRun,
    along_training,
    by_examples,
    losses_by_step,
    mean,
    steps_measured,
)
from cotune.findings.wording import significant
from cotune.report.figures.lines import NEUTRAL, Frame, LinePlot, Series, line_plot, value_range

_PRETRAINED = "pretrained"
_STYLES = NEUTRAL
"""Styles for arms and tasks; the last is the pretrained model's."""
_LABELS: dict[Quantity, str] = {"score": "score", "loss": "loss, nats a token"}


def examples_plots(data: TransferData) -> tuple[LinePlot, ...]:
    """Score and loss by number of examples fine-tuned on, means over held-out tasks, at the end."""
    tasks = [task.name for task in data.held_out]
    return tuple(_examples_plot(data, measure, "all held-out tasks", tasks) for measure in _LABELS)


def task_plots(data: TransferData) -> tuple[LinePlot, ...]:
    """Score by number of examples fine-tuned on, a plot for each held-out task."""
    return tuple(_examples_plot(data, "score", task.name, [task.name]) for task in data.held_out)


def _examples_plot(data: TransferData, measure: Quantity, title: str, tasks: Sequence[str]) -> LinePlot:
    curves, label = by_examples(data, measure, tasks), _LABELS[measure]
    alt = f"{label} of {title} by number of examples fine-tuned on, {len(curves)} lines"
    ticks = [int(x) for x, _ in curves[0].points]
    x_label = f"examples fine-tuned on ({data.marking})"
    return _plot(title, alt, [_series(data, curve) for curve in curves], x_label, label, ticks)


def training_plots(data: TransferData) -> tuple[LinePlot, ...]:
    """Scores and losses along training, after fine-tuning and in context; a logarithmic axis of steps."""
    examples, shots = data.along[-1], data.shots
    places: tuple[tuple[str, Pick], ...] = (
        (f"fine-tuned on {examples} examples", lambda result: result.transferred(examples)),
        (f"{shots} examples in context", lambda result: result.shown(shots)),
    )
    return tuple(_steps_plot(data, measure, *place) for measure in _LABELS for place in places)


def _steps_plot(data: TransferData, measure: Quantity, title: str, pick: Pick) -> LinePlot:
    series = [_series(data, curve, level=True) for curve in along_training(data, measure, pick)]
    label, alt = _LABELS[measure], f"{_LABELS[measure]} by step of instruction tuning, {title}"
    return _plot(title, alt, series, "step", label, steps_measured(data), log=True)


def _series(data: TransferData, curve: ArmCurve, *, level: bool = False) -> Series:
    """Draw a curve; that of the pretrained model dashed, without markers where it is but a level."""
    if curve.arm is None:
        return Series(_PRETRAINED, NEUTRAL, curve.points, dashed=True, marked=not level)
    return Series(data.arms[curve.arm].label, curve.arm % _STYLES, curve.points)


def scatter(points: Sequence[ScatterPoint], examples: int, shots: int) -> tuple[LinePlot, ...]:
    """Loss in context against loss after fine-tuning, a colour for each task: as it is, and within tasks."""
    tasks = list(dict.fromkeys(point.task for point in points))
    if not points:
        return ()
    plots = []
    for title, centred in (("as measured", False), ("less each task's means", True)):
        series = []
        for style, task in enumerate(tasks):
            own = [point for point in points if point.task == task]
            x = mean(point.transfer_loss for point in own) if centred else 0.0
            y = mean(point.in_context_loss for point in own) if centred else 0.0
            places = [(point.transfer_loss - x, point.in_context_loss - y) for point in own]
            tips = [_tip(point) for point in own]
            series.append(Series(task, style % _STYLES, places, joined=False, tooltips=tips))
        frame = Frame(
            x_label=f"loss after fine-tuning on {examples} examples",
            y_label=f"loss with {shots} examples in context",
            x_range=value_range([x for one in series for x, _ in one.points]),
            y_range=value_range([y for one in series for _, y in one.points]),
            width=430.0,
            height=320.0,
        )
        alt = f"{frame.y_label} against {frame.x_label}, {len(points)} points, {title}"
        plots.append(line_plot(title, alt, series, frame))
    return tuple(plots)


def conflict_plots(findings: TransferFindings) -> tuple[LinePlot, ...]:
    """Direction, magnitude and noise of the training tasks' gradients by step, a line for each arm."""
    arms = [arm.label for arm in findings.data.arms]
    quantities: tuple[tuple[str, str, Callable[[Conflict], float]], ...] = (
        ("direction", "mean cosine of two tasks", lambda one: one.direction.mean),
        ("magnitude", "shorter over longer", lambda one: one.magnitude.mean),
        ("noise", "variance over squared length, log 10", lambda one: one.noise.mean),
    )
    found, plots = findings.conflicts, []
    for title, label, of in quantities if found else ():
        series = [
            Series(arm, at % _STYLES, [(float(one.step), of(one)) for one in found if one.arm == arm])
            for at, arm in enumerate(arms)
            if any(one.arm == arm for one in found)
        ]
        steps = sorted({one.step for one in found})
        plots.append(_plot(title, f"{title} of gradients by step, {label}", series, "step", label, steps))
    return tuple(plots)


def marking_plots(findings: TransferFindings) -> tuple[LinePlot, ...]:
    """Score by number of examples under every marking: of the pretrained model dashed, of the tuned ones."""
    if not findings.markings:
        return ()
    series = []
    for style, row in enumerate(findings.markings):
        before = [(float(n), score) for n, score, _ in row.curve]
        tuned = [(float(n), score) for n, _, score in row.curve]
        series.append(Series(f"{row.marking}, pretrained", style, before, dashed=True))
        series.append(Series(f"{row.marking}, tuned", style, tuned))
    ticks = [n for n, *_ in findings.markings[0].curve]
    alt = f"score by number of examples fine-tuned on, under {len(findings.markings)} markings"
    return (_plot("all held-out tasks", alt, series, "examples fine-tuned on", _LABELS["score"], ticks),)


def training_losses(data: TransferData) -> tuple[LinePlot, ...]:
    """Loss by step on instructions, and on replayed text where there is any; means over seeds."""
    kinds: tuple[tuple[str, Callable[[TransferRun], Sequence[float | None]]], ...] = (
        ("instructions", lambda run: run.losses),
        ("replayed text", lambda run: run.replay_losses),
    )
    plots = []
    for title, of in kinds:
        curves = losses_by_step(data, of)
        series = [replace(_series(data, c), points=_thinned(c.points), marked=False) for c in curves]
        if series:
            plots.append(_plot(title, f"Training loss on {title}", series, "step", _LABELS["loss"], ()))
    return tuple(plots)


def _thinned(points: Sequence[tuple[float, float]], most: int = 60) -> list[tuple[float, float]]:
    """Average neighbours, so that single batches do not hide where the loss goes."""
    width = max(1, math.ceil(len(points) / most))
    chunks = (points[at : at + width] for at in range(0, len(points), width))
    return [(mean(x for x, _ in chunk), mean(y for _, y in chunk)) for chunk in chunks]


def _plot(
    title: str,
    alt: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    ticks: Sequence[int],
    *,
    log: bool = False,
) -> LinePlot:
    places = [x for one in series for x, _ in one.points]
    low, high = min(places, default=1.0), max(places, default=2.0)
    ends = (low / 1.1, high * 1.1) if log else value_range([low, high])
    frame = Frame(
        x_label=x_label,
        y_label=y_label,
        x_range=ends,
        y_range=value_range([y for one in series for _, y in one.points]),
        log_x=log,
        x_ticks=[float(tick) for tick in ticks],
    )
    return line_plot(title, alt, series, frame)


def _tip(point: ScatterPoint) -> str:
    place = point.arm if not point.step else f"{point.arm}, seed {point.seed}, step {point.step:,}"
    return (
        f"{point.task}, {place}: fine-tuned {significant(point.transfer_loss)}, in context "
        f"{significant(point.in_context_loss)}"
    )
