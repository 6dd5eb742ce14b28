"""RFM segments, micro-segments by conditions, and the concentration of revenue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import ColumnError, DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.plot import Figure, heatmap, lines
from segkit.result import Result
from segkit.rfm.cuts import bins_of
from segkit.rules import Domain, RuleSet
from segkit.stats.intervals import wilson

# Lowest and highest grade of r, f, m on a scale of five; several boxes are joined by "or".
_GRADES: dict[str, tuple[str, ...]] = {
    "Champions": ("r45 f45 m45",),
    "Loyal": ("r45 f45 m13", "r33 f45 m15"),
    "Potential loyalists": ("r45 f23 m15",),
    "New": ("r55 f11 m15",),
    "Promising": ("r44 f11 m15",),
    "Need attention": ("r33 f23 m15",),
    "About to sleep": ("r33 f11 m15",),
    "Can't lose": ("r12 f45 m45",),
    "At risk": ("r12 f45 m13", "r12 f33 m15"),
    "Hibernating": ("r22 f12 m15",),
    "Lost": ("r11 f12 m15",),
}
_POINTS = 201


def build_rfm_segments(bins: int | tuple[int, int, int] = 5) -> RuleSet:
    """Name every combination of the scores r, f and m once, in the field's usual names.

    The table is written for scores of 1 to 5 and carried over to other numbers of bins by the
    grade of each score, 1 + 4 (score - 1) / (bins - 1), with halves rounded up. Segments whose
    grade no score has are left out (with two or four bins no score has grade 3).

    ===================== ============== ============ =======================================
    segment               r              f            m
    ===================== ============== ============ =======================================
    Champions             4-5            4-5          4-5
    Loyal                 4-5, or 3      4-5          1-3 where r is 4-5, any where r is 3
    Potential loyalists   4-5            2-3          any
    New                   5              1            any
    Promising             4              1            any
    Need attention        3              2-3          any
    About to sleep        3              1            any
    Can't lose            1-2            4-5          4-5
    At risk               1-2            3, or 4-5    any where f is 3, 1-3 where f is 4-5
    Hibernating           2              1-2          any
    Lost                  1              1-2          any
    ===================== ============== ============ =======================================

    Parameters
    ----------
    bins : int or three ints
        Highest score of r, f and m.

    Returns
    -------
    RuleSet
        Checked to be a partition of all scores.

    Raises
    ------
    RuleError
        If the table were no partition (a defect of this module).

    Examples
    --------
    >>> build_rfm_segments(5).check().points
    125
    >>> print(build_rfm_segments(3).text.splitlines()[0])
    Champions: r = 3 and f = 3 and m = 3
    """
    numbers = bins_of(bins)
    lines = []
    for name, boxes in _GRADES.items():
        written = [_write(box, numbers) for box in boxes]
        possible = [text for text in written if text is not None]
        if possible:
            lines.append(f"{name}: {' or '.join(possible)}")
    rules = RuleSet.parse("\n".join(lines), domains=score_domains(numbers))
    rules.check().require()
    return rules


def score_domains(bins: tuple[int, int, int]) -> dict[str, Domain]:
    """Return the values that each score may have: whole numbers from 1 up."""
    tops = zip("rfm", bins, strict=True)
    return {name: Domain("integer", low=1, high=top, nullable=False) for name, top in tops}


def _write(box: str, bins: tuple[int, int, int]) -> str | None:
    parts = []
    for part, top in zip(box.split(), bins, strict=True):
        letter, low, high = part[0], int(part[1]), int(part[2])
        scores = [s for s in range(1, top + 1) if low <= _grade(s, top) <= high]
        if not scores:
            return None
        if len(scores) == 1:
            parts.append(f"{letter} = {scores[0]}")
        elif len(scores) < top:
            parts.append(f"{letter} between {scores[0]} and {scores[-1]}")
    return " and ".join(parts)


def _grade(score: int, top: int) -> int:
    # Whole arithmetic: floor(1 + 4 (score - 1) / (top - 1) + 1/2).
    return (8 * (score - 1) + 3 * (top - 1)) // (2 * (top - 1))


@dataclass(frozen=True, slots=True, eq=False)
class MicroSegments(Result):
    """Customers that meet each condition.

    Attributes
    ----------
    segments : polars.DataFrame
        One row per segment: segment, condition, customers, customer_share with _low and _high
        (Wilson, 95%), revenue, revenue_share (null without a value column), alone (customers
        in no other segment).
    overlap : polars.DataFrame
        One row per pair, both ways and with itself: segment, other, customers (in both),
        share_of_segment (of the first one's customers; null for an empty one).
    members : polars.DataFrame
        customer_id (where the frame has it) and one Boolean column per segment.
    rules : RuleSet
        The conditions.
    customers : int
        Rows of the frame.
    unmatched : int
        Customers in no segment.
    """

    segments: pl.DataFrame
    overlap: pl.DataFrame
    members: pl.DataFrame
    rules: RuleSet
    customers: int
    unmatched: int

    def of(self, name: str) -> pl.DataFrame:
        """Return the members of one segment (their customer_id).

        Raises
        ------
        RuleError
            If no segment has this name.
        """
        self.rules.where(name)
        ids = [column for column in ("customer_id",) if column in self.members.columns]
        return self.members.filter(pl.col(name)).select(ids)

    @property
    def text(self) -> str:
        """State the finding in words."""
        sizes = "; ".join(
            f"{row['segment']}: {counted(row['customers'], 'customer')} "
            f"({percent(row['customer_share'])})"
            for row in self.segments.head(6).iter_rows(named=True)
        )
        most = self.overlap.filter(pl.col("segment") < pl.col("other")).sort(
            "customers", descending=True
        )
        shared = ""
        if most.height and most["customers"][0]:
            row = most.row(0, named=True)
            shared = (
                f" Most shared: {row['segment']} and {row['other']}, "
                f"{counted(row['customers'], 'customer')} in both."
            )
        return (
            f"{sizes}.{shared} {number(self.unmatched)} of {counted(self.customers, 'customer')} "
            "are in none. Segments may overlap, so sizes and revenue do not add up."
        )

    def plot(self) -> Figure:
        """Draw which segments share customers."""
        return heatmap(
            self.overlap,
            "other",
            "segment",
            "share_of_segment",
            percent=True,
            title="Customers that micro-segments share",
            x_label="are also in",
            y_label="of the customers in",
            value_label="share of the row's customers",
        )


@takes_frames
def find_micro_segments(
    frame: pl.DataFrame, rules: RuleSet | Mapping[str, str], *, value: str | None = "monetary"
) -> MicroSegments:
    """Measure the segments of customers that meet given conditions on features.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per customer, with the columns that the conditions read.
    rules : RuleSet or mapping of str to str
        Conditions by name; they may overlap. A null meets no comparison.
    value : str or None
        Column of revenue; left out where it is None or the frame has no "monetary".

    Returns
    -------
    MicroSegments

    Raises
    ------
    DataError
        If the frame has no rows.
    ColumnError
        If a column is missing or of another type.
    RuleError
        If the conditions are not given by name, or one cannot be read.

    Examples
    --------
    >>> frame = pl.DataFrame({"recency_days": [3, 9, 90], "product_views_7d": [5, 1, 4]})
    >>> hot = {"Hot": "recency_days <= 30 and product_views_7d > 3", "Recent": "recency_days <= 30"}
    >>> find_micro_segments(frame, hot).segments["customers"].to_list()
    [1, 2]
    """
    if frame.is_empty():
        raise DataError("the customer table has no rows")
    rules = RuleSet.take(rules)
    if value == "monetary" and value not in frame.columns:
        value = None
    if value is not None:
        require_columns(frame.columns, [value], "the customer table")
        if not frame.schema[value].is_numeric():
            raise ColumnError(f"expected numbers in {value}, got {frame.schema[value]}")
    members = rules.matches(frame)
    counts = members.select(pl.sum_horizontal(pl.all().cast(pl.Int32))).to_series()
    sizes = [int(members[name].sum()) for name in rules.names]
    share = wilson(sizes, [frame.height] * len(sizes))
    revenue = [
        None if value is None else float(frame[value].filter(members[n]).sum()) for n in rules.names
    ]
    total = None if value is None else float(frame[value].sum())
    segments = pl.DataFrame(
        {
            "segment": list(rules.names),
            "condition": [rule.text.partition(": ")[2] for rule in rules.rules],
            "customers": sizes,
            "customer_share": [size / frame.height for size in sizes],
            "customer_share_low": share.low,
            "customer_share_high": share.high,
            "revenue": pl.Series(revenue, dtype=pl.Float64),
            "revenue_share": pl.Series(
                [own / total if own is not None and total else None for own in revenue],
                dtype=pl.Float64,
            ),
            "alone": [int((members[name] & (counts == 1)).sum()) for name in rules.names],
        }
    )
    ids = frame.select([column for column in ("customer_id",) if column in frame.columns])
    return MicroSegments(
        segments=segments,
        overlap=_overlap(members),
        members=pl.concat([ids, members], how="horizontal"),
        rules=rules,
        customers=frame.height,
        unmatched=int((counts == 0).sum()),
    )


def _overlap(members: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for name in members.columns:
        size = int(members[name].sum())
        for other in members.columns:
            both = int((members[name] & members[other]).sum())
            rows.append((name, other, both, both / size if size else None))
    schema: dict[str, type[pl.DataType]] = {
        "segment": pl.String,
        "other": pl.String,
        "customers": pl.Int64,
        "share_of_segment": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


@dataclass(frozen=True, slots=True, eq=False)
class Concentration(Result):
    """The share of revenue that the best customers bring.

    Attributes
    ----------
    top : float
        Share of customers called the best (0.2 for the top fifth).
    top_share, top_share_low, top_share_high : float
        Their share of revenue, with a 95% interval.
    gini, gini_low, gini_high : float
        Gini coefficient (0: all alike; towards 1: one brings all), with a 95% interval.
    lorenz : polars.DataFrame
        customer_share and revenue_share, from the poorest customers up; at most 201 points.
    customers : int
        Customers counted.
    negative : int
        Customers whose value is below zero (returns exceed purchases), counted as zero.
    """

    top: float
    top_share: float
    top_share_low: float
    top_share_high: float
    gini: float
    gini_low: float
    gini_high: float
    lorenz: pl.DataFrame
    customers: int
    negative: int

    def to_frame(self) -> pl.DataFrame:
        """Return one row per measure: measure, value, low, high."""
        return pl.DataFrame(
            {
                "measure": [f"revenue share of the top {self.top:.0%}", "Gini coefficient"],
                "value": [self.top_share, self.gini],
                "low": [self.top_share_low, self.gini_low],
                "high": [self.top_share_high, self.gini_high],
            }
        )

    @property
    def text(self) -> str:
        """State the finding in words."""
        note = (
            f" {counted(self.negative, 'customer')} whose returns exceed their purchases count as "
            "zero."
            if self.negative
            else ""
        )
        return (
            f"The top {percent(self.top, places=0)} of {counted(self.customers, 'customer')} bring "
            f"{percent(self.top_share)} of revenue (95% CI {percent(self.top_share_low)} to "
            f"{percent(self.top_share_high)}); Gini {number(self.gini)} ({number(self.gini_low)} "
            f"to {number(self.gini_high)}).{note} The intervals are for large numbers of customers "
            "and too narrow where a few customers bring most."
        )

    def plot(self) -> Figure:
        """Draw the Lorenz curve beside the line of equality."""
        equal = pl.DataFrame({"customer_share": [0.0, 1.0], "revenue_share": [0.0, 1.0]})
        drawn = pl.concat(
            [
                self.lorenz.with_columns(curve=pl.lit("revenue")),
                equal.with_columns(curve=pl.lit("all alike")),
            ]
        )
        return lines(
            drawn,
            "customer_share",
            "revenue_share",
            group="curve",
            markers=False,
            percent=True,
            title=f"The top {self.top:.0%} bring {percent(self.top_share)} of revenue",
            x_label="share of customers, from the lowest value up",
            y_label="share of revenue",
        )


@takes_frames
def measure_concentration(
    table: pl.DataFrame, *, value: str = "monetary", top: float = 0.2
) -> Concentration:
    """Measure how unevenly revenue is spread over customers.

    The intervals rest on influence functions (no resampling): with mean m, values x, F their
    mid-ranks and L the Lorenz curve, the Gini's is
    (2 x F - 2 m L(F) - (G + 1) x + (1 - G) m) / m and the top share's
    ((x - q) 1[x > q] + q p - T x) / m, q the quantile at 1 - p.

    Parameters
    ----------
    table : polars.DataFrame
        One row per customer.
    value : str
        The column of revenue; nulls are left out, negative values count as zero.
    top : float
        Share of customers called the best, between 0 and 1.

    Returns
    -------
    Concentration

    Raises
    ------
    ColumnError
        If the column is missing.
    DataError
        If nobody has a positive value.
    ParameterError
        If ``top`` is not between 0 and 1.

    References
    ----------
    Langel, M. and Tillé, Y. (2013), "Variance estimation of the Gini index: revisiting a
    result several times published", Journal of the Royal Statistical Society A 176, 521-540.

    Examples
    --------
    >>> table = pl.DataFrame({"monetary": [1.0, 1.0, 1.0, 1.0, 16.0]})
    >>> found = measure_concentration(table)
    >>> found.top_share, round(found.gini, 3)
    (0.8, 0.6)
    """
    require_columns(table.columns, [value], "the customer table")
    if not 0 < top < 1:
        raise ParameterError(f"top must lie between 0 and 1, got {top}")
    raw = table[value].drop_nulls().cast(pl.Float64).to_numpy()
    x = np.sort(np.clip(raw, 0.0, None))
    if not x.size or not np.isfinite(x).all() or x[-1] <= 0:
        raise DataError(f"column {value} needs finite values, some above zero")
    n, total = len(x), float(x.sum())
    mean = total / n
    below = np.cumsum(x) / total
    # The top p n customers; a customer at the edge counts in part.
    share = 1.0 - _lorenz_at(below, 1.0 - top)
    edge = float(x[min(n - 1, int(np.floor((1.0 - top) * n)))])
    influence = (np.clip(x - edge, 0.0, None) + edge * top - share * x) / mean
    gini, gini_influence = _gini(x, below, mean)
    share_error, gini_error = (float(v.std()) / np.sqrt(n) for v in (influence, gini_influence))
    at = np.linspace(0.0, 1.0, min(_POINTS, n + 1))
    curve = np.array([_lorenz_at(below, p) for p in at])
    return Concentration(
        top=top,
        top_share=share,
        top_share_low=max(0.0, share - 1.959964 * share_error),
        top_share_high=min(1.0, share + 1.959964 * share_error),
        gini=gini,
        gini_low=max(0.0, gini - 1.959964 * gini_error),
        gini_high=min(1.0, gini + 1.959964 * gini_error),
        lorenz=pl.DataFrame({"customer_share": at, "revenue_share": curve}),
        customers=n,
        negative=int((raw < 0).sum()),
    )


def _lorenz_at(below: np.ndarray, p: float) -> float:
    n = len(below)
    return float(np.interp(p * n, np.arange(n + 1), np.concatenate(([0.0], below))))


def _gini(x: np.ndarray, below: np.ndarray, mean: float) -> tuple[float, np.ndarray]:
    n = len(x)
    middle = (np.arange(1, n + 1) - 0.5) / n
    gini = float(2.0 * (middle * x).mean() / mean - 1.0)
    lower = below - x / (2 * n * mean)
    influence = (2 * x * middle - 2 * mean * lower - (gini + 1) * x + (1 - gini) * mean) / mean
    return gini, influence
