"""Gower's distance on mixed columns, and k-medoids on any distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.cluster.latent import read_answers
from segkit.cluster.matrix import Floats, Ints
from segkit.cluster.validity import silhouettes_from
from segkit.display import counted
from segkit.errors import ColumnError, DataError, ModelError, ParameterError, require_columns
from segkit.result import check_names, check_number, check_numbers, read_fields, write_fields
from segkit.transform import Transform
from segkit.transform.steps import numbers

Flags = NDArray[np.bool_]
MISSING, UNSEEN = -1, -2
MOST_SWAPS = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Customers' values as arrays, one array per kind of column.

    Attributes
    ----------
    numbers : array (n, p)
        Numeric and ordinal columns; NaN where missing.
    codes : array (n, q)
        Categorical columns: index among the levels of the fit; -1 missing, -2 not seen at the fit.
    marks : array (n, r)
        Asymmetric yes/no columns: 1, 0 or NaN.
    unseen : array (n,)
        Number of categorical and ordinal values of each row that did not occur at the fit.
    """

    numbers: Floats
    codes: Ints
    marks: Floats
    unseen: Ints

    def rows(self, at: Any) -> Encoded:
        """Return some of the rows."""
        return Encoded(self.numbers[at], self.codes[at], self.marks[at], self.unseen[at])


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Encoding of the columns of each kind; learnt once, kept in the model.

    Attributes
    ----------
    transform : Transform or None
        Transform of the numeric columns (logarithms and the like) before they are compared.
    stand_in : dict of str to float
        Value inserted for a missing number so that the transform runs; removed afterwards.
    ordinal, categorical : dict of str to tuple of str
        Column to its levels: in rank order, and sorted.
    asymmetric : tuple of str
        Yes/no columns in which a shared "no" carries no information.
    origin, unit : tuple of float
        Of each numeric and ordinal column: subtracted, then divided by.
    """

    transform: Transform | None
    stand_in: dict[str, float]
    ordinal: dict[str, tuple[str, ...]]
    categorical: dict[str, tuple[str, ...]]
    asymmetric: tuple[str, ...]
    origin: tuple[float, ...]
    unit: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that columns are named once and their scaling is complete.

        Raises
        ------
        ModelError
            If a column comes twice, a number is not finite, or an origin, a unit or a stand-in is
            missing for one.
        """
        check_names("columns", self.features)
        width = len(self.number_names)
        check_numbers("the origins of the numbers", self.origin, width)
        check_numbers("the units of the numbers", self.unit, width, above=0)
        if set(self.stand_in) != set(self.numeric):
            raise ModelError(
                f"expected a stand-in for each of {', '.join(self.numeric) or 'no column'}; got "
                f"{', '.join(map(str, self.stand_in)) or 'none'}"
            )
        for name, value in self.stand_in.items():
            check_number(f"the stand-in of {name}", value)

    @property
    def numeric(self) -> tuple[str, ...]:
        """The numeric columns."""
        return self.transform.names if self.transform else ()

    @property
    def number_names(self) -> tuple[str, ...]:
        """The columns of `Encoded.numbers`."""
        return (*self.numeric, *self.ordinal)

    @property
    def features(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.numeric, *self.ordinal, *self.categorical, *self.asymmetric)

    def encode(self, frame: pl.DataFrame) -> Encoded:
        """Encode a frame's rows; each row's result is independent of the others.

        A category not seen at the fit differs from every one that was; an ordinal level not
        seen has no place in the order and counts as missing. Both are counted in ``unseen``.

        Raises
        ------
        ColumnError
            If a column is absent or of the wrong type.
        DataError
            If a number is infinite, or a mark is neither yes nor no.
        """
        require_columns(frame.columns, self.features, "the customer table")
        unseen = np.zeros(frame.height, dtype=np.int64)
        raw = self._numbers(frame)
        for name, levels in self.ordinal.items():
            places = _codes(frame, name, levels)
            unseen += places == UNSEEN
            raw.append(np.where(places >= 0, places.astype(np.float64), np.nan))
        codes = [_codes(frame, name, levels) for name, levels in self.categorical.items()]
        for column in codes:
            unseen += column == UNSEEN
        scaled = [
            (column - origin) / unit
            for column, origin, unit in zip(raw, self.origin, self.unit, strict=True)
        ]
        nothing = np.empty((frame.height, 0))
        return Encoded(
            np.column_stack([nothing, *scaled]),
            np.column_stack([nothing.astype(np.int64), *codes]),
            read_answers(frame, self.asymmetric) if self.asymmetric else nothing,
            unseen,
        )

    def find_unfit(self, frame: pl.DataFrame) -> pl.Series:
        """Say for each row which number the transform cannot take; null where there is none.

        A missing number is no reason: it stays missing.
        """
        if self.transform is None:
            return pl.Series("reason", [None] * frame.height, dtype=pl.String)
        require_columns(frame.columns, self.features, "the customer table")
        columns = {name: numbers(frame, name, infinite=True) for name in self.numeric}
        return self.transform.find_unfit(self._filled(frame, columns))

    def _filled(self, frame: pl.DataFrame, columns: Mapping[str, Floats]) -> pl.DataFrame:
        needed = self.transform.needed if self.transform else ()
        filled = {n: np.where(np.isnan(v), self.stand_in[n], v) for n, v in columns.items()}
        return pl.DataFrame({name: frame[name] for name in needed if name not in filled} | filled)

    def _numbers(self, frame: pl.DataFrame) -> list[Floats]:
        if self.transform is None:
            return []
        columns = {name: numbers(frame, name) for name in self.numeric}
        matrix = self.transform.apply(self._filled(frame, columns))
        return [
            np.where(np.isnan(values), np.nan, matrix[:, j])
            for j, values in enumerate(columns.values())
        ]

    def blocks(self, encoded: Encoded) -> list[tuple[tuple[str, ...], Floats]]:
        """Return the numbers, the categories and the marks, each as column names and a matrix.

        In the matrices NaN stands for a missing value, and for a category not seen at the fit.
        """
        codes = np.where(encoded.codes < 0, np.nan, encoded.codes)
        return [
            (self.number_names, encoded.numbers),
            (tuple(self.categorical), codes),
            (self.asymmetric, encoded.marks),
        ]

    def to_data(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return write_fields(self, {})

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_data`'s data."""
        stored = data["transform"]
        return read_fields(cls, data, {}, transform=stored and Transform.from_data(stored))


def learn_space(
    table: pl.DataFrame,
    *,
    numeric: Sequence[str],
    ordinal: Mapping[str, Sequence[Any]],
    categorical: Sequence[str],
    asymmetric: Sequence[str],
    transform: Transform | None,
) -> Space:
    """Learn levels and ranges from a table of customers.

    Parameters
    ----------
    table : polars.DataFrame
    numeric, categorical, asymmetric : sequence of str
    ordinal : mapping of str to sequence
        Column to its levels from lowest to highest.
    transform : Transform, optional
        For the numeric columns; proposed by default (winsorised, logs where skewed).

    Raises
    ------
    DataError
        If a column holds one value only, or an ordinal column a level that is not listed.
    """
    shaped = None
    if numeric:
        shaped = transform or Transform.propose(table, numeric, families=False, shrink=False)
        if set(shaped.names) != set(numeric):
            raise ParameterError(
                f"the transform's columns ({', '.join(shaped.names)}) are not the numeric ones "
                f"({', '.join(numeric)})"
            )
        shaped = shaped if shaped.rows is not None else _fit_known(shaped, table)
    levels = {name: tuple(str(level) for level in order) for name, order in ordinal.items()}
    for name, order in levels.items():
        odd = set(_texts(table, name).drop_nulls().to_list()) - set(order)
        if odd:
            raise DataError(
                f"{name} holds levels that its order does not list: "
                f"{', '.join(sorted(odd))}; listed: {', '.join(order)}"
            )
    texts = {name: tuple(sorted(_texts(table, name).drop_nulls().unique())) for name in categorical}
    stand_in = {
        name: float(np.nanmedian(numbers(table, name))) for name in (shaped.names if shaped else ())
    }
    width = len(stand_in) + len(levels)
    nothing, ones = (0.0,) * width, (1.0,) * width
    space = Space(shaped, stand_in, levels, texts, tuple(asymmetric), nothing, ones)
    _require_variety(space, space.encode(table))
    return rescale(space, table, "range")


def rescale(space: Space, table: pl.DataFrame, scale: str) -> Space:
    """Return a copy of the space whose scales of numbers and ranks are those of a table.

    Parameters
    ----------
    space : Space
    table : polars.DataFrame
        Customers that origins and units are computed from.
    scale : {"range", "deviation"}
        "range" subtracts the lowest value and divides by the range (Gower's distance); "deviation"
        subtracts the mean and divides by the standard deviation (k-prototypes).
    """
    width = len(space.unit)
    plain = replace(space, origin=(0.0,) * width, unit=(1.0,) * width)
    ordered = np.sort(plain.encode(table).numbers, axis=0)  # sums do not depend on the rows' order
    if scale == "range":
        origin = np.nanmin(ordered, axis=0)
        unit = np.nanmax(ordered, axis=0) - origin
    else:
        origin, unit = np.nanmean(ordered, axis=0), np.nanstd(ordered, axis=0)
    return replace(space, origin=tuple(origin.tolist()), unit=tuple(unit.tolist()))


def _fit_known(transform: Transform, table: pl.DataFrame) -> Transform:
    """Fit a transform whose columns have gaps (filled by the median); constants are an error."""
    gaps = [name for name in transform.names if np.isnan(numbers(table, name)).all()]
    if gaps:
        raise DataError(f"no customer has a value of {', '.join(gaps)}")
    columns = {name: numbers(table, name) for name in transform.names}
    filled = {n: np.where(np.isnan(v), np.nanmedian(v), v) for n, v in columns.items()}
    exposures = {name: table[name] for name in transform.needed if name not in filled}
    return transform.fit(pl.DataFrame(exposures | filled), constant="error")


def _require_variety(space: Space, encoded: Encoded) -> None:
    blocks = space.blocks(encoded)
    flat = [
        name
        for names, columns in blocks
        for name, column in zip(names, columns.T, strict=True)
        if len(np.unique(column[~np.isnan(column)])) < 2
    ]
    if flat:
        raise DataError(
            f"constant over all {counted(len(encoded.unseen), 'customer')}: {', '.join(flat)}; "
            "leave out columns that do not vary"
        )
    whole = np.column_stack([block for _, block in blocks])
    empty = int(np.isnan(whole).all(axis=1).sum())
    if empty:
        raise DataError(
            f"{counted(empty, 'customer has', 'customers have')} no value in any column; leave "
            "them out"
        )


def _texts(frame: pl.DataFrame, name: str) -> pl.Series:
    series = frame.get_column(name)
    if series.dtype.is_float() or series.dtype.is_nested():
        raise ColumnError(
            f"{name} must hold categories (text, whole numbers); it is {series.dtype}"
        )
    return series.cast(pl.String)


def _codes(frame: pl.DataFrame, name: str, levels: Sequence[str]) -> Ints:
    places: dict[str | None, int] = {level: place for place, level in enumerate(levels)}
    codes = _texts(frame, name).replace_strict(
        {**places, None: MISSING}, default=UNSEEN, return_dtype=pl.Int64
    )
    return np.array(codes.to_numpy(), dtype=np.int64)


def gower(first: Encoded, second: Encoded, *, expected: bool = False) -> Floats:
    """Return Gower's distance of each customer of the first set to each of the second, 0 to 1.

    The mean over the columns known for both customers of: for numbers and ranks, the difference
    over the range at the fit (at most 1); for categories, 0 if equal and else 1; for asymmetric
    marks, 0 if both are yes, 1 if one is, and ignored if both are no: Gower (1971), "A general
    coefficient of similarity and some of its properties", Biometrics 27; ranks as in Kaufman and
    Rousseeuw (1990), section 2.6. A pair with no column in common has distance 1, one with only
    noes 0. Computed elementwise, so a pair's value does not depend on the other rows.

    A column that is missing for one of two customers, or for both, is left out of their distance.
    A customer with many missing values can then seem near to everybody, and would be chosen as a
    medoid. When medoids are searched, ``expected=True`` avoids this: such a column counts with its
    mean difference over the pairs in which both values are known.

    Parameters
    ----------
    first, second : Encoded
        Of n and m rows, by a `Space` scaled by ranges.
    expected : bool
        Whether a column with a missing value counts with its mean difference over the pairs of
        these two sets; if not, it is left out.

    Returns
    -------
    array (n, m)
    """
    shape = (len(first.unseen), len(second.unseen))
    total, used = np.zeros(shape), np.zeros(shape)
    silent = np.zeros(shape, dtype=bool)

    def add(value: Floats, informative: Flags, present: Flags) -> None:
        nonlocal total, used
        compared = present & informative
        total += np.where(compared, value, 0.0)
        used += compared
        if expected and present.any() and not present.all():
            total += np.where(present, 0.0, value[compared].sum() / present.sum())
            used += np.where(present, 0.0, compared.sum() / present.sum())

    always = np.ones(shape, dtype=bool)
    for a, b in zip(first.numbers.T, second.numbers.T, strict=True):
        gap = np.minimum(np.abs(a[:, None] - b), 1.0)
        add(gap, always, ~np.isnan(gap))
    for c, d in zip(first.codes.T, second.codes.T, strict=True):
        present = (c != MISSING)[:, None] & (d != MISSING)
        add((c[:, None] != d).astype(np.float64), always, present)
    for a, b in zip(first.marks.T, second.marks.T, strict=True):
        yeses = a[:, None] + b
        add((yeses == 1).astype(np.float64), yeses >= 1, ~np.isnan(yeses))
        silent |= yeses == 0
    least = used > 1e-12
    return np.where(least, total / np.where(least, used, 1.0), np.where(silent, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Medoids:
    """Medoids and the group of each row.

    Attributes
    ----------
    rows : array (k,)
        Rows that are the medoids of their groups.
    groups : array (n,)
        Index of each row's nearest medoid.
    build_cost, cost : float
        Mean distance to the nearest medoid after the BUILD step and at the end.
    """

    rows: Ints
    groups: Ints
    build_cost: float
    cost: float


def pam(distances: Floats, k: int) -> Medoids:
    """Find k rows with the least mean distance of all rows to the nearest: PAM, exactly.

    Kaufman and Rousseeuw (1990), "Finding Groups in Data", chapter 2: BUILD adds the medoid that
    helps most, SWAP makes the best of all exchanges until none helps. The gain of every exchange
    is summed as in Schubert and Rousseeuw (2021), "Fast and eager k-medoids clustering": one pass
    over the matrix for all k medoids together, so a swap costs n² and not k n². No random number;
    ties go to the earlier row.

    Parameters
    ----------
    distances : array (n, n)
        Symmetric, zero on the diagonal.
    k : int

    Raises
    ------
    ParameterError
        If k is not between 1 and n.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0, 9.0, 10.0])
    >>> medoids = pam(np.abs(x[:, None] - x), 2)
    >>> medoids.rows.tolist(), medoids.groups.tolist()
    ([1, 3], [0, 0, 0, 1, 1])
    """
    n = len(distances)
    if not 1 <= k <= n:
        raise ParameterError(f"k must lie between 1 and the {counted(n, 'row')}; got {k}")
    rows = _build(distances, k)
    build = float(distances[:, rows].min(axis=1).mean())
    for _ in range(MOST_SWAPS):
        gain, out, new = _best_swap(distances, rows)
        if gain <= 1e-12 * max(build, 1e-300) * n:
            break
        rows[out] = new
    rows = np.sort(rows)
    nearest = distances[:, rows]
    return Medoids(rows, nearest.argmin(axis=1), build, float(nearest.min(axis=1).mean()))


def _build(distances: Floats, k: int) -> Ints:
    chosen = [int(distances.sum(axis=0).argmin())]
    nearest = distances[:, chosen[0]].copy()
    for _ in range(k - 1):
        gains = np.maximum(nearest[:, None] - distances, 0.0).sum(axis=0)
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        nearest = np.minimum(nearest, distances[:, chosen[-1]])
    return np.array(chosen, dtype=np.int64)


def _best_swap(distances: Floats, rows: Ints) -> tuple[float, int, int]:
    """Return the largest fall of the total distance, and which medoid goes for which row."""
    to = distances[:, rows]
    order = np.argsort(to, axis=1, kind="stable")
    index = np.arange(len(to))
    own, first = order[:, 0], to[index, order[:, 0]]
    second = to[index, order[:, 1]] if len(rows) > 1 else np.full(len(to), np.inf)
    gained = np.maximum(first[:, None] - distances, 0.0)
    # A row that loses its medoid goes to its second nearest or the new medoid, whichever is nearer.
    lost = np.minimum(distances, second[:, None]) - first[:, None] + gained
    per = np.zeros((len(rows), len(to)))
    for medoid in range(len(rows)):
        per[medoid] = lost[own == medoid].sum(axis=0)
    falls = gained.sum(axis=0) - per
    falls[:, rows] = -np.inf
    out, new = np.unravel_index(int(falls.argmax()), falls.shape)
    return float(falls[out, new]), int(out), int(new)


def mean_silhouette(distances: Floats, groups: Ints) -> float:
    """Return the mean silhouette by any distance; NaN for one group.

    Rousseeuw (1987), s(i); zero for the only row of a group.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 9.0, 10.0])
    >>> round(mean_silhouette(np.abs(x[:, None] - x), np.array([0, 0, 1, 1])), 3)
    0.889
    """
    k = int(groups.max()) + 1
    if k < 2:
        return float("nan")
    counts = np.bincount(groups, minlength=k).astype(np.float64)
    sums = np.stack([distances[:, groups == g].sum(axis=1) for g in range(k)], axis=1)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.inf), where=counts > 0)
    return float(silhouettes_from(means, groups, counts).mean())
