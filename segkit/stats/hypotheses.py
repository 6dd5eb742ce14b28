"""Tests of shares, means and tables of counts, with adjustment for multiple tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segkit.display import counted
from segkit.errors import DataError, ParameterError, require_choice
from segkit.stats.intervals import Numbers, floats

Array = npt.NDArray[np.float64]
EXACT_BELOW = 100  # expected cases (or non-cases) in an arm from which the pooled z test suffices
_OUTSIDE = 1e-6  # chance that the true share lies outside the interval that is searched
_STEPS = 17  # shares searched in it; the size is smooth over some three of their distances
_AT_ONCE = 400_000  # terms added up at a time
METHODS = ("holm", "benjamini-hochberg")


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
    parts = floats(statistic, freedom, p_value)
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

    x1, m, x2, n = floats(successes_1, n_1, successes_2, n_2)
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = (x1 + x2) / (m + n)
        error = np.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
        z = np.where(error > 0, (x1 / m - x2 / n) / error, np.nan)
    return _made(z, np.full(z.shape, np.inf), 2 * ndtr(-np.abs(z)), "pooled z")


def share_test(successes_1: Numbers, n_1: Numbers, successes_2: Numbers, n_2: Numbers) -> Tested:
    """Test whether two shares are equal, with an exact test where an arm expects few cases.

    Where either arm expects fewer than `EXACT_BELOW` cases or non-cases under the pooled share,
    the p-value is the largest chance, over a 99.9999% interval of the common share, of a pooled
    ``|z|`` as large as the one seen. Elsewhere it is the pooled z test's. Each distinct table is
    worked out once, so a million tests of few designs cost little.

    Parameters
    ----------
    successes_1, n_1, successes_2, n_2 : float or array
        Whole numbers of cases and customers; arrays are broadcast.

    Returns
    -------
    Tested
        ``statistic`` is the pooled z (zero where nobody or everybody converted, with p-value 1);
        NaN where an arm is empty. Two-sided; with a small and a large arm, most false positives
        are high shares in the small arm, as its low shares can rarely reach significance.

    Raises
    ------
    DataError
        If a count is not a whole number, is negative or exceeds its arm.

    Notes
    -----
    The test's size exceeds its level by no more than 1e-6 where it is exact, and by less than
    0.002 elsewhere (at a level of 0.05). Source: Suissa & Shuster (1985), "Exact unconditional
    sample sizes for the 2 x 2 binomial trial", JRSS A 148; Berger & Boos (1994), "P values
    maximized over a confidence set for the nuisance parameter", JASA 89, eq. 3 (without the added
    1e-6).

    Examples
    --------
    >>> found = share_test(1, 1, 71, 600)
    >>> round(found.p_value, 3), round(share_z(1, 1, 71, 600).p_value, 3)
    (0.094, 0.007)
    """
    x1, m, x2, n = np.broadcast_arrays(*floats(successes_1, n_1, successes_2, n_2))
    tables = np.stack([x1, m, x2, n], axis=-1).reshape(-1, 4)
    complete = tables[np.isfinite(tables).all(axis=1)]
    wrong = (complete != np.rint(complete)).any(axis=1) | (complete < 0).any(axis=1)
    wrong |= (complete[:, 0] > complete[:, 1]) | (complete[:, 2] > complete[:, 3])
    if wrong.any():
        a, b, c, d = complete[wrong][0].tolist()
        raise DataError(
            f"expected whole numbers of cases among customers, got {a:g} of {b:g} against {c:g} "
            f"of {d:g}"
        )
    plain = share_z(x1, m, x2, n)
    empty = ~(np.minimum(m, n) > 0) | ~np.isfinite(x1 + x2 + m + n)
    z = np.where(empty, np.nan, np.nan_to_num(np.asarray(plain.statistic)))
    p_value = np.where(z == 0, 1.0, np.asarray(plain.p_value))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (x1 + x2) / (m + n)
        expected = np.minimum(m, n) * np.minimum(share, 1 - share)
    small = (expected < EXACT_BELOW) & (np.abs(z) > 0)
    if small.any():
        which, back = np.unique(tables[small.ravel()], axis=0, return_inverse=True)
        p_value = p_value.copy()
        p_value[small] = _exact(which)[back.ravel()]
    method = "exact unconditional test" if small.all() else "pooled z"
    mixed = bool(small.any()) and not small.all()
    return _made(z, np.full(z.shape, np.inf), p_value, "share test" if mixed else method)


def _exact(tables: Array) -> Array:
    """Return the maximised p-values of tables (x1, n1, x2, n2) with unequal shares."""
    from scipy.special import betaincinv

    swap = tables[:, 1] < tables[:, 3]
    tables = np.where(swap[:, None], tables[:, [2, 3, 0, 1]], tables)  # the smaller arm second
    x1, m, x2, n = tables.T
    cases, both = x1 + x2, m + n
    low = betaincinv(cases, both - cases + 1, _OUTSIDE / 2)
    high = betaincinv(cases + 1, both - cases, 1 - _OUTSIDE / 2)
    angles = np.linspace(np.arcsin(np.sqrt(low)), np.arcsin(np.sqrt(high)), _STEPS, axis=1)
    shares = np.sin(angles) ** 2
    reach = 7 * np.sqrt(n * np.array([low * (1 - low), high * (1 - high)])) + 12
    first = np.clip(np.floor(np.minimum(n * low - reach[0], x2)), 0, None)
    last = np.clip(np.ceil(np.maximum(n * high + reach[1], x2)), None, n)
    rows = last - first + 1
    p_values = np.empty(len(tables))
    order = np.argsort(rows)
    start = 0
    while start < order.size:  # tables with about as many rows together, the longest last
        stop = start + 1
        while stop < order.size and (stop - start) * rows[order[stop]] * _STEPS < _AT_ONCE:
            stop += 1
        part = order[start:stop]
        p_values[part] = _largest(tables[part], shares[part], first[part], last[part])
        start = stop
    return np.clip(p_values, 0.0, 1.0)


def _largest(tables: Array, shares: Array, first: Array, last: Array) -> Array:
    """Return the largest chance, over each table's shares, of a |z| as large as the table's."""
    from scipy.special import betainc, gammaln, xlog1py, xlogy

    x1, m, x2, n = (column[:, None] for column in tables.T)
    smaller_cases = first[:, None] + np.arange((last - first).max() + 1)  # cases of the smaller arm
    inside = smaller_cases <= last[:, None]
    smaller_cases = np.minimum(smaller_cases, n)
    both = m + n
    pooled = (x1 + x2) / both
    # |z| >= z0 where (y1/m - y2/n)^2 >= k p (1 - p): outside the roots of a quadratic in y1.
    k = (x1 / m - x2 / n) ** 2 / (pooled * (1 - pooled))
    a = 1 / m**2 + k / both**2
    b = -2 * smaller_cases / (m * n) - k / both * (1 - 2 * smaller_cases / both)
    c = (smaller_cases / n) ** 2 - k * smaller_cases / both * (1 - smaller_cases / both)
    root = np.sqrt(np.maximum(b**2 - 4 * a * c, 0.0))
    ties = 1e-7 + 1e-11 * m
    below = np.where(smaller_cases > 0, np.floor((-b - root) / (2 * a) + ties), -1)
    above = np.where(smaller_cases < n, np.ceil((-b + root) / (2 * a) - ties), m + 1)
    p = shares[:, :, None]
    y, size = smaller_cases[:, None, :], n[:, None, :]
    chosen = gammaln(size + 1) - gammaln(y + 1) - gammaln(size - y + 1)
    weight = np.exp(chosen + xlogy(y, p) + xlog1py(size - y, -p)) * inside[:, None, :]
    tail = np.zeros(weight.shape)
    shape = weight.shape
    wide_p = np.broadcast_to(p, shape)
    wide_m = np.broadcast_to(m[:, None, :], shape)
    lower, upper = (np.broadcast_to(v[:, None, :], shape) for v in (below, above))
    some = (weight > 0) & (lower >= 0)
    at, size, p = lower[some], wide_m[some], wide_p[some]
    tail[some] += np.where(at < size, betainc(np.maximum(size - at, 0.5), at + 1, 1 - p), 1.0)
    some = (weight > 0) & (upper <= wide_m)
    at, size, p = upper[some], wide_m[some], wide_p[some]
    tail[some] += np.where(at > 0, betainc(np.maximum(at, 0.5), size - at + 1, p), 1.0)
    chance = (weight * tail).sum(axis=2)
    top = chance.argmax(axis=1)
    middle = np.clip(top, 1, _STEPS - 2)[:, None]
    left, at_top, right = (np.take_along_axis(chance, middle + d, axis=1)[:, 0] for d in (-1, 0, 1))
    bend = 2 * at_top - left - right  # of the parabola through a maximum and its neighbours
    inner = (top == middle[:, 0]) & (bend > 0)
    peak = np.where(inner, (right - left) ** 2 / (8 * np.where(inner, bend, 1.0)), 0.0)
    return np.asarray(chance.max(axis=1) + peak)


def mean_t_test(
    mean_1: Numbers,
    sd_1: Numbers,
    n_1: Numbers,
    mean_2: Numbers,
    sd_2: Numbers,
    n_2: Numbers,
    *,
    pooled: bool = False,
) -> Tested:
    """Test whether two means are equal, with Welch's t test or the one that pools the variances.

    Standard deviations have the divisor n - 1. Source: Welch (1947), Biometrika 34; Student
    (1908), Biometrika 6.

    Examples
    --------
    >>> found = mean_t_test(5.0, 2.0, 20, 4.0, 1.0, 30)
    >>> round(found.statistic, 3), round(found.freedom, 2)
    (2.07, 25.4)
    """
    m1, s1, a, m2, s2, b = floats(mean_1, sd_1, n_1, mean_2, sd_2, n_2)
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

    sizes = np.asarray(counts, dtype=np.float64)
    plan = np.ones(sizes.shape) if shares is None else np.asarray(shares, dtype=np.float64)
    if plan.shape != sizes.shape or (plan <= 0).any() or sizes.sum() <= 0:
        raise DataError(
            f"expected a positive share for each of {counted(sizes.size, 'group')} and customers "
            f"in them, got shares {plan.tolist()} and counts {sizes.tolist()}"
        )
    expected = plan / plan.sum() * sizes.sum()
    statistic = ((sizes - expected) ** 2 / expected).sum()
    freedom = np.array(sizes.size - 1.0)
    p_value = np.array(chdtrc(sizes.size - 1, statistic)) if sizes.size > 1 else np.array(np.nan)
    return _made(statistic, freedom, p_value, "chi-square")


def adjust(p_values: npt.ArrayLike, *, method: str = "holm") -> npt.NDArray[np.float64]:
    """Adjust p-values for the number of tests in their family.

    Parameters
    ----------
    p_values : array of float
        In [0, 1]; NaN stands for a test not made, stays NaN and is not counted.
    method : {"holm", "benjamini-hochberg"}
        Holm (1979), Scandinavian Journal of Statistics 6: controls the chance of any false
        finding, whatever the dependence. Benjamini & Hochberg (1995), JRSS B 57: controls the
        expected share of false ones among the findings, under independence or positive
        dependence.

    Returns
    -------
    ndarray
        Adjusted p-values, in the given order.

    Raises
    ------
    ParameterError
        If the method is unknown or a p-value lies outside [0, 1].

    Examples
    --------
    >>> adjust([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    >>> adjust([0.01, 0.04, 0.03], method="benjamini-hochberg").tolist()
    [0.03, 0.04, 0.04]
    """
    require_choice("method", method, METHODS)
    p = np.asarray(p_values, dtype=np.float64)
    is_test = ~np.isnan(p)
    tested = p[is_test]
    if ((tested < 0) | (tested > 1)).any():
        raise ParameterError("p-values must lie in [0, 1]")
    order = np.argsort(tested, kind="stable")
    ordered, count = tested[order], tested.size
    if method == "holm":
        stepped = np.maximum.accumulate(ordered * np.arange(count, 0, -1))
    else:
        scaled = ordered * count / np.arange(1, count + 1)
        stepped = np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(stepped, 1.0)
    result = np.full(p.shape, np.nan)
    result[is_test] = adjusted
    return result
