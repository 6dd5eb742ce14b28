"""Counts and sums by segment and arm from one scan, and checks of what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted
from segkit.errors import DataError, ParameterError, require_choice, require_columns
from segkit.lift.requirements import OFFER
from segkit.stats.hypotheses import count_table
from segkit.stats.moments import Moments
from segkit.stats.two_part import Amounts

Floats = npt.NDArray[np.float64]


IN_ORDER = 30_000  # rows up to which sorting takes negligible time
FEW = 4  # groups that are set apart before they are added up
SAMPLE = 1_000  # rows used to check whether a column's mean is far from zero relative to its spread
FAR = 100.0  # standard deviations from zero
RETURNS = 0.5  # share of negative amounts (net returns) up to which the two-part method is used


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums and sums of products of outcomes, by segment and arm.

    Attributes
    ----------
    segments, arms : tuple of str
        Labels, sorted.
    columns : tuple of str
        The summed columns.
    shift : array of shape (columns,)
        Constant subtracted from each value before multiplication, against rounding errors: close to
        the mean if a column is far from zero relative to its spread, otherwise zero.
    n : array of shape (segments, arms)
        Customers.
    totals, nonzero, negative : array of shape (segments, arms, columns)
        Each column's sum, the customers with a value other than zero, and those below zero.
    deviations : array of shape (segments, arms, columns)
        Each shifted column's sum.
    products : array of shape (segments, arms, columns, columns)
        Sums of products of the shifted columns; NaN for pairs that were not requested.
    cubes : array of shape (segments, arms, columns, columns)
        Sums of a shifted column's square times another (or itself); NaN as in ``products``.
    """

    segments: tuple[str, ...]
    arms: tuple[str, ...]
    columns: tuple[str, ...]
    shift: Floats
    n: Floats
    totals: Floats
    nonzero: Floats
    negative: Floats
    deviations: Floats
    products: Floats
    cubes: Floats

    def moments(self, segment: int | None, arm: int, columns: Sequence[str]) -> Moments:
        """Return the moments of some columns in one arm, of one segment or of all (None)."""
        which = [self.columns.index(column) for column in columns]
        rows = slice(None) if segment is None else slice(segment, segment + 1)
        n = float(self.n[rows, arm].sum())
        sums = self.deviations[rows, arm][:, which].sum(axis=0)
        products = self.products[rows, arm][:, which][:, :, which].sum(axis=0)
        return Moments.of_sums(n, sums, products, self.shift[which])

    def buyers(self, segment: int | None, arm: int, column: str) -> float:
        """Return how many customers of an arm have a column that is not zero."""
        rows = slice(None) if segment is None else slice(segment, segment + 1)
        return float(self.nonzero[rows, arm, self.columns.index(column)].sum())

    def often_negative(self, arm: int, column: str, rows: Sequence[int] | None = None) -> bool:
        """Return whether more than `RETURNS` of an arm's non-zero amounts are negative."""
        place = self.columns.index(column)
        which = slice(None) if rows is None else list(rows)
        below, nonzero = (t[which, arm, place].sum() for t in (self.negative, self.nonzero))
        return bool(below > RETURNS * nonzero)

    def amounts(self, arm: int, column: str, rows: Sequence[int] | None = None) -> Amounts:
        """Return a column's amounts in one arm, an array with one entry per segment.

        Parameters
        ----------
        arm : int
        column : str
        rows : sequence of int, optional
            Places of the segments; by default all customers together (a single entry).
        """
        place = self.columns.index(column)
        c = float(self.shift[place])
        tables = (
            self.n,
            self.nonzero[..., place],
            self.deviations[..., place],
            self.products[..., place, place],
            self.cubes[..., place, place],
        )
        picked = [t[:, arm].sum(keepdims=True) if rows is None else t[rows, arm] for t in tables]
        n, buyers, *sums = picked
        zeros = n - buyers  # the sums over buyers stay unchanged
        first, square, cube = (s - zeros * (-c) ** k for k, s in enumerate(sums, start=1))
        away = first / np.maximum(buyers, 1.0)
        second = np.maximum(square - buyers * away**2, 0.0)
        third = cube - 3 * away * square + 2 * buyers * away**3
        return Amounts(n, buyers, first + buyers * c, second, third)


