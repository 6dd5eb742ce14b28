"""Log-likelihoods of purchase histories, their gradients and Hessians, and their maximum.

Each model writes a history's likelihood as a sum of a few positive terms: the customer is still
active, or became inactive at some moment after the last purchase. Every term is handed out as its
logarithm with first and second derivatives, and one function adds them up. Parameters are taken as
logarithms, so that they stay positive and covariates enter linearly.

Names follow the papers: x repeat purchases; r and alpha of the gamma distribution of purchase
rates; a and b of the beta distribution of becoming inactive after a purchase (BG/NBD); s and beta
of the gamma distribution of leaving rates (Pareto/NBD). ``g``, ``d`` and ``t`` before a name are
log-gamma, digamma and trigamma of it: ``gbx`` is log-gamma of b + x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import gammaln, polygamma, psi

Array = npt.NDArray[np.float64]
Pair = tuple[int, int]
Parameters = tuple[Array, ...]  # four, each one value or one per customer
NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)
HIGHEST = 700.0  # the exponential of more overflows
FAR = 40.0  # the integrand is followed until it has fallen to exp(-40) of its start


@dataclass(frozen=True, slots=True)
class Histories:
    """Distinct purchase histories and how many customers have each.

    Attributes
    ----------
    x : ndarray of shape (n,)
        Repeat purchases (the first is not counted).
    last : ndarray of shape (n,)
        Time from the first to the last purchase; 0 where there was no second.
    age : ndarray of shape (n,)
        Time from the first purchase to the end of the observation.
    customers : ndarray of shape (n,)
        Customers with this history.
    """

    x: Array
    last: Array
    age: Array
    customers: Array


@dataclass(frozen=True, slots=True)
class Terms:
    """Logarithms of a likelihood's terms, with their derivatives.

    Arrays are of shape (terms, n) or broadcast to it; a derivative that is absent is zero.
    """

    logs: Array
    first: dict[int, Array]
    second: dict[Pair, Array]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-likelihood of each history with derivatives by the logarithms of the parameters.

    Attributes
    ----------
    value : ndarray of shape (n,)
    gradient : ndarray of shape (p, n)
    hessian : ndarray of shape (p, p, n)
    active : ndarray of shape (n,)
        Share of the first term: the probability that the customer is still active.
    """

    value: Array
    gradient: Array
    hessian: Array
    active: Array


def _digammas(values: Array, derivatives: bool = True) -> tuple[Array, Array, Array]:
    """Return log-gamma, digamma and trigamma; without derivatives the first alone is computed."""
    if not derivatives:
        return gammaln(values), values, values
    return gammaln(values), psi(values), polygamma(1, values)


def _at_counts(parameter: Array, counts: Array, derivatives: bool) -> tuple[Array, Array, Array]:
    """Return log-gamma, digamma and trigamma of parameter + count, once per possible count."""
    if parameter.size > 1 or counts.max(initial=0.0) > max(len(counts), 1_000):
        return _digammas(parameter + counts, derivatives)
    table = _digammas(parameter + np.arange(counts.max(initial=0.0) + 1), derivatives)
    place = counts.astype(np.intp)
    return table[0][place], table[1][place], table[2][place]


def _combine(parameters: Parameters, common: Terms, terms: Terms, derivatives: bool) -> Likelihood:
    """Add the terms of each history and turn derivatives into those by log-parameters."""
    n = terms.logs.shape[1]
    top = terms.logs.max(axis=0)
    shares = np.exp(terms.logs - top)
    total = shares.sum(axis=0)
    shares /= total
    value = common.logs + top + np.log(total)
    size = len(parameters)
    gradient = np.zeros((size, n))
    hessian = np.zeros((size, size, n))
    if not derivatives:
        return Likelihood(value, gradient, hessian, shares[0])
    shifted = {j: slope * shares for j, slope in terms.first.items()}
    mean = {j: slope.sum(axis=0) for j, slope in shifted.items()}
    for j in range(size):
        gradient[j] = parameters[j] * (mean.get(j, 0.0) + common.first.get(j, 0.0))
        for k in range(j, size):
            curve = np.zeros(n) + common.second.get((j, k), 0.0)
            if j in mean and k in mean:
                curve += np.einsum(
                    "tn,tn->n", shifted[j], np.broadcast_to(terms.first[k], shares.shape)
                )
                curve -= mean[j] * mean[k]
            if (j, k) in terms.second:
                curve += np.einsum(
                    "tn,tn->n", shares, np.broadcast_to(terms.second[j, k], shares.shape)
                )
            curve *= parameters[j] * parameters[k]
            if j == k:
                curve += gradient[j]
            hessian[j, k] = hessian[k, j] = curve
    return Likelihood(value, gradient, hessian, shares[0])


