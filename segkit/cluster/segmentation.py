"""Customers into segments: the one call that an analyst makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.cluster.assemble import Found, Wishes, assemble
from segkit.cluster.kmeans import SETTLE_STEPS, centres_of, fit_kmeans, order_groups, settle
from segkit.cluster.matrix import distinct_rows, feature_rows, fitted_transform
from segkit.cluster.model import SegmentModel
from segkit.cluster.outcome import Segmentation
from segkit.cluster.twostep import two_step
from segkit.cluster.ward import cut_tree, ward_linkage
from segkit.display import number
from segkit.errors import DataError, ParameterError, unknown
from segkit.frames import takes_frames
from segkit.transform import Transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Segmentation", "cluster_customers"]

METHODS = ("ward", "kmeans")
EXACT_ROWS = 20_000


@takes_frames
def cluster_customers(
    frame: Any,
    *,
    features: Sequence[str],
    k: int | None = None,
    method: str = "ward",
    transform: Transform | None = None,
    seed: int = 0,
    reference: SegmentModel | None = None,
    k_range: Sequence[int] = range(2, 11),
    exact_rows: int = EXACT_ROWS,
    settle_steps: int = SETTLE_STEPS,
    words: Mapping[str, tuple[str, str]] | None = None,
    definitions: Mapping[str, str] | None = None,
    as_of: date | None = None,
) -> Segmentation:
    """Divide customers into segments of similar behaviour.

    Features are transformed (`Transform.propose` unless given), Ward's tree is grown on every
    customer (up to ``exact_rows``, beyond that on micro-clusters) and cut into k, and everyone
    goes to the segment with the nearest centre, so that the model scores old and new customers by
    one rule. The centres are those of the cut, settled by Lloyd's steps (k-means started from
    Ward's centres: Hair et al. 2019, "Multivariate Data Analysis", chapter 4, combine the two so);
    ``settle_steps=0`` keeps the cut's own centres. ``tree_agreement`` says how many customers the
    literal cut would place alike.

    Segments are numbered by falling size; given a ``reference`` model, each segment that shares
    customers with one of its segments, matched one to one for the largest total overlap, keeps
    that one's id and name.

    Parameters
    ----------
    frame : polars or pandas DataFrame
        One row a customer: ``customer_id`` and numeric columns.
    features : sequence of str
        Columns to cluster on.
    k : int, optional
        Number of segments; by default chosen by `choose_k` from ``k_range``.
    method : {"ward", "kmeans"}
    transform : Transform, optional
        Its columns must be the features. Fitted here unless it is fitted already.
    seed : int
        For sampling and starts; exact Ward uses none.
    reference : SegmentModel, optional
        An earlier model to keep ids and names from.
    k_range : sequence of int
        Numbers of segments to compare.
    exact_rows : int
        Customers up to which Ward is exact.
    settle_steps : int
        Most of Lloyd's steps that move the centres of Ward's cut; k-means needs none.
    words : mapping, optional
        Further words for names, as in `segkit.cluster.naming.WORDS`.
    definitions : mapping, optional
        Feature definitions to keep in the model.
    as_of : date, optional
        Day up to which the features look, kept in the model.

    Raises
    ------
    ColumnError
        If ``customer_id`` or a feature is absent, or a feature is not numeric.
    DataError
        If there are fewer than two different customers, fewer different ones than k, a customer
        twice or without an id, or a value that the transform cannot take.
    ParameterError
        If the method is unknown, k is below 2, or features and transform differ.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.DataFrame({
    ...     "customer_id": ["a", "b", "c", "d", "e"],
    ...     "frequency": [1.0, 2.0, 1.0, 30.0, 31.0],
    ... })
    >>> found = cluster_customers(table, features=["frequency"], k=2)
    >>> found.assignments["segment"].to_list()
    ['S1', 'S1', 'S1', 'S2', 'S2']
    >>> found.model.names
    {'S1': 'Infrequent customers', 'S2': 'Frequent customers'}
    """
    if method not in METHODS:
        raise ParameterError(unknown("method", method, METHODS))
    table = feature_rows(frame, features)
    fitted = fitted_transform(table, features, transform)
    X = fitted.apply(table)
    distinct = distinct_rows(X, max(k or 2, 2))
    if k is not None and k < 2:
        raise ParameterError(f"k must be at least 2 (or None to choose it); got {k}")
    if distinct < (k or 2):
        raise DataError(
            f"{number(k or 2)} segments need as many different customers; among "
            f"{number(table.height)} there are {number(distinct)} with different features"
        )
    if settle_steps < 0:
        raise ParameterError(f"settle_steps must be 0 or more; got {settle_steps}")
    choice = None
    linkage = ward_linkage(X) if method == "ward" and table.height <= exact_rows else None
    if k is None:
        from segkit.cluster.choose import choose_k

        # Without the tree at hand: `choose_k` orders the rows by itself, so that the choice is the
        # one that an analyst gets who calls it on the same matrix, whatever the order of its rows.
        how: Any = {"method": method, "seed": seed, "settle_steps": settle_steps}
        choice = choose_k(X, k_range=k_range, **how)
        k = choice.k
    found = _partition(X, k, method, linkage, seed)
    if method == "ward":
        centres, moved = settle(X, found.centres, steps=settle_steps)
        found = replace(found, centres=centres, settled=moved)
    wishes = Wishes(method, seed, reference, words or {}, definitions or {}, as_of)
    return assemble(table, X, fitted, found, choice, wishes)


def _partition(X: Floats, k: int, method: str, linkage: Floats | None, seed: int) -> Found:
    """Return centres of k groups and the tree behind them."""
    if method == "kmeans":
        fit = fit_kmeans(X, k, seed=seed)
        rows = "all customers" if fit.sample == X.shape[0] else f"{number(fit.sample)} of them"
        note = f"K-means kept the best of {number(fit.starts)} starts on {rows}."
        return Found(fit.centres, "restarts", None, None, note)
    if linkage is not None:
        groups = order_groups(X, cut_tree(linkage, k))
        return Found(centres_of(X, groups), "exact", linkage, groups, "")
    tree = two_step(X, seed=seed)
    note = (
        f"Ward's tree joins {number(len(tree.counts))} micro-clusters made from a random sample "
        f"of {number(tree.sample)} customers."
    )
    return Found(tree.group_centres(k), "two-step", tree.linkage, tree.groups(k), note)
