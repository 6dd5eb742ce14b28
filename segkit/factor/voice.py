"""Ratings: net promoter score and satisfaction with intervals, by segment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.errors import ColumnError, DataError, require_columns
from segkit.factor.answers import Floats
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.stats.intervals import Estimate, estimate, wilson, z_value

if TYPE_CHECKING:
    from segkit.plot import Figure

ALL = "all"
FEW = 30  # respondents below which a rating says little


@dataclass(frozen=True, slots=True, eq=False)
class Voice(Result):
    """A rating of all respondents and of each group.

    Attributes
    ----------
    table : polars.DataFrame
        One row a group, all respondents first: ``group``, ``people`` (who rated), ``effective``
        (people that the weights leave, equal to ``people`` without weights), ``value``, ``low``,
        ``high``; for NPS in points from -100 to 100 with ``promoter_share``, ``passive_share``,
        ``detractor_share``; for CSAT the share of satisfied people with ``mean`` (of the scale).
    kind : str
        "nps" or "csat".
    by : str or None
        Column of the groups.
    missing : int
        People without a rating (or, with groups, without a group), left out.
    level : float
    weighted : bool
    """

    table: pl.DataFrame
    kind: str
    by: str | None
    missing: int
    level: float
    weighted: bool

    def to_frame(self) -> pl.DataFrame:
        """Return one row a group."""
        return self.table

    @property
    def text(self) -> str:
        """Say the rating of all, the groups that differ from it, and who is missing."""
        whole = self.table.row(0, named=True)
        what = "Net promoter score" if self.kind == "nps" else "Satisfied customers"
        parts = [
            (
                f"{what}: {self._words(whole)}, from {number(whole['people'])} "
                f"{'weighted ' if self.weighted else ''}ratings."
            )
        ]
        rest = self.table.slice(1).filter(pl.col("people") >= FEW).sort("value", descending=True)
        if rest.height > 1:
            best, worst = rest.row(0, named=True), rest.row(-1, named=True)
            apart = best["low"] > worst["high"]
            parts.append(
                f"Highest in {best['group']}, {self._words(best)}; lowest in {worst['group']}, "
                f"{self._words(worst)}; "
                + ("their intervals do not meet." if apart else "their intervals overlap.")
            )
        few = self.table.slice(1).filter(pl.col("people") < FEW)
        if few.height:
            parts.append(
                f"{number(few.height)} groups with fewer than {FEW} ratings are not compared."
            )
        if self.missing:
            parts.append(f"{number(self.missing)} people gave no rating.")
        return " ".join(parts)

    def _words(self, row: dict[str, float]) -> str:
        share = self.kind == "csat"
        value, low, high = (
            percent(row[k]) if share else number(row[k]) for k in ("value", "low", "high")
        )
        return f"{value} ({percent(self.level, places=0)} interval {low} to {high})"

    def plot(self) -> Figure:
        """Draw each group's rating with its interval."""
        from segkit.plot import intervals

        nps = self.kind == "nps"
        return intervals(
            self.table, "group", "value", interval=("low", "high"), percent=not nps,
            reference=float(self.table["value"][0]),
            title="Would they recommend us?" if nps else "Are they satisfied?",
            y_label="Net promoter score (points; dashed: all)" if nps
            else "Share of satisfied customers (dashed: all)",
        )  # fmt: skip


@takes_frames
def rate_recommendation(
    frame: pl.DataFrame,
    column: str = "nps",
    *,
    by: str | None = None,
    weights: str | None = None,
    level: float = 0.95,
) -> Voice:
    """Compute the net promoter score, with an interval, by group.

    Promoters answer 9 or 10, detractors 0 to 6; the score is their shares' difference in points.
    The interval inverts the score test of a mean of +1, 0 and -1 with the share of those who are
    not passive kept at its (slightly raised) estimate; it is Wilson's where nobody is passive.

    Parameters
    ----------
    frame : polars.DataFrame
        One row a respondent.
    column : str
        Answers from 0 to 10.
    by : str, optional
        Column of groups.
    weights : str, optional
        Column of weights, such as those of `response_rates`; the interval then rests on Kish's
        effective number of people.
    level : float

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If nobody rated, or an answer lies outside 0 to 10.

    Examples
    --------
    >>> frame = pl.DataFrame({"nps": [10, 9, 8, 3]})
    >>> rate_recommendation(frame).table["value"][0]
    25.0
    """
    ratings, missing = _ratings(frame, column, by, weights, (0, 10))
    rows = []
    for name, values, w in _groups(ratings, by):
        effective = float(w.sum() ** 2 / (w**2).sum())
        share = [float(w[mask].sum() / w.sum()) for mask in (values >= 9, values <= 6)]
        found = nps_interval(share[0], share[1], effective, level=level)
        rows.append(
            (name, len(values), effective, 100 * found.value, 100 * found.low, 100 * found.high,
             share[0], 1 - sum(share), share[1])
        )  # fmt: skip
    names = ["promoter_share", "passive_share", "detractor_share"]
    return Voice(_table(rows, names), "nps", by, missing, level, weights is not None)


