"""Response to a survey, with weights, and ratings: net promoter score and satisfaction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.display import counted, join_words, number, percent
from segkit.errors import ColumnError, DataError, require_columns
from segkit.factor.answers import Floats, read_range
from segkit.frames import takes_frames
from segkit.plot import Figure, intervals
from segkit.result import Result
from segkit.stats.intervals import Estimate, ci_words, estimate, wilson, z_value

UNKNOWN = "unknown"
LEVEL = 0.05
ALL = "all"
Counts = NDArray[np.int64]
FEW = 30  # respondents below which a rating says little


@dataclass(frozen=True, slots=True, eq=False)
class Response(Result):
    """Who answered, by stratum, and weights that give each stratum its share of customers.

    Attributes
    ----------
    table : polars.DataFrame
        One row per stratum: ``stratum``, ``customers``, ``respondents``, ``response_rate``,
        ``low``, ``high`` (95% Wilson), ``weight`` (null where nobody answered).
    weights : polars.DataFrame
        One row per respondent: ``customer_id``, ``weight``; their mean is 1.
    by : tuple of str
        Columns that the strata are made of.
    customers, respondents : int
    p_value : float
        Chi-square test that response does not depend on the stratum; NaN for one stratum.
    design_effect : float
        Factor by which weighting widens variances (Kish 1965).
    unreached : int
        Customers in strata where nobody answered: weighting cannot represent them.
    strangers : int
        Respondents who are not in the population table; they are left out.
    """

    table: pl.DataFrame
    weights: pl.DataFrame
    by: tuple[str, ...]
    customers: int
    respondents: int
    p_value: float
    design_effect: float
    unreached: int
    strangers: int

    @property
    def text(self) -> str:
        """State the response rate, whether strata differ, and what weighting can correct."""
        share, count = percent(self.respondents / self.customers), number(self.respondents)
        parts = [f"{share} of {counted(self.customers, 'customer')} answered ({count})."]
        if self.table.height > 1:
            ordered = self.table.sort("response_rate", "stratum")
            low, high = ordered.row(0, named=True), ordered.row(-1, named=True)
            differ = self.p_value < LEVEL
            parts.append(
                f"Response {'differs' if differ else 'does not clearly differ'} by "
                f"{join_words([name.replace('_', ' ') for name in self.by])}: from "
                f"{percent(low['response_rate'])} ({low['stratum']}) to "
                f"{percent(high['response_rate'])} ({high['stratum']})."
            )
            parts.append(
                "Weights that restore each group's share cost "
                f"{percent(1 - 1 / self.design_effect)} of the sample; within a group, whoever "
                "kept silent may still think otherwise."
            )
        if self.unreached:
            parts.append(
                f"{counted(self.unreached, 'customer is', 'customers are')} in groups where nobody "
                "answered; no weight speaks for them."
            )
        if self.strangers:
            parts.append(
                f"{counted(self.strangers, 'respondent is', 'respondents are')} not among the "
                "customers."
            )
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the response rate by stratum."""
        return intervals(
            self.table,
            "stratum",
            "response_rate",
            interval=("low", "high"),
            percent=True,
            reference=self.respondents / self.customers,
            title="Who answered",
            y_label="Share of customers who answered (dashed: all)",
        )


@takes_frames
def compute_response_rates(
    population: pl.DataFrame, survey: pl.DataFrame, by: str | Sequence[str]
) -> Response:
    """Compute response by stratum, with post-stratification weights.

    A respondent's weight is its stratum's share of customers over its share of respondents.
    Source: Holt & Smith (1979), "Post stratification", JRSS A 142.

    Parameters
    ----------
    population : polars.DataFrame
        One row per customer: ``customer_id`` and the columns ``by``.
    survey : polars.DataFrame
        One row per respondent: ``customer_id``.
    by : str or sequence of str
        Columns with values for every customer; nulls form a stratum "unknown".

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If nobody among the customers answered, or a customer comes twice.

    Examples
    --------
    >>> people = pl.DataFrame({"customer_id": ["a", "b", "c", "d"], "region": list("NNSS")})
    >>> compute_response_rates(people, people[:3], "region").weights["weight"].to_list()
    [0.75, 0.75, 1.5]
    """
    columns = [by] if isinstance(by, str) else list(by)
    require_columns(population.columns, ["customer_id", *columns], "the population")
    require_columns(survey.columns, ["customer_id"], "the survey")
    groups = [pl.col(c).cast(pl.String).fill_null(UNKNOWN) for c in columns]
    named = population.select("customer_id", stratum=pl.concat_str(groups, separator=" / "))
    if named["customer_id"].n_unique() < named.height:
        raise DataError("expected one row per customer in the population; some come twice")
    who = survey.select("customer_id").unique(maintain_order=True)
    here = who.join(named, on="customer_id", how="inner", maintain_order="left")
    if here.is_empty():
        raise DataError("none of the respondents is among the customers: the ids do not match")
    is_here = pl.col("customer_id").is_in(here["customer_id"].implode())
    counts = (
        named.group_by("stratum")
        .agg(pl.len().cast(pl.UInt32).alias("customers"), is_here.sum().alias("respondents"))
        .sort("stratum")
    )
    invited, answered = counts["customers"].to_numpy(), counts["respondents"].to_numpy()
    reached = invited[answered > 0].sum()
    with np.errstate(divide="ignore"):
        weight = (invited / reached) / (answered / answered.sum())
    rates = wilson(answered, invited)
    weight[answered == 0] = np.nan
    shown = {"response_rate": rates.value, "low": rates.low, "high": rates.high, "weight": weight}
    table = counts.with_columns(pl.DataFrame(shown, nan_to_null=True))
    weights = here.select(
        "customer_id", weight=pl.col("stratum").replace_strict(table["stratum"], table["weight"])
    )
    w = weights["weight"].to_numpy()
    return Response(
        table=table,
        weights=weights,
        by=tuple(columns),
        customers=named.height,
        respondents=here.height,
        p_value=_independence_p(invited, answered),
        design_effect=float(len(w) * (w**2).sum() / w.sum() ** 2),
        unreached=int(invited[answered == 0].sum()),
        strangers=who.height - here.height,
    )


