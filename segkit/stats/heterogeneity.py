"""Tests of whether effects differ between groups and whether they change sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Heterogeneity:
    """Whether effects differ by more than chance.

    Attributes
    ----------
    groups : int
        Groups with a usable effect.
    q, freedom, p_value : float
        Cochran's Q, its degrees of freedom and p-value; NaN with fewer than two groups.
    i_squared : float
        Share of the spread between groups that is not chance, from 0 to 1.
    q_crossing, p_crossing : float
        Gail and Simon's statistic and p-value for effects of both signs.
    """

    groups: int
    q: float
    freedom: int
    p_value: float
    i_squared: float
    q_crossing: float
    p_crossing: float


def usable(
    effects: npt.ArrayLike, errors: npt.ArrayLike
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return the effects with a finite, positive error, their errors, and which they are."""
    d, s = np.asarray(effects, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if d.shape != s.shape or d.ndim != 1:
        raise DataError(f"expected one error an effect, got shapes {d.shape} and {s.shape}")
    keep = np.isfinite(d) & np.isfinite(s) & (s > 0)
    return d[keep], s[keep], keep


def heterogeneity(
    effects: npt.ArrayLike, errors: npt.ArrayLike, *, equal_errors: npt.ArrayLike | None = None
) -> Heterogeneity:
    """Test whether independent effects differ, and whether some help where others harm.

    ``Q = sum w (d - d_w)^2`` with ``w = 1 / s^2`` has a chi-square distribution with k - 1
    degrees of freedom if all effects are equal. Gail and Simon: with Q+ and Q- the sums of
    ``(d/s)^2`` over positive and negative effects, ``min(Q+, Q-)`` is compared with
    ``sum_h C(k-1, h) 2^(1-k) P(chi2_h > .)``, h = 1..k-1. Effects without a finite, positive error
    are left out.

    Parameters
    ----------
    effects, errors : array of shape (groups,)
        On one scale, with their standard errors.
    equal_errors : array of shape (groups,), optional
        The errors as estimated under equal effects (`segkit.stats.equal_effects`), for Q: with few
        cases in a group's arm, Q by the groups' own errors alarms too often. Gail and Simon's test
        supposes no equal effects and keeps the groups' own.

    Returns
    -------
    Heterogeneity

    Raises
    ------
    DataError
        If the arrays' shapes differ.

    Notes
    -----
    Source: Cochran (1954), "The combination of estimates from different experiments",
    Biometrics 10; Higgins & Thompson (2002) for I^2; Gail & Simon (1985), "Testing for
    qualitative interactions between treatment effects and patient subsets", Biometrics 41.

    Examples
    --------
    >>> found = heterogeneity([.163, -.114, -.047, -.151], [.0788, .0689, .0614, .0547])
    >>> round(found.q_crossing, 2), round(found.p_crossing, 4)
    (4.28, 0.0877)
    """
    from scipy.special import binom, chdtrc

    d, s, keep = usable(effects, errors)
    null = s
    if equal_errors is not None:
        null = np.asarray(equal_errors, dtype=np.float64)[keep]
        both = np.isfinite(null) & (null > 0)
        d, s, null = d[both], s[both], null[both]
    k = d.size
    if k < 2:
        nothing = float("nan")
        return Heterogeneity(k, nothing, max(k - 1, 0), nothing, nothing, nothing, nothing)
    w = 1 / null**2
    q = float((w * (d - (w * d).sum() / w.sum()) ** 2).sum())
    squares = (d / s) ** 2
    crossing = float(min(squares[d > 0].sum(), squares[d < 0].sum()))
    h = np.arange(1, k)
    chance = 1.0
    if crossing > 0:
        chance = float((binom(k - 1, h) * 0.5 ** (k - 1) * chdtrc(h, crossing)).sum())
    i_squared = max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0
    return Heterogeneity(k, q, k - 1, float(chdtrc(k - 1, q)), i_squared, crossing, chance)