def nps_interval(promoters: float, detractors: float, n: float, *, level: float = 0.95) -> Estimate:
    """Estimate promoters' share less detractors', with a score interval.

    Solves ``n (x - m)^2 = z^2 (q - m^2)`` for m, with q the share of the two together, raised as
    if ``z^2 / 2`` of ``z^2`` more people belonged to them.

    Examples
    --------
    >>> found = nps_interval(0.5, 0.5, 100)
    >>> round(found.low, 3), round(found.high, 3)
    (-0.192, 0.192)
    """
    z = z_value(level)
    value = promoters - detractors
    q = max(promoters + detractors, (n * (promoters + detractors) + z * z / 2) / (n + z * z))
    root = z * math.sqrt(max(q * (n + z * z) - n * value * value, 0.0))
    low, high = ((n * value - root) / (n + z * z), (n * value + root) / (n + z * z))
    return estimate(value, min(low, value), max(high, value), level, "score")


@takes_frames
def rate_satisfaction(
    frame: pl.DataFrame,
    column: str = "csat",
    *,
    by: str | None = None,
    weights: str | None = None,
    scale: tuple[int, int] = (1, 5),
    satisfied: int = 4,
    level: float = 0.95,
) -> Voice:
    """Compute the share of satisfied customers, with Wilson's interval, by group.

    Parameters
    ----------
    frame : polars.DataFrame
    column : str
    by, weights, level
        See `rate_recommendation`.
    scale : (int, int)
        Lowest and highest answer.
    satisfied : int
        Lowest answer that counts as satisfied.

    Raises
    ------
    ColumnError, DataError
        See `rate_recommendation`.

    Examples
    --------
    >>> rate_satisfaction(pl.DataFrame({"csat": [5, 4, 2, 3]})).table["value"][0]
    0.5
    """
    ratings, missing = _ratings(frame, column, by, weights, scale)
    rows = []
    for name, values, w in _groups(ratings, by):
        effective = float(w.sum() ** 2 / (w**2).sum())
        share = float(w[values >= satisfied].sum() / w.sum())
        found = wilson(share * effective, effective, level=level)
        mean = float((w * values).sum() / w.sum())
        rows.append((name, len(values), effective, share, found.low, found.high, mean))
    return Voice(_table(rows, ["mean"]), "csat", by, missing, level, weights is not None)


def _ratings(
    frame: pl.DataFrame, column: str, by: str | None, weights: str | None, ends: tuple[int, int]
) -> tuple[pl.DataFrame, int]:
    need = [column, *([by] if by else []), *([weights] if weights else [])]
    require_columns(frame.columns, need, "the survey")
    if not frame.schema[column].is_numeric():
        raise ColumnError(f"{column} holds {frame.schema[column]}, not numbers")
    whole = frame.select(
        rating=pl.col(column).cast(pl.Float64),
        group=pl.col(by).cast(pl.String) if by else pl.lit(ALL),
        weight=pl.col(weights).cast(pl.Float64) if weights else pl.lit(1.0),
    )
    kept = whole.drop_nulls().filter(pl.col("weight") > 0)
    if kept.is_empty():
        raise DataError(f"nobody answered {column}")
    outside = kept.filter(~pl.col("rating").is_between(*ends))
    if outside.height:
        raise DataError(
            f"{column} runs from {ends[0]} to {ends[1]}; {number(outside.height)} answers lie "
            f"outside, such as {number(outside['rating'][0])}"
        )
    return kept, whole.height - kept.height


def _groups(ratings: pl.DataFrame, by: str | None) -> list[tuple[str, Floats, Floats]]:
    parts = [(ALL, ratings)]
    if by:
        names = sorted(ratings["group"].unique().to_list())
        parts += [(name, ratings.filter(pl.col("group") == name)) for name in names]
    return [(n, p["rating"].to_numpy(), np.asarray(p["weight"].to_numpy())) for n, p in parts]


def _table(rows: Sequence[tuple[object, ...]], names: list[str]) -> pl.DataFrame:
    schema = {"group": pl.String, "people": pl.Int64}
    floats = ["effective", "value", "low", "high", *names]
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(floats, pl.Float64), orient="row")
