"""The figures of a transfer study: curves by number of examples and along training, and the scatter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from cotune.findings.transfer import (
    HeldOutResult,
    ScatterPoint,
    TransferCheckpoint,
    TransferData,
    TransferPoint,
    TransferRun,
    mean,
)
from cotune.findings.wording import significant
from cotune.report.figures.lines import NEUTRAL, Frame, LinePlot, Series, line_plot, value_range

_PRETRAINED = "pretrained"
_STYLES = NEUTRAL
"""Styles for arms and tasks; the last is the pretrained model's."""

PointValue = Callable[[TransferPoint], float]


@dataclass(frozen=True, slots=True)
class _Measure:
    """Something of a point, and what it is called."""

    label: str
    value: PointValue


_SCORE = _Measure("score", lambda point: point.score)
_LOSS = _Measure("loss, nats a token", lambda point: point.loss)


def transfer_curves(data: TransferData) -> tuple[LinePlot, ...]:
    """Score and loss by number of examples fine-tuned on, means over held-out tasks, at the end."""
    return tuple(
        _by_examples(data, measure, "all held-out tasks", [task.name for task in data.held_out])
        for measure in (_SCORE, _LOSS)
    )


def task_curves(data: TransferData) -> tuple[LinePlot, ...]:
    """Score by number of examples fine-tuned on, a plot for each held-out task."""
    return tuple(_by_examples(data, _SCORE, task.name, [task.name]) for task in data.held_out)


def _by_examples(data: TransferData, measure: _Measure, title: str, tasks: Sequence[str]) -> LinePlot:
    numbers = [point.examples for point in data.pretrained.held_out[0].transfer]

    def points(models: Sequence[TransferCheckpoint]) -> list[tuple[float, float]]:
        at = (partial(HeldOutResult.transferred, examples=n) for n in numbers)
        return [(float(n), _mean(models, tasks, pick, measure)) for n, pick in zip(numbers, at, strict=True)]

    series = [Series(_PRETRAINED, NEUTRAL, points([data.pretrained]), dashed=True)]
    series += [
        Series(arm.label, style % _STYLES, points([run.last for run in data.of_arm(arm.label)]))
        for style, arm in enumerate(data.arms)
        if data.of_arm(arm.label)
    ]
    alt = f"{measure.label} of {title} by number of examples fine-tuned on, {len(series)} lines"
    return _plot(title, alt, series, f"examples fine-tuned on ({data.marking})", measure.label, numbers)


def along_training(data: TransferData) -> tuple[LinePlot, ...]:
    """Scores and losses along training, after fine-tuning and in context; a logarithmic axis of steps."""
    examples, shots = data.along[-1], data.shots
    return tuple(
        _by_step(data, measure, title, pick)
        for measure in (_SCORE, _LOSS)
        for title, pick in (
            (f"fine-tuned on {examples} examples", lambda result: result.transferred(examples)),
            (f"{shots} examples in context", lambda result: result.shown(shots)),
        )
    )


def _by_step(
    data: TransferData,
    measure: _Measure,
    title: str,
    pick: Callable[[HeldOutResult], TransferPoint | None],
) -> LinePlot:
    tasks = [task.name for task in data.held_out]
    steps = sorted({c.step for run in data.runs for c in run.checkpoints if c.step})
    level = _mean([data.pretrained], tasks, pick, measure)
    ends = (float(steps[0]), float(steps[-1])) if steps else (1.0, 2.0)
    series = [Series(_PRETRAINED, NEUTRAL, [(end, level) for end in ends], dashed=True, marked=False)]
    for style, arm in enumerate(data.arms):
        by_step: dict[int, list[TransferCheckpoint]] = {}
        for checkpoint in chain.from_iterable(run.checkpoints for run in data.of_arm(arm.label)):
            if checkpoint.step:
                by_step.setdefault(checkpoint.step, []).append(checkpoint)
        points = [(float(step), _mean(by_step[step], tasks, pick, measure)) for step in sorted(by_step)]
        if points:
            series.append(Series(arm.label, style % _STYLES, points))
    alt = f"{measure.label} by step of instruction tuning, {title}"
    return _plot(title, alt, series, "step", measure.label, steps, log=True)


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


def training_losses(data: TransferData) -> tuple[LinePlot, ...]:
    """Loss by step on instructions, and on replayed text where there is any; means over seeds."""
    kinds: tuple[tuple[str, Callable[[TransferRun], Sequence[float | None]]], ...] = (
        ("instructions", lambda run: run.losses),
        ("replayed text", lambda run: run.replay_losses),
    )
    plots = []
    for title, of in kinds:
        series = []
        for style, arm in enumerate(data.arms):
            steps = zip(*(of(run) for run in data.of_arm(arm.label)), strict=False)
            known = [[loss for loss in step if loss is not None] for step in steps]
            points = [(float(at), mean(losses)) for at, losses in enumerate(known, start=1) if losses]
            if points:
                series.append(Series(arm.label, style % _STYLES, _thinned(points), marked=False))
        if series:
            plots.append(_plot(title, f"Training loss on {title}", series, "step", _LOSS.label, ()))
    return tuple(plots)


def _thinned(points: Sequence[tuple[float, float]], most: int = 60) -> list[tuple[float, float]]:
    """Average neighbours, so that single batches do not hide where the loss goes."""
    width = max(1, math.ceil(len(points) / most))
    chunks = (points[at : at + width] for at in range(0, len(points), width))
    return [(mean(x for x, _ in chunk), mean(y for _, y in chunk)) for chunk in chunks]


def _mean(
    models: Sequence[TransferCheckpoint],
    tasks: Sequence[str],
    pick: Callable[[HeldOutResult], TransferPoint | None],
    measure: _Measure,
) -> float:
    return mean(measure.value(point) for point in _picked(models, tasks, pick))


def _picked(
    models: Sequence[TransferCheckpoint],
    tasks: Sequence[str],
    pick: Callable[[HeldOutResult], TransferPoint | None],
) -> Iterator[TransferPoint]:
    for model in models:
        for result in model.held_out:
            point = pick(result) if result.task in tasks else None
            if point is not None:
                yield point


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
