"""Natural breaks: the cut-points that leave the least spread within the bins."""

from __future__ import annotations

import numpy as np

MAX_EXACT = 2_000


def natural_cuts(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """Cut values where the sum of squares within the bins is least (Fisher-Jenks).

    Exact dynamic programming over the distinct values, weighted by their counts. With more
    than 2,000 distinct values they are first gathered into 2,000 groups of equal numbers of
    customers; the cuts, exact for the gathered values, are then moved to where no single value
    lies nearer to the other bin's mean (Lloyd's iteration), which can be a local optimum.

    Parameters
    ----------
    values : numpy.ndarray
        Finite values, one a customer.
    bins : int
        Number of bins; with fewer distinct values, the spare bins stay empty at the top.

    Returns
    -------
    tuple of float
        ``bins - 1`` exclusive upper cuts: the smallest value of each upper bin.

    References
    ----------
    Fisher, W. D. (1958), "On Grouping for Maximum Homogeneity", Journal of the American
    Statistical Association 53, 789-798. Jenks, G. F. (1977), "Optimal Data Classification for
    Choropleth Maps".

    Examples
    --------
    >>> natural_cuts(np.array([1, 2, 2, 10, 11, 50, 51, 52]), 3)
    (10.0, 50.0)
    """
    unique, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
    firsts, means, weights = _gather(unique, counts)
    wanted = min(bins, len(means))
    starts = np.searchsorted(unique, firsts[_fisher(means, weights, wanted)])
    if len(firsts) < len(unique):
        starts = _settle(unique, counts, starts)
    cuts = [float(unique[start]) for start in starts]
    beyond = float(np.nextafter(unique[-1], np.inf))
    return (*cuts, *([beyond] * (bins - wanted)))


def _gather(unique: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first value, mean and number of customers of each group of values."""
    if len(unique) <= MAX_EXACT:
        return unique, unique, counts.astype(float)
    share = (np.cumsum(counts) - counts / 2) / counts.sum()
    group = np.minimum((share * MAX_EXACT).astype(int), MAX_EXACT - 1)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    weights = np.add.reduceat(counts.astype(float), starts)
    means = np.add.reduceat(unique * counts, starts) / weights
    return unique[starts], means, weights


def _settle(unique: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Move the bins' beginnings until each value lies in the bin of the nearest mean."""
    for _ in range(100):
        edges = np.concatenate(([0], starts))
        means = np.add.reduceat(unique * counts, edges) / np.add.reduceat(counts, edges)
        moved = np.searchsorted(unique, (means[1:] + means[:-1]) / 2, side="right")
        if (moved == starts).all():
            break
        starts = moved
    return starts


def _fisher(means: np.ndarray, weights: np.ndarray, bins: int) -> list[int]:
    """Return where bins 2, 3, ... begin, by Fisher's recursion: O(bins n^2), a row at a time."""
    n = len(means)
    centred = means - np.average(means, weights=weights)  # keeps the squares' sums exact enough
    w = np.concatenate(([0.0], np.cumsum(weights)))
    s = np.concatenate(([0.0], np.cumsum(weights * centred)))
    q = np.concatenate(([0.0], np.cumsum(weights * centred**2)))
    ends = np.arange(1, n + 1)
    best = q[ends] - s[ends] ** 2 / w[ends]
    origin = np.zeros((bins, n), dtype=int)
    for k in range(1, bins):
        before, best = best, np.full(n, np.inf)
        for end in range(k, n):
            start = np.arange(k, end + 1)
            inside = (q[end + 1] - q[start]) - (s[end + 1] - s[start]) ** 2 / (
                w[end + 1] - w[start]
            )
            total = before[start - 1] + inside
            place = int(total.argmin())
            best[end], origin[k, end] = total[place], start[place]
    starts: list[int] = []
    last = n - 1
    for k in range(bins - 1, 0, -1):
        starts.append(int(origin[k, last]))
        last = starts[-1] - 1
    return starts[::-1]
