"""What architectures call the matrices of their layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MODULE_GROUPS: Mapping[str, frozenset[str]] = {
    "query": frozenset({"q", "query", "q_proj", "q_lin", "wq"}),
    "key": frozenset({"k", "key", "k_proj", "k_lin", "wk"}),
    "value": frozenset({"v", "value", "v_proj", "v_lin", "wv"}),
    "query_key_value": frozenset({"c_attn", "query_key_value", "qkv_proj", "wqkv", "qkv", "attn_qkv"}),
    "mlp": frozenset(
        {
            "mlp",
            "densereludense",
            "ffn",
            "feed_forward",
            "ff",
            "fc1",
            "fc2",
            "block_sparse_moe",
            "lin1",
            "lin2",
        }
    ),
}
"""By group, what architectures call its modules (lower case); q, k, v in one matrix are their own group."""


def value_projections(paths: Iterable[str]) -> list[str]:
    """Return the names of the modules that project values, of those at some paths, in their order.

    Parameters
    ----------
    paths : iterable of str
        Of all modules of a model, dots between the parts.

    Examples
    --------
    >>> value_projections(["model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj"])
    ['v_proj']
    """
    found = [
        name
        for path in paths
        for *above, name in [path.split(".")]
        # A layer that feeds forward may call one of its matrices so as well.
        if name.lower() in MODULE_GROUPS["value"] and not MODULE_GROUPS["mlp"] & {*map(str.lower, above)}
    ]
    return list(dict.fromkeys(found))
