import numpy as np
from affinity_designs import inside_only, uniform_design
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.affinity import GroupEvidence


def planted(seed, labels, m, size=3, effect=4.0):
    """Runs on random subsets; a task scores by the share of its own group, in a unit of its own."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels)
    n = len(labels)
    membership = uniform_design(rng, n, size, m)
    own = membership @ (labels[:, None] == labels) - 1
    scores = rng.normal(size=n) + np.exp(rng.normal(size=n)) * (
        effect * own / (size - 1) + rng.normal(size=membership.shape)
    )
    return membership, inside_only(membership, scores)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 4))
def test_gains_are_differences_of_the_log_evidence(seed, k):
    rng = np.random.default_rng(seed)
    n = 7
    labels = np.unique(rng.integers(0, k, n), return_inverse=True)[1]
    membership, scores = planted(seed, labels, 25)
    evidence = GroupEvidence(membership, scores).fit(labels)
    gains = evidence.gains(labels, np.arange(n))
    here = evidence.log_evidence(labels)
    for task in range(n):
        for group in range(labels.max() + 2):
            moved = labels.copy()
            moved[task] = group
            if (labels == labels[task]).sum() == 1 and group == labels.max() + 1:
                assert gains[task, group] == -np.inf  # alone it is a group of its own already
                continue
            expected = evidence.log_evidence(moved) - here
            np.testing.assert_allclose(gains[task, group] - gains[task, labels[task]], expected, atol=1e-8)
