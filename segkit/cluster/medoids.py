"""Which customers stand for all the others? k-medoids on any matrix of distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from segkit.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MOST_SWAPS = 1_000


@dataclass(frozen=True, slots=True)
class Medoids:
    """Medoids and whose they are.

    Attributes
    ----------
    rows : array (k,)
        Rows that stand for their groups.
    groups : array (n,)
        Place of each row's nearest medoid.
    build_cost, cost : float
        Mean distance to the nearest medoid after the first choice and at the end.
    swaps : int
    """

    rows: Ints
    groups: Ints
    build_cost: float
    cost: float
    swaps: int


def pam(distances: Floats, k: int) -> Medoids:
    """Find k rows with the least mean distance of all rows to the nearest: PAM, exactly.

    Kaufman and Rousseeuw (1990), "Finding Groups in Data", chapter 2: BUILD adds the medoid that
    helps most, SWAP makes the best of all exchanges until none helps. The gain of every exchange
    is summed as in Schubert and Rousseeuw (2021), "Fast and eager k-medoids clustering": one pass
    over the matrix for all k medoids together, so a swap costs n² and not k n². No random number;
    ties go to the earlier row.

    Parameters
    ----------
    distances : array (n, n)
        Symmetric, zero on the diagonal.
    k : int

    Raises
    ------
    ParameterError
        If k is not between 1 and n.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0, 9.0, 10.0])
    >>> found = pam(np.abs(x[:, None] - x), 2)
    >>> found.rows.tolist(), found.groups.tolist()
    ([1, 3], [0, 0, 0, 1, 1])
    """
    n = len(distances)
    if not 1 <= k <= n:
        raise ParameterError(f"k must lie between 1 and the {n} rows; got {k}")
    rows = _build(distances, k)
    build = float(distances[:, rows].min(axis=1).mean())
    swaps = 0
    while swaps < MOST_SWAPS:
        gain, out, new = _best_swap(distances, rows)
        if gain <= 1e-12 * max(build, 1e-300) * n:
            break
        rows[out] = new
        swaps += 1
    rows = np.sort(rows)
    nearest = distances[:, rows]
    return Medoids(rows, nearest.argmin(axis=1), build, float(nearest.min(axis=1).mean()), swaps)


def _build(distances: Floats, k: int) -> Ints:
    chosen = [int(distances.sum(axis=0).argmin())]
    nearest = distances[:, chosen[0]].copy()
    for _ in range(k - 1):
        gains = np.maximum(nearest[:, None] - distances, 0.0).sum(axis=0)
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        nearest = np.minimum(nearest, distances[:, chosen[-1]])
    return np.array(chosen, dtype=np.int64)


def _best_swap(distances: Floats, rows: Ints) -> tuple[float, int, int]:
    """Return the largest fall of the total distance, and which medoid goes for which row."""
    to = distances[:, rows]
    order = np.argsort(to, axis=1, kind="stable")
    here = np.arange(len(to))
    own, first = order[:, 0], to[here, order[:, 0]]
    second = to[here, order[:, 1]] if len(rows) > 1 else np.full(len(to), np.inf)
    gained = np.maximum(first[:, None] - distances, 0.0)
    # Whoever loses its medoid goes to the second nearest or to the newcomer, whichever is nearer.
    if len(rows) == 1:
        falls = (first[:, None] - distances).sum(axis=0)[None]
    else:
        lost = np.minimum(distances, second[:, None]) - first[:, None] + gained
        per = np.zeros((len(rows), len(to)))
        for medoid in range(len(rows)):
            per[medoid] = lost[own == medoid].sum(axis=0)
        falls = gained.sum(axis=0) - per
    falls[:, rows] = -np.inf
    out, new = np.unravel_index(int(falls.argmax()), falls.shape)
    return float(falls[out, new]), int(out), int(new)


def mean_silhouette(distances: Floats, groups: Ints) -> float:
    """How well does each row fit its group, by any distance? Mean silhouette, NaN for one group.

    Rousseeuw (1987), s(i); zero for the only row of a group.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 9.0, 10.0])
    >>> round(mean_silhouette(np.abs(x[:, None] - x), np.array([0, 0, 1, 1])), 3)
    0.889
    """
    k = int(groups.max()) + 1
    if k < 2:
        return float("nan")
    counts = np.bincount(groups, minlength=k).astype(np.float64)
    sums = np.stack([distances[:, groups == g].sum(axis=1) for g in range(k)], axis=1)
    here = np.arange(len(groups))
    inner = sums[here, groups] / np.maximum(counts[groups] - 1, 1)
    means = sums / np.maximum(counts, 1)
    means[:, counts == 0] = np.inf
    means[here, groups] = np.inf
    outer = means.min(axis=1)
    larger = np.maximum(inner, outer)
    value = np.divide(outer - inner, larger, out=np.zeros(len(groups)), where=larger > 0)
    return float(np.where(counts[groups] > 1, value, 0.0).mean())
