"""How consistent are the items of one scale? Alpha and omega from a matrix."""

from __future__ import annotations

import numpy as np

from segkit.factor.answers import Floats
from segkit.factor.extraction import extract
from segkit.factor.rotation import rotate
from segkit.stats.intervals import Estimate, estimate

GROUPS = 3  # group factors under the general one, as in R's psych


def raw_alpha(covariance: Floats) -> float:
    """Give Cronbach's alpha of a covariance matrix, NaN where the sum does not vary."""
    k, total = len(covariance), float(covariance.sum())
    if total <= 0:
        return float("nan")
    return k / (k - 1) * (1 - float(np.trace(covariance)) / total)


def alpha(covariance: Floats, n: int, *, level: float = 0.95) -> Estimate:
    """Estimate Cronbach's alpha from a covariance matrix, with Feldt's (1965) interval.

    ``(1 - alpha) / (1 - estimate)`` is distributed as F with ``n - 1`` and ``(n - 1)(k - 1)``
    degrees of freedom.

    Examples
    --------
    >>> round(alpha(np.array([[1.0, 0.5], [0.5, 1.0]]), 100).value, 3)
    0.667
    """
    from scipy.special import fdtri

    value = raw_alpha(covariance)
    one, two = n - 1, (n - 1) * (len(covariance) - 1)
    low = 1 - (1 - value) * float(fdtri(one, two, (1 + level) / 2))
    high = 1 - (1 - value) * float(fdtri(one, two, (1 - level) / 2))
    return estimate(value, low, high, level, "Feldt")


def omega(r: Floats) -> tuple[float, float | None]:
    """Give omega total and, from six items on, omega hierarchical.

    Returns
    -------
    tuple of float and (float or None)
        NaN where an item follows from the others, so that no factor model can be fitted.

    Examples
    --------
    >>> total, hierarchical = omega(np.eye(3) * 0.5 + 0.5)
    >>> round(total, 2), hierarchical
    (0.75, None)
    """
    p = len(r)
    if p < 3:
        return raw_alpha(r), None
    if np.linalg.matrix_rank(r, hermitian=True) < p:
        return float("nan"), None  # an item follows from the others: no item has a part of its own
    if p < 2 * GROUPS:
        unique = extract(r, 1).uniquenesses
        return 1 - float(unique.sum() / r.sum()), None
    fitted = extract(r, GROUPS)
    turned = rotate(fitted.loadings, "oblimin")
    second = extract(turned.phi * _heads(turned.phi), 1).loadings[:, 0]
    signs = _heads(turned.phi)[0]
    general = (turned.loadings * signs) @ second
    total = float(r.sum())
    return 1 - float(fitted.uniquenesses.sum()) / total, float(general.sum()) ** 2 / total


def _heads(phi: Floats) -> Floats:
    """Signs that turn factors so that the first principal axis has them all on one side."""
    axis = np.linalg.eigh(phi)[1][:, -1]
    signs = np.where(axis * np.sign(axis.sum() or 1.0) < 0, -1.0, 1.0)
    return np.asarray(np.outer(signs, signs) * signs[0])
