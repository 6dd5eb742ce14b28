"""Tests of two or more groups from counts and sums: two shares, two means, a table of counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError
from segkit.stats.intervals import Numbers

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """A test's outcome.

    Attributes
    ----------
    statistic, freedom, p_value : float or ndarray
        The test statistic, its degrees of freedom (infinite for a normal), two-sided p-value.
    method : str
        The test's name.
    """

    statistic: Any
    freedom: Any
    p_value: Any
    method: str


def _made(statistic: Array, freedom: Array, p_value: Array, method: str) -> Tested:
    parts = [np.asarray(v, dtype=np.float64) for v in (statistic, freedom, p_value)]
    plain = [part if part.ndim else float(part) for part in parts]
    return Tested(plain[0], plain[1], plain[2], method)


def share_z(successes_1: Numbers, n_1: Numbers, successes_2: Numbers, n_2: Numbers) -> Tested:
    """Test whether two shares are equal, with the pooled z test.

    ``z = (p1 - p2) / sqrt(p (1 - p) (1/n1 + 1/n2))`` with the pooled share p; its square is
    Pearson's chi-square of the 2 x 2 table. NaN where nobody or everybody converted. Source:
    Fleiss, Levin & Paik (2003), Statistical Methods for Rates and Proportions, section 3.1.

    Examples
    --------
    >>> found = share_z(30, 100, 20, 100)
    >>> round(found.statistic, 4), round(found.p_value, 4)
    (1.633, 0.1025)
    """
    from scipy.special import ndtr

    x1, m, x2, n = (np.asarray(v, dtype=np.float64) for v in (successes_1, n_1, successes_2, n_2))
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = (x1 + x2) / (m + n)
        error = np.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
        z = np.where(error > 0, (x1 / m - x2 / n) / error, np.nan)
    return _made(z, np.full(z.shape, np.inf), 2 * ndtr(-np.abs(z)), "pooled z")


def mean_t_test(
    mean_1: Numbers, sd_1: Numbers, n_1: Numbers,
    mean_2: Numbers, sd_2: Numbers, n_2: Numbers, *, pooled: bool = False,
) -> Tested:  # fmt: skip
    """Test whether two means are equal, with Welch's t test or the one that pools the variances.

    Standard deviations have the divisor n - 1. Source: Welch (1947), Biometrika 34; Student
    (1908), Biometrika 6.

    Examples
    --------
    >>> found = mean_t_test(5.0, 2.0, 20, 4.0, 1.0, 30)
    >>> round(found.statistic, 3), round(found.freedom, 2)
    (2.07, 25.4)
    """
    m1, s1, a, m2, s2, b = (
        np.asarray(v, dtype=np.float64) for v in (mean_1, sd_1, n_1, mean_2, sd_2, n_2)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        if pooled:
            freedom = a + b - 2
            variance = ((a - 1) * s1**2 + (b - 1) * s2**2) / freedom * (1 / a + 1 / b)
        else:
            v1, v2 = s1**2 / a, s2**2 / b
            variance = v1 + v2
            freedom = variance**2 / (v1**2 / (a - 1) + v2**2 / (b - 1))
        t = np.where(variance > 0, (m1 - m2) / np.sqrt(variance), np.nan)
    return _made(t, freedom, t_p_value(t, freedom), "pooled t" if pooled else "Welch's t")


def t_p_value(t: Numbers, freedom: Numbers) -> Array:
    """Return the two-sided p-value of a t statistic; normal where the freedom is infinite.

    Examples
    --------
    >>> round(float(t_p_value(1.96, np.inf)), 3)
    0.05
    """
    from scipy.special import ndtr, stdtr

    size, nu = np.broadcast_arrays(-np.abs(np.asarray(t, float)), np.asarray(freedom, float))
    finite = np.isfinite(nu) & (nu > 0)
    bounded = 2 * stdtr(np.where(finite, nu, 1.0), size)
    return np.asarray(np.where(finite, bounded, np.where(np.isinf(nu), 2 * ndtr(size), np.nan)))


def count_table(counts: npt.ArrayLike) -> Tested:
    """Test whether rows (arms) differ in their split over columns, with Pearson's chi-square.

    Rows and columns without a count are left out. Source: Pearson (1900), Phil. Mag. 50.

    Examples
    --------
    >>> round(count_table([[30, 70], [20, 80]]).statistic, 4)
    2.6667
    """
    from scipy.special import chdtrc

    table = np.asarray(counts, dtype=np.float64)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    freedom = float((table.shape[0] - 1) * (table.shape[1] - 1))
    if freedom < 1:
        return _made(np.array(np.nan), np.array(freedom), np.array(np.nan), "chi-square")
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    p_value = np.array(chdtrc(freedom, statistic))
    return _made(statistic, np.array(freedom), p_value, "chi-square")


def planned_split(counts: npt.ArrayLike, shares: npt.ArrayLike | None = None) -> Tested:
    """Test whether group sizes follow the planned shares, with Pearson's chi-square.

    Parameters
    ----------
    counts : array of int
        Customers in each group.
    shares : array of float, optional
        Planned weights, of any sum; by default equal ones.

    Raises
    ------
    DataError
        If a planned share is not positive, or nobody was assigned.

    Notes
    -----
    Source: Fabijan et al. (2019), "Diagnosing sample ratio mismatch in online controlled
    experiments", KDD.

    Examples
    --------
    >>> round(planned_split([21307, 21387, 21306]).statistic, 6)  # Hillstrom
    0.202531
    """
    from scipy.special import chdtrc

    seen = np.asarray(counts, dtype=np.float64)
    plan = np.ones(seen.shape) if shares is None else np.asarray(shares, dtype=np.float64)
    if plan.shape != seen.shape or (plan <= 0).any() or seen.sum() <= 0:
        raise DataError(
            f"expected a positive share for each of {seen.size} groups and customers in them, got "
            f"shares {plan.tolist()} and counts {seen.tolist()}"
        )
    expected = plan / plan.sum() * seen.sum()
    statistic = ((seen - expected) ** 2 / expected).sum()
    freedom = np.array(seen.size - 1.0)
    p_value = np.array(chdtrc(seen.size - 1, statistic)) if seen.size > 1 else np.array(np.nan)
    return _made(statistic, freedom, p_value, "chi-square")
