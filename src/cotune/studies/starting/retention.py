"""A first retention study: what does fine-tuning on some of these tasks leave of the others in context."""

from __future__ import annotations

from collections.abc import Iterator

from cotune.findings.wording import count
from cotune.studies.starting._found import Found, Start, once_through, value

_BATCH_SIZE = 8
_SHOTS = (1, 4)


class RetentionStart(Start):
    """LoRA beside ProMoT on the targets; every other task is put to the models in context."""

    option = "--target"
    finding = "to keep in context"

    def lines(self, found: Found) -> Iterator[str]:
        """Write the file."""
        once = once_through(found.set_apart, _BATCH_SIZE)
        steps = min(max(once, 100), 400)
        fewest = min(len(task["train"]) for task in found.others)
        shots = sorted({min(k, fewest) for k in _SHOTS})
        yield from found.opening(
            f"What does fine-tuning on {' and '.join(found.apart)} leave of "
            f"{count(len(found.others), 'other task')} in context?",
            "retention",
        )
        yield "tasks:"
        tuned_on = "Tuned on; the most examples of each split, null takes all."
        yield from found.reader(tuned_on, "{train: 1024, validation: 128, test: 128}", apart=True)
        asked = "Put to the models in context, before and after; demonstrations are of the training split."
        yield from found.reader(asked, "{train: 64, validation: 1, test: 32}", apart=False)
        yield f"targets: {value(list(found.apart))}"
        yield ""
        yield "methods:"
        yield "  - {name: lora, r: 8}"
        yield "  # ProMoT: a soft prompt takes up the format first, then the LoRA is tuned under it, and"
        yield "  # other tasks are asked without the prompt. docs/retention.md names further methods."
        yield f"  - {{name: promot, prompt_length: 20, prompt_steps: {steps}, weights: {{name: lora, r: 8}}}}"
        yield "# A higher rate forgets more with every method: compare them along several."
        yield "learning_rates: [3.0e-4, 1.0e-3]"
        yield f"# About {once} steps go once through the examples of the smallest target."
        yield f"steps: {steps}"
        yield "# Forgetting happens early."
        yield f"checkpoints: {[steps // 40, steps // 20]}"
        yield f"training: {{batch_size: {_BATCH_SIZE}, tasks_per_batch: 1, warmup: 0.03}}"
        yield ""
        yield "# Numbers of demonstrations, and how often they are drawn anew."
        yield f"in_context: {{shots: {shots}, draws: 2}}"
        yield "# With one seed there is no error to tell methods apart by."
        yield "seeds: 2"
