"""Scores of recency, frequency and monetary value, and customers' segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, get_args

import polars as pl

from segkit.display import counted, percent
from segkit.errors import ColumnError, DataError, ParameterError, require_choice, require_columns
from segkit.frames import is_returned, takes_frames
from segkit.plot import Figure, bars, heatmap
from segkit.result import Result
from segkit.rfm.cuts import COLUMNS, DIMENSIONS, Bins, Cuts, Method, Ties, bins_of, find_cuts
from segkit.rfm.segments import build_rfm_segments, score_domains
from segkit.rules import RuleSet
from segkit.stats.intervals import median

Monetary = Literal["net", "gross"]
MONETARY = {
    "net": "net of returns",
    "gross": "gross of returns",
    "": "the customer table's own (its definition says of what)",
}
TABLE = ("customer_id", "recency_days", "frequency", "monetary")
ORDERS = ("customer_id", "order_id", "order_day", "amount")
_EPOCH = date(1970, 1, 1)
_SCHEMA: dict[str, type[pl.DataType]] = {
    "segment": pl.String,
    "customers": pl.Int64,
    "customer_share": pl.Float64,
    "revenue": pl.Float64,
    "revenue_share": pl.Float64,
    **{f"{c}{e}": pl.Float64 for c in COLUMNS.values() for e in ("", "_low", "_high")},
}


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """Customers ready to be scored.

    Attributes
    ----------
    table : polars.DataFrame
        customer_id, recency_days, frequency, monetary; one row per customer, sorted.
    as_of : date or None
        The day they stand at; None for a customer table that came without one.
    monetary : str
        "net" or "gross" of returns, or "as given" in the table.
    """

    table: pl.DataFrame
    as_of: date | None
    monetary: str


def last_day(orders: pl.DataFrame | pl.LazyFrame) -> date:
    """Return the last order day.

    Raises
    ------
    DataError
        If there is no order line.
    """
    last = orders.lazy().select(pl.col("order_day").max()).collect().item()
    if last is None:
        raise DataError("orders hold no line to score")
    return _EPOCH + timedelta(days=int(last))


@takes_frames
def build_rfm_table(
    orders: pl.DataFrame | pl.LazyFrame, *, as_of: date, monetary: Monetary = "net"
) -> pl.DataFrame:
    """Add up clean order lines to one row per customer, in one lazy pass.

    An order is a distinct order id with at least one line that is not a return; two orders on
    one day are two. Returns neither are orders nor renew recency; they lower ``"net"``
    monetary value and leave ``"gross"`` alone. Lines after ``as_of`` are not used. Money is
    rounded to a millionth, so that the order of the lines cannot move a value across a cut.

    Parameters
    ----------
    orders : polars.DataFrame or LazyFrame
        Clean order lines; a line is a return by ``is_return`` or, without one, a negative amount.
    as_of : date
        Last day used, inclusive.
    monetary : {"net", "gross"}
        Whether returns are taken off.

    Returns
    -------
    polars.DataFrame
        customer_id, recency_days (null for customers with returns only), frequency, monetary,
        sorted by customer.

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If no line is left on or before ``as_of``.

    Examples
    --------
    >>> lines = pl.DataFrame({"customer_id": ["a", "a", "a"], "order_id": ["1", "1", "2"],
    ...     "order_day": [10, 10, 14], "amount": [5.0, 7.0, -5.0]})
    >>> build_rfm_table(lines, as_of=date(1970, 1, 15)).row(0)
    ('a', 4, 1, 7.0)
    """
    lazy = orders.lazy()
    names = lazy.collect_schema().names()
    require_columns(names, ORDERS, "orders")
    require_choice("monetary value", monetary, get_args(Monetary))
    returned = is_returned(names)
    bought = ~pl.col("_returned")
    amount = pl.col("amount") if monetary == "net" else pl.col("amount").filter(bought)
    day = (as_of - _EPOCH).days
    table = (
        lazy.drop_nulls("customer_id")
        .filter(pl.col("order_day") <= day)
        .with_columns(_returned=returned)
        .group_by("customer_id", "order_id")
        .agg(day=pl.col("order_day").filter(bought).max(), amount=amount.sum())
        .group_by("customer_id")
        .agg(
            recency_days=(day - pl.col("day").max()).cast(pl.Int32),
            frequency=pl.col("day").is_not_null().sum().cast(pl.Int32),
            monetary=pl.col("amount").sum().round(6),
        )
        .sort("customer_id")
        .collect()
    )
    if table.is_empty():
        raise DataError(f"no order line lies on or before {as_of.isoformat()}")
    return table


def is_orders(source: pl.DataFrame | pl.LazyFrame) -> bool:
    """Tell order lines from a customer table.

    Raises
    ------
    ColumnError
        If the frame is neither.
    """
    names = source.lazy().collect_schema().names()
    if set(TABLE) <= set(names):
        return False
    if set(ORDERS) <= set(names):
        return True
    raise ColumnError(
        f"expected a customer table with {', '.join(TABLE)} or order lines with "
        f"{', '.join(ORDERS)}; got {', '.join(names) or 'no columns'}"
    )


def read_customers(
    source: pl.DataFrame | pl.LazyFrame, *, as_of: date | None, monetary: Monetary
) -> Customers:
    """Read order lines or a customer table.

    Raises
    ------
    ColumnError
        If the frame is neither.
    DataError
        If a customer comes twice, a value is not finite, or nobody is in it.
    """
    if is_orders(source):
        day = as_of or last_day(source)
        table = build_rfm_table(source, as_of=day, monetary=monetary)
        _check_table(table)
        return Customers(table, day, monetary)
    table = source.lazy().select(TABLE).sort("customer_id").collect()
    _check_table(table)
    return Customers(table, as_of, "as given")


def _check_table(table: pl.DataFrame) -> None:
    if table.is_empty():
        raise DataError("the customer table has no rows")
    twice = table.height - table["customer_id"].n_unique()
    if twice:
        raise DataError(
            f"{counted(twice, 'customer comes', 'customers come')} more than once; expected one "
            "row per customer"
        )
    for name in TABLE[1:]:
        kind = table.schema[name]
        if not kind.is_numeric():
            raise ColumnError(f"column {name} must be numeric, got {kind}")
        bad = int((~table[name].cast(pl.Float64).is_finite()).sum())
        if bad:
            raise DataError(f"column {name}: not finite in {counted(bad, 'value')}")


def summarise(scored: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Summarise scored customers by segment, in the order of ``names``, empty ones too.

    Medians have order-statistic intervals (`segkit.stats.intervals.median`), null for fewer than
    6 customers.

    Parameters
    ----------
    scored : polars.DataFrame
        Columns recency_days, frequency, monetary, segment.
    names : sequence of str
        All segments.

    Returns
    -------
    polars.DataFrame
        See `RFM.segments`.
    """
    revenue = float(scored["monetary"].sum())
    parts = scored.partition_by("segment", as_dict=True)
    rows = []
    for name in names:
        part = parts.get((name,), scored.clear())
        own = float(part["monetary"].sum())
        share = own / revenue if revenue else None
        row = [name, part.height, part.height / scored.height, own, share]
        for column in COLUMNS.values():
            middle = median(part[column].cast(pl.Float64).to_numpy())
            row += [middle.value, middle.low, middle.high]
        rows.append(row)
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").fill_nan(None)


