"""The transform of a whole customer table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, Self, get_args

import numpy as np
import polars as pl

from segkit.display import counted, label, number
from segkit.errors import DataError, ModelError, ParameterError, require_choice, require_columns
from segkit.frames import takes_frames
from segkit.result import Result, check_names, check_number
from segkit.transform.steps import (
    CENTRES,
    Column,
    Floats,
    Scale,
    exposure_of,
    fill_missing,
    fit_column,
    numbers,
    propose_column,
    shape_alone,
    shape_values,
    share_topic_weights,
    shrink_rates,
    unshape,
)

Constant = Literal["drop", "error"]


@dataclass(frozen=True, slots=True, eq=False)
class Transform(Result):
    """Steps that make the columns of a customer table comparable, and their inverse.

    Attributes
    ----------
    columns : tuple of Column
        Steps per column, in the order of the matrix's columns.
    dropped : tuple of (name, reason)
        Columns left out at fitting, as they are constant.
    rows : int or None
        Rows of the fitted data; None before fitting.

    Examples
    --------
    >>> frame = pl.DataFrame({"monetary": [0.0, 9.0, 99.0], "return_share": [0.0, 0.5, 1.0]})
    >>> fitted = Transform.of({"monetary": "log1p", "return_share": "none"}).fit(frame)
    >>> fitted.apply(frame).round(3).tolist()
    [[-1.225, -1.225], [0.0, 0.0], [1.225, 1.225]]
    >>> fitted.invert(fitted.apply(frame))["monetary"].round(6).to_list()
    [0.0, 9.0, 99.0]
    """

    columns: tuple[Column, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    rows: int | None = None

    @classmethod
    def of(
        cls, shapes: Mapping[str, str] | Iterable[str], *, scale: Scale = "standard", **steps: Any
    ) -> Self:
        """Build a transform from shapes per column; ``steps`` are further fields of every column.

        Examples
        --------
        >>> Transform.of(["age", "visits"], scale="none").names
        ('age', 'visits')
        """
        pairs = shapes if isinstance(shapes, Mapping) else dict.fromkeys(shapes, "none")
        return cls(
            tuple(Column(name, shape, scale=scale, **steps) for name, shape in pairs.items())
        )

    @classmethod
    @takes_frames
    def propose(
        cls,
        frame: pl.DataFrame,
        features: Sequence[str],
        *,
        families: bool = True,
        shrink: bool = True,
    ) -> Self:
        """Propose steps by a stated rule; each column says why.

        Two values only: as they are. Shares of one (by name, and by value within 0 and 1):
        arcsine root. Never negative and skewness above 1: log1p. Negative values and skewness
        beyond 1 either way: signed log. Anything else as it is. Heavy tails that are left then
        (excess kurtosis above 3): winsorised at .001 and .999. Missing values: the worst value for
        recency and gaps (as if the event were the longest ago), the median otherwise. Rates of
        the customer table whose exposure is a column of the frame (an open rate and the e-mails
        sent) are shrunk to the average first, and where there is no exposure they are the average.
        Standard scale.

        Parameters
        ----------
        frame : polars.DataFrame
            The customer table.
        features : sequence of str
            Its numeric columns to use.
        families : bool
            Whether columns that split one whole (``season_share_winter``, ``season_share_summer``)
            form a topic that weighs as one column.
        shrink : bool
            Whether rates are shrunk by their exposure.

        Raises
        ------
        ColumnError
            If a feature is absent or not numeric.

        Examples
        --------
        >>> table = pl.DataFrame({"monetary": [1.0, 2.0, 3.0, 4.0, 900.0]})
        >>> Transform.propose(table, ["monetary"]).columns[0].why
        'never negative, skewness 1.50 is above 1'
        """
        require_columns(frame.columns, features, "the customer table")
        exposures = {name: exposure_of(name) for name in features} if shrink else {}
        counts = {
            name: _counts(frame, column)
            for name, column in exposures.items()
            if column in frame.columns
        }
        return cls(
            tuple(
                propose_column(name, numbers(frame, name), families, counts.get(name))
                for name in features
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in the matrix's order."""
        return tuple(column.name for column in self.columns)

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns that a frame needs: the names, and the exposures of rates."""
        exposures = (column.exposure for column in self.columns if column.exposure is not None)
        return tuple(dict.fromkeys([*self.names, *exposures]))

    @takes_frames
    def fit(self, frame: pl.DataFrame, *, constant: Constant = "drop") -> Self:
        """Return a copy that has learnt its limits, centres and spreads from the frame.

        Parameters
        ----------
        frame : polars.DataFrame
        constant : {"drop", "error"}
            What to do with a column that holds one value only.

        Raises
        ------
        ColumnError
            If a column is absent or not numeric.
        DataError
            If a value is infinite, is missing where no fill is stated, does not suit the shape,
            or if no column varies.
        """
        require_choice("treatment of constant columns", constant, get_args(Constant))
        require_columns(frame.columns, self.needed, "the customer table")
        if frame.height == 0:
            raise DataError("a transform needs at least one row to be fitted; the frame has none")
        fitted = [
            fit_column(column, numbers(frame, column.name), _exposure(frame, column))
            for column in self.columns
        ]
        constant_columns = [column.name for column in fitted if column.spread == 0]
        if constant_columns and (constant == "error" or len(constant_columns) == len(fitted)):
            raise DataError(
                f"constant over all {counted(frame.height, 'row')}: {', '.join(constant_columns)}"
            )
        varying = [column for column in fitted if column.name not in constant_columns]
        reason = f"constant over all {counted(frame.height, 'row')}"
        return replace(
            self,
            columns=tuple(share_topic_weights(varying)),
            dropped=self.dropped + tuple((name, reason) for name in constant_columns),
            rows=frame.height,
        )

    @takes_frames
    def apply(self, frame: pl.DataFrame) -> Floats:
        """Return the transformed matrix (n, d); each row is independent of the others.

        A share above 1 among later customers (more returned than bought) counts as 1: the arcsine
        is at its end there.

        Raises
        ------
        ColumnError, DataError, ModelError
            As in `fit`; ModelError if the transform is not fitted.
        """
        self._require_fit()
        require_columns(frame.columns, self.needed, "the customer table")
        matrix = np.empty((frame.height, len(self.columns)))
        for place, column in enumerate(self.columns):
            values = fill_missing(column, _shrunk(frame, column), column.fill_value)
            shaped = shape_values(column, np.clip(values, column.lower, column.top))
            matrix[:, place] = (shaped - column.centre) / column.spread * column.total
        return matrix

    @takes_frames
    def find_unfit(self, frame: pl.DataFrame) -> pl.Series:
        """Return, per customer, why `apply` cannot take a row; null where it can.

        A value that a shape cannot take (negative money under a logarithm: more returned than
        bought), an infinite one, or a missing one for which no fill is stated.

        Parameters
        ----------
        frame : polars.DataFrame

        Returns
        -------
        polars.Series of str
            One reason per row, of the first column at fault.

        Raises
        ------
        ColumnError, ModelError
            If a column is absent or not numeric, or the transform is not fitted.

        Examples
        --------
        >>> fitted = Transform.of({"monetary": "log1p"}).fit(pl.DataFrame({"monetary": [1.0, 9.0]}))
        >>> fitted.find_unfit(pl.DataFrame({"monetary": [5.0, -2.0]})).to_list()
        [None, 'monetary is negative (-2), which log1p cannot take']
        """
        self._require_fit()
        require_columns(frame.columns, self.needed, "the customer table")
        reasons = pl.Series("reason", [None] * frame.height, dtype=pl.String)
        for column in self.columns:
            values = numbers(frame, column.name, infinite=True)
            bad = np.isinf(values) | (values < column.floor)
            bad |= np.isnan(values) & column.needs_value
            for row in np.flatnonzero(bad & reasons.is_null().to_numpy()).tolist():
                reasons[row] = _unfit_words(column, float(values[row]))
        return reasons

    def invert(self, matrix: Floats) -> pl.DataFrame:
        """Return rows of the transformed matrix in original units.

        Winsorised values come back as the limits. A centre (mean of transformed values) comes
        back as the location named in ``CENTRES``, a geometric mean under logs.
        """
        self._require_fit()
        columns = {}
        for place, column in enumerate(self.columns):
            shaped = matrix[:, place] / column.total * column.spread + column.centre
            columns[column.name] = unshape(column, np.ascontiguousarray(shaped))
        return pl.DataFrame(columns)

    def _require_fit(self) -> None:
        if self.rows is None:
            raise ModelError("the transform is not fitted; call .fit(frame) first")

    def to_frame(self) -> pl.DataFrame:
        """One row per column: steps, reason, missing values filled, what a centre means."""
        rows = [
            {
                "column": column.name,
                "steps": column.steps,
                "why": column.why,
                "filled": column.filled,
                "topic": column.group,
                "centre_is": CENTRES[column.shape],
            }
            for column in self.columns
        ]
        rows += [{"column": name, "steps": "dropped", "why": why} for name, why in self.dropped]
        kinds = {"column": pl.String, "steps": pl.String, "why": pl.String, "filled": pl.Int64}
        return pl.DataFrame(rows, schema={**kinds, "topic": pl.String, "centre_is": pl.String})

    @property
    def text(self) -> str:
        """Summary of the steps, of values filled and of columns dropped."""
        counts = Counter(column.shape for column in self.columns)
        shapes = ", ".join(f"{number(n)} {shape.replace('_', ' ')}" for shape, n in counts.items())
        filled = [c for c in self.columns if c.filled]
        parts = [f"{counted(len(self.columns), 'column')} transformed ({shapes})."]
        if filled:
            each = ", ".join(
                f"{label(c.name)} {number(c.filled)} as {'average' if c.exposure else c.fill}"
                for c in filled
            )
            parts.append(f"Missing values filled: {each}.")
        rates = [label(column.name) for column in self.columns if column.exposure is not None]
        if rates:
            parts.append(f"Shrunk to the average by what they rest on: {', '.join(rates)}.")
        if self.dropped:
            parts.append(
                f"Dropped: {', '.join(f'{label(name)} ({why})' for name, why in self.dropped)}."
            )
        return " ".join(parts)

    def to_data(self) -> dict[str, Any]:
        """Return plain, readable JSON data; `from_data` reads it."""
        return {
            "rows": self.rows,
            "columns": [
                asdict(column) | {"winsor": list(column.winsor) if column.winsor else None}
                for column in self.columns
            ],
            "dropped": [{"column": name, "why": why} for name, why in self.dropped],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a transform from `to_data`'s data.

        Raises
        ------
        ModelError
            If a field is missing or unknown.
        """
        try:
            columns = []
            for item in data["columns"]:
                winsor = item.get("winsor")
                # Earlier models hold the power of a shape that is gone.
                fields = {key: value for key, value in item.items() if key != "power"}
                columns.append(Column(**{**fields, "winsor": tuple(winsor) if winsor else None}))
            dropped = tuple((item["column"], item["why"]) for item in data["dropped"])
            transform = cls(tuple(columns), dropped, data["rows"])
        except (AttributeError, KeyError, TypeError, ValueError, ParameterError) as error:
            raise ModelError(f"the stored transform cannot be read: {error}") from error
        transform.check()
        return transform

    def check(self) -> None:
        """Raise ``ModelError`` if a stored transform is not a possible result of a fit.

        It needs columns of different names and, once fitted, finite numbers: a spread above zero,
        limits that rise.
        """
        check_names("columns of the transform", self.names)
        for column in self.columns:
            of = f"of {column.name} in the stored transform"
            for what in ("centre", "spread", "factor", "weight"):
                above = -np.inf if what == "centre" else 0.0
                check_number(f"the {what} {of}", getattr(column, what), above=above)
            for what in ("fill_value", "lower", "upper", "average", "average_weight"):
                if getattr(column, what) is not None:
                    check_number(f"{what} {of}", getattr(column, what))
            if column.lower is not None and column.upper is not None:
                check_number(f"the upper limit {of}", column.upper, least=column.lower)
            if self.rows is not None and column.exposure is not None:
                check_number(f"the average {of}", column.average)
                check_number(f"the weight of the average {of}", column.average_weight, least=0)
        if self.rows is not None:
            check_number("the rows of the stored transform", self.rows, least=1)


