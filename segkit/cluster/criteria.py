"""Criteria for the number of segments: how each votes, and its value for every k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.cluster import validity
from segkit.cluster.matrix import Floats, Ints
from segkit.cluster.refits import (
    Clustering,
    RefitPlan,
    SharedRefits,
    compare_refits,
    mean_columns,
    refit_samples,
    split_halves,
)
from segkit.display import counted, number
from segkit.errors import ParameterError, require_choice
from segkit.progress import steps

QUICK = ("silhouette", "davies_bouldin", "calinski_harabasz")
STRENGTH = 0.8
RESAMPLED_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Criterion:
    """Criterion for the number of segments.

    Attributes
    ----------
    name, label : str
        Column in the table, and the name shown to the reader.
    rule : str
        How it votes: "highest", "lowest", "first_gap" (Tibshirani et al. 2001), "last_above"
        (Tibshirani and Walther 2005), "last_near_best".
    words : str
        The rule in words.
    """

    name: str
    label: str
    rule: str
    words: str


# In order of trust: in a tie the criterion named first decides. Stability comes first, because only
# reproducible segments are worth acting on.
CRITERIA = {
    c.name: c
    for c in (
        Criterion(
            "stability",
            "stability",
            "last_near_best",
            "the largest k whose adjusted Rand index is within a standard error of the best",
        ),
        Criterion(
            "prediction_strength",
            "prediction strength",
            "last_above",
            "the largest k whose strength plus its standard error is at least .8",
        ),
        Criterion(
            "gap",
            "gap statistic",
            "first_gap",
            "the smallest k whose gap is at least the next one's less its standard error",
        ),
        Criterion("silhouette", "silhouette", "highest", "the highest mean silhouette"),
        Criterion(
            "davies_bouldin", "Davies-Bouldin index", "lowest", "the least overlap of neighbours"
        ),
        Criterion(
            "calinski_harabasz", "Calinski-Harabasz index", "highest", "the highest variance ratio"
        ),
        Criterion("bic", "BIC of a Gaussian mixture", "lowest", "the lowest BIC"),
        Criterion(
            "squared_silhouette",
            "silhouette by squared distance",
            "highest",
            "the highest mean silhouette by squared distance",
        ),
    )
}
VOTERS = tuple(name for name in CRITERIA if name != "squared_silhouette")


def check_criteria(criteria: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Return the criteria in order of trust.

    Raises
    ------
    ParameterError
        If one is unknown, or none is given.

    Examples
    --------
    >>> check_criteria(["silhouette", "gap"])
    ('gap', 'silhouette')
    """
    for name in criteria:
        require_choice("criterion", name, CRITERIA)
    if not criteria:
        raise ParameterError(f"name at least one criterion: {', '.join(CRITERIA)}")
    return tuple(name for name in CRITERIA if name in criteria)


def vote(criterion: Criterion, table: pl.DataFrame) -> int | None:
    """Return the k that a criterion votes for; None where it has no value.

    Parameters
    ----------
    criterion : Criterion
    table : polars.DataFrame
        Columns ``k``, the criterion's name and, for some rules, its name + ``_se``; k rising.

    Examples
    --------
    >>> table = pl.DataFrame({"k": [2, 3, 4], "silhouette": [0.2, 0.6, 0.5]})
    >>> vote(CRITERIA["silhouette"], table)
    3
    """
    value, error = pl.col(criterion.name), f"{criterion.name}_se"
    judged = table.filter(value.is_finite())
    if judged.is_empty():
        return None
    values = judged[criterion.name].to_numpy()
    errors = judged[error].fill_null(0.0).to_numpy() if error in judged.columns else 0.0 * values
    return int(judged["k"][_place(criterion.rule, values, errors)])


def _place(rule: str, values: np.ndarray, errors: np.ndarray) -> int:
    if rule == "highest":
        return int(values.argmax())
    if rule == "lowest":
        return int(values.argmin())
    if rule == "first_gap":
        enough = np.flatnonzero(values[:-1] >= values[1:] - errors[1:])
        return int(enough[0]) if len(enough) else len(values) - 1
    if rule == "last_above":
        enough = np.flatnonzero(values + errors >= STRENGTH)
        return int(enough[-1]) if len(enough) else int(values.argmax())
    best = int(values.argmax())
    return int(np.flatnonzero(values >= values[best] - errors[best])[-1])


