"""Ward's clustering from counts and sums of rows about starting centres, added up over parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from segkit.cluster.aliases import RULES
from segkit.cluster.fit import describe_groups, make_segments, name_groups
from segkit.cluster.kmeans import (
    SETTLE_STEPS,
    centres_of,
    iterate_means,
    nearest_centre,
    order_groups,
)
from segkit.cluster.matrix import Floats, Ints, feature_rows, require_distinct
from segkit.cluster.model import SegmentModel
from segkit.cluster.ward import cut_tree, ward_linkage

UNIT = 1 << 20
BLOCK = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Compressed:
    """Statistics of rows about m starting centres (seeds), in place of the rows themselves.

    Each row belongs to the nearest seed. An engine such as Spark computes the statistics of each
    partition and adds them up. They are whole numbers (in units of 2**-20), so that the total is
    exactly the same however the rows are divided and in whatever order the parts are added.

    Attributes
    ----------
    counts : array (m,)
        Number of rows of each seed.
    sums : array (m, d)
        Their sum in each column.
    squares : array (m,)
        Their sum of squares over all columns.

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
        """Compute the statistics of the rows of a transformed matrix."""
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
        occupied = self.counts > 0
        return np.asarray(self.sums[occupied] / self.counts[occupied, None] / UNIT)

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
        return iterate_means(means, centres, steps=steps, weights=weights)[0]

    def within_ss(self, centres: Floats) -> float:
        """Return the sum of squares about the centre nearest to each seed's mean."""
        occupied = self.counts > 0
        near = centres[nearest_centre(self.means, centres)]
        sums = self.sums[occupied] / UNIT
        within = self.squares[occupied] / UNIT - 2 * np.einsum("ij,ij->i", sums, near)
        within += self.counts[occupied] * np.einsum("ij,ij->i", near, near)
        return float(within.sum())


def move_centres(model: SegmentModel, sample: pl.DataFrame, centres: Floats) -> SegmentModel:
    """Replace the centres of a model that was fitted on a sample by those of all customers.

    The sample's customers are assigned to the nearest of the new centres; the sizes of the
    segments that they form give the order, their features the names, and their distances the reach.

    Parameters
    ----------
    model : SegmentModel
        Fitted on the sample.
    sample : polars.DataFrame
        Customers and features that the model was fitted on.
    centres : array (k, d)
        Of all customers, in the transformed matrix (`Compressed.find_centres`).

    Raises
    ------
    DataError
        If a centre has no customers of the sample.
    """
    table = feature_rows(sample, model.features)
    X = model.transform.apply(table)
    groups = nearest_centre(X, centres)
    described = describe_groups(X, groups, len(centres), model.transform)
    names = name_groups(sample, table, groups, described, RULES)
    named = (names, described)
    segments, _ = make_segments(table, X, model.transform, centres, groups, named, None)
    return replace(model, segments=segments, route="compressed")
