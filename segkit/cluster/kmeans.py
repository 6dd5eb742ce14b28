"""K-means: restarts where they are cheap, one full run, the number of starts reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.cluster.assign import centres_of, order_groups
from segkit.cluster.matrix import as_matrix, distinct_rows, fair_order
from segkit.display import number, percent
from segkit.errors import DataError, ParameterError
from segkit.result import Result
from segkit.stats.threads import single_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# Shift of the centres, in variances of the columns, at which Lloyd's steps end: of starts on a
# sample, of the run on all rows after them, and where all rows are in every start.
NEAR, ENOUGH, FINE = 1e-3, 1e-4, 1e-6
# The best starts of the sample go on with this many times its rows before one is chosen: on the
# sample alone, optima that differ by a thousandth cannot be told apart.
FINALISTS, WIDER = 3, 5


@dataclass(frozen=True, slots=True, eq=False)
class KMeansFit(Result):
    """A k-means partition and how it was found.

    Attributes
    ----------
    labels : array (n,)
        Groups numbered by falling size, then by centre.
    centres : array (k, d)
        Means of the groups.
    within_ss, total_ss : float
        Sum of squares within groups and about the grand mean, in squared units of X.
    starts : int
        Random starts of which the best was kept.
    sample : int
        Rows on which the starts were run; all n where there are no more than asked for.
    seed : int
    """

    labels: Ints
    centres: Floats
    within_ss: float
    total_ss: float
    starts: int
    sample: int
    seed: int

    def to_frame(self) -> pl.DataFrame:
        """One row a group: number, rows, and the centre's coordinates."""
        sizes = np.bincount(self.labels, minlength=self.centres.shape[0])
        coordinates = {f"x{j}": self.centres[:, j] for j in range(self.centres.shape[1])}
        return pl.DataFrame({"group": np.arange(len(sizes)), "rows": sizes, **coordinates})

    @property
    def text(self) -> str:
        """The share of the variation between the groups, and the search behind it."""
        between = 1 - self.within_ss / self.total_ss if self.total_ss else float("nan")
        rows = self.labels.shape[0]
        where = "all rows" if self.sample == rows else f"a sample of {number(self.sample)} rows"
        full = "" if self.sample == rows else ", then one full run from the best"
        return (
            f"K-means with {number(self.centres.shape[0])} groups holds {percent(between)} of the "
            f"variation between them (within-group sum of squares {number(self.within_ss)}); best "
            f"of {number(self.starts)} starts on {where}{full}. A better one may exist: k-means "
            "finds local optima."
        )


def fit_kmeans(
    X: Any, k: int, *, starts: int = 10, sample: int = 20_000, max_iter: int = 300, seed: int = 0
) -> KMeansFit:
    """Find k groups of small spread, with many starts even when there are many rows.

    With more than ``sample`` rows, the starts run on a random sample of that many and the best
    three go on with five times as many; the best of these starts one run on all rows. Beside ten
    full runs this takes about a tenth of the time (`tests/benchmarks/bench_kmeans.py`). Rows are
    put in an order that depends on their values alone, so shuffling them changes nothing.

    Parameters
    ----------
    X : array-like (n, d)
        Finite numbers, transformed and scaled.
    k : int
        Number of groups.
    starts : int
        k-means++ starts.
    sample : int
        Rows on which the starts are tried.
    max_iter : int
        Lloyd iterations of each run at most.
    seed : int

    Raises
    ------
    DataError
        If there are fewer distinct rows than groups, or a value is missing.
    ParameterError
        If ``k`` or ``starts`` is below 1, or the sample smaller than ``k``.

    References
    ----------
    Lloyd (1982), "Least squares quantization in PCM"; Arthur and Vassilvitskii (2007),
    "k-means++".

    Examples
    --------
    >>> fit_kmeans([[0.0], [1.0], [9.0]], 2).labels
    array([0, 0, 1])
    """
    points = as_matrix(X)
    if k < 1 or starts < 1 or sample < k:
        raise ParameterError(
            f"k and starts must be at least 1 and sample at least k; got k = {k}, "
            f"starts = {starts}, sample = {sample}"
        )
    if distinct_rows(points, k) < k:
        raise DataError(f"{k} groups need {k} distinct rows; there are {distinct_rows(points, k)}")
    order = fair_order(points, seed)
    ordered = np.take(points, order, axis=0)
    sampled = sample < len(ordered) and distinct_rows(ordered[:sample], k) >= k
    with single_thread():
        if sampled:
            near = _from_sample(ordered, k, starts, max_iter, seed, sample)
            found = _lloyd(ordered, near, 1, max_iter, seed, ENOUGH)
        else:
            found = _lloyd(ordered, k, starts, max_iter, seed, FINE)
    grouped = order_groups(ordered, found.labels_.astype(np.int64))
    centres = centres_of(ordered, grouped)
    middle = ordered.mean(axis=0)
    total = float(np.square(ordered - middle).sum())
    between = float(np.bincount(grouped) @ np.square(centres - middle).sum(axis=1))
    labels = np.empty_like(grouped)
    labels[order] = grouped
    rows = sample if sampled else len(ordered)
    return KMeansFit(labels, centres, max(total - between, 0.0), total, starts, rows, seed)


def _from_sample(
    ordered: Floats, k: int, starts: int, max_iter: int, seed: int, sample: int
) -> Floats:
    """Run the starts on a sample, the best of them on a wider one; the best centres of those."""
    head, wider = ordered[:sample], ordered[: WIDER * sample]
    runs = [_lloyd(head, k, 1, max_iter, seed + step, NEAR) for step in range(starts)]
    best = sorted(runs, key=lambda run: run.inertia_)[:FINALISTS]
    again = [_lloyd(wider, run.cluster_centers_, 1, max_iter, seed, ENOUGH) for run in best]
    return np.asarray(min(again, key=lambda run: run.inertia_).cluster_centers_)


def _lloyd(X: Floats, init: Any, starts: int, max_iter: int, seed: int, tolerance: float) -> Any:
    from sklearn.cluster import KMeans

    given = isinstance(init, np.ndarray)
    return KMeans(
        n_clusters=init.shape[0] if given else init,
        init=init if given else "k-means++",
        n_init=starts,
        max_iter=max_iter,
        tol=tolerance,
        random_state=seed,
    ).fit(X)