def beta_geometric(
    parameters: Parameters, histories: Histories, derivatives: bool, *, shift: int
) -> Likelihood:
    """Compute the BG/NBD (shift 0) or the MBG/NBD (shift 1).

    A customer may become inactive after each repeat purchase, or (shift 1) after the first purchase
    already. Fader, Hardie and Lee (2005), equation 6; Batislam, Denizel and Filiztekin (2007).
    """
    r, alpha, a, b = parameters
    x, shape = histories.x, r + histories.x
    possible = x >= 1 - shift  # who may have become inactive
    end, last = alpha + histories.age, alpha + histories.last
    inverse = 1 / np.where(possible, b + x + shift - 1, 1.0)
    log_end = np.log(end)
    longer = log_end - np.log(last)
    log_odds = np.where(possible, np.log(a * inverse) + shape * longer, -HIGHEST)
    bounded = np.minimum(log_odds, HIGHEST)
    odds = np.where(possible, np.exp(bounded), 0.0)
    still = 1 / (1 + odds)
    gr, dr, tr = _digammas(r, derivatives)
    gx, dx, tx = _at_counts(r, x, derivatives)
    (gab, dab, tab), (gb, db, tb) = _digammas(a + b, derivatives), _digammas(b, derivatives)
    gbx, dbx, tbx = _at_counts(b, x + shift, derivatives)
    gabx, dabx, tabx = _at_counts(a + b, x + shift, derivatives)
    log_alpha = np.log(alpha)
    value = gx - gr + r * log_alpha + gab + gbx - gb - gabx - shape * log_end
    value += np.log(1 + odds) + (log_odds - bounded)
    if not derivatives:
        return Likelihood(value, np.empty((4, 0)), np.empty((4, 4, 0)), still)
    # The likelihood is a mixture of "still active" and "left after the last purchase": its slopes
    # are the mixture's mean slopes, its curvature their mean curvature and their variance.
    left = 1 - still
    both = still * left
    by_end, closer = 1 / end, 1 / last - 1 / end
    steep = shape * closer  # by how much the slopes of the two differ in alpha
    slopes = (
        dx - dr + log_alpha - log_end + left * longer,
        r / alpha - shape * by_end - left * steep,
        dab - dabx + left / a,
        dab - dabx + dbx - db - left * inverse,
    )
    apart = (longer, -steep, 1 / a, -inverse)
    curves = {
        (0, 0): tx - tr,
        (0, 1): 1 / alpha - by_end - left * closer,
        (1, 1): shape * by_end**2 + left * steep * (1 / last + by_end) - r / alpha**2,
        (2, 2): tab - tabx - left / a**2,
        (2, 3): tab - tabx,
        (3, 3): tab - tabx + tbx - tb + left * inverse**2,
    }
    gradient, hessian = np.empty((4, len(x))), np.empty((4, 4, len(x)))
    for j in range(4):
        np.multiply(slopes[j], parameters[j], out=gradient[j])
        for k in range(j, 4):
            curve = both * apart[j] * apart[k] + curves.get((j, k), 0.0)
            np.multiply(curve, parameters[j] * parameters[k], out=hessian[j, k])
            hessian[k, j] = hessian[j, k]
        hessian[j, j] += gradient[j]
    return Likelihood(value, gradient, hessian, still)


def pareto_nbd(parameters: Parameters, histories: Histories, derivatives: bool) -> Likelihood:
    """Compute the Pareto/NBD: a customer becomes inactive at any moment.

    Schmittlein, Morrison and Colombo (1987). The integral over the moment of becoming inactive is
    taken by Gauss-Legendre quadrature on a logarithmic scale, where its integrand is smooth, in
    place of the hypergeometric function, which overflows for large counts.
    """
    r, alpha, s, beta = parameters
    x, shape = histories.x, r + histories.x
    (gr, dr, tr), (gx, dx, tx) = _digammas(r), _at_counts(r, x, True)
    common = Terms(
        gx - gr + r * np.log(alpha) + s * np.log(beta),
        {0: dx - dr + np.log(alpha), 1: r / alpha, 2: np.log(beta), 3: s / beta},
        {
            (0, 0): tx - tr,
            (0, 1): 1 / alpha,
            (1, 1): -r / alpha**2,
            (2, 3): 1 / beta,
            (3, 3): -s / beta**2,
        },
    )
    span = np.log((alpha + histories.age) / (alpha + histories.last))
    span = np.minimum(span, FAR / (shape - 0.5).clip(0.5))
    step = (NODES[:, None] + 1) / 2 * span
    moment = (alpha + histories.last) * np.exp(step) - alpha
    moment = np.concatenate([histories.age[None, :], moment])
    at_alpha, at_beta = np.log(alpha + moment), np.log(beta + moment)
    with np.errstate(divide="ignore"):  # nobody can leave between two moments that are one
        measure = np.log(WEIGHTS / 2)[:, None] + np.log(span) + at_alpha[1:] + np.log(s)
    logs = -shape * at_alpha - (s + 1) * at_beta
    logs[0] += at_beta[0]
    logs[1:] += measure
    power = np.full((len(moment), 1), 1.0) * (s + 1)
    power[0] -= 1
    by_s = -at_beta
    by_s[1:] += 1 / s
    with_s = np.zeros((len(moment), 1)) - 1 / s**2
    with_s[0] = 0.0
    one, two = 1 / (alpha + moment), 1 / (beta + moment)
    terms = Terms(
        logs,
        {0: -at_alpha, 1: -shape * one, 2: by_s, 3: -power * two},
        {
            (0, 1): -one,
            (1, 1): shape * one**2,
            (2, 2): with_s,
            (2, 3): -two,
            (3, 3): power * two**2,
        },
    )
    return _combine(parameters, common, terms, derivatives)


