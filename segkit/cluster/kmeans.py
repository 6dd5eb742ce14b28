"""K-means, and the assignment of rows to the nearest centre."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.cluster.matrix import Floats, Ints, as_matrix, distinct_rows, fair_order, fit_quietly
from segkit.display import counted, number, percent
from segkit.errors import DataError, require_least
from segkit.result import Result
from segkit.stats.threads import single_thread

BLOCK = 4096
SHIFTED_ROWS = 100_000
SETTLE_STEPS = 100  # default maximum of Lloyd's steps after the cut of Ward's tree


# Lloyd's steps stop when the centres move less than this (in variances of the columns): NEAR in the
# starts on a sample, ENOUGH on the wider one, SETTLED on all rows after them, FINE where all rows
# are at hand from the start.
NEAR, ENOUGH, SETTLED, FINE = 1e-3, 1e-4, 1e-5, 1e-6
# The best FINALISTS starts continue on WIDER times as many rows before one is chosen: on the sample
# alone, optima that differ by a thousandth cannot be distinguished.
FINALISTS, WIDER = 5, 5
# Finalists whose sums of squares have a ratio below SAME are at one optimum; up to CLOSE the wider
# sample cannot rank them, and all rows do.
SAME, CLOSE = 1 + 2e-5, 1 + 2e-3


def squared_distances(X: Floats, centres: Floats) -> Floats:
    """Return the squared distance of every row to every centre.

    Summed by differences, column after column, with elementwise operations alone: a row's
    distances have the same bits alone and in a batch, which a matrix product does not promise.

    Parameters
    ----------
    X : array (n, d)
    centres : array (k, d)

    Returns
    -------
    array (n, k)

    Examples
    --------
    >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]))
    array([[25.,  1.]])
    """
    total = np.zeros((X.shape[0], centres.shape[0]))
    for start in range(0, X.shape[0], BLOCK):
        part = total[start : start + BLOCK]
        columns = np.ascontiguousarray(X[start : start + BLOCK].T)
        for group, centre in enumerate(centres):
            value = np.zeros(part.shape[0])
            for column, middle in zip(columns, centre, strict=True):
                gap = column - middle
                value += gap * gap
            part[:, group] = value
    return total


def nearest_centre(X: Floats, centres: Floats) -> Ints:
    """Return the number of the nearest centre, the lowest in an exact tie.

    The product form |c|² - 2 x·c picks the candidates; rows whose two best lie within its
    rounding error are decided by `squared_distances`, so the answer is that function's.

    Examples
    --------
    >>> nearest_centre(np.array([[0.0], [2.0], [4.0]]), np.array([[0.0], [4.0]]))
    array([0, 0, 1])
    """
    labels = np.zeros(X.shape[0], dtype=np.int64)
    if centres.shape[0] == 1:
        return labels
    middle = centres.mean(axis=0)
    for start in range(0, X.shape[0], BLOCK):
        part = X[start : start + BLOCK]
        rows = part - middle
        labels[start : start + BLOCK] = _nearest(
            part, rows, np.einsum("ij,ij->i", rows, rows), centres, middle
        )
    return labels


def _nearest(X: Floats, rows: Floats, lengths: Floats, centres: Floats, middle: Floats) -> Ints:
    """Find the nearest centre of rows less ``middle``, given their squared ``lengths``."""
    moved = centres - middle
    squares = np.einsum("ij,ij->i", moved, moved)
    first, best, second = _two_smallest((-2.0 * moved) @ rows.T + squares[:, None])
    slack = 4.0 * (X.shape[1] + 10) * float(np.finfo(np.float64).eps)
    error = slack * (lengths + (squares.max() + np.square(np.abs(middle).max())))
    unsure = np.flatnonzero(second - best <= error)
    if unsure.shape[0]:
        first[unsure] = squared_distances(X[unsure], centres).argmin(axis=1)
    return first


def centres_of(
    X: Floats, labels: Ints, weights: Floats | None = None, empty: Floats | None = None
) -> Floats:
    """Return each group's (weighted) mean, shape (k, d), for labels 0 to k - 1.

    Groups without rows keep their row of ``empty``, shape (k, d), if that is given.
    """
    k = int(labels.max()) + 1 if empty is None else len(empty)
    mass, sums = _sums(X, labels, k, weights)
    means = sums / np.where(mass > 0, mass, 1.0)[:, None]
    return np.asarray(means if empty is None else np.where(mass[:, None] > 0, means, empty))


def _sums(
    X: Floats, labels: Ints, k: int, weights: Floats | None = None
) -> tuple[Ints | Floats, Floats]:
    """Return the (weighted) number of rows of each group, and their sums, shape (k, d)."""
    mass = np.bincount(labels, weights=weights, minlength=k)
    sums = [
        np.bincount(labels, weights=column if weights is None else column * weights, minlength=k)
        for column in X.T
    ]
    return mass, np.stack(sums, axis=1)


def order_groups(X: Floats, labels: Ints, weights: Floats | None = None) -> Ints:
    """Renumber groups by decreasing weight, then by centre, so row order changes nothing.

    Examples
    --------
    >>> order_groups(np.array([[5.0], [1.0], [1.2]]), np.array([0, 1, 1]))
    array([1, 0, 0])
    """
    return _in_order(labels, centres_of(X, labels, weights), weights)[0]


def _in_order(labels: Ints, centres: Floats, weights: Floats | None = None) -> tuple[Ints, Floats]:
    """Renumber groups as `order_groups` does; also their centres, less those of empty groups."""
    mass = np.bincount(labels, weights=weights)
    order = np.lexsort((*centres.T[::-1], -mass))
    return np.argsort(order)[labels], centres[order[: np.count_nonzero(mass)]]


def within_ss(X: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the within-group sum of squares about the groups' own means.

    Examples
    --------
    >>> within_ss(np.array([[0.0], [2.0], [7.0]]), np.array([0, 0, 1]))
    2.0
    """
    gap = X - centres_of(X, labels, weights)[labels]
    squared = np.einsum("ij,ij->i", gap, gap)
    return float(squared.sum() if weights is None else squared @ weights)