def sum_up(
    frame: pl.DataFrame | pl.LazyFrame,
    columns: Sequence[str],
    *,
    pairs: Sequence[tuple[str, str]] = (),
    ratios: Sequence[tuple[str, str]] = (),
    shares: Sequence[str] = (),
    segment: str | None = "segment",
) -> Sums:
    """Sum outcomes by segment and arm in one scan.

    Parameters
    ----------
    frame : DataFrame or LazyFrame
        One row per customer.
    columns : sequence of str
        Numeric or Boolean outcomes (and covariates); their squares are summed too.
    pairs : sequence of (str, str)
        Columns whose products are summed.
    ratios : sequence of (str, str)
        Numerator and denominator of each ratio; each one's square times the other is summed too.
    shares : sequence of str
        Columns of 0 and 1, for which cubes equal the values (`refuse_no_share` checks them).
    segment : str
        Group columns; without a segment all customers are one.

    Raises
    ------
    ColumnError
        If a column is missing or not numeric.
    DataError
        If there is no row, a segment or arm is missing, or an outcome is null, NaN or infinite.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["a", "b"], "segment": ["S", "S"], "x": [1.0, 2.0]})
    >>> sum_up(rows, ["x"]).totals[0, :, 0].tolist()
    [1.0, 2.0]
    """
    keys = ["arm"] if segment is None else [segment, "arm"]
    lazy = frame.lazy()
    if isinstance(frame, pl.DataFrame) and frame.height <= IN_ORDER and {*keys} <= {*frame.columns}:
        # Rows sorted by group are added in a fixed order, so that results are identical in every
        # run.
        lazy = lazy.sort(keys, maintain_order=True)
    schema = lazy.collect_schema()
    wanted = list(dict.fromkeys(columns))
    require_columns(schema.names(), [*keys, *wanted], "the outcomes")
    for name in wanted:
        if not (schema[name].is_numeric() or schema[name] == pl.Boolean):
            raise DataError(f"outcome {name!r} must be numeric or Boolean, is {schema[name]}")
    both = list(dict.fromkeys((a, b) for a, b in [*pairs, *ratios] if a != b))
    shift = _shifts(lazy.select(wanted).head(SAMPLE).collect())
    sums = _sums(schema, wanted, both, ratios, shift, shares)
    parts: list[pl.DataFrame] = []
    if isinstance(frame, pl.DataFrame) and frame.height > IN_ORDER:
        parts = _split(frame.select(list(dict.fromkeys([*keys, *wanted]))), keys)
    if parts:
        labels = [pl.col(key).first() for key in keys]
        grouped = pl.concat(part.select(*labels, *sums) for part in parts)
    else:
        grouped = lazy.group_by(keys, maintain_order=True).agg(sums).collect()
    return _arrange(grouped, wanted, both, shift, segment)


def _split(frame: pl.DataFrame, keys: list[str]) -> list[pl.DataFrame]:
    """Set the rows of a few groups apart, so that each is added up without looking its rows up.

    Empty where there are more than `FEW`: then the engine's own grouping is faster.
    """
    parts: list[pl.DataFrame] = []
    while frame.height and len(parts) < FEW:
        same = pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).first()) for key in keys)
        mask = frame.select(same).to_series()
        parts.append(frame.filter(mask))
        frame = frame.filter(~mask)
    return [] if frame.height else parts


def _shifts(sample: pl.DataFrame) -> dict[str, float]:
    """Choose the constant to subtract from each column before squaring."""
    shifts = {}
    for name in sample.columns:
        values = sample[name].cast(pl.Float64).drop_nulls().to_numpy()
        values = values[np.isfinite(values)]
        mean = float(values.mean()) if values.size else 0.0
        far = abs(mean) > FAR * max(1.0, float(values.std() if values.size else 0.0))
        shifts[name] = mean if far else 0.0
    return shifts


def _sums(
    schema: pl.Schema,
    columns: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    ratios: Sequence[tuple[str, str]],
    shift: Mapping[str, float],
    shares: Sequence[str],
) -> list[pl.Expr]:
    def away(name: str) -> pl.Expr:
        real = pl.col(name).cast(pl.Float64)
        return real - shift[name] if shift[name] else real

    sums = {"n": pl.len()}
    for name in columns:
        column, real = pl.col(name), away(name)
        sums[f"count {name}"] = column.count()
        if schema[name] == pl.Boolean:
            sums[f"sum {name}"] = column.sum().cast(pl.Float64)
            continue
        sums[f"sum {name}"] = real.sum()
        sums[f"square {name}"] = (real * real).sum()
        sums[f"some {name}"] = (column != 0).sum().cast(pl.Float64)
        if name not in shares:
            sums[f"cube {name} {name}"] = (real * real * real).sum()
            sums[f"below {name}"] = (column < 0).sum().cast(pl.Float64)
    for a, b in pairs:
        product = away(a) * away(b)
        sums[f"product {a} {b}"] = product.sum()
        if (a, b) in ratios:
            sums[f"cube {a} {b}"] = (product * away(a)).sum()
            sums[f"cube {b} {a}"] = (product * away(b)).sum()
    return [expression.alias(name) for name, expression in sums.items()]