@dataclass(frozen=True, slots=True, eq=False)
class RFM(Result):
    """Customers scored and put into segments.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per customer, sorted: customer_id, recency_days (days), frequency (orders),
        monetary (money), r, f, m (scores, 1 is worst), rfm (the scores in one text, as "543",
        with dashes where a score can exceed 9), segment; scores and segment are null for
        customers without a purchase.
    cuts : Cuts
        The cut-points, to be saved and used again.
    rules : RuleSet
        The table of segments.
    segments : polars.DataFrame
        One row per segment in the table's order (empty ones too): segment, customers,
        customer_share, revenue (sum of monetary), revenue_share, and median recency_days,
        frequency and monetary, each with _low and _high, an order-statistic interval of at
        least 95%.
    bins : polars.DataFrame
        One row per dimension and score: dimension, score, from_value, to_value (exclusive; null
        for none), customers, customer_share; equal ends mark a score that no customer can get.
    as_of : date or None
        The day recency is counted to; None for a customer table that came without one.
    monetary : str
        "net" or "gross" of returns, or "as given".
    unscored : int
        Customers without a purchase on or before ``as_of``, who get no score.
    notes : tuple of str
        Effects of ties on the bins.
    currency : str or None
        Of the monetary value, where it is known.
    """

    frame: pl.DataFrame
    cuts: Cuts
    rules: RuleSet
    segments: pl.DataFrame
    bins: pl.DataFrame
    as_of: date | None
    monetary: str
    unscored: int
    notes: tuple[str, ...]
    currency: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return the segments, one row each; the customers are in ``frame``."""
        return self.segments

    @property
    def headline(self) -> str:
        """Which segment brings the most."""
        top = self.segments.sort("revenue", descending=True).row(0, named=True)
        return (
            f"{top['segment']} bring the most: {percent(top['revenue_share'])} of revenue "
            f"from {percent(top['customer_share'])} of customers."
        )

    @property
    def text(self) -> str:
        """State the finding in words."""
        scored = int(self.segments["customers"].sum())
        day = f" as of {self.as_of.isoformat()}" if self.as_of else ""
        unit = self.currency or "the currency of the data"
        words = MONETARY.get(self.monetary, MONETARY[""])
        parts = [f"{counted(scored, 'customer')} scored{day}, in {unit}.", self.headline]
        parts.append(f"Monetary value is {words}.")
        if self.unscored:
            parts.append(f"No score: {counted(self.unscored, 'customer')} without a purchase.")
        parts.extend(self.notes)
        parts.append("Scores rank customers by the past; they do not predict.")
        return " ".join(parts)

    @takes_frames
    def score(self, source: pl.DataFrame | pl.LazyFrame) -> RFM:
        """Score other customers, or one alone, with these cut-points and segments.

        A customer table is scored as it is; order lines are counted to this result's ``as_of``.
        """
        money: Monetary = "gross" if self.monetary == "gross" else "net"
        return score_rfm(
            source,
            as_of=self.as_of,
            monetary=money,
            cuts=self.cuts,
            segments=self.rules,
            currency=self.currency,
        )

    def plot(self) -> Figure:
        """Draw each segment's share of customers beside its share of revenue."""
        words = {"customer_share": "of customers", "revenue_share": "of revenue"}
        drawn = (
            self.segments.with_row_index()
            .unpivot(
                list(words), index=["index", "segment"], variable_name="share", value_name="value"
            )
            .with_columns(pl.col("share").replace_strict(words))
            .sort("index", "share")
            .drop("index")
        )
        return bars(
            drawn,
            "segment",
            "value",
            group="share",
            percent=True,
            title="Each segment's share of customers and of revenue",
            x_label="segment",
            y_label="share of all scored customers",
        )

    def plot_scores(self) -> Figure:
        """Draw the mean monetary value by recency and frequency score."""
        f_top, r_top = self.cuts.bins[1], self.cuts.bins[0]
        grid = pl.DataFrame(
            [(f, r) for f in range(f_top, 0, -1) for r in range(1, r_top + 1)],
            schema={"f": pl.Int32, "r": pl.Int32},
            orient="row",
        )
        scored = self.frame.drop_nulls("segment")
        means = scored.group_by("r", "f").agg(pl.col("monetary").mean())
        drawn = grid.join(means, on=["r", "f"], how="left", maintain_order="left")
        return heatmap(
            drawn.with_columns(pl.col("r", "f").cast(pl.String)),
            "r",
            "f",
            "monetary",
            title="Mean monetary value by recency and frequency score",
            x_label="recency score (right: bought lately)",
            y_label="frequency score (up: bought often)",
            value_label=f"mean monetary value ({self.currency or 'currency of the data'})",
        )


