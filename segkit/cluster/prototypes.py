"""K-prototypes for mixed columns: means of numbers, most frequent categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.cluster.gower import MISSING, UNSEEN, Encoded
from segkit.cluster.matrix import Floats, Ints

MOST_STEPS = 100


@dataclass(frozen=True, slots=True)
class Prototypes:
    """Prototypes and the group of each row.

    Attributes
    ----------
    points : array (k, p)
        Means of the numbers.
    modes : array (k, q)
        Most frequent category of each column; a missing one is a category of its own (-1).
    groups : array (n,)
    cost : float
        Sum over customers of squared distance plus gamma times the mismatches.
    reached : int
        Number of starts that reached this cost.
    """

    points: Floats
    modes: Ints
    groups: Ints
    cost: float
    reached: int


def default_gamma(numbers: Floats) -> float:
    """Return half the mean standard deviation of the numbers (Huang 1998); 1 without numbers.

    Examples
    --------
    >>> default_gamma(np.array([[-1.0], [1.0]]))
    0.5
    """
    return float(numbers.std(axis=0).mean() / 2) if numbers.shape[1] else 1.0


def joined_codes(encoded: Encoded) -> Ints:
    """Return categories and yes/no marks as codes side by side; a missing mark is -1."""
    marks = np.where(np.isnan(encoded.marks), MISSING, encoded.marks).astype(np.int64)
    return np.column_stack([encoded.codes, marks])


def costs(numbers: Floats, codes: Ints, points: Floats, modes: Ints, gamma: float) -> Floats:
    """Return each row's squared distance to each prototype plus gamma times the mismatches.

    Computed elementwise, so a row's value does not depend on the other rows. A category not seen at
    the fit differs from every prototype's.

    Returns
    -------
    array (n, k)
    """
    total = np.zeros((len(numbers), len(points)))
    for group in range(len(points)):
        for column, middle in zip(numbers.T, points[group], strict=True):
            gap = column - middle
            total[:, group] += gap * gap
        for column, mode in zip(codes.T, modes[group], strict=True):
            total[:, group] += gamma * ((column != mode) | (column == UNSEEN))
    return total


def fit_prototypes(
    numbers: Floats, codes: Ints, k: int, *, gamma: float, starts: int, seed: int
) -> Prototypes:
    """Find k prototypes with the least cost: k-prototypes from several starts.

    Huang (1998), "Extensions to the k-means algorithm for clustering large data sets with
    categorical values". Starts are rows drawn as k-means++ draws them, with this cost in place of
    the squared distance. Of equally frequent categories the first in sorted order is taken.

    Parameters
    ----------
    numbers : array (n, p)
        Standardised, no value missing.
    codes : array (n, q)
    k : int
    gamma : float
        Weight of one mismatch, in squared units of the numbers.
    starts, seed : int

    Examples
    --------
    >>> numbers, codes = np.array([[0.0], [0.1], [5.0]]), np.array([[0], [0], [1]])
    >>> fit_prototypes(numbers, codes, 2, gamma=0.5, starts=2, seed=0).cost.__round__(4)
    0.005
    """
    seeds = np.random.SeedSequence([seed, k]).spawn(starts)
    fits = [_fit_once(numbers, codes, k, gamma, np.random.default_rng(s)) for s in seeds]
    best = min(fits, key=lambda fit: fit.cost)
    reached = sum(fit.cost <= best.cost * (1 + 1e-9) + 1e-12 for fit in fits)
    return Prototypes(best.points, best.modes, best.groups, best.cost, reached)


def _fit_once(
    numbers: Floats, codes: Ints, k: int, gamma: float, rng: np.random.Generator
) -> Prototypes:
    rows = _seeds(numbers, codes, k, gamma, rng)
    points, modes = numbers[rows].copy(), codes[rows].copy()
    groups = np.full(len(numbers), -1)
    value = costs(numbers, codes, points, modes, gamma)
    for _ in range(MOST_STEPS):
        nearest = value.argmin(axis=1)
        if np.array_equal(nearest, groups):
            break
        groups = nearest
        for group in range(k):
            inside = groups == group
            if inside.any():
                points[group] = numbers[inside].mean(axis=0)
                modes[group] = [most_frequent(column) for column in codes[inside].T]
        value = costs(numbers, codes, points, modes, gamma)
    groups = value.argmin(axis=1)
    return Prototypes(points, modes, groups, float(value.min(axis=1).sum()), 1)


def most_frequent(column: NDArray[Any]) -> Any:
    """Return the most frequent value, the smallest in a tie.

    Examples
    --------
    >>> int(most_frequent(np.array([3, 1, 3, 1])))
    1
    """
    levels, counts = np.unique(column, return_counts=True)
    return levels[counts.argmax()]


def _seeds(
    numbers: Floats, codes: Ints, k: int, gamma: float, rng: np.random.Generator
) -> list[int]:
    rows = [int(rng.integers(len(numbers)))]
    nearest = costs(numbers, codes, numbers[rows], codes[rows], gamma)[:, 0]
    for _ in range(k - 1):
        total = nearest.sum()
        share = nearest / total if total > 0 else None
        rows.append(int(rng.choice(len(numbers), p=share)))
        latest = rows[-1:]
        nearest = np.minimum(
            nearest, costs(numbers, codes, numbers[latest], codes[latest], gamma)[:, 0]
        )
    return rows
