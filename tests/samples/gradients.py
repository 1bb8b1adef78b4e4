"""Gradients of batches of tasks with a known truth."""

import numpy as np


def gradients(cosine, noise, seed, *, n_tasks=5, dimension=2000, batches=4):
    """Batch gradients of tasks with a common direction and noise of so many times their length."""
    rng = np.random.default_rng(seed)
    own = np.linalg.qr(rng.normal(size=(dimension, n_tasks + 1)))[0].T
    means = np.sqrt(cosine) * own[0] + np.sqrt(1 - cosine) * own[1:]
    shaken = rng.normal(size=(n_tasks, batches, dimension)) * np.sqrt(noise / dimension)
    return means[:, None] + shaken
