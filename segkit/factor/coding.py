"""Numbers that stand for answers, and their means, spreads and correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segkit.factor.answers import Floats
from segkit.factor.polychoric import Categories

_BLOCK = 65_536  # rows at a time: the working set stays in the cache's reach


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Counts, means and product moments of items, over the answers that are there.

    Attributes
    ----------
    counts : ndarray of shape (items, items)
        People who answered both items; on the diagonal, each.
    means, sds : ndarray of shape (items,)
        Over all who answered the item (divisor n - 1).
    covariance : ndarray of shape (items, items)
        Each pair over the people who answered both (divisor n - 1); NaN below two.
    correlation : ndarray of shape (items, items)
        Each pair over the people who answered both, standardised by their own spread.
    """

    counts: Floats
    means: Floats
    sds: Floats
    covariance: Floats
    correlation: Floats


def moments(values: Floats) -> Moments:
    """Compute pairwise counts, means, covariances and correlations.

    Parameters
    ----------
    values : ndarray of shape (people, items)
        NaN where an answer is missing.

    Examples
    --------
    >>> found = moments(np.array([[1.0, 2.0], [2.0, 1.0], [3.0, np.nan]]))
    >>> found.counts.tolist(), float(found.correlation[0, 1])
    ([[3.0, 2.0], [2.0, 2.0]], -1.0)
    """
    if not np.isnan(values.sum()):
        return _complete(values)
    means = np.nanmean(values, axis=0)
    p = values.shape[1]
    counts, products, squares, sums = (np.zeros((p, p)) for _ in range(4))
    for start in range(0, values.shape[0], _BLOCK):
        part = values[start : start + _BLOCK] - means
        there = ~np.isnan(part)
        part[~there] = 0.0
        mask = there.astype(np.float64)
        counts += mask.T @ mask
        products += part.T @ part
        sums += part.T @ mask  # of item i, over those who answered j too
        squares += (part * part).T @ mask
    with np.errstate(invalid="ignore", divide="ignore"):
        cross = products - sums * sums.T / counts
        own = np.maximum(squares - sums**2 / counts, 0.0)
        covariance = np.where(counts > 1, cross / (counts - 1), np.nan)
        correlation = cross / np.sqrt(own * own.T)
        sds = np.sqrt(np.diag(covariance))
    np.fill_diagonal(correlation, 1.0)
    return Moments(counts, means, sds, covariance, np.clip(correlation, -1.0, 1.0))


def _complete(values: Floats) -> Moments:
    n, p = values.shape
    means = values.mean(axis=0)
    products = np.zeros((p, p))
    for start in range(0, n, _BLOCK):
        part = values[start : start + _BLOCK] - means
        products += part.T @ part
    covariance = products / max(n - 1, 1)
    sds = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(sds, sds)
    np.fill_diagonal(correlation, 1.0)
    counts = np.full((p, p), float(n))
    return Moments(counts, means, sds, covariance, np.clip(correlation, -1.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """Per item, the numbers that stand for its answers.

    Attributes
    ----------
    items : tuple of str
    tables : dict of str to (tuple of float, tuple of float)
        Item to answers and codes; an item without a table stands for itself. An answer between
        two known ones gets a code between theirs.
    """

    items: tuple[str, ...]
    tables: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]

    @classmethod
    def fit(
        cls, items: Sequence[str], values: Floats, method: str, found: Mapping[int, Categories]
    ) -> Coding:
        """Choose codes: expected attitude behind a coarse answer, or mid-rank for Spearman."""
        tables: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
        for j, one in found.items():
            tables[items[j]] = (tuple(one.values.tolist()), tuple(one.codes.tolist()))
        if method == "spearman":
            for j, item in enumerate(items):
                column = values[:, j]
                known, counts = np.unique(column[~np.isnan(column)], return_counts=True)
                ranks = (np.cumsum(counts) - (counts - 1) / 2 - 0.5) / counts.sum()
                tables[item] = (tuple(known.tolist()), tuple(ranks.tolist()))
        return cls(tuple(items), tables)

    def apply(self, values: Floats) -> Floats:
        """Return the coded answers; NaN stays NaN."""
        if not self.tables:
            return values
        coded = values.copy()
        for j, item in enumerate(self.items):
            if item in self.tables:
                known, codes = self.tables[item]
                column = values[:, j]
                coded[:, j] = np.where(np.isnan(column), np.nan, np.interp(column, known, codes))
        return coded


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSide:
    """What scoring needs to know of the coded answers, which may be coarser than the model's.

    Attributes
    ----------
    coding : Coding
    means, sds : ndarray of shape (items,)
        Of the coded answers at the fit.
    correlation : ndarray of shape (items, items)
        Pearson's correlation of the coded answers.
    attenuation : ndarray of shape (items,)
        Correlation of each coded answer with the attitude that the model has in its place: 1
        where the model is one of the answers themselves.
    """

    coding: Coding
    means: Floats
    sds: Floats
    correlation: Floats
    attenuation: Floats


def score_side(coding: Coding, found: Moments, latent: Mapping[int, Categories]) -> ScoreSide:
    """Gather what scoring needs from the coded answers' moments.

    With codes E[attitude | answer] the covariance of code and attitude is the code's variance,
    so that their correlation is the code's standard deviation.
    """
    attenuation = np.ones(len(coding.items))
    for j in latent:
        attenuation[j] = min(float(found.sds[j]), 1.0)
    return ScoreSide(coding, found.means, found.sds, found.correlation, attenuation)
