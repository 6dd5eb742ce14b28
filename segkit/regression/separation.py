"""Does a combination of predictors foretell the outcome without fail? Then no finite fit exists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segkit.errors import DataError
from segkit.regression.columns import Floats


def separating(X: Floats, y: Floats, *, binary: bool) -> list[int]:
    """Return the columns of a direction along which the likelihood never stops growing.

    A linear programme looks for a direction that never contradicts the outcome and agrees with it
    somewhere (Konis 2007, thesis, Oxford; for counts: Correia, Guimarães & Zylkin 2021, "zeros
    foretold without fail").

    Parameters
    ----------
    X : ndarray, shape (rows, columns)
        Standardised, without a constant.
    y : ndarray, shape (rows,)
    binary : bool
        Outcome of zeros and ones; else counts.

    Returns
    -------
    list of int
        Empty where there is no such direction.

    Examples
    --------
    >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> separating(x, np.array([0.0, 0, 1, 1]), binary=True)
    [0]
    >>> separating(x, np.array([0.0, 1, 0, 1]), binary=True)
    []
    """
    from scipy.optimize import linprog

    full = np.column_stack([np.ones(len(X)), X])
    none, some = y == 0, y > 0
    if binary:
        agree = np.where(some, 1.0, -1.0)[:, None] * full
        found = linprog(-agree.sum(axis=0), A_ub=-agree, b_ub=np.zeros(len(agree)), bounds=(-1, 1))
    else:
        falling = -full[none]
        fixed = np.linalg.qr(full[some], mode="r")
        found = linprog(
            -falling.sum(axis=0),
            A_ub=-falling,
            b_ub=np.zeros(len(falling)),
            A_eq=fixed,
            b_eq=np.zeros(len(fixed)),
            bounds=(-1, 1),
        )
    if found.status != 0 or -found.fun <= 1e-6:
        return []
    return [int(k) for k in np.flatnonzero(np.abs(found.x[1:]) > 1e-7)]


def refuse_separation(
    X: Floats, y: Floats, names: Sequence[str], *, binary: bool, suspicious: bool
) -> None:
    """Raise ``DataError`` naming the predictors that foretell the outcome without fail.

    Only a suspicious fit is put to the programme: one that did not converge, or whose fitted
    values or coefficients run away.
    """
    if not suspicious:
        return
    places = separating(X, y, binary=binary)
    if not places:
        return
    for k in list(places):  # name no more than it takes
        fewer = [j for j in places if j != k]
        if fewer and separating(X[:, fewer], y, binary=binary):
            places = fewer
    named = ", ".join(names[k] for k in places)
    what = "the outcome" if binary else "zeros"
    raise DataError(
        f"{named} {'foretells' if len(places) == 1 else 'together foretell'} {what} without fail "
        "(separation): no finite effect fits best. Drop it, or pool the level that causes it"
    )
