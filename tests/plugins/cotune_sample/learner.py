"""A learner without a model: the answer to the most similar of the examples it has seen."""

from __future__ import annotations

import hashlib
import json
import random

from cotune.tasks import get_metric
from cotune.training.learner import Fit, LearnerConfig, Score


class Nearest(LearnerConfig):
    """Answers as the nearest example does, by the share of words that two inputs have in common."""

    most: int = 100
    """The most examples it remembers."""

    def build(self, tasks, base):
        """Make the learner."""
        return NearestLearner(self, tasks)


class NearestLearner:
    """See :class:`Nearest`; a step is an example that it remembers."""

    def __init__(self, config, tasks):
        self.config = config
        self.by_name = {task.name: task for task in tasks}
        self.tasks = tuple(self.by_name)
        self.families = {task.name: task.category for task in tasks}
        self.fingerprint = hashlib.sha256(f"nearest {config.most}".encode()).hexdigest()

    def task_fingerprint(self, task):
        return self.by_name[task].fingerprint

    def check(self):
        return dict.fromkeys(self.tasks, ())

    def prepare(self, folder):
        pass

    def expected_tokens(self, subset, steps):
        return None

    def fit_score(self, subset, seed):
        return dict(self.fit(subset, seed, steps=self.config.most, split="validation").scores)

    def fit(self, subset, seed, *, steps, split, save_to=None):
        known = [example for name in subset for example in self.by_name[name]["train"]]
        random.Random(seed).shuffle(known)
        known = known[: min(steps, self.config.most)]
        if save_to is not None:
            (save_to / "examples.json").write_text(json.dumps([(e.input, e.targets[0]) for e in known]))
        return Fit({name: self._score(name, known, split) for name in subset})

    def _score(self, name, known, split):
        task = self.by_name[name]
        metric = get_metric(task.metric)
        answers = [max(known, key=lambda one: _overlap(one.input, e.input)).targets[0] for e in task[split]]
        values = [metric.score(a, e.targets) for a, e in zip(answers, task[split], strict=True)]
        return Score(sum(values) / len(values), metric.name, metric.higher_is_better, tuple(values))


def _overlap(one, other):
    a, b = set(one.split()), set(other.split())
    return len(a & b) / len(a | b)
