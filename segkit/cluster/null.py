"""Reference data without groups: one cloud of the data's margins, one of the data's radii."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segkit.cluster.matrix import Floats, Ints

ATOM_SHARE = 0.05
_BINS = 60
_ROUNDS = 6
_DRAWS = 4_000


@dataclass(frozen=True, slots=True)
class Margin:
    """Distribution of one feature in data without groups.

    Its quantile function is linear between a number of points.

    Attributes
    ----------
    probability, value : ndarray of shape (q,)
        These points: probabilities, rising, and the feature's value at each.
    support : ndarray of shape (s,)
        The values that the feature can have, to the nearest of which a quantile is rounded; empty
        where the feature is continuous.
    """

    probability: Floats
    value: Floats
    support: Floats

    def quantile(self, u: Floats) -> Floats:
        """Return the feature's values at the probabilities ``u``."""
        drawn = np.interp(u, self.probability, self.value)
        if not len(self.support):
            return drawn
        middles = (self.support[1:] + self.support[:-1]) / 2
        rounded: Floats = self.support[np.searchsorted(middles, drawn)]
        return rounded


def unimodal_margin(x: Floats) -> Margin:
    """Return the unimodal distribution nearest to the feature's own.

    Valleys between modes are filled and nothing else is smoothed. Densities over bins of equal
    count rise to a mode and fall after it (isotonic fits); the mode is chosen so that the
    distribution function stays nearest to the data's: the unimodal distribution of Hartigan and
    Hartigan (1985), "The dip test of unimodality". A lowest or highest value shared by at least 5%
    of the customers (a spike at zero, a yes, the top of a scale) does not count as a group and is
    kept. Features with few distinct values are drawn from these values.

    Parameters
    ----------
    x : ndarray of shape (n,)

    Returns
    -------
    Margin

    Examples
    --------
    >>> x = np.r_[np.linspace(0, 1, 50), np.linspace(9, 10, 50)]
    >>> inside = unimodal_margin(x).quantile(np.linspace(0, 1, 101))
    >>> bool(((inside > 2) & (inside < 8)).mean() > 0.3)
    True
    """
    values, counts = np.unique(x, return_counts=True)
    spike = counts >= max(3, int(np.ceil(ATOM_SHARE * len(x))))
    spike[1:-1] = False
    shares = counts / len(x)
    if (~spike).sum() < 3:  # yes/no items and the like: nothing to make unimodal
        corners = np.cumsum(shares)
        return Margin(
            np.c_[np.r_[0.0, corners[:-1]], corners].ravel(), np.repeat(values, 2), values
        )
    edges, parts = _fit_unimodal(values[~spike], counts[~spike])
    bottom = shares[0] if spike[0] else 0.0
    top = shares[-1] if spike[-1] else 0.0
    inner = bottom + (1.0 - bottom - top) * np.r_[0.0, np.cumsum(parts)]
    floor = [values[0]] * 2 if spike[0] else []
    ceiling = [values[-1]] * 2 if spike[-1] else []
    probability = np.r_[[0.0, bottom][: len(floor)], inner, [1.0 - top, 1.0][: len(ceiling)]]
    support = values if len(values) < len(x) / 2 else np.empty(0)
    return Margin(probability, np.r_[floor, edges, ceiling], support)


def _fit_unimodal(values: Floats, counts: Ints) -> tuple[Floats, Floats]:
    """Fit rising then falling densities over bins; return the edges and the shares of the bins.

    Edges lie halfway between neighbouring values, so that draws rounded to the values keep their
    shares.
    """
    from scipy.optimize import isotonic_regression

    shares = counts / counts.sum()
    halfway = (values[1:] + values[:-1]) / 2
    bins = int(min(_BINS, max(4, np.sqrt(counts.sum()) * 1.5)))
    taken = np.unique(np.searchsorted(np.cumsum(shares), np.arange(1, bins) / bins))
    taken = taken[taken < len(halfway)]
    edges = np.r_[values[0], halfway[taken], values[-1]]
    if len(values) < counts.sum() / 2:  # few values: the outer ones need their full width
        edges[0] -= halfway[0] - values[0]
        edges[-1] += values[-1] - halfway[-1]
    bin_shares = np.add.reduceat(shares, np.r_[0, taken + 1])
    width = np.diff(edges)
    density = bin_shares / width
    best, nearest_fit = np.inf, bin_shares
    for mode in range(len(width) + 1):
        rise = isotonic_regression(density[:mode], weights=width[:mode]).x if mode else []
        fall = (
            isotonic_regression(density[mode:], weights=width[mode:], increasing=False).x
            if mode < len(width)
            else []
        )
        fit = np.r_[rise, fall] * width
        distance = np.abs(np.cumsum(fit - bin_shares)).max()
        if distance < best - 1e-12:
            best, nearest_fit = distance, fit
    return edges, nearest_fit / nearest_fit.sum()