def gap_statistic(
    X: Floats, ks: Sequence[int], how: Clustering, *, n_references: int = 20
) -> pl.DataFrame:
    """Compute the gap statistic: how much tighter segments are than in data without groups.

    Gap(k) = mean over references of log W*_k minus log W_k, where W is the within sum of squares;
    its standard error is sd √(1 + 1/B). References are uniform over a box along the principal
    axes: Tibshirani, Walther and Hastie (2001), "Estimating the number of clusters in a data set
    via the gap statistic", with choice (b) of the reference.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    ks : sequence of int
        Numbers of segments; k = 1 is added.
    how : Clustering
    n_references : int
        Reference data sets B.

    Returns
    -------
    polars.DataFrame
        One row per k, from 1: ``k``, ``gap``, ``gap_se``.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> X[30:] += 9
    >>> gap_statistic(X, [2, 3], Clustering("ward"))["gap"].arg_max()
    1
    """
    every = sorted({1, *ks})
    away = X - X.mean(axis=0)
    turned = away @ np.linalg.svd(away, full_matrices=False)[2].T
    low, high = turned.min(axis=0), turned.max(axis=0)
    rng = np.random.default_rng(how.seed)

    def log_within(Z: Floats) -> Floats:
        within = [
            validity.cluster_sums(Z, codes, int(codes.max()) + 1).within_ss
            for codes in how.over_k(Z, every).values()
        ]
        return np.log(np.maximum(within, np.finfo(np.float64).tiny))

    references = np.array(
        [
            log_within(rng.uniform(low, high, size=turned.shape))
            for _ in steps(range(n_references), "data sets without groups")
        ]
    )
    return pl.DataFrame(
        {
            "k": every,
            "gap": references.mean(axis=0) - log_within(turned),
            "gap_se": references.std(axis=0) * np.sqrt(1 + 1 / n_references),
        }
    )


def measure(
    X: Floats,
    segmentations: Mapping[int, Ints],
    names: Sequence[str],
    how: Clustering,
    n_draws: int,
) -> tuple[pl.DataFrame, SharedRefits, list[str]]:
    """Compute every requested criterion for every segmentation.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows in an order that does not depend on the input order.
    segmentations : mapping of int to ndarray of shape (n,)
        The segmentation for each k.
    names : sequence of str
        Criteria.
    how : Clustering
    n_draws : int
        As in `choose_k`.

    Returns
    -------
    table : polars.DataFrame
        One row per k.
    refits : SharedRefits
        Refits used by stability and prediction strength, if these were requested.
    notes : list of str
        Samples that were drawn.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> codes = {2: np.array([0, 0, 1, 1])}
    >>> table, _, _ = measure(X, codes, ["silhouette"], Clustering("ward"), n_draws=2)
    >>> table["silhouette"].round(3).to_list()
    [0.9]
    """
    notes: list[str] = []
    table = _from_sums(X, segmentations, names)
    if "silhouette" in names:
        rows = validity.sampled_rows(X, None, how.seed)
        values = validity.silhouettes_of(X, np.stack(list(segmentations.values()), axis=1), rows)
        pairs = [validity.mean_and_se(column, len(X)) for column in values.T]
        table = table.hstack(pl.DataFrame(pairs, ["silhouette", "silhouette_se"], orient="row"))
        if len(rows) < len(X):
            notes.append(f"Silhouettes of {counted(len(rows), 'customer')}, each against all")
    if "bic" in names:
        whole = {1: np.zeros(len(X), np.int64), **segmentations}
        bic = [validity.mixture_bic(X, codes, seed=how.seed) for codes in whole.values()]
        table = _joined(table, pl.DataFrame({"k": list(whole), "bic": bic}))
    resampled = [name for name in names if name in ("gap", "prediction_strength", "stability")]
    few = X[:RESAMPLED_ROWS]
    if resampled and len(few) < len(X):
        notes.append(f"Criteria that resample rest on {number(len(few))} of these customers")
    if "gap" in names:
        table = _joined(table, gap_statistic(few, list(segmentations), how, n_references=n_draws))
    plan = RefitPlan(tuple(segmentations), how.method, how.n_starts, settle_steps=how.settle_steps)
    samples = range(2 * n_draws * ("stability" in names))
    halves = range(n_draws * ("prediction_strength" in names))
    refits = SharedRefits(
        few,
        plan,
        how.seed,
        tuple(refit_samples(few, plan, samples, seed=how.seed)),
        tuple(split_halves(few, plan, halves, seed=how.seed)),
    )
    if "prediction_strength" in names:  # for k = 1 it is 1 by definition
        strength = {k: np.array([half.strength[k] for half in refits.halves]) for k in plan.ks}
        columns = mean_columns("prediction_strength", {1: np.ones(1), **strength})
        table = _joined(table, pl.DataFrame({"k": [1, *plan.ks], **columns}))
    if "stability" in names:
        some = segmentations if len(few) == len(X) else how.over_k(few, list(segmentations))
        rand = compare_refits(refits.samples, some).rand
        table = _joined(table, pl.DataFrame({"k": list(rand), **mean_columns("stability", rand)}))
    return table.sort("k"), refits, notes


def _joined(table: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    return table.join(more, on="k", how="full", coalesce=True)


def _from_sums(X: Floats, segmentations: Mapping[int, Ints], names: Sequence[str]) -> pl.DataFrame:
    rows = []
    for k, codes in segmentations.items():
        sums = validity.cluster_sums(X, codes, int(codes.max()) + 1)
        smallest = int(sums.counts.min())
        row: dict[str, float] = {
            "k": k,
            "within_ss": sums.within_ss,
            "smallest": smallest,
            "smallest_share": smallest / len(X),
        }
        if "calinski_harabasz" in names:
            row["calinski_harabasz"] = validity.calinski_harabasz(sums, len(X))
        if "davies_bouldin" in names:
            row["davies_bouldin"] = validity.davies_bouldin(sums)
        if "squared_silhouette" in names:
            row["squared_silhouette"] = float(validity.squared_silhouettes(X, codes, sums).mean())
        rows.append(row)
    return pl.DataFrame(rows)
