"""Who is valuable now: scores of recency, frequency and monetary value, and their segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from segkit.display import number, percent
from segkit.errors import DataError, ParameterError
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.rfm.customers import Monetary, read_customers
from segkit.rfm.cuts import COLUMNS, DIMENSIONS, Cuts, Method, Ties, bins_of, find_cuts
from segkit.rfm.segment_table import rfm_segments
from segkit.rfm.summary import summarise
from segkit.rules import Domain, RuleSet

if TYPE_CHECKING:
    from segkit.plot import Figure


@dataclass(frozen=True, slots=True, eq=False)
class RFM(Result):
    """Customers scored and put into segments.

    Attributes
    ----------
    frame : polars.DataFrame
        One row a customer, sorted: customer_id, recency_days (days), frequency (orders),
        monetary (money), r, f, m (scores, 1 is worst), rfm (the scores in one text, as "543",
        with dashes where a score can exceed 9), segment; scores and segment are null for
        customers without a purchase.
    cuts : Cuts
        The cut-points, to be saved and used again.
    rules : RuleSet
        The table of segments.
    segments : polars.DataFrame
        One row a segment in the table's order (empty ones too): segment, customers, customer_share,
        revenue (sum of monetary), revenue_share, and median recency_days, frequency and monetary,
        each with _low and _high, an order-statistic interval of at least 95%.
    bins : polars.DataFrame
        One row a dimension and score: dimension, score, from_value, to_value (exclusive; null
        for none), customers, customer_share; a score that nobody can get has equal ends.
    as_of : date or None
        The day recency is counted to; None for a customer table that came without one.
    monetary : str
        "net" or "gross" of returns, or "as given".
    unscored : int
        Customers without a purchase on or before ``as_of``, who get no score.
    notes : tuple of str
        What ties did to the bins.
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
        """The finding in words."""
        scored = int(self.segments["customers"].sum())
        day = f" as of {self.as_of.isoformat()}" if self.as_of else ""
        unit = self.currency or "the currency of the data"
        money = f"monetary value is {_worded(self.monetary)}, in {unit}."
        parts = [f"{number(scored)} customers scored{day}; {money}", self.headline]
        if self.unscored:
            parts.append(f"{number(self.unscored)} customers without a purchase have no score.")
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
        from segkit.rfm.pictures import plot_segments

        return plot_segments(self.segments)

    def plot_scores(self) -> Figure:
        """Draw the mean monetary value by recency and frequency score."""
        from segkit.rfm.pictures import plot_scores

        return plot_scores(self.frame, self.cuts, self.currency)


@takes_frames
def score_rfm(
    source: pl.DataFrame | pl.LazyFrame,
    *,
    as_of: date | None = None,
    bins: int | Sequence[int] = 5,
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
    bin, so that the unit of money changes nobody's score; ``ties="rfm"`` gives those of R's
    package rfm 0.3.0 (one day, order or unit of money higher), and `quantile_cuts` states the
    other policies. Customers with equal values always have equal scores. Where many share one
    value (a frequency of 1), several cuts coincide: the scores between them are given to nobody,
    and the notes count them.

    Parameters
    ----------
    source : polars.DataFrame or LazyFrame
        A customer table (customer_id, recency_days, frequency, monetary) or clean order lines
        (customer_id, order_id, order_day, amount, optionally is_return; see `rfm_table` for
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
        Rules over r, f and m; by default `rfm_segments`. Refused unless they are a partition
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
    rules = rfm_segments(cuts.bins) if segments is None else checked(segments, cuts)
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
    """Give a table of segments the scores' domains, and refuse it where it leaves somebody out."""
    domains = {
        letter: Domain("integer", low=1, high=top, nullable=False)
        for letter, top in zip("rfm", cuts.bins, strict=True)
    }
    others = [name for name in segments.columns if name not in domains]
    if others:
        raise ParameterError(f"segments are rules over r, f and m; got {', '.join(others)}")
    rules = RuleSet(segments.rules, segments.policy, domains)
    if rules.policy == "many":
        raise ParameterError("segments that may overlap are micro-segments: use micro_segments")
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


def _worded(monetary: str) -> str:
    known = {"net": "net of returns", "gross": "gross of returns"}
    return known.get(monetary, "the customer table's own (its definition says of what)")