@dataclass(frozen=True, slots=True)
class NullReference:
    """Generator of data with the same margins and correlations but no groups.

    Attributes
    ----------
    margins : tuple of Margin
        One per feature, each unimodal apart from its spikes.
    root : ndarray of shape (d, d)
        Square root of the correlation matrix of the Gaussian copula.
    """

    margins: tuple[Margin, ...]
    root: Floats

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw n customers."""
        return _to_margins(self.margins, rng.standard_normal((n, len(self.margins))) @ self.root)


def null_reference(X: Floats, *, seed: int = 0) -> NullReference:
    """Fit the reference distribution: the data's margins and correlations, but no groups.

    A Gaussian copula (one elliptical cloud) with the unimodal margin of each feature; its
    correlations are tuned until those of the normal scores of drawn data equal those of the data,
    shrunk as in `elliptical_reference` (the idea of Cario and Nelson 1997, "Modeling and generating
    random vectors with arbitrary marginal distributions and correlation matrix").

    Parameters
    ----------
    X : ndarray of shape (n, d)
        No constant column.
    seed : int

    Returns
    -------
    NullReference

    Examples
    --------
    >>> X = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 500)
    >>> drawn = null_reference(X).draw(500, np.random.default_rng(1))
    >>> bool(abs(np.corrcoef(drawn.T)[0, 1] - 0.7) < 0.1)
    True
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    margins = tuple(unimodal_margin(column) for column in X.T)
    scores = normal_scores(X)
    target = np.atleast_2d(np.corrcoef(scores, rowvar=False))
    target = target + ledoit_wolf_shrinkage(scores) * (np.eye(len(target)) - target)
    normal = np.random.default_rng([seed, 7]).standard_normal((_DRAWS, X.shape[1]))
    wanted, root = target.copy(), _root(target)
    for _ in range(_ROUNDS if len(margins) > 1 else 0):
        drawn = normal_scores(_to_margins(margins, normal @ root))
        wanted = np.clip(wanted + target - np.corrcoef(drawn, rowvar=False), -0.999, 0.999)
        np.fill_diagonal(wanted, 1.0)
        root = _root(wanted)
    return NullReference(margins, root)


@dataclass(frozen=True, slots=True)
class EllipticalReference:
    """Generator of one elliptical cloud whose density nowhere rises on the way out.

    Attributes
    ----------
    centre : ndarray of shape (d,)
    root : ndarray of shape (r, d)
        A row vector of the unit ball of r dimensions times this lies in the cloud's ellipsoid.
    probability, volume : ndarray of shape (q,)
        Points of the distribution function of the share of the ellipsoid's volume nearer to the
        centre than a customer (Mahalanobis distance to the power r); linear between them.
    """

    centre: Floats
    root: Floats
    probability: Floats
    volume: Floats

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw n customers."""
        rank = len(self.root)
        cloud = rng.standard_normal((n, rank))
        cloud /= np.linalg.norm(cloud, axis=1, keepdims=True)
        cloud *= np.interp(rng.random((n, 1)), self.probability, self.volume) ** (1 / rank)
        return self.centre + cloud @ self.root


def elliptical_reference(X: Floats) -> EllipticalReference:
    """Fit an elliptical cloud of the data's covariance and distances from the centre.

    Flat clouds with a sharp edge (a disk, a ball) have deeper chance valleys than a Gaussian copula
    of the same margins. Here the density over the volume of the ellipsoids falls outwards, and is
    as flat as the data allow: its distribution function is the least concave majorant (Grenander
    1956, "On the theory of mortality measurement", Part II) of the lower pointwise 95% limits of
    the data's. So an empty centre between groups is filled, and a uniform ball stays uniform.

    The covariance is shrunk by Ledoit and Wolf (2004), "A well-conditioned estimator for
    large-dimensional covariance matrices". That of the data is longer than that of the population,
    and in a round cloud there are more directions in which chance can open a valley.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        No constant column.

    Returns
    -------
    EllipticalReference

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ring = rng.normal(size=(500, 2))
    >>> ring /= np.linalg.norm(ring, axis=1, keepdims=True)
    >>> drawn = elliptical_reference(ring).draw(2_000, rng)
    >>> bool(abs((np.linalg.norm(drawn, axis=1) < 0.5).mean() - 0.25) < 0.05)
    True
    """
    from scipy.optimize import isotonic_regression
    from sklearn.covariance import ledoit_wolf_shrinkage

    centre = X.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(X, rowvar=False)))
    varies = values > 1e-9 * values.max()  # without directions in which the features repeat others
    shrunk = values + ledoit_wolf_shrinkage(X) * (values.mean() - values)
    spread, vectors = np.sqrt(shrunk[varies]), vectors[:, varies]
    distance = np.linalg.norm((X - centre) @ (vectors / spread), axis=1)
    farthest = distance.max()
    volume, counts = np.unique((distance / farthest) ** len(spread), return_counts=True)
    share = np.cumsum(counts) / len(X)
    least = share - 2 * np.sqrt(share * np.clip(1 - share, 0, None) / len(X))
    inside = np.maximum.accumulate(np.maximum(least, volume))
    width = np.maximum(np.diff(volume, prepend=0.0), 1e-300)
    density = np.diff(inside, prepend=0.0) / width
    density = isotonic_regression(density, weights=width, increasing=False).x
    probability = np.r_[0.0, np.cumsum(density * width)]
    root = np.ascontiguousarray((vectors * spread * farthest).T)
    return EllipticalReference(centre, root, probability / probability[-1], np.r_[0.0, volume])


def normal_scores(X: Floats) -> Floats:
    """Replace each column's values by the normal quantiles of their ranks, ties sharing a rank.

    Examples
    --------
    >>> normal_scores(np.array([[3.0], [9.0], [4.0]])).ravel().round(2).tolist()
    [-0.97, 0.97, 0.0]
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return np.asarray(ndtri((rankdata(X, axis=0) - 0.5) / len(X)))


def _to_margins(margins: tuple[Margin, ...], normal: Floats) -> Floats:
    from scipy.special import ndtr

    u = ndtr(normal)
    return np.stack([m.quantile(column) for m, column in zip(margins, u.T, strict=True)], axis=1)


def _root(correlation: Floats) -> Floats:
    """Square root of the nearest proper correlation matrix (negative eigenvalues cut off)."""
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 1e-9, None))
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    return np.ascontiguousarray(root.T)