def iterate_means(
    X: Floats, centres: Floats, *, steps: int, weights: Floats | None = None
) -> tuple[Floats, int]:
    """Move centres to the means of the rows nearest to them, until no row changes its group.

    Lloyd (1982), "Least squares quantization in PCM". A centre that loses all its rows stays.

    Parameters
    ----------
    X : array (n, d)
    centres : array (k, d)
        Where to start.
    steps : int
        Maximum number of steps; 0 leaves the centres as they are.
    weights : array (n,), optional
        How much each row counts.

    Returns
    -------
    tuple of (array (k, d), int)
        The centres, and the steps taken.

    Examples
    --------
    >>> X, start = np.array([[0.0], [1.0], [9.0]]), np.array([[0.0], [4.0]])
    >>> centres, steps = iterate_means(X, start, steps=9)
    >>> centres.tolist(), steps
    ([[0.5], [9.0]], 1)
    """
    find = _finder(X)
    labels = None
    for step in range(steps):
        nearest = find(centres)
        if labels is not None and np.array_equal(nearest, labels):
            return centres, step
        labels = nearest
        centres = centres_of(X, labels, weights, empty=centres)
    return centres, steps


def _finder(X: Floats) -> Callable[[Floats], Ints]:
    """Return `nearest_centre` for these rows; few rows are shifted and measured only once."""
    if len(X) > SHIFTED_ROWS:
        return lambda centres: nearest_centre(X, centres)
    middle = X.mean(axis=0)
    rows = X - middle
    lengths = np.einsum("ij,ij->i", rows, rows)
    return lambda centres: (
        np.zeros(len(X), np.int64)
        if len(centres) == 1
        else _nearest(X, rows, lengths, centres, middle)
    )


@dataclass(frozen=True, slots=True, eq=False)
class KMeansFit(Result):
    """A k-means segmentation and how it was found.

    Attributes
    ----------
    labels : array (n,)
        Groups numbered by decreasing size, then by centre.
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
        """One row per group: number, rows, and the centre's coordinates."""
        sizes = np.bincount(self.labels, minlength=self.centres.shape[0])
        coordinates = {f"x{j}": self.centres[:, j] for j in range(self.centres.shape[1])}
        return pl.DataFrame({"group": np.arange(len(sizes)), "rows": sizes, **coordinates})

    @property
    def text(self) -> str:
        """Share of variation between groups, and how the solution was found."""
        between = 1 - self.within_ss / self.total_ss if self.total_ss else float("nan")
        rows = self.labels.shape[0]
        where = "all rows" if self.sample == rows else f"a sample of {counted(self.sample, 'row')}"
        full = "" if self.sample == rows else ", then one full run from the best"
        return (
            f"K-means with {counted(self.centres.shape[0], 'group')} holds {percent(between)} of "
            f"the variation between them (within-group sum of squares {number(self.within_ss)}); "
            f"best of {counted(self.starts, 'start')} on {where}{full}. A better one may exist: "
            "k-means finds local optima."
        )