@takes_frames
def score_rfm(
    source: pl.DataFrame | pl.LazyFrame,
    *,
    as_of: date | None = None,
    bins: Bins = 5,
    method: Method = "quantile",
    ties: Ties = "down",
    cuts: Cuts | None = None,
    segments: RuleSet | None = None,
    monetary: Monetary = "net",
    currency: str | None = None,
) -> RFM:
    """Score each customer's recency, frequency and monetary value, and name the segment.

    Each value is cut into bins (1 worst, ``bins`` best; recency scores high where few days have
    passed). By default the cuts are quantiles of type 7, and a value on one falls into the lower
    bin, so that the unit of money changes nobody's score. ``ties="rfm"`` gives the cuts of R's
    package rfm 0.3.0, which are one day, one order or one unit of money higher;
    `find_quantile_cuts` describes the other ways to treat ties. Customers with equal values always
    have equal scores. Where many share one value (a frequency of 1), several cuts coincide: the
    scores between them are given to nobody, and the notes count them.

    Parameters
    ----------
    source : polars.DataFrame or LazyFrame
        A customer table (customer_id, recency_days, frequency, monetary) or clean order lines
        (customer_id, order_id, order_day, amount, optionally is_return; see `build_rfm_table` for
        what counts as an order).
    as_of : date, optional
        Day to which recency is counted, inclusive; by default the last order day.
    bins : int or three ints
        Bins of recency, frequency and monetary value, 2 to 20.
    method : {"quantile", "fixed", "natural"}
        Equal numbers, the cut-points in ``cuts``, or least spread within bins (Fisher-Jenks).
    ties : {"down", "up", "midrank", "rfm"}
        Where a value on a quantile falls.
    cuts : Cuts, optional
        Cut-points to use as they are; ``bins``, ``method`` and ``ties`` are then theirs.
    segments : RuleSet, optional
        Rules over r, f and m; by default `build_rfm_segments`. Refused unless they are a partition
        (or ordered, policy "first", without a gap).
    monetary : {"net", "gross"}
        Whether returns are taken off; a customer table's values are used as they are.
    currency : str, optional
        Of the monetary value, to be written beside it.

    Returns
    -------
    RFM

    Raises
    ------
    ParameterError
        If an option is unknown or out of range.
    DataError
        If nobody has a purchase, a customer comes twice, or a value is not finite.
    ColumnError
        If the frame is neither a customer table nor order lines.
    RuleError
        If ``segments`` leave a gap or overlap.

    Examples
    --------
    >>> table = pl.DataFrame({"customer_id": ["a", "b", "c", "d"],
    ...     "recency_days": [1, 20, 60, 300], "frequency": [9, 4, 2, 1],
    ...     "monetary": [800.0, 350.0, 90.0, 20.0]})
    >>> rfm = score_rfm(table, bins=2)
    >>> rfm.frame.select("rfm", "segment").rows()
    [('222', 'Champions'), ('222', 'Champions'), ('111', 'Lost'), ('111', 'Lost')]
    """
    if method == "fixed" and cuts is None:
        raise ParameterError("method 'fixed' needs the cut-points: cuts=Cuts(...)")
    customers = read_customers(source, as_of=as_of, monetary=monetary)
    table = customers.table
    bought = table.filter(pl.all_horizontal(pl.col(*COLUMNS.values()).is_not_null()))
    bought = bought.filter(pl.col("frequency") > 0)
    if bought.is_empty():
        raise DataError("no customer has a purchase, so nobody can be scored")
    if cuts is None:
        cuts = find_cuts(
            bought, bins=bins_of(bins), method=method, ties=ties, as_of=customers.as_of
        )
    rules = build_rfm_segments(cuts.bins) if segments is None else checked(segments, cuts)
    scored = rules.apply(pl.concat([bought, cuts.score(bought)], how="horizontal"))
    scored = scored.select(*bought.columns, "r", "f", "m", _joined(cuts), "segment")
    frame = table.join(scored.drop(*COLUMNS.values()), on="customer_id", how="left")
    shares = count_bins(scored, cuts)
    return RFM(
        frame=frame.sort("customer_id"),
        cuts=cuts,
        rules=rules,
        segments=summarise(scored, rules.names),
        bins=shares,
        as_of=customers.as_of,
        monetary=customers.monetary,
        unscored=table.height - bought.height,
        notes=_notes(shares, cuts),
        currency=currency,
    )


