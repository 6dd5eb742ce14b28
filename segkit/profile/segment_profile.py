"""Profile of segments: tables, finding in words, figures."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import counted, label, money, number, percent, table_html
from segkit.errors import DataError, unknown
from segkit.profile.members import Members
from segkit.profile.variables import MarkerRule, Variables
from segkit.result import Result
from segkit.stats.intervals import ci_words

if TYPE_CHECKING:
    from segkit.plot import Figure


MOST_POINTS = 2000
STRONGEST = 3


HIDDEN = "hidden"
SHOWN = (
    *("segment", "segment_name", "customers", "customer_share"),
    *("revenue_share", "revenue_per_customer", "marked_by"),
)
CAVEAT = "A profile describes; it does not say why, nor what an offer would do."


@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """Segments on two principal components.

    Attributes
    ----------
    points : polars.DataFrame
        Up to 2,000 customers chosen at random, without their ids: first, second, segment_name.
    centres : polars.DataFrame
        One row per segment with at least two customers, from all of them: segment_name, first,
        second, first_variance, second_variance, covariance.
    shares : tuple of float
        Share of the variance on each component.
    names : tuple of str
        The variables that load most on each component, signed, for the axes.
    """

    points: pl.DataFrame
    centres: pl.DataFrame
    shares: tuple[float, float]
    names: tuple[str, str]


def separate(
    members: Members, variables: Variables, use: list[str], *, seed: int
) -> Separation | None:
    """Project the standardised variables (unknown values at their mean) on two components.

    Returns ``None`` where fewer than two variables vary or there are fewer than three customers.
    The sign of a component is such that its largest loading (the first of equal ones) is
    positive.
    """
    place = [variables.names.index(name) for name in use]
    scaled = variables.scaled[:, place]
    varies = np.atleast_1d(~np.isnan(scaled).all(axis=0))
    matrix = np.nan_to_num(scaled[:, varies])
    names = [name for name, keep in zip(use, varies, strict=True) if keep]
    if matrix.shape[0] < 3 or matrix.shape[1] < 2:
        return None
    matrix = matrix - matrix.mean(axis=0)
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).round(9).argmax(axis=0), [0, 1]])
    scores = matrix @ axes
    centres = [
        _centre(scores[inside], name)
        for inside, name in zip(members.within, members.names, strict=True)
        if inside.sum() >= 2
    ]
    picked = np.arange(scores.shape[0])
    if picked.size > MOST_POINTS:
        picked = np.sort(np.random.default_rng(seed).choice(picked, MOST_POINTS, replace=False))
    labels = np.array(members.names)[members.labels()[picked]]
    points = pl.DataFrame(
        {"first": scores[picked, 0], "second": scores[picked, 1], "segment_name": labels}
    )
    total = values.sum()
    return Separation(
        points,
        pl.DataFrame(centres),
        (float(values[-1] / total), float(values[-2] / total)),
        (_loads(axes[:, 0], names), _loads(axes[:, 1], names)),
    )


def _centre(scores: np.ndarray, name: str) -> dict[str, object]:
    spread = np.cov(scores, rowvar=False)
    first, second = scores.mean(axis=0)
    return {
        "segment_name": name,
        "first": float(first),
        "second": float(second),
        "first_variance": float(spread[0, 0]),
        "second_variance": float(spread[1, 1]),
        "covariance": float(spread[0, 1]),
    }


def _loads(axis: np.ndarray, names: list[str]) -> str:
    strongest = np.argsort(-np.abs(axis).round(9), kind="stable")[:STRONGEST]
    return ", ".join(f"{'+' if axis[i] > 0 else '−'}{label(names[i])}" for i in strongest)


@dataclass(frozen=True, slots=True, eq=False)
class Profile(Result):
    """Description of each segment, and how it differs from all customers.

    Attributes
    ----------
    segments : polars.DataFrame
        One row per segment: segment, segment_name, customers, customer_share (Wilson limits in
        _low, _high), revenue (reporting currency), revenue_share, revenue_per_customer, kpi (mean
        per customer), each with limits; marks (count) and marked_by (words, the strongest).
    variables : polars.DataFrame
        One row per segment and numeric variable: kind ("yes/no", "amount"), role ("clustering",
        "descriptor", "kpi"), scale of the difference ("log", "raw"), customers (with a value),
        missing; mean, sd, median with limits, mean_all, median_all, sd_all, in original units;
        difference (segment mean less that of all customers, in standard deviations of all, on
        ``scale``) and delta (Cliff's, against customers outside the segment), with limits;
        strength (the measure that the rule limits), marker, direction ("above", "below").
    composition : polars.DataFrame
        One row per segment, description and level: customers, known (customers with a value),
        share of the known with Wilson limits, share_all; hidden cells are null.
    tests : polars.DataFrame
        One row per variable: role, test, statistic, freedom, p_value, p_holm (adjusted over all
        tests made), effect, effect_name, note. Clustering variables carry no test.
    separation : Separation or None
        Two principal components; None where fewer than two variables vary.
    counts : dict of str to int
        customers (profiled), assignments_without_customer, customers_without_segment,
        assignments_without_segment.
    skipped : dict of str to str
        Column to the reason why it is left out.
    as_of : datetime.date or None
        Day up to which orders count.
    kpi : str or None
        Name of the KPI.
    clustering_variables : tuple of str
        Variables that built the segments.
    rule : MarkerRule
        Rule that decides when a variable marks a segment.
    level : float
        Coverage of the intervals.
    notes : tuple of str
        Notes for the reader: unmatched customers, empty or overlapping segments.
    currency : str or None
        Of revenue, where it is known.
    """

    segments: pl.DataFrame
    variables: pl.DataFrame
    composition: pl.DataFrame
    tests: pl.DataFrame
    separation: Separation | None
    counts: dict[str, int]
    skipped: dict[str, str]
    as_of: date | None
    kpi: str | None
    clustering_variables: tuple[str, ...]
    rule: MarkerRule
    level: float
    notes: tuple[str, ...]
    currency: str | None = None

    def _repr_html_(self) -> str:
        columns = [
            name for name in SHOWN if self.segments[name].null_count() < self.segments.height
        ]
        return f"<p>{html.escape(self.text)}</p>{table_html(self.segments.select(columns))}"

    @property
    def worth(self) -> list[str]:
        """The columns of ``segments`` with a segment's value: revenue, else the KPI."""
        has_revenue = self.segments["revenue_share"].null_count() < self.segments.height
        return ["revenue_share", "revenue_per_customer"] if has_revenue else ["kpi"]

    @property
    def markers(self) -> pl.DataFrame:
        """The variables that mark each segment, strongest first."""
        return self.variables.filter(pl.col("marker")).sort(
            "segment", pl.col("strength").abs(), descending=[False, True], maintain_order=True
        )

    @property
    def text(self) -> str:
        """The finding in words."""
        largest = _top(self.segments, "customers")
        revenue = ""
        if largest["revenue_share"] is not None:
            revenue = f" and {percent(largest['revenue_share'])} of revenue"
        size = (
            f"{counted(self.segments.height, 'segment')} of "
            f"{counted(self.counts['customers'], 'customer')}; the largest, "
            f"{largest['segment_name']}, holds {percent(largest['customer_share'])} of "
            f"them{revenue}."
        )
        notes = "; ".join(self.notes)
        notes = f"{notes[0].upper()}{notes[1:]}." if notes else ""
        parts = (size, self._worth(), self._marks(), self._tested(), notes, CAVEAT)
        return " ".join(part for part in parts if part)

    def _worth(self) -> str:
        if "revenue_per_customer" not in self.segments.columns:
            return ""
        valued = self.segments.drop_nulls("revenue_per_customer")
        if valued.height == 0:
            return ""
        best = _top(valued, "revenue_per_customer")
        low, high = (best[f"revenue_per_customer_{end}"] for end in ("low", "high"))
        interval = "" if low is None else f" ({ci_words(low, high, self.level)})"
        return (
            f"A customer is worth most in {best['segment_name']}: "
            f"{money(best['revenue_per_customer'], self.currency)}{interval}"
            f"{'' if self.currency else ', in the currency of the data'}."
        )

    def _marks(self) -> str:
        filled = self.segments.filter(pl.col("customers") > 0)
        if filled.height < 2:
            return "With one segment there is nothing to compare it with."
        if self.markers.height == 0:
            return "No variable marks any segment: they hardly differ."
        top = _top(self.markers, pl.col("strength").abs())
        size = f"Cliff's delta {number(top['strength'])}"
        if top["kind"] == "yes/no":
            size = f"difference of shares {percent(top['strength'])}"
        sentence = (
            f"The clearest mark: {top['segment_name']} lies {top['direction']} the others on "
            f"{label(top['variable'])} ({size})."
        )
        without = filled.filter(pl.col("marks") == 0).get_column("segment_name").to_list()
        return f"{sentence} Nothing marks {', '.join(without)}." if without else sentence

    def _tested(self) -> str:
        made = self.tests.drop_nulls("p_holm").filter(pl.col("role") != "clustering")
        sentences = []
        if self.clustering_variables:
            sentences.append(
                f"The {counted(len(self.clustering_variables), 'variable')} that built the "
                "segments are not tested: that would be circular."
            )
        if made.height:
            sure, most = made.filter(pl.col("p_holm") <= 0.05), ""
            if sure.height:
                top = _top(sure, "effect")
                effect = f"{top['effect_name']} {number(top['effect'])}"
                most = f", most {label(top['variable'])} ({effect})"
            sentences.append(
                f"Of {counted(made.height, 'other variable')} tested, {number(sure.height)} differ "
                f"between segments at 5% after Holm's adjustment{most}."
            )
        return " ".join(sentences)

    def plot(self, *, most: int = 15) -> Figure:
        """Draw the segment profile plot: each variable against all customers, marks in colour.

        Parameters
        ----------
        most : int
            Variables drawn at most: each segment's strongest in turn, marks first; fewer where
            the panels of many segments would not fit a screen.

        Raises
        ------
        DataError
            If no variable varies between segments.
        """
        from segkit.plot import panel_bars
        from segkit.plot.bar_charts import bars_that_fit

        differing = self.variables.drop_nulls("difference")
        if differing.height == 0:
            raise DataError("nothing to draw: no variable varies between segments")
        ranked = _distinguishing(differing, bars_that_fit(differing["segment"].n_unique(), most))
        return panel_bars(
            differing.filter(pl.col("variable").is_in(ranked)),
            "segment_name",
            "variable",
            "difference",
            highlight="marker",
            interval=("difference_low", "difference_high"),
            percent=False,
            title="What marks each segment",
            y_label="Difference from all customers (standard deviations)",
            highlight_label="Full colour: marks the segment by the stated rule",
        )

    def plot_sizes(self) -> Figure:
        """Draw each segment's share of customers beside its share of revenue."""
        from segkit.plot import bars

        names = {"customer_share": "customers", "revenue_share": "revenue"}
        tables = [
            self.segments.select(
                "segment_name",
                share_of=pl.lit(name),
                share=column,
                low=f"{column}_low",
                high=f"{column}_high",
            )
            for column, name in names.items()
            if not self.segments[column].is_null().all()
        ]
        return bars(
            pl.concat(tables),
            "segment_name",
            "share",
            group="share_of",
            interval=("low", "high"),
            title="How large each segment is, and what it brings",
            y_label="Share of all",
        )

    def plot_composition(self, variable: str) -> Figure:
        """Draw each segment's composition by one description.

        Raises
        ------
        DataError
            If there is no such description, or every cell is hidden.
        """
        from segkit.plot import stacked

        rows = self.composition.filter(pl.col("variable") == variable)
        if rows.height == 0:
            names = self.composition.get_column("variable").unique(maintain_order=True).to_list()
            raise DataError(unknown("description", variable, names))
        hidden = int(rows.get_column("hidden").sum())
        title = f"Segments by {label(variable)}"
        if hidden:
            title += f" ({counted(hidden, 'small cell')} hidden, drawn as one)"
        drawn = _with_rest(rows.filter(pl.col("customers").count().over("segment") > 0))
        levels = drawn.get_column("level").cast(pl.String).unique().to_list()
        levels = [level for level in levels if level != HIDDEN]
        return stacked(
            drawn,
            "segment_name",
            "level",
            "customers",
            ordered=bool(band_places(levels)),
            rest=HIDDEN,
            title=title,
            y_label="Share of customers with a known value",
        )

    def plot_separation(self) -> Figure:
        """Draw the segments on two principal components, with centres and 50% ellipses.

        Raises
        ------
        DataError
            If fewer than two variables vary.
        """
        from segkit.plot import clouds

        if self.separation is None:
            raise DataError("a separation plot needs two variables that vary and three customers")
        shares, names = self.separation.shares, self.separation.names
        labels = [
            f"{nth} component ({percent(share)} of the variance): {name}"
            for nth, share, name in zip(("First", "Second"), shares, names, strict=True)
        ]
        return clouds(
            self.separation.points,
            self.separation.centres,
            "first",
            "second",
            "segment_name",
            title="How far apart the segments lie",
            x_label=labels[0],
            y_label=labels[1],
        )

    def of(self, segment: str) -> dict[str, pl.DataFrame]:
        """Return one segment's rows of every table (by its id or its name)."""
        names = self.segments.select("segment", "segment_name")
        both: Sequence[str] = [*names["segment"].to_list(), *names["segment_name"].to_list()]
        if segment not in both:
            raise DataError(unknown("segment", segment, both))
        mine = (pl.col("segment") == segment) | (pl.col("segment_name") == segment)
        tables = ("segments", "variables", "composition")
        return {name: getattr(self, name).filter(mine) for name in tables}


def _top(frame: pl.DataFrame, by: str | pl.Expr) -> dict[str, Any]:
    """Return the row with the largest value, the first of equal ones."""
    ordered = frame.sort(by, descending=True, nulls_last=True, maintain_order=True)
    return ordered.row(0, named=True)


def _distinguishing(differing: pl.DataFrame, most: int) -> list[str]:
    """Return the variables to draw: each segment's strongest in turn, marks first."""
    turns = (
        differing.with_columns(reach=pl.col("difference").abs())
        .sort("marker", "reach", descending=True, maintain_order=True)
        .with_columns(turn=pl.int_range(pl.len()).over("segment"))
        .sort("marker", "turn", "reach", descending=[True, False, True], maintain_order=True)
    )
    return turns.get_column("variable").unique(maintain_order=True).head(most).to_list()


def band_places(levels: list[str]) -> dict[str, float]:
    """Return the places of levels that are bands of a scale; nothing if they are not.

    Examples
    --------
    >>> band_places(["over 60k", "25k-60k", "under 25k"])
    {'over 60k': 60.5, '25k-60k': 25.0, 'under 25k': 24.5}
    >>> band_places(["North", "South"])
    {}
    """
    places = {}
    for level in levels:
        bound = re.search(r"\d+(?:\.\d+)?", level)
        if not bound:
            return {}
        below = level.lower().startswith(("under", "below", "less", "<"))
        above = level.lower().startswith(("over", "above", "more", ">")) or level.endswith("+")
        places[level] = float(bound[0]) + (-0.5 if below else 0.5 if above else 0.0)
    return places


def _with_rest(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the visible cells; the hidden ones of a segment are combined in one part."""
    levels = rows.get_column("level").unique(maintain_order=True).to_list()
    places = band_places(levels)
    levels = sorted(levels, key=lambda level: places.get(level, 0.0))
    names = rows.get_column("segment_name").unique(maintain_order=True).to_list()
    keep = ["segment_name", "level", "customers"]
    rest = rows.group_by("segment_name").agg(
        level=pl.lit(HIDDEN), customers=pl.col("known").first() - pl.col("customers").sum()
    )
    shown = pl.concat([rows.drop_nulls("customers").select(keep), rest.select(keep)])
    ordered = shown.filter(pl.col("customers") > 0).with_columns(
        pl.col("segment_name").cast(pl.Enum(names)),
        pl.col("level").cast(pl.Enum([*levels, HIDDEN])),
    )
    return ordered.sort("segment_name", "level")
