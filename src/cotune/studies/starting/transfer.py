"""A first transfer study: what does instruction tuning do to learning tasks that it never sees."""

from __future__ import annotations

from collections.abc import Iterator

from cotune.findings.wording import count
from cotune.studies.starting._found import Found, Start, once_through, value

_BATCH_SIZE, _TASKS_PER_BATCH = 8, 2
_EXAMPLES = (0, 10, 40)
_SHOTS = 4


class TransferStart(Start):
    """Two sampling schemes; held-out tasks are learned from few examples, by fine-tuning and in context."""

    option = "--held-out"
    finding = "to train on"

    def lines(self, found: Found) -> Iterator[str]:
        """Write the file."""
        trained, unseen = found.others, found.set_apart
        once = once_through(trained, _BATCH_SIZE) * len(trained)
        steps = min(max(once, 64), 512)
        fewest = min(len(task["train"]) for task in unseen)
        numbers = sorted({min(n, fewest) for n in _EXAMPLES})
        alone = len(trained) == 1
        yield from found.opening(
            f"What does instruction tuning on {count(len(trained), 'task')} do to learning "
            f"{count(len(unseen), 'other')}?",
            "transfer",
        )
        yield "tasks:"
        trained_on = "Trained on; the most examples of each split, null takes all."
        yield from found.reader(trained_on, "{train: 256, validation: 32, test: 32}", apart=False)
        never = "Never trained on: learned from few examples at every checkpoint."
        yield from found.reader(never, "{train: 64, validation: 1, test: 32}", apart=True)
        yield f"held_out: {value(list(found.apart))}"
        yield ""
        yield "method: {name: lora, r: 8, alpha: 16}"
        yield f"# About {once} steps go once through all examples."
        yield f"steps: {steps}"
        yield "# Measured here and at the end; each costs the fine-tunings of every held-out task."
        yield f"checkpoints: {[steps // 8]}"
        tasks = 1 if alone else _TASKS_PER_BATCH
        yield f"training: {{learning_rate: 1.0e-3, batch_size: {_BATCH_SIZE}, tasks_per_batch: {tasks}}}"
        yield ""
        if not alone:
            yield "# How tasks are sampled (docs/schemes.md). The other cure is replay of plain text:"
            yield "# replay: {text: {source: files, path: texts/}}, replay_ratios: [0, 0.25]."
            yield "schemes: [proportional, uniform]"
        yield "# With one seed there is no error to tell arms apart by."
        yield "seeds: 2"
        yield ""
        yield "# Fine-tuned on so many examples of a held-out task, each drawn twice."
        yield f"transfer: {{examples: {numbers}, draws: 2, steps: 20}}"
        yield f"along: {numbers[1] if len(numbers) > 1 else numbers[0]}"
        yield f"in_context: {{shots: [{min(_SHOTS, fewest)}], draws: 2}}"