def _arrange(
    grouped: pl.DataFrame,
    columns: list[str],
    pairs: list[tuple[str, str]],
    shift: Mapping[str, float],
    segment: str | None,
) -> Sums:
    if grouped.is_empty():
        raise DataError("there is no customer to measure")
    names, rows = ["all"], np.zeros(grouped.height, dtype=np.int64)
    if segment is not None:
        names, rows = _labels(grouped, segment, "segment")
    arms, places = _labels(grouped, "arm", "arm")
    shape = (len(names), len(arms))

    def spread(name: str, instead: Floats | None = None) -> Floats:
        """Return a sum by segment and arm; a column of 0 and 1 has others for it."""
        if name not in grouped.columns and instead is not None:
            return instead
        table = np.zeros(shape)
        table[rows, places] = grouped[name].cast(pl.Float64).to_numpy()
        return table

    n = spread("n")
    deviations, some, below = (np.zeros((*shape, len(columns))) for _ in range(3))
    products = np.full((*shape, len(columns), len(columns)), np.nan)
    cubes = products.copy()
    for i, name in enumerate(columns):
        total = deviations[..., i] = spread(f"sum {name}")
        products[..., i, i] = spread(f"square {name}", total)
        cubes[..., i, i] = spread(f"cube {name} {name}", total)
        some[..., i] = spread(f"some {name}", total)
        below[..., i] = spread(f"below {name}", np.zeros(shape))
        _check(name, n, spread(f"count {name}"), total)
    for a, b in pairs:
        i, j = columns.index(a), columns.index(b)
        products[..., i, j] = products[..., j, i] = spread(f"product {a} {b}")
        cubes[..., i, j] = spread(f"cube {a} {b}", cubes[..., i, j])
        cubes[..., j, i] = spread(f"cube {b} {a}", cubes[..., j, i])
    taken = np.array([shift[column] for column in columns])
    return Sums(
        segments=tuple(names),
        arms=tuple(arms),
        columns=tuple(columns),
        shift=taken,
        n=n,
        totals=deviations + n[..., None] * taken,
        nonzero=some,
        negative=below,
        deviations=deviations,
        products=products,
        cubes=cubes,
    )


def _labels(
    grouped: pl.DataFrame, column: str, what: str
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return a column's labels, sorted, and the place of each row's label."""
    missing = grouped.filter(pl.col(column).is_null())["n"].sum()
    if missing:
        raise DataError(
            f"{counted(missing, 'customer has', 'customers have')} no {what}; leave them out, "
            "or fill it in"
        )
    labels, places = np.unique(grouped[column].cast(pl.String).to_numpy(), return_inverse=True)
    return [str(label) for label in labels], places


def _check(name: str, n: Floats, present: Floats, total: Floats) -> None:
    missing = int((n - present).sum())
    if missing:
        raise DataError(
            f"outcome {name!r} is missing for {counted(missing, 'customer')}; a customer who did "
            "nothing has zero; leave out customers who were not observed"
        )
    if not np.isfinite(total).all():
        raise DataError(f"outcome {name!r} holds values that are infinite or not a number")


def refuse_no_share(sums: Sums, columns: Sequence[str]) -> None:
    """Raise an error if the column of a share is not 0 or 1 for every customer.

    A column is 0 or 1 if its sum, its sum of squares and its count of non-zero values agree in
    every cell: then ``(x - 1)**2`` sums to zero over the non-zero values. No further scan is
    needed.

    Raises
    ------
    DataError
        The error names the column.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["a", "b"], "converted": [3, 0]})
    >>> refuse_no_share(sum_up(rows, ["converted"], segment=None), ["converted"])
    Traceback (most recent call last):
    ...
    segkit.errors.DataError: a share counts customers, so 'converted' must be 0 or 1 (or ...
    """
    for name in columns:
        place = sums.columns.index(name)
        total, some = sums.totals[..., place].sum(), sums.nonzero[..., place]
        squares = sums.products[..., place, place]
        if (squares != some).any() or (sums.totals[..., place] != some).any():
            raise DataError(
                f"a share counts customers, so {name!r} must be 0 or 1 (or Boolean) for each of "
                f"them; got a sum of {total:g} over {some.sum():,.0f} customers other than zero. "
                f"Measure amounts and counts by a mean, as Kpi(name, label, 'mean', {name!r}), "
                f"or count customers with {name} > 0"
            )


def check_arms(sums: Sums, control: str, arms: Any, segmented: bool) -> list[int]:
    """Return the indices of the arms to be compared with the control.

    Raises
    ------
    ParameterError
        If the control, or an arm asked for, is not among the labels.
    DataError
        If there is only one arm, or each segment has an arm of its own.
    """
    for name in [control, *(arms or ())]:
        require_choice("arm", str(name), sums.arms)
    if len(sums.arms) < 2:
        raise DataError(
            f"there is one arm only ({sums.arms[0]!r}), so nothing to compare with: {OFFER}"
        )
    alone = ((sums.n > 0).sum(axis=1) == 1).all()
    if segmented and len(sums.segments) > 1 and alone:
        raise DataError(
            f"each segment has one arm only, so that segment and arm cannot be told apart: {OFFER}"
        )
    chosen = list(arms) if arms else [name for name in sums.arms if name != control]
    if control in chosen:
        raise ParameterError(f"the control {control!r} cannot be compared with itself")
    return [sums.arms.index(name) for name in chosen]


def shares_differ(sums: Sums, arms: tuple[int, int]) -> bool:
    """Return whether two arms' split differs between segments (chi-square, p < 0.001)."""
    return bool(np.nan_to_num(count_table(sums.n[:, list(arms)]).p_value, nan=1.0) < 0.001)