def fit_kmeans(
    X: Any, k: int, *, starts: int = 10, sample: int = 20_000, max_iter: int = 300, seed: int = 0
) -> KMeansFit:
    """Find k groups with the smallest sum of squares, from many starts even for many rows.

    With more than ``sample`` rows, the starts run on a random sample of that many and the best
    five go on with five times as many. Those whose sums of squares are too close for that sample to
    rank are compared on all rows, and the best starts one run on all rows. Beside ten full runs
    this takes about a twelfth of the time (`tests/benchmarks/bench_kmeans.py`). Rows are put in an
    order that depends on their values alone, so shuffling them changes nothing.

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
    require_least(k=(k, 1), starts=(starts, 1), sample=(sample, k))
    if distinct_rows(points, k) < k:
        raise DataError(
            f"{counted(k, 'group needs', 'groups need')} {counted(k, 'distinct row')}; there are "
            f"{distinct_rows(points, k)}"
        )
    order = fair_order(points, seed)
    ordered = np.take(points, order, axis=0, mode="clip")  # without checks: half the time
    sampled = sample < len(ordered) and distinct_rows(ordered[:sample], k) >= k
    with single_thread():
        if sampled:
            near = _from_sample(ordered, k, starts, max_iter, seed, sample)
            assigned, means = _settle_borders(ordered, near, max_iter)
        else:
            best = _lloyd(ordered, k, starts, max_iter, seed, FINE)
            assigned = best.labels_.astype(np.int64)
            means = centres_of(ordered, assigned)
    grouped, centres = _in_order(assigned, means)
    middle = ordered.mean(axis=0)
    ordered -= middle
    total = float(np.square(ordered, out=ordered).sum())
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
    again.sort(key=lambda run: run.inertia_)
    close = [again[0]]
    for run in again[1:]:
        if SAME * close[-1].inertia_ < run.inertia_ < CLOSE * again[0].inertia_:
            close.append(run)
    chosen = max(close, key=lambda run: run.score(ordered)) if len(close) > 1 else close[0]
    return np.asarray(chosen.cluster_centers_)


def _settle_borders(X: Floats, centres: Floats, max_iter: int) -> tuple[Ints, Floats]:
    """Return the groups after Lloyd's steps, and their means; rows far from borders need no look.

    A row whose second nearest centre is farther than its nearest one by a margin stays in its group
    while no two centres together have moved by it (Hamerly 2010, "Making k-means even faster").
    Until then the mean of such rows stands for them, with their number as its weight.
    """
    border, steps = min(SHIFTED_ROWS, len(X) - 1), 0
    while True:
        labels, margin = _margins(X, centres)
        limit = float(np.partition(margin, border)[border])
        near = np.flatnonzero(margin <= limit)
        rows, count = X[near], len(near)
        mass, sums = (
            a - b
            for a, b in zip(
                _sums(X, labels, len(centres)), _sums(rows, labels[near], len(centres)), strict=True
            )
        )
        far = np.flatnonzero(mass)
        rows = np.concatenate([rows, sums[far] / mass[far, None]])
        weights = np.concatenate([np.ones(count), mass[far]])
        run = _lloyd(rows, centres, 1, max_iter - steps, 0, SETTLED, weights)
        labels[near], steps = run.labels_[:count], steps + run.n_iter_
        moves = np.sort(np.linalg.norm(run.cluster_centers_ - centres, axis=1))
        centres = run.cluster_centers_
        enough = moves @ moves <= SETTLED * rows[:count].var(axis=0).mean()
        if moves[-2:].sum() <= limit or enough or steps >= max_iter:
            groups = np.concatenate([labels[near], far])
            return labels, centres_of(rows, groups, weights, empty=centres)


def _margins(X: Floats, centres: Floats) -> tuple[Ints, Floats]:
    """Return the nearest centre, and how much farther the second nearest one is."""
    labels, margin = np.empty(len(X), np.int64), np.empty(len(X))
    squares = np.einsum("ij,ij->i", centres, centres)
    for start in range(0, len(X), BLOCK):
        rows, block = X[start : start + BLOCK], slice(start, start + BLOCK)
        labels[block], *two = _two_smallest((-2.0 * centres) @ rows.T + squares[:, None])
        length = np.einsum("ij,ij->i", rows, rows)
        best, second = (np.sqrt(np.maximum(value + length, 0.0)) for value in two)
        margin[block] = second - best
    return labels, margin


def _two_smallest(value: Floats) -> tuple[Ints, Floats, Floats]:
    """Return where each column is smallest, its smallest value and the next, row after row.

    Over few rows that takes less time than `argmin`.
    """
    first, best = np.zeros(value.shape[1], np.int64), value[0].copy()
    second = np.full_like(best, np.inf)
    for index, row in enumerate(value[1:], 1):
        np.minimum(second, np.maximum(best, row), out=second)
        np.copyto(first, index, where=row < best)
        np.minimum(best, row, out=best)
    return first, best, second


def _lloyd(
    X: Floats,
    init: Any,
    starts: int,
    max_iter: int,
    seed: int,
    tolerance: float,
    weights: Floats | None = None,
) -> Any:
    from sklearn.cluster import KMeans

    given = isinstance(init, np.ndarray)
    model = KMeans(
        n_clusters=init.shape[0] if given else init,
        init=init if given else "k-means++",
        n_init=starts,
        max_iter=max_iter,
        tol=tolerance,
        random_state=seed,
    )
    return fit_quietly(model, X, sample_weight=weights)
