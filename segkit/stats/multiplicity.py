"""Multiplicity: which findings are left once it is counted how many were looked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segkit.errors import ParameterError, unknown

METHODS = ("holm", "benjamini-hochberg")


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
    if method not in METHODS:
        raise ParameterError(unknown("method", method, METHODS))
    p = np.asarray(p_values, dtype=np.float64)
    made = ~np.isnan(p)
    known = p[made]
    if ((known < 0) | (known > 1)).any():
        raise ParameterError("p-values must lie in [0, 1]")
    order = np.argsort(known, kind="stable")
    ordered, count = known[order], known.size
    if method == "holm":
        stepped = np.maximum.accumulate(ordered * np.arange(count, 0, -1))
    else:
        scaled = ordered * count / np.arange(1, count + 1)
        stepped = np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(stepped, 1.0)
    result = np.full(p.shape, np.nan)
    result[made] = adjusted
    return result