def _independence_p(customers: Counts, answered: Counts) -> float:
    """Return the p-value of the chi-square test that response does not depend on the stratum."""
    from scipy.stats import chi2_contingency

    table = np.array([answered, customers - answered])
    if len(customers) < 2 or not table.any(axis=1).all():
        return float("nan")
    return float(chi2_contingency(table, correction=False).pvalue)


@dataclass(frozen=True, slots=True, eq=False)
class SurveyRating(Result):
    """Net promoter score or satisfaction of all respondents and of each group, with intervals.

    Attributes
    ----------
    table : polars.DataFrame
        One row per group, all respondents first: ``group``, ``people`` (who rated), ``effective``
        (Kish's effective number of people; equal to ``people`` without weights), ``value`` with its
        interval ``low``, ``high``. For "nps" the value is the score in points from -100 to 100,
        beside ``promoter_share``, ``passive_share``, ``detractor_share``; for "csat" it is the
        share of satisfied people, beside ``mean`` (their mean answer on the scale).
    kind : str
        "nps" or "csat".
    by : str or None
        Column of the groups.
    missing : int
        People without a rating (or, with weights, without a weight above zero), left out.
    level : float
    weighted : bool
    ungrouped : int
        People who rated but have no group: they count among all, and in no group.
    """

    table: pl.DataFrame
    kind: str
    by: str | None
    missing: int
    level: float
    weighted: bool
    ungrouped: int = 0

    @property
    def answer(self) -> str:
        """Whether more would recommend than warn, or more than half are satisfied."""
        whole = self.table.row(0, named=True)
        middle = 0.0 if self.kind == "nps" else 0.5
        shown = "Yes" if whole["low"] > middle else "No" if whole["high"] < middle else "Not shown"
        what = "net promoter score" if self.kind == "nps" else "satisfied customers"
        return f"{shown}: {what} {self._words(whole)}, from {counted(whole['people'], 'rating')}."

    @property
    def text(self) -> str:
        """Say the rating of all, the groups that differ from it, and who is missing."""
        whole = self.table.row(0, named=True)
        what = "Net promoter score" if self.kind == "nps" else "Satisfied customers"
        ratings = f"{number(whole['people'])} {'weighted ' if self.weighted else ''}ratings"
        parts = [f"{what}: {self._words(whole)}, from {ratings}."]
        rest = self.table.slice(1).filter(pl.col("people") >= FEW).sort("value", descending=True)
        if rest.height > 1:
            best, worst = rest.row(0, named=True), rest.row(-1, named=True)
            meet = "overlap" if best["low"] <= worst["high"] else "do not meet"
            parts.append(
                f"Highest in {best['group']}, {self._words(best)}; lowest in {worst['group']}, "
                f"{self._words(worst)}; their intervals {meet}."
            )
        few = self.table.slice(1).filter(pl.col("people") < FEW)
        if few.height:
            parts.append(
                f"Not compared: {counted(few.height, 'group')} with fewer than {FEW} ratings."
            )
        if self.ungrouped:
            parts.append(
                f"{number(self.ungrouped)} of those who rated have no {self.by}: they count among "
                "all, and in no group."
            )
        if self.missing:
            weight = " or have no weight" if self.weighted else ""
            parts.append(
                f"{counted(self.missing, 'person gave', 'people gave')} no rating{weight}."
            )
        return " ".join(parts)

    def _words(self, row: dict[str, float]) -> str:
        write: Callable[[float], str] = percent if self.kind == "csat" else "{:.1f}".format
        interval = ci_words(row["low"], row["high"], self.level, write)
        return f"{write(row['value'])} ({interval})"

    def plot(self) -> Figure:
        """Draw each group's rating with its interval."""
        is_share = self.kind == "csat"
        what = "Share of satisfied customers (" if is_share else "Net promoter score (points; "
        return intervals(
            self.table,
            "group",
            "value",
            interval=("low", "high"),
            percent=is_share,
            reference=float(self.table["value"][0]),
            title="Are they satisfied?" if is_share else "Would they recommend us?",
            y_label=f"{what}dashed: all)",
        )


