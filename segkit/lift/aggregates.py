"""Outcomes as counts and sums per arm and segment: what a database hands out of many customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from segkit.display import counted
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.lift.effects import Kpi, choose_metrics
from segkit.lift.requirements import finite_values, read_test
from segkit.lift.sums import Sums, refuse_no_share, sum_up

CUSTOMERS = "customers"
# What the interval of a mean takes beside the sum: who has any, squares and cubes of the amounts.
PARTS = ("nonzero", "squares", "cubes")
BELOW = "negative"  # customers with an amount below zero; none where the column is absent


@dataclass(frozen=True, slots=True, eq=False)
class Aggregates:
    """Counts and sums of a randomised test, which `measure_lift` takes in place of customers.

    Attributes
    ----------
    table : polars.DataFrame
        One row per segment and arm: segment (where there are segments), arm, customers, and for
        each outcome its sum; for an amount also ``<outcome>_nonzero`` (customers with an amount),
        ``_squares``, ``_cubes`` (sums of powers), ``_negative``.
    """

    table: pl.DataFrame

    @property
    def frame(self) -> pl.DataFrame:
        """The table."""
        return self.table

    @property
    def columns(self) -> list[str]:
        """The outcomes, and the columns that group them."""
        ends = tuple(f"_{part}" for part in (*PARTS, BELOW))
        return [name for name in self.table.columns if not name.endswith(ends)]

    def choose(self, metrics: Sequence[str | Kpi] | None = None) -> tuple[Kpi, ...]:
        """Choose the figures that the sums allow: shares, and means with their sums of powers.

        Raises
        ------
        DataError
            If a wanted figure is a ratio, or a mean without its sums of powers.
        """
        if metrics is None:
            possible = choose_metrics(self.columns)
            return tuple(m for m in possible if m.kind == "share" or not self._missing(m))
        chosen = choose_metrics(self.columns, metrics)
        for metric in chosen:
            missing = [] if metric.kind == "share" else self._missing(metric)
            if missing:
                raise DataError(
                    f"the aggregates lack {', '.join(missing)}, which the interval of "
                    f"{metric.label} needs; aggregate_outcomes writes them"
                )
        return chosen

    def _missing(self, metric: Kpi) -> list[str]:
        if metric.kind == "ratio":
            return [f"products of {metric.column} and {metric.below}"]
        wanted = [f"{metric.column}_{part}" for part in PARTS]
        return [name for name in wanted if name not in self.table.columns]

    def sums_of(
        self, metrics: Sequence[Kpi], covariates: Sequence[str] = (), *, segmented: bool = True
    ) -> Sums:
        """Return the counts and sums in the form that `sum_up` gives for customers.

        Raises
        ------
        ParameterError
            If covariates are asked for: aggregates hold no products.
        DataError
            If a share's cases are not whole numbers among its customers.
        """
        if covariates:
            raise ParameterError(
                f"covariates ({', '.join(covariates)}) need one row per customer, got aggregates"
            )
        keys = ["segment", "arm"] if segmented and "segment" in self.table.columns else ["arm"]
        table = self.table.with_columns(pl.col(keys).cast(pl.String))
        if keys == ["arm"]:
            table = table.group_by("arm").agg(pl.selectors.numeric().sum())
        segments = table["segment"].unique().sort().to_list() if "segment" in keys else ["all"]
        arms = table["arm"].unique().sort().to_list()
        rows = [segments.index(s) for s in table["segment"]] if "segment" in keys else 0
        places = [arms.index(arm) for arm in table["arm"]]
        columns = list(dict.fromkeys(metric.column for metric in metrics))
        shares = [metric.column for metric in metrics if metric.kind == "share"]
        shape = (len(segments), len(arms))

        def spread(name: str) -> np.ndarray:
            values = np.zeros(shape)
            values[rows, places] = finite_values(table, name)
            return values

        totals, nonzero, negative = (np.zeros((*shape, len(columns))) for _ in range(3))
        products = np.full((*shape, len(columns), len(columns)), np.nan)
        cubes = products.copy()
        for k, name in enumerate(columns):
            share = name in shares
            totals[..., k] = spread(name)
            names = [name] * 3 if share else [f"{name}_{part}" for part in PARTS]
            nonzero[..., k], products[..., k, k], cubes[..., k, k] = map(spread, names)
            if not share and f"{name}_{BELOW}" in table.columns:
                negative[..., k] = spread(f"{name}_{BELOW}")
        sums = Sums(
            segments=tuple(segments),
            arms=tuple(arms),
            columns=tuple(columns),
            shift=np.zeros(len(columns)),
            n=spread(CUSTOMERS),
            totals=totals,
            nonzero=nonzero,
            negative=negative,
            deviations=totals,
            products=products,
            cubes=cubes,
        )
        _check(sums, shares)
        return sums


def _check(sums: Sums, shares: Sequence[str]) -> None:
    for k, name in enumerate(sums.columns):
        most = sums.nonzero[..., k] if name not in shares else sums.totals[..., k]
        wrong = (most > sums.n) | (most < 0) | (most != np.rint(most))
        if wrong.any():
            row, place = np.argwhere(wrong)[0]
            raise DataError(
                f"expected a whole number of customers with {name}, at most "
                f"{sums.n[row, place]:g} in arm {sums.arms[place]!r}, got {most[row, place]:g}"
            )


@takes_frames
def read_aggregates(table: pl.DataFrame) -> Aggregates:
    """Read counts and sums per arm, or per segment and arm, in place of a row per customer.

    A share needs its cases (``converted``); a mean its sum (``revenue``), the customers with any
    (``revenue_nonzero``) and sums of squares and cubes (``revenue_squares``, ``revenue_cubes``),
    and ``revenue_negative`` where some amounts are below zero. `aggregate_outcomes` writes them.

    Parameters
    ----------
    table : DataFrame
        arm, customers, segment where there are segments, the outcomes.

    Returns
    -------
    Aggregates

    Raises
    ------
    ColumnError, DataError
        If a column is missing, a segment and arm come twice, a count is missing or not a whole
        number, or customers were not assigned at random.

    Examples
    --------
    >>> from segkit.lift import measure_lift
    >>> counts = pl.DataFrame({"arm": ["mail", "holdout"], "customers": [100, 100],
    ...     "converted": [30, 15]})
    >>> measure_lift(read_aggregates(counts), control="holdout").row()["difference"]
    0.15
    """
    read_test(table)
    require_columns(table.columns, ["arm", CUSTOMERS], "the aggregates")
    keys = ["segment", "arm"] if "segment" in table.columns else ["arm"]
    missing = table.select(pl.col(keys).null_count()).row(0)
    if any(missing):
        raise DataError(
            f"the aggregates have {counted(sum(missing), 'row')} without {' or '.join(keys)}"
        )
    if table.select(pl.struct(keys).is_duplicated().any()).item():
        raise DataError(f"{' and '.join(keys)} come twice in the aggregates; add those rows up")
    size = finite_values(table, CUSTOMERS)
    if (size != np.rint(size)).any() or (size < 0).any():
        raise DataError("customers must be a whole number, at least 0, in each row")
    return Aggregates(table)


@takes_frames
def aggregate_outcomes(outcomes: Any, metrics: Sequence[str | Kpi] | None = None) -> Aggregates:
    """Sum the outcomes of customers by segment and arm, as `read_aggregates` takes them.

    Parameters
    ----------
    outcomes : Outcomes, DataFrame or LazyFrame
        As for `measure_lift`.
    metrics : sequence of str or Kpi, optional
        By default every share and mean that can be computed from the columns.

    Returns
    -------
    Aggregates

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["a", "a", "b"], "revenue": [5.0, 0.0, 2.0]})
    >>> aggregate_outcomes(rows, ["revenue"]).table["revenue_squares"].to_list()
    [25.0, 4.0]
    """
    frame = read_test(outcomes)
    names = frame.lazy().collect_schema().names()
    chosen = [m for m in choose_metrics(names, metrics) if metrics is not None or not m.below]
    if ratios := [metric.label for metric in chosen if metric.below]:
        raise DataError(f"aggregates hold no ratio, got {', '.join(ratios)}")
    by = "segment" if "segment" in names else None
    shares = [metric.column for metric in chosen if metric.kind == "share"]
    columns = list(dict.fromkeys(metric.column for metric in chosen))
    sums = sum_up(frame, columns, shares=shares, segment=by)
    refuse_no_share(sums, shares)
    if sums.shift.any():
        far = ", ".join(c for c, s in zip(columns, sums.shift, strict=True) if s)
        raise DataError(
            f"{far}: values too far from zero for exact sums of powers; give one row per customer"
        )
    rows, places = np.nonzero(sums.n > 0)
    table: dict[str, Any] = {} if by is None else {"segment": [sums.segments[r] for r in rows]}
    table |= {"arm": [sums.arms[p] for p in places], CUSTOMERS: sums.n[rows, places]}
    for k, name in enumerate(columns):
        table[name] = sums.totals[rows, places, k]
        if name in shares:
            continue
        table[f"{name}_nonzero"] = sums.nonzero[rows, places, k]
        table[f"{name}_squares"] = sums.products[rows, places, k, k]
        table[f"{name}_cubes"] = sums.cubes[rows, places, k, k]
        table[f"{name}_negative"] = sums.negative[rows, places, k]
    return Aggregates(pl.DataFrame(table).with_columns(pl.col(CUSTOMERS).cast(pl.Int64)))


def sum_test(
    outcomes: Any,
    metrics: Sequence[str | Kpi] | None,
    *,
    covariates: Sequence[str] = (),
    segment: str | None = "segment",
) -> tuple[tuple[Kpi, ...], Sums, bool]:
    """Choose the figures of a test and sum them up, from customers or from aggregates.

    Returns
    -------
    tuple of (tuple of Kpi, Sums, bool)
        The figures, their sums by segment and arm, and whether there are segments.
    """
    frame = read_test(outcomes)
    if isinstance(outcomes, Aggregates):
        segmented = segment in outcomes.columns or segment not in ("segment", None)
        chosen = outcomes.choose(metrics)
        return chosen, outcomes.sums_of(chosen, covariates, segmented=segmented), segmented
    names = frame.lazy().collect_schema().names()
    chosen = choose_metrics(names, metrics)
    by = segment if segment in names or segment != "segment" else None
    shares = [metric.column for metric in chosen if metric.kind == "share"]
    mail = [name for name in ("emails_sent",) if name in names and any(m.mailed for m in chosen)]
    tops = [metric.column for metric in chosen if not metric.below]
    pairs = [(top, x) for top in tops for x in covariates]
    sums = sum_up(
        frame,
        [*(column for metric in chosen for column in metric.columns), *covariates, *mail],
        pairs=[*pairs, *combinations(covariates, 2)],
        shares=shares,
        segment=by,
        ratios=[(metric.column, metric.below) for metric in chosen if metric.below],
    )
    refuse_no_share(sums, shares)
    return chosen, sums, by is not None
