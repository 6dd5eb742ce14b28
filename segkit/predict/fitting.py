"""Maximum likelihood by Newton's method, judged by the gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from segkit.predict.likelihood import Array

GRADIENT = 1e-6  # per customer, by the logarithm of a parameter: converged below this
FARTHEST = 9.0  # a parameter that leaves its start by a factor of exp(9) runs to a limit
WIDEST = 2.0  # largest standard error of a log-parameter in any direction


@dataclass(frozen=True, slots=True)
class Maximum:
    """Maximum of a log-likelihood.

    Attributes
    ----------
    point : ndarray of shape (p,)
        Logarithms of the parameters, then the effects of covariates.
    covariance : ndarray of shape (p, p)
        Inverse of the negative Hessian there; a standard error in a direction that the data leave
        open is 2.
    log_likelihood : float
    gradient : float
        Largest absolute slope per customer.
    converged : bool
        Whether the slope is below 1e-6, the Hessian negative definite, and no parameter runs to a
        limit.
    """

    point: Array
    covariance: Array
    log_likelihood: float
    gradient: float
    converged: bool


def maximise(
    evaluate: Callable[[Array], tuple[float, Array, Array]], starts: list[Array], customers: float
) -> Maximum:
    """Maximise a log-likelihood from the first start that leads to a maximum, else keep the best.

    Parameters
    ----------
    evaluate : callable
        Log-likelihood, gradient and Hessian at a point.
    starts : list of ndarray
    customers : float
        What the gradient is divided by, so that it is judged alike for few and many.
    """
    ends: list[Maximum] = []
    for start in starts:
        ends.append(_climb(evaluate, start, customers))
        if ends[-1].converged:
            break
    return max(ends, key=lambda end: (end.converged, end.log_likelihood))


def _climb(
    evaluate: Callable[[Array], tuple[float, Array, Array]], start: Array, customers: float
) -> Maximum:
    last: dict[bytes, tuple[float, Array, Array]] = {}

    def at(point: Array) -> tuple[float, Array, Array]:
        key = point.tobytes()
        if key not in last:
            last.clear()
            inside = np.clip(point, start - FARTHEST, start + FARTHEST)
            value, gradient, hessian = evaluate(inside)
            beyond = point - inside
            last[key] = (
                -value / customers + float(beyond @ beyond),
                -gradient / customers + 2 * beyond,
                -hessian / customers,
            )
        return last[key]

    found = minimize(
        lambda point: at(point)[0],
        start,
        jac=lambda point: at(point)[1],
        hess=lambda point: at(point)[2],
        method="trust-exact",
        options={"gtol": GRADIENT / 1e3, "maxiter": 200},
    )
    value, slope, curve = at(found.x)
    steepest = float(np.abs(slope).max())
    spread, axes = np.linalg.eigh(curve)
    inverse = 1 / np.maximum(spread * customers, 1 / WIDEST**2)
    limits = np.abs(found.x - start).max() > FARTHEST - 1e-3
    return Maximum(
        found.x,
        (axes * inverse) @ axes.T,
        -value * customers,
        steepest,
        bool(steepest < GRADIENT and spread.min() > 0 and not limits),
    )