def bg_bb(parameters: Parameters, histories: Histories, derivatives: bool) -> Likelihood:
    """Compute the BG/BB for occasions at which a customer buys or not.

    ``last`` and ``age`` count occasions. Fader, Hardie and Shang (2010), equation 6.
    """
    alpha, beta, gamma, delta = parameters
    x, last, age = histories.x, histories.last, histories.age
    missed = np.arange(int((age - last).max(initial=0.0)))[:, None] * 1.0
    possible = missed < age - last
    until = np.concatenate([age[None, :], np.where(possible, last + missed, age)])
    leaves = np.concatenate([np.zeros((1, len(x))), np.ones_like(possible, dtype=float)])
    bought = [_digammas(one) for one in (alpha + x, beta + until - x, alpha + beta + until)]
    stayed = [_digammas(one) for one in (gamma + leaves, delta + until)]
    both = _digammas(gamma + delta + until + leaves)
    logs = bought[0][0] + bought[1][0] - bought[2][0] + stayed[0][0] + stayed[1][0] - both[0]
    logs[1:][~possible] = -np.inf
    one, two, three, four = (_digammas(value) for value in parameters)
    first, second = _digammas(alpha + beta), _digammas(gamma + delta)
    common = Terms(
        first[0] - one[0] - two[0] + second[0] - three[0] - four[0] + 0 * x,
        {
            0: first[1] - one[1],
            1: first[1] - two[1],
            2: second[1] - three[1],
            3: second[1] - four[1],
        },
        {
            (0, 0): first[2] - one[2],
            (0, 1): first[2],
            (1, 1): first[2] - two[2],
            (2, 2): second[2] - three[2],
            (2, 3): second[2],
            (3, 3): second[2] - four[2],
        },
    )
    terms = Terms(
        logs,
        {
            0: bought[0][1] - bought[2][1],
            1: bought[1][1] - bought[2][1],
            2: stayed[0][1] - both[1],
            3: stayed[1][1] - both[1],
        },
        {
            (0, 0): bought[0][2] - bought[2][2],
            (0, 1): -bought[2][2],
            (1, 1): bought[1][2] - bought[2][2],
            (2, 2): stayed[0][2] - both[2],
            (2, 3): -both[2],
            (3, 3): stayed[1][2] - both[2],
        },
    )
    return _combine(parameters, common, terms, derivatives)


GRADIENT = 1e-6  # per customer, by the logarithm of a parameter: converged below this
FARTHEST = 9.0  # a parameter that leaves its start by a factor of exp(9) runs to a limit
EDGE = 0.1  # so near that, the likelihood is flat
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
            value, gradient, hessian = (
                -value / customers,
                -gradient / customers,
                -hessian / customers,
            )
            # Beyond the limits it goes on as a parabola, so that the search comes to an end there.
            beyond = point - inside
            outside = beyond != 0
            value += float(gradient @ beyond + beyond @ beyond)
            gradient += 2 * beyond + np.where(outside, 0.0, hessian @ beyond)
            hessian[np.ix_(outside, outside)] = 2 * np.eye(outside.sum())
            last[key] = value, gradient, hessian
        return last[key]

    solution = minimize(
        lambda point: at(point)[0],
        start,
        jac=lambda point: at(point)[1],
        hess=lambda point: at(point)[2],
        method="trust-exact",
        options={"gtol": GRADIENT / 1e3, "maxiter": 200},
    )
    point = np.clip(solution.x, start - FARTHEST, start + FARTHEST)
    value, slope, curve = at(point)
    steepest = float(np.abs(slope).max())
    spread, axes = np.linalg.eigh(curve)
    inverse = 1 / np.maximum(spread * customers, 1 / WIDEST**2)
    limits = np.abs(point - start).max() > FARTHEST - EDGE
    return Maximum(
        point,
        (axes * inverse) @ axes.T,
        -value * customers,
        steepest,
        bool(steepest < GRADIENT and spread.min() > 0 and not limits),
    )
