"""SDPClustering: the certified grouping as a scikit-learn estimator."""

from __future__ import annotations

from cotune.grouping._certified import CertifiedGrouping
from cotune.grouping._sklearn import Estimator


class SDPClustering(Estimator, CertifiedGrouping):
    """Group tasks by the semidefinite relaxation of AdaGroup, with a proof of how good the groups are.

    Maximises the sum of group densities (Eq. 3) over partitions of n tasks into k groups through
    max <T, X> : Xe = e, tr X = k, X >= 0, X positive semidefinite (Eq. 5; Procedure 1). The matrix is
    taken as given and symmetrised; see :func:`cotune.grouping.prepare` for scales, diagonals and
    missing entries.

    Parameters
    ----------
    n_clusters : int or "auto"
        Number of groups, from 1 to n, or ``"auto"`` to choose it by ``k_rule``.
    affinity : {"precomputed", "linear", "cosine"}
        ``"precomputed"``: ``fit`` takes the n x n affinities. Otherwise it takes one feature vector a task,
        for instance its gradient, and the affinities are their inner products or cosines.
    k_max : int, optional
        Largest number of groups tried under ``"auto"``; None for n - 1 under ``"evidence"``, otherwise for
        max(10, 1.5 sqrt(n)), below n.
    k_rule : {"evidence", "entry_cv", "bic", "average_density", "summed_density"}, optional
        How ``"auto"`` chooses; None for ``"evidence"``, which depends on neither the order of the tasks nor
        ``random_state``. ``"average_density"`` is the paper's (Eq. 2), ``"summed_density"`` its Eq. 3. What
        the others say is kept in ``k_path_``; ``"entry_cv"`` is not computed beside ``"evidence"``.
    partition : {"auto", "density", "likelihood"}
        Which partition into k groups ``labels_`` is: that of the largest density sum (Eq. 3), or that of the
        largest likelihood of the block model behind ``"evidence"``, which does not split large groups for
        the sake of small ones. ``"auto"``: density, unless k was chosen by evidence and the evidence for the
        other partition is larger by a factor of 150 (very strong).
    tol : float
        Relative gap at which a partition counts as proven optimal.
    max_iter : int
        Most iterations of the solver.
    time_limit : float, optional
        Seconds after which the solver stops with the best partition and bound so far; choosing k is not
        counted.
    exact_max : int
        Up to this many tasks, groups that the relaxation does not prove are found by exact search; at
        most 20, 0 to rely on the relaxation alone.
    rounding : {"best", "kmeans", "agglomerative", "threshold", "row_threshold"}
        ``"best"`` keeps the best partition over the cheap strategies after local moves. The others
        return what rounding X gives and nothing else; ``"threshold"`` is the paper's, ``"row_threshold"``
        as its authors' code reads it, and neither need give k groups.
    rounding_c : float
        Where to cut under these two: tasks share a group when X_uv > c / n. The paper says c >= 1; at
        1 groups merge, 1.5 suits groups of about equal sizes.
    warm_start : array-like of shape (n,) or (n, n), optional
        Groups of an earlier step, or an X, to start from; False is None, for scikit-learn's sake.
    callback : callable, optional
        Called now and then as ``callback(iteration, objective, bound)`` while the groups are being proven.
    k_callback : callable, optional
        Called as ``k_callback(k, objective)`` after every k tried under ``"auto"``.
    random_state : int, RandomState instance or None
        Seed of the starts; the same seed gives the same groups.

    Attributes
    ----------
    labels_ : ndarray of shape (n,)
        The group of every task, numbered by first appearance.
    n_clusters_ : int
        Number of groups in ``labels_``.
    objective_ : float
        Sum of the group densities of ``labels_`` on ``affinity_matrix_`` (Eqs. 1 and 3).
    affinity_matrix_ : ndarray of shape (n, n)
        What densities are of: T, of which (T + T')/2 counts; where ``fit`` got weights, (T + T')/2 with
        entries drawn towards the effects of their tasks by what they are worth.
    shrinkage_ : Shrunk or None
        That matrix, and how much of their distance from those effects the least measured entries keep.
    sdp_value_ : float
        <T, X> of ``X_``: the value of Eq. 5 where ``status_`` is not ``"max_iter"`` or earlier.
    upper_bound_ : float
        No partition into ``n_clusters_`` groups has a larger objective.
    gap_ : float
        (upper_bound_ - objective_) / unit, where the unit is the larger of the absolute values of objective_
        and sdp_value_ after subtracting e'Te/n, which every partition has: the share of the structure that
        a better partition could still add.
    sdp_bound_ : float
        No feasible X of Eq. 5 has a larger value; equal to ``upper_bound_`` unless an exact search was
        needed.
    sdp_gap_ : float
        |sdp_bound_ - sdp_value_| / unit: how exactly the relaxation itself is solved. A small
        ``sdp_gap_`` with a large ``gap_`` means that the relaxation is not tight.
    certified_ : bool
        Whether ``gap_ <= tol``: no other partition is better by more than that.
    status_ : {"certified", "solved", "max_iter", "time_limit"}
        Why the solver stopped; ``"solved"``: the relaxation is solved and not tight.
    n_iter_ : int
        Iterations done; 0 when the proof was found in closed form.
    k_rule_ : str
        The rule that ``"auto"`` uses.
    k_weights_ : dict of int to float
        Under ``"evidence"`` the share of the evidence of each k looked at, the best first, each by the best
        partition found; else empty. The second is the runner-up.
    partition_ : {"density", "likelihood"}
        Which partition ``labels_`` is.
    density_labels_, density_objective_, density_gap_, density_certified_
        The partition of largest density sum into as many groups, with its proof; those of ``labels_``
        unless ``partition_`` is ``"likelihood"``.
    k_path_ : list of dict
        Under ``"auto"`` one record for every k tried, see :class:`cotune.grouping.KPath`; else empty.
    k_choices_ : dict of str to int
        Under ``"auto"`` the k that each rule selects.
    X_ : ndarray of shape (n, n)
        The solution of Eq. 5, or the X of the partition when it was proven in closed form. Satisfies Xe = e,
        tr X = k and X positive semidefinite to rounding; entries may be as low as -tol.
    n_features_in_ : int
        Number of columns seen by ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where ``fit`` saw a data frame with such. Rows of a frame of affinities are put
        in the order of its columns; one whose rows are called otherwise is refused.

    Notes
    -----
    One task is one group, proven. When T_ij = r_i + r_j all partitions are equally good: the first one in
    task order is returned, proven. ``time_limit`` ends the proof early, with a valid bound.

    Examples
    --------
    >>> from cotune.grouping import SDPClustering
    >>> T = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    >>> SDPClustering(n_clusters=2).fit(T).labels_
    array([0, 0, 1, 1])
    """
