"""A first grouping study: which of these tasks should be trained together."""

from __future__ import annotations

from collections.abc import Iterator

from cotune.studies.starting._found import Found, Start, indented, once_through, value
from cotune.training.config import TrainingConfig


class GroupingStart(Start):
    """Affinity from gradients, groups by gain, and the comparison that shows what they are worth."""

    least = 2
    finding = "to group"

    def lines(self, found: Found) -> Iterator[str]:
        """Write the file."""
        training = TrainingConfig()
        once = once_through(found.tasks, training.batch_size)
        budgets = [min(max(8, once // 4), 16), min(max(32, once), 64)]
        yield from found.head(f"Which of these {len(found.tasks)} tasks should be trained together?")
        yield ""
        yield "tasks:"
        yield f"  path: {found.path}"
        yield from indented(found.read_as())
        yield from indented(found.without())
        if found.left_out:
            yield f"  exclude: {value(list(found.left_out))}"
        yield from indented(_metric(found))
        yield "  # The most examples of each split; null takes all."
        yield "  max_examples: {train: 256, validation: 32, test: 64}"
        yield ""
        yield "learner:"
        yield "  kind: language_model"
        yield from indented(found.model_lines())
        yield "  method: {name: lora, r: 8, alpha: 16}"
        yield (
            f"  training: {{learning_rate: 1.0e-3, batch_size: {training.batch_size}, "
            f"tasks_per_batch: {training.tasks_per_batch}}}"
        )
        yield ""
        yield "# How tasks act on one another: gradients at the untrained model to begin with, which trains"
        yield "# nothing. Truer and dearer: {estimator: higher_order} trains subsets (docs/affinity.md)."
        yield "affinity: {estimator: gradient_cosine, examples: 16}"
        yield ""
        yield "grouping: {n_clusters: auto}"
        yield ""
        yield "# Whether the groups are worth it depends on how long one trains: steps a task, of which about"
        yield f"# {once} go once through the examples of the smallest task. comparison: null only groups."
        yield "comparison:"
        yield f"  budgets: {budgets}"
        yield "  # With one seed nothing can be decided, with two hardly anything."
        yield "  seeds: 3"
        yield "  # Further arms: random (groups of these sizes), branched (together first, then apart)."
        yield "  arms: [grouped, joint, single]"


def _metric(found: Found) -> Iterator[str]:
    metrics = found.metrics()
    if len(metrics) == 1:
        yield f"# Scored by {found.tasks[0].metric}. The right answer's loss is cheapest and varies least:"
        yield "# metric: nll"
        return
    listed = ", ".join(f"{name} ({number})" for name, number in metrics.most_common())
    yield "# One metric for all, so that the verdict is of all: the loss of the right answer, which is"
    yield f"# cheapest and varies least. Without this line tasks have those that fit them: {listed}."
    yield "metric: nll"
