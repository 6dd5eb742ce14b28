"""What does every criterion say for every number of segments? One table over k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from segkit.cluster.gap import gap_statistic
from segkit.cluster.matrix import Floats, Ints
from segkit.cluster.refits import (
    RefitPlan,
    SharedRefits,
    compare_refits,
    partitions_of,
    refit_samples,
    split_halves,
)
from segkit.cluster.silhouettes import (
    mean_and_se,
    sampled_rows,
    silhouettes_of,
    squared_silhouettes,
)
from segkit.cluster.stability_tables import standard_error
from segkit.cluster.sums import cluster_sums
from segkit.cluster.validity import calinski_harabasz_of, davies_bouldin_of, mixture_bic
from segkit.display import number

RESAMPLED_ROWS = 2_000


def measure(
    X: Floats,
    cuts: Mapping[int, Ints],
    names: Sequence[str],
    *,
    method: str,
    seed: int,
    n_boot: int,
    n_starts: int,
    settle_steps: int = 0,
) -> tuple[pl.DataFrame, SharedRefits, list[str]]:
    """Measure every criterion asked for over every partition.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        In an order that does not depend on how the rows came in.
    cuts : mapping of int to ndarray of shape (n,)
        The partition for each k.
    names : sequence of str
        Criteria.
    method, seed, n_boot, n_starts, settle_steps
        As in `choose_k`.

    Returns
    -------
    table : polars.DataFrame
        One row a k.
    refits : SharedRefits
        Those that stability and prediction strength rest on, if they were asked for.
    notes : list of str
        Samples drawn on the way.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> table, _, _ = measure(X, {2: np.array([0, 0, 1, 1])}, ["silhouette"], method="ward", seed=0,
    ...                    n_boot=2, n_starts=1)
    >>> table["silhouette"].round(3).to_list()
    [0.9]
    """
    notes: list[str] = []
    table = _from_sums(X, cuts, names)
    if "silhouette" in names:
        rows = sampled_rows(X, None, seed)
        values = silhouettes_of(X, np.stack(list(cuts.values()), axis=1), rows)
        pairs = [mean_and_se(column, len(X)) for column in values.T]
        table = table.with_columns(
            pl.Series("silhouette", [mean for mean, _ in pairs]),
            pl.Series("silhouette_se", [se for _, se in pairs]),
        )
        if len(rows) < len(X):
            notes.append(f"Silhouettes of {number(len(rows))} customers, each against all")
    if "bic" in names:
        whole = {1: np.zeros(len(X), np.int64), **cuts}
        bic = [mixture_bic(X, codes, seed=seed) for codes in whole.values()]
        table = _joined(table, pl.DataFrame({"k": list(whole), "bic": bic}))
    resampled = [name for name in names if name in ("gap", "prediction_strength", "stability")]
    few = X[:RESAMPLED_ROWS]
    how: Any = {
        "method": method, "seed": seed, "n_starts": n_starts, "settle_steps": settle_steps
    }  # fmt: skip
    if resampled and len(few) < len(X):
        notes.append(f"Criteria that resample rest on {number(len(few))} of these customers")
    if "gap" in names:
        gap = gap_statistic(few, list(cuts), n_references=n_boot, **how)
        table = _joined(table, gap)
    plan = RefitPlan(tuple(cuts), method, n_starts, settle_steps=settle_steps)
    refits = SharedRefits(
        few,
        plan,
        seed,
        tuple(refit_samples(few, plan, range(2 * n_boot * ("stability" in names)), seed=seed)),
        tuple(split_halves(few, plan, range(n_boot * ("prediction_strength" in names)), seed=seed)),
    )
    if "prediction_strength" in names:
        table = _joined(table, _strength(refits))
    if "stability" in names:
        some = cuts if len(few) == len(X) else partitions_of(few, list(cuts), **how)
        rand = compare_refits(refits.samples, some).rand
        stable = {
            "k": list(rand),
            "stability": [values.mean() for values in rand.values()],
            "stability_se": [standard_error(values) for values in rand.values()],
        }
        table = _joined(table, pl.DataFrame(stable))
    return table.sort("k"), refits, notes


def _strength(refits: SharedRefits) -> pl.DataFrame:
    """Return the prediction strength over k; one group predicts itself perfectly."""
    ks = refits.plan.ks
    strengths = [np.array([half.strength[k] for half in refits.halves]) for k in ks]
    return pl.DataFrame(
        {
            "k": [1, *ks],
            "prediction_strength": [1.0, *(values.mean() for values in strengths)],
            "prediction_strength_se": [0.0, *(standard_error(v) for v in strengths)],
        }
    )


def _joined(table: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    return table.join(more, on="k", how="full", coalesce=True)


def _from_sums(X: Floats, cuts: Mapping[int, Ints], names: Sequence[str]) -> pl.DataFrame:
    rows = []
    for k, codes in cuts.items():
        sums = cluster_sums(X, codes, int(codes.max()) + 1)
        smallest = int(sums.counts.min())
        row: dict[str, float] = {
            "k": k,
            "within_ss": sums.within_ss,
            "smallest": smallest,
            "smallest_share": smallest / len(X),
        }
        if "calinski_harabasz" in names:
            row["calinski_harabasz"] = calinski_harabasz_of(sums, len(X))
        if "davies_bouldin" in names:
            row["davies_bouldin"] = davies_bouldin_of(sums)
        if "squared_silhouette" in names:
            row["squared_silhouette"] = float(squared_silhouettes(X, codes, sums).mean())
        rows.append(row)
    return pl.DataFrame(rows)
