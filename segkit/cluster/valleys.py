"""Is there empty ground between neighbouring segments? Valleys of the density."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from segkit.cluster.matrix import Floats, Ints
from segkit.cluster.sums import ClusterSums, cluster_sums

_GRID = 128
_RIDGE = 0.1


@dataclass(frozen=True, slots=True)
class Valley:
    """The ground between two neighbouring segments.

    Attributes
    ----------
    first, second : int
        Codes of the segments.
    height : float
        Density at the lowest point between them as a share of the lower of the two peaks; 1 where
        there is no valley.
    z : float
        By how many standard errors the valley is deeper than level ground.
    """

    first: int
    second: int
    height: float
    z: float


def shallowest_valley(X: Floats, codes: Ints, k: int) -> Valley:
    """Which two neighbouring segments are set apart the least? The shallowest valley.

    Two segments are neighbours if no other centre lies inside the sphere on their centres'
    distance (Gabriel and Sokal 1969). Their customers are projected on the direction that best
    tells them apart, and the density between the centres is compared with the peaks to both sides.
    A set of natural segments has a valley between every two neighbours; a cut through a continuum
    has none.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of shape (n,)
        Codes 0 … k - 1, each present.
    k : int
        At least 2.

    Returns
    -------
    Valley
        The one with the smallest ``z``.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> codes = (X[:, 0] > 0).astype(int)
    >>> level = shallowest_valley(X, codes, 2)
    >>> X[codes == 1, 0] += 6
    >>> level.z < 2.5, shallowest_valley(X, codes, 2).z > 6
    (True, True)
    """
    sums = cluster_sums(X, codes, k)
    rows = [np.flatnonzero(codes == segment) for segment in range(k)]
    lowest = Valley(0, 1, 0.0, float("inf"))
    for a, b in gabriel_pairs(sums.centres):
        valley = _valley(X, rows, sums, a, b)
        lowest = min(lowest, valley, key=lambda found: found.z)
        if lowest.z == 0.0:
            break
    return lowest


def gabriel_pairs(centres: Floats) -> list[tuple[int, int]]:
    """List the pairs of centres with no third inside the sphere between them.

    Examples
    --------
    >>> gabriel_pairs(np.array([[0.0], [1.0], [2.0]]))
    [(0, 1), (1, 2)]
    """
    away = centres[:, None] - centres
    squared = (away * away).sum(axis=2)
    pairs = []
    for a, b in combinations(range(len(centres)), 2):
        inside = squared[a] + squared[b] < squared[a, b] * (1 - 1e-12)
        inside[[a, b]] = False
        if not inside.any():
            pairs.append((a, b))
    return pairs


def _valley(X: Floats, rows: list[Ints], sums: ClusterSums, a: int, b: int) -> Valley:
    first, second = X[rows[a]], X[rows[b]]
    gap = sums.centres[b] - sums.centres[a]
    if not gap.any():
        return Valley(a, b, 1.0, 0.0)
    inner = np.concatenate([first - sums.centres[a], second - sums.centres[b]])
    scatter = inner.T @ inner / len(inner)
    ridge = _RIDGE * np.trace(scatter) / len(gap)
    direction = np.linalg.solve(scatter + max(ridge, 1e-12) * np.eye(len(gap)), gap)
    length = float(direction @ gap)
    along = np.concatenate([first, second]) @ direction
    along = (along - sums.centres[a] @ direction) / length  # a's centre at 0, b's at 1
    spread = float(np.sqrt(direction @ scatter @ direction)) / length
    height, z = _depth(along, spread)
    return Valley(a, b, height, z)


def _depth(along: Floats, spread: float) -> tuple[float, float]:
    """Return the valley's height as a share of the lower peak, and its depth in standard errors.

    The root of a kernel density has the variance R(K) / (4 n h) everywhere, so the difference of
    two roots far enough apart has twice that.
    """
    n = len(along)
    band = max(1.06 * spread * n**-0.2, 1e-3)
    low, high = max(along.min(), -1.5), min(along.max(), 2.5)
    edges = np.linspace(low - 3 * band, high + 3 * band, _GRID + 1)
    step = edges[1] - edges[0]
    counted = np.histogram(np.clip(along, low, high), edges)[0] / (n * step)
    reach = int(np.ceil(4 * band / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / band) ** 2)
    density = np.convolve(counted, kernel / kernel.sum(), mode="same")
    peaks = np.minimum(np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1])
    middle = (edges[1:] + edges[:-1]) / 2
    between = (middle >= 0.0) & (middle <= 1.0)
    roots = np.where(between, np.sqrt(peaks) - np.sqrt(density), -1.0)
    at = int(roots.argmax())
    error = np.sqrt(1.0 / (4.0 * np.sqrt(np.pi) * n * band))  # √(R(K) / 2 n h), R(K) = 1 / (2 √π)
    height = float(density[at] / peaks[at]) if peaks[at] > 0 else 1.0
    return height, max(0.0, float(roots[at] / error))
