"""A whole run of the loop in one call."""

from cotune.training._loop import TrainingRun


def train(model, attached, batches, n_steps, config):
    """Train what is attached for some steps; return the log."""
    run = TrainingRun(model, attached, n_steps, config)
    run.run(batches)
    return run.log