class RowTransform:
    """A fitted transform for one row at a time, in plain numbers, where speed counts.

    The steps of `Transform.apply`, in the same order on the same functions: the results have the
    same bits.

    Attributes
    ----------
    needed : tuple of str
        The values that a row holds, in order: the columns, then the exposures of rates.

    Examples
    --------
    >>> frame = pl.DataFrame({"monetary": [0.0, 9.0, 99.0], "return_share": [0.0, 0.5, 1.0]})
    >>> fitted = Transform.of({"monetary": "log1p", "return_share": "none"}).fit(frame)
    >>> RowTransform(fitted).apply([9.0, 0.5]) == fitted.apply(frame)[1].tolist()
    True
    """

    __slots__ = ("_steps", "needed")

    def __init__(self, transform: Transform) -> None:
        transform._require_fit()
        self.needed = transform.needed
        self._steps = []
        for place, column in enumerate(transform.columns):
            behind = None if column.exposure is None else self.needed.index(column.exposure)
            shape = None if column.shape == "none" else partial(shape_alone, column)
            average, average_weight = column.average or 0.0, column.average_weight or 0.0
            fill = np.nan if column.fill_value is None else column.fill_value
            self._steps.append((place, column.floor, column.needs_value, behind, average,
                                average_weight, fill, column.lower, column.top, shape,
                                column.centre, column.spread, column.total))  # fmt: skip

    def apply(self, row: Sequence[float]) -> list[float] | None:
        """Transform a row of finite values, NaN where missing.

        Returns
        -------
        list of float
            None where `Transform.find_unfit` has a reason against the row.
        """
        matrix = []
        for (place, floor, needs_value, behind, average, average_weight, fill, lower, top,
             shape, centre, spread, total) in self._steps:  # fmt: skip
            value = row[place]
            missing = value != value
            if value < floor or (missing and needs_value):
                return None
            if behind is not None:
                n = 0.0 if missing or not row[behind] > 0 else row[behind]
                weight = n / (n + average_weight) if n else 0.0
                value = weight * (value if n else average) + (1 - weight) * average
            elif missing:
                value = fill
            if lower is not None and value < lower:
                value = lower
            if top is not None and value > top:
                value = top
            if shape is not None:
                value = shape(value)
            matrix.append((value - centre) / spread * total)
        return matrix


def _counts(frame: pl.DataFrame, name: str | None) -> Floats:
    """Return a column of exposures; missing and negative ones count as none."""
    counts = numbers(frame, name or "")
    return np.where(counts > 0, counts, 0.0)


def _exposure(frame: pl.DataFrame, column: Column) -> Floats | None:
    return None if column.exposure is None else _counts(frame, column.exposure)


def _shrunk(frame: pl.DataFrame, column: Column) -> Floats:
    rates, exposure = numbers(frame, column.name), _exposure(frame, column)
    return rates if exposure is None else shrink_rates(column, rates, exposure)


def _unfit_words(column: Column, value: float) -> str:
    if np.isnan(value):
        return f"{column.name} is missing, and the model states nothing in its place"
    if np.isinf(value):
        return f"{column.name} is infinite"
    return f"{column.name} is negative ({number(value)}), which {column.shape} cannot take"
