"""Ward's clustering from compressed statistics, which engines add up over their partitions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from segkit.cluster.aliases import RULES
from segkit.cluster.fit import describe_groups, make_segments, name_groups
from segkit.cluster.kmeans import SETTLE_STEPS, centres_of, nearest_centre, order_groups, settle
from segkit.cluster.matrix import Floats, Ints, feature_rows, require_distinct
from segkit.cluster.model import SegmentModel
from segkit.cluster.ward import cut_tree, ward_linkage

UNIT = 1 << 20
BLOCK = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Compressed:
    """Counts, sums and squares of the rows nearest to each of m seeds.

    They are whole numbers (of 2**-20), so those of disjoint rows add up to the same in any order
    and however the rows are divided.

    Attributes
    ----------
    counts : array (m,)
        Rows.
    sums : array (m, d)
        Of their values.
    squares : array (m,)
        Of their squared values, over all columns.

    Examples
    --------
    >>> X, seeds = np.array([[0.0], [1.0], [5.0]]), np.array([[0.0], [4.0]])
    >>> whole = Compressed.of(X[:1], seeds) + Compressed.of(X[1:], seeds)
    >>> whole.counts.tolist(), whole.means.tolist()
    ([2, 1], [[0.5], [5.0]])
    """

    counts: Ints
    sums: Ints
    squares: Ints

    @classmethod
    def of(cls, X: Floats, seeds: Floats) -> Self:
        """Compress the rows of a transformed matrix."""
        m, d = seeds.shape
        counts, sums = np.zeros(m, np.int64), np.zeros((m, d), np.int64)
        squares = np.zeros(m, np.int64)

        def add(places: Ints, values: Floats) -> Ints:
            return np.bincount(places, weights=np.rint(values * UNIT), minlength=m).astype(np.int64)

        for start in range(0, len(X), BLOCK):
            part = X[start : start + BLOCK]
            places = nearest_centre(part, seeds)
            counts += np.bincount(places, minlength=m)
            squares += add(places, np.einsum("ij,ij->i", part, part))
            for column in range(d):
                sums[:, column] += add(places, part[:, column])
        return cls(counts, sums, squares)

    def __add__(self, other: Self) -> Self:
        return replace(
            self,
            counts=self.counts + other.counts,
            sums=self.sums + other.sums,
            squares=self.squares + other.squares,
        )

    @property
    def means(self) -> Floats:
        """The mean of the rows of each seed that has some, shape (at most m, d)."""
        some = self.counts > 0
        return np.asarray(self.sums[some] / self.counts[some, None] / UNIT)

    def find_centres(self, k: int, *, steps: int = SETTLE_STEPS) -> Floats:
        """Find k centres: exact weighted Ward on the means, its cut, and Lloyd's steps on them.

        Parameters
        ----------
        k : int
        steps : int
            Maximum number of Lloyd's steps.

        Raises
        ------
        DataError
            If fewer than k seeds have rows.
        """
        means, weights = self.means, self.counts[self.counts > 0].astype(np.float64)
        require_distinct(len(means), max(k, 2), int(self.counts.sum()))
        groups = order_groups(means, cut_tree(ward_linkage(means, weights), k), weights)
        centres = centres_of(means, groups, weights)
        return settle(means, centres, steps=steps, weights=weights)[0]

    def within_ss(self, centres: Floats) -> float:
        """Return the sum of squares about the centre nearest to each seed's mean."""
        some = self.counts > 0
        near = centres[nearest_centre(self.means, centres)]
        sums = self.sums[some] / UNIT
        within = self.squares[some] / UNIT - 2 * np.einsum("ij,ij->i", sums, near)
        within += self.counts[some] * np.einsum("ij,ij->i", near, near)
        return float(within.sum())


def move_centres(model: SegmentModel, sample: pl.DataFrame, centres: Floats) -> SegmentModel:
    """Return a model of a sample with the centres that all customers have.

    Parameters
    ----------
    model : SegmentModel
        Fitted on the sample.
    sample : polars.DataFrame
        Its customers: they order, name and delimit the segments.
    centres : array (k, d)

    Raises
    ------
    DataError
        If a centre has no customers of the sample.
    """
    table = feature_rows(sample, model.features)
    X = model.transform.apply(table)
    groups = nearest_centre(X, centres)
    described = describe_groups(X, groups, len(centres), model.transform, {})
    names = name_groups(sample, table, groups, described, RULES)
    named = (names, described)
    segments, _ = make_segments(table, X, model.transform, centres, groups, named, None)
    return replace(model, segments=segments, route="compressed")
