"""Task affinity: how much training with one task helps another. Arrays in, arrays out; no torch.

An estimator takes what was measured (scores of runs, or features of tasks) and returns an
:class:`Affinity`: the matrix, how often each entry was measured, and its standard error.
"""

from cotune.affinity._affinity import Affinity
from cotune.affinity.gradient_cosine import gradient_cosine
from cotune.affinity.higher_order import higher_order
from cotune.affinity.subsets import cover_pairs
from cotune.affinity.tables import Table, read_table

__all__ = ["Affinity", "Table", "cover_pairs", "gradient_cosine", "higher_order", "read_table"]