def checked(segments: RuleSet, cuts: Cuts) -> RuleSet:
    """Add the scores' domains to a table of segments, and raise if scores lack a segment."""
    domains = score_domains(cuts.bins)
    others = [name for name in segments.columns if name not in domains]
    if others:
        raise ParameterError(f"segments are rules over r, f and m; got {', '.join(others)}")
    rules = RuleSet(segments.rules, segments.policy, domains)
    if rules.policy == "many":
        raise ParameterError("overlapping segments are micro-segments: use find_micro_segments")
    check = rules.check()
    # A saved table may name segments that fewer bins cannot reach; they stay, empty.
    if not check.gaps.is_empty() or (rules.policy == "partition" and not check.overlaps.is_empty()):
        check.require()
    return rules


def _joined(cuts: Cuts) -> pl.Expr:
    separator = "-" if max(cuts.bins) > 9 else ""
    return pl.concat_str([pl.col(c).cast(pl.String) for c in "rfm"], separator=separator).alias(
        "rfm"
    )


def count_bins(scored: pl.DataFrame, cuts: Cuts) -> pl.DataFrame:
    """Count the customers of each score, with the values that it spans."""
    rows = []
    for name, letter in zip(DIMENSIONS, "rfm", strict=True):
        points: tuple[float, ...] = getattr(cuts, name)
        counts = dict(scored.group_by(letter).len().rows())
        ends = [None, *points, None]
        for place in range(len(points) + 1):
            score = len(points) + 1 - place if name == "recency" else place + 1
            count = counts.get(score, 0)
            share = count / scored.height
            rows.append((name, score, ends[place], ends[place + 1], count, share))
    return pl.DataFrame(
        rows,
        schema={
            "dimension": pl.String,
            "score": pl.Int32,
            "from_value": pl.Float64,
            "to_value": pl.Float64,
            "customers": pl.Int64,
            "customer_share": pl.Float64,
        },
        orient="row",
    )


def _notes(shares: pl.DataFrame, cuts: Cuts) -> tuple[str, ...]:
    notes = []
    for name, top in zip(DIMENSIONS, cuts.bins, strict=True):
        part = shares.filter(pl.col("dimension") == name)
        used = part.filter(pl.col("customers") > 0)
        if used.height < top:
            largest = part.sort("customers", descending=True).row(0, named=True)
            notes.append(
                f"Only {used.height} of {top} scores of {name} occur: score {largest['score']} "
                f"alone holds {percent(largest['customer_share'])} of customers."
            )
    return tuple(notes)
