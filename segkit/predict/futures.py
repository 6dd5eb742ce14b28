"""Orders to come of customers who are still active, under each model of repeat buying.

Every model has three functions: the expected orders within a horizon, the probability of at least
one, and a draw of their number. The customers' parameters are those of the model; what is known of
a customer has updated them (conjugate posteriors).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import betaln

from segkit.predict.likelihood import (
    NODES,
    WEIGHTS,
    Array,
    Histories,
    Likelihood,
    Parameters,
    beta_geometric,
    bg_bb,
    pareto_nbd,
)

JACOBI = 64  # nodes of the quadrature over a customer's probability of becoming inactive


def beta_rule(a: Array, b: Array) -> tuple[Array, Array]:
    """Return nodes and weights of Gauss quadrature for each Beta(a, b) distribution.

    Golub and Welsch (1969): eigenvalues of the Jacobi matrix, without the constants that overflow.
    """
    k = np.arange(1.0, JACOBI)
    nodes, weights = np.empty((JACOBI, len(a))), np.empty((JACOBI, len(a)))
    for place, (left, right) in enumerate(zip(b - 1, a - 1, strict=True)):
        total = 2 * k + left + right
        middle = np.empty(JACOBI)
        middle[0] = (right - left) / (left + right + 2)
        middle[1:] = (right**2 - left**2) / (total * (total + 2))
        beside = 4 * k * (k + left) * (k + right) * (k + left + right)
        beside /= total**2 * (total + 1) * (total - 1)
        beside[0] = 4 * (1 + left) * (1 + right) / ((2 + left + right) ** 2 * (3 + left + right))
        values, vectors = eigh_tridiagonal(middle, np.sqrt(beside))
        nodes[:, place], weights[:, place] = (values + 1) / 2, vectors[0] ** 2
    return nodes, weights


def expect_geometric(
    parameters: Parameters, histories: Histories, horizon: float, *, shift: int
) -> Array:
    """Compute the expected orders under the BG/NBD (shift 0) or MBG/NBD (shift 1).

    By quadrature over the probability of becoming inactive, in place of the hypergeometric function
    of Fader, Hardie and Lee (2005), equation 10, which fails for large counts and near a = 1.
    """
    r, alpha, a, b = parameters
    x, age = histories.x, histories.age
    stacked = np.stack(np.broadcast_arrays(a, b + x + shift))
    pairs, place = np.unique(stacked, axis=1, return_inverse=True)
    nodes, weights = (rule[:, place.ravel()] for rule in beta_rule(*pairs))
    growth = np.log1p(nodes * (horizon / (alpha + age)))
    return np.asarray((weights * -np.expm1(-(r + x) * growth) / nodes).sum(axis=0))


def any_geometric(parameters: Parameters, histories: Histories, horizon: float) -> Array:
    """Compute the probability of an order under the BG/NBD or MBG/NBD."""
    r, alpha = parameters[:2]
    return np.asarray(-np.expm1(-(r + histories.x) * np.log1p(horizon / (alpha + histories.age))))


def draw_geometric(
    parameters: Parameters,
    histories: Histories,
    horizon: float,
    rng: np.random.Generator,
    *,
    shift: int,
) -> Array:
    """Draw the orders under the BG/NBD (shift 0) or MBG/NBD (shift 1)."""
    r, alpha, a, b = parameters
    x = histories.x
    rate = rng.gamma(r + x) / (alpha + histories.age)
    orders = rng.poisson(rate * horizon)
    some = np.flatnonzero(orders)
    a, b = np.broadcast_to(a, x.shape)[some], np.broadcast_to(b, x.shape)[some]
    leaves = rng.beta(a, b + x[some] + shift).clip(1e-12)
    orders[some] = np.minimum(orders[some], rng.geometric(leaves))
    return orders.astype(float)


def expect_pareto(parameters: Parameters, histories: Histories, horizon: float) -> Array:
    """Compute the expected orders under the Pareto/NBD.

    The mean time left active within the horizon is taken by quadrature: no pole at s = 1.
    """
    r, alpha, s, beta = parameters
    moment = (NODES[:, None] + 1) / 2 * horizon
    still = (1 + moment / (beta + histories.age)) ** -s
    time_left = WEIGHTS / 2 * horizon @ still
    return np.asarray((r + histories.x) / (alpha + histories.age) * time_left)


def any_pareto(parameters: Parameters, histories: Histories, horizon: float) -> Array:
    """Compute the probability of an order under the Pareto/NBD."""
    r, alpha, s, beta = parameters
    shape, age = r + histories.x, histories.age
    far = np.log1p(horizon / (alpha + age))
    step = (NODES[:, None] + 1) / 2 * far
    moment = (alpha + age) * np.expm1(step)
    density = shape * np.exp(-shape * step) * (1 + moment / (beta + age)) ** -s
    return np.asarray(far * (WEIGHTS / 2 @ density))


def draw_pareto(
    parameters: Parameters, histories: Histories, horizon: float, rng: np.random.Generator
) -> Array:
    """Draw the orders under the Pareto/NBD."""
    r, alpha, s, beta = parameters
    x, age = histories.x, histories.age
    rate = rng.gamma(r + x) / (alpha + age)
    leaving = np.broadcast_to(rng.gamma(s, size=len(x)) / (beta + age), x.shape)
    with np.errstate(divide="ignore"):  # who never leaves stays to the end of the horizon
        left = rng.exponential(size=len(x)) / leaving
    return rng.poisson(rate * np.minimum(left, horizon)).astype(float)


def _still_active(
    parameters: Parameters, histories: Histories, horizon: float
) -> tuple[Array, Array]:
    """Return the occasions ahead, and the probability of being active at each (BG/BB)."""
    gamma, delta = parameters[2:]
    ahead = np.arange(1.0, np.floor(horizon) + 1)[:, None]
    past = delta + histories.age
    return ahead, np.exp(betaln(gamma, past + ahead) - betaln(gamma, past))


def expect_occasions(parameters: Parameters, histories: Histories, horizon: float) -> Array:
    """Compute the expected orders at the occasions ahead under the BG/BB."""
    alpha, beta = parameters[:2]
    _, still = _still_active(parameters, histories, horizon)
    buys = (alpha + histories.x) / (alpha + beta + histories.age)
    return np.asarray(buys * still.sum(axis=0))


def any_occasion(parameters: Parameters, histories: Histories, horizon: float) -> Array:
    """Compute the probability of an order at the occasions ahead under the BG/BB."""
    alpha, beta = parameters[:2]
    bought, missed = alpha + histories.x, beta + histories.age - histories.x
    ahead, still = _still_active(parameters, histories, horizon)
    first = np.exp(betaln(bought + 1, missed + ahead - 1) - betaln(bought, missed))
    return np.asarray((first * still).sum(axis=0))


def draw_occasions(
    parameters: Parameters, histories: Histories, horizon: float, rng: np.random.Generator
) -> Array:
    """Draw the orders at the occasions ahead under the BG/BB."""
    alpha, beta, gamma, delta = parameters
    x, age = histories.x, histories.age
    buys = rng.beta(alpha + x, beta + age - x)
    leaves = rng.beta(gamma, delta + age).clip(1e-12)
    occasions = np.minimum(rng.geometric(leaves) - 1, int(horizon))
    return rng.binomial(occasions, buys).astype(float)


@dataclass(frozen=True, slots=True)
class Family:
    """One model of repeat buying: its parameters, its likelihood, and the futures it implies.

    ``timed`` are the places of the parameters that are in the unit of time. ``expected`` and
    ``any_order`` hold for customers who are still active, as does ``draw``.
    """

    title: str
    parameters: tuple[str, str, str, str]
    starts: tuple[tuple[float, float, float, float], ...]  # with times in units of the mean age
    timed: tuple[int, ...]
    likelihood: Callable[[Parameters, Histories, bool], Likelihood]
    expected: Callable[[Parameters, Histories, float], Array]
    any_order: Callable[[Parameters, Histories, Any], Array]
    draw: Callable[[Parameters, Histories, float, np.random.Generator], Array]


def _beta_geometric(title: str, shift: int) -> Family:
    return Family(
        title,
        ("r", "alpha", "a", "b"),
        ((0.5, 0.5, 0.8, 2.0), (1.5, 1.0, 0.3, 3.0)),
        (1,),
        partial(beta_geometric, shift=shift),
        partial(expect_geometric, shift=shift),
        any_geometric,
        partial(draw_geometric, shift=shift),
    )


FAMILIES: dict[str, Family] = {
    "bg_nbd": _beta_geometric("BG/NBD", 0),
    "mbg_nbd": _beta_geometric("MBG/NBD", 1),
    "pareto_nbd": Family(
        "Pareto/NBD",
        ("r", "alpha", "s", "beta"),
        ((0.5, 0.5, 0.6, 0.6), (1.5, 1.0, 1.5, 3.0)),
        (1, 3),
        pareto_nbd,
        expect_pareto,
        any_pareto,
        draw_pareto,
    ),
    "bg_bb": Family(
        "BG/BB",
        ("alpha", "beta", "gamma", "delta"),
        ((1.0, 1.0, 1.0, 2.0), (0.3, 2.0, 0.3, 5.0)),
        (),
        bg_bb,
        expect_occasions,
        any_occasion,
        draw_occasions,
    ),
}