@takes_frames
def rate_recommendation(
    frame: pl.DataFrame,
    column: str = "nps",
    *,
    by: str | None = None,
    weights: str | None = None,
    level: float = 0.95,
) -> SurveyRating:
    """Compute the net promoter score, with an interval, by group.

    Promoters answer 9 or 10, detractors 0 to 6; the score is the promoters' share less the
    detractors', in points. It is the mean of +1 for a promoter, 0 for a passive and -1 for a
    detractor. Its interval holds the means that a score test does not reject (`nps_interval`); it
    is Wilson's where nobody is passive.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per respondent.
    column : str
        Answers from 0 to 10.
    by : str, optional
        Column of groups; people without a group count among all respondents.
    weights : str, optional
        Column of weights, such as those of `compute_response_rates`; the interval then rests on
        Kish's effective number of people.
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

    def judge(values: Floats, w: Floats, effective: float) -> dict[str, float]:
        promoters, detractors = (
            float(w[who].sum() / w.sum()) for who in (values >= 9, values <= 6)
        )
        score = nps_interval(promoters, detractors, effective, level=level)
        return {
            **{name: 100 * float(getattr(score, name)) for name in ("value", "low", "high")},
            "promoter_share": promoters,
            "passive_share": 1 - (promoters + detractors),
            "detractor_share": detractors,
        }

    return _rate("nps", frame, column, by, weights, (0, 10), level, judge)


def nps_interval(promoters: float, detractors: float, n: float, *, level: float = 0.95) -> Estimate:
    """Estimate promoters' share less detractors', with a score interval.

    Each person counts +1, 0 or -1. A mean m has the variance ``q - m^2`` per person, where q is
    the share of promoters and detractors together; the limits are the m that solve
    ``n (x - m)^2 = z^2 (q - m^2)`` for the observed mean x. So that few people who all are passive
    do not give an interval of no width, q is estimated with ``z^2`` more people, half of them
    promoters or detractors (and never below its observed value).

    Parameters
    ----------
    promoters, detractors : float
        Shares of all who rated.
    n : float
        (Effective) number of people who rated.
    level : float

    Returns
    -------
    Estimate
        From -1 to 1.

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
) -> SurveyRating:
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

    def judge(values: Floats, w: Floats, effective: float) -> dict[str, float]:
        share = float(w[values >= satisfied].sum() / w.sum())
        interval = wilson(share * effective, effective, level=level)
        mean = float((w * values).sum() / w.sum())
        return {"value": share, "low": interval.low, "high": interval.high, "mean": mean}

    return _rate("csat", frame, column, by, weights, scale, level, judge)


def _rate(
    kind: str,
    frame: pl.DataFrame,
    column: str,
    by: str | None,
    weights: str | None,
    ends: tuple[int, int],
    level: float,
    judge: Callable[[Floats, Floats, float], dict[str, float]],
) -> SurveyRating:
    """Judge all ratings, and those of each group: values, weights, effective number of people."""
    need = [column, *([by] if by else []), *([weights] if weights else [])]
    require_columns(frame.columns, need, "the survey")
    if not frame.schema[column].is_numeric():
        raise ColumnError(f"{column} holds {frame.schema[column]}, not numbers")
    whole = frame.select(
        rating=pl.col(column).cast(pl.Float64),
        group=pl.col(by).cast(pl.String) if by else pl.lit(ALL),
        weight=pl.col(weights).cast(pl.Float64) if weights else pl.lit(1.0),
    )
    rated = whole.drop_nulls(["rating", "weight"]).filter(pl.col("weight") > 0)
    if rated.is_empty():
        raise DataError(f"nobody answered {column}")
    read_range(column, rated["rating"].to_numpy(), ends)
    names = rated["group"].drop_nulls().unique().sort().to_list() if by else []
    groups = [(ALL, rated), *((name, rated.filter(pl.col("group") == name)) for name in names)]
    rows = []
    for name, part in groups:
        w = part["weight"].to_numpy()
        effective = float(w.sum() ** 2 / (w**2).sum())
        figures = judge(part["rating"].to_numpy(), w, effective)
        rows.append({"group": name, "people": part.height, "effective": effective, **figures})
    return SurveyRating(
        table=pl.DataFrame(rows),
        kind=kind,
        by=by,
        missing=whole.height - rated.height,
        ungrouped=rated["group"].null_count(),
        level=level,
        weighted=weights is not None,
    )
