"""How does an answer become a number that a score may add up?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segkit.factor.answers import Floats
from segkit.factor.moments import Moments
from segkit.factor.polychoric import Categories


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
