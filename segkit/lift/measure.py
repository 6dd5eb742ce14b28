"""Lift on every key figure, by arm and segment, and day by day from the assignment on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, require_choice, require_columns, require_range
from segkit.frames import takes_frames
from segkit.lift.aggregates import Aggregates, sum_test
from segkit.lift.effects import SHARE_INTERVALS, Kpi, ShareInterval, comparable, compare_arms
from segkit.lift.outcomes import Outcomes
from segkit.lift.requirements import frame_of
from segkit.lift.sums import Sums, check_arms, shares_differ
from segkit.lift.verdicts import ALL, Lift, guardrails, judge
from segkit.result import Figure, Result
from segkit.stats.group_effects import (
    effective_cases,
    heterogeneity,
    mean_errors,
    share_errors,
    shrink,
    shrink_counts,
)
from segkit.stats.intervals import (
    RELATIVE_METHODS,
    Estimate,
    RelativeMethod,
    always_valid,
    estimate,
    share_difference,
)
from segkit.stats.two_part import EXPECTED_BUYERS, no_effect

Overall = Literal["auto", "pooled", "stratified"]
OVERALL: tuple[Overall, ...] = get_args(Overall)
_INNER = ("null_error", "variance_arm", "variance_control", "cases_arm", "cases_control")
_TESTS = ("q", "freedom", "p_value", "i_squared", "q_crossing", "p_crossing")


@takes_frames
def measure_lift(
    outcomes: Outcomes | Aggregates | pl.DataFrame | pl.LazyFrame,
    *,
    control: str,
    arms: Sequence[str] | None = None,
    metrics: Sequence[str | Kpi] | None = None,
    segment: str | None = "segment",
    covariates: Sequence[str] = (),
    overall: Overall = "auto",
    relative: RelativeMethod = "recovered",
    shares: ShareInterval = "newcombe",
    margins: Mapping[str, float] | None = None,
    level: float = 0.95,
) -> Lift:
    """Measure the lift of each arm over the control, overall and by segment.

    Parameters
    ----------
    outcomes : Outcomes, Aggregates, DataFrame or LazyFrame
        `Aggregates` (counts and sums per arm and segment, `segkit.lift.read_aggregates`), or one
        row per customer: arm, segment, the outcomes (see `segkit.lift.effects.KPIS` for their
        columns), covariates; customer_id, assigned_at and segment_as_of are checked if they exist.
        Zero stands for "nothing happened"; nulls are refused.
    control : str
        The arm that the others are compared with.
    arms : sequence of str, optional
        Arms to compare; by default all but the control.
    metrics : sequence of str or Kpi, optional
        By default every key figure that can be computed from the columns. The decision rests on
        the first, declared beforehand; the others are exploratory.
    segment : str or None
        Column of the segments, frozen before the assignment; None measures all customers alone.
    covariates : sequence of str
        Columns known before the assignment, for CUPED (not used for ratios).
    overall : {"auto", "pooled", "stratified"}
        Whether the effect over all customers pools them or weights the segments' effects
        (post-stratification). "auto" pools unless the arms' split differs between segments.
    relative : {"recovered", "log", "fieller", "delta"}
        Interval of the relative lift. "recovered" is computed from the limits of both arms. Only
        with it do the intervals of the relative lift and of the difference always agree on whether
        zero is excluded.
    shares : {"newcombe", "score", "agresti-caffo"}
        Interval of the difference of shares without covariates. With "score" or "agresti-caffo" the
        relative lift of shares gets the ratio's interval of the same kind, whatever ``relative``
        says, and both exclude no effect in the same cases.
    margins : mapping of str to float, optional
        For each key figure, the largest difference that is not relevant, in its unit, declared
        beforehand. It is needed for the verdict "same" and for a guardrail to pass.
    level : float
        Nominal coverage; 1 - level is the error rate of each family of tests.

    Returns
    -------
    Lift

    Raises
    ------
    DataError
        If arms were not assigned at random, there is one arm only, segments were computed after
        the assignment, a customer has two rows, an outcome is missing or not finite, the outcome of
        a share is not 0 or 1, or covariates predict an outcome perfectly.
    ParameterError
        If an arm, metric, method or margin's metric is unknown.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["mail"] * 100 + ["holdout"] * 100, "segment": ["S"] * 200,
    ...     "converted": [1] * 30 + [0] * 70 + [1] * 15 + [0] * 85})
    >>> found = measure_lift(rows, control="holdout")
    >>> found.effects.select("segment", "difference", "verdict").rows()[0]
    ('all customers', 0.15, 'higher')
    """
    for name, value, choices in (
        ("overall", overall, OVERALL),
        ("relative", relative, RELATIVE_METHODS),
        ("shares", shares, SHARE_INTERVALS),
    ):
        require_choice(f"value of {name}", value, choices)
    chosen, sums, segmented = sum_test(outcomes, metrics, covariates=covariates, segment=segment)
    for name in margins or {}:
        require_choice("metric", name, [metric.name for metric in chosen])
    places = check_arms(sums, control, arms, segmented)
    options: dict[str, Any] = {"relative": relative, "shares": shares, "level": level}
    options["covariates"] = tuple(covariates)
    rows, notes = _all_rows(sums, chosen, places, sums.arms.index(control), overall, options)
    effects = judge(pl.DataFrame(rows, infer_schema_length=None), margins or {}, level)
    effects, tested = _between_segments(effects, sums, chosen, level, adjusted=bool(covariates))
    effects = effects.drop(_INNER)
    guards = guardrails(effects, chosen, margins or {}, level)
    return Lift(
        effects,
        tested,
        guards,
        control,
        chosen[0].name,
        level,
        relative,
        tuple(covariates),
        tuple(notes),
    )


def _all_rows(
    sums: Sums,
    metrics: Sequence[Kpi],
    places: list[int],
    base: int,
    overall: str,
    options: dict[str, Any],
) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    silent: list[str] = []
    segmented = len(sums.segments) > 1 or sums.segments != ("all",)
    groups = [None, *range(len(sums.segments))] if segmented else [None]
    control = sums.arms[base]
    for place in places:
        arm = sums.arms[place]
        strata = segmented and overall == "stratified"
        if segmented and overall == "auto" and shares_differ(sums, (place, base)):
            strata = True
            notes.append(
                f"The split between {arm} and {control} differs between segments, so the figures "
                "over all customers weight the segments' effects."
            )
        compared = comparable(sums, (place, base))
        if strata and compared and len(compared) < len(sums.segments):
            alone = [i for i in range(len(sums.segments)) if i not in compared]
            lost = sums.n[alone][:, [place, base]].sum()
            names = ", ".join(sums.segments[i] for i in alone)
            notes.append(
                f"Left out of {arm} over all customers: {counted(lost, 'customer')} of {names}, "
                "where an arm has fewer than two."
            )
        for metric in metrics:
            if metric.mailed and _unmailed(sums, (place, base)):
                silent.append(metric.label)
                continue
            for group in groups:
                effect = compare_arms(
                    metric,
                    sums,
                    group,
                    (place, base),
                    strata=strata and group is None and metric.causal,
                    **options | ({"covariates": ()} if metric.kind == "ratio" else {}),
                )
                label = ALL if group is None else sums.segments[group]
                rows.append(_row(metric, arm, control, label, effect))
    notes += _row_notes(rows, options)
    if silent:
        some = ", ".join(dict.fromkeys(silent))
        notes.append(f"Not compared where one of the arms got no mail: {some}.")
    return rows, notes


def _row_notes(rows: list[dict[str, Any]], options: Mapping[str, Any]) -> list[str]:
    """Say what a reader of the rows must know."""
    notes = []
    if any(row["few"] and row["kind"] != "share" for row in rows):
        notes.append(
            f"Where the smaller arm expects fewer than {EXPECTED_BUYERS:g} buyers, or too few for "
            "how much their amounts vary, the interval of a mean is withheld and its verdict is "
            "undecided: read conversion there."
        )
    if any(_disagree(row, 1 - options["level"]) for row in rows):
        notes.append(
            "With covariates the p-value is of a permutation test, sharper than the interval: "
            "where only one of them excludes no effect, the verdict is undecided."
        )
    if options["relative"] == "delta":
        notes.append(
            "The delta interval of a relative lift covers less than its level where conversions "
            "are few; the others do not."
        )
    return notes


def _disagree(row: Mapping[str, Any], alpha: float) -> bool:
    """Return whether only one of test and interval excludes no effect."""
    low, high = row["difference_low"], row["difference_high"]
    return bool(low <= high) and (low > 0 or high < 0) != (row["p_value"] <= alpha)


def _unmailed(sums: Sums, arms: tuple[int, int]) -> bool:
    return "emails_sent" in sums.columns and any(
        sums.buyers(None, arm, "emails_sent") == 0 for arm in arms
    )


def _row(metric: Kpi, arm: str, control: str, segment: str, effect: Any) -> dict[str, Any]:
    return {
        "metric": metric.name,
        "label": metric.label,
        "kind": metric.kind,
        "use": "causal" if metric.causal else "descriptive",
        "arm": arm,
        "control": control,
        "segment": segment,
        **{name: int(getattr(effect, name)) for name in ("customers_arm", "customers_control")},
        **{name: getattr(effect, name) for name in ("value_arm", "value_control")},
        **_ends("difference", effect.difference),
        **{name: getattr(effect, name) for name in ("error", "null_error")},
        **_ends("relative", effect.relative),
        **{name: getattr(effect, name) for name in ("p_value", "few", "method")},
        **dict(zip(_INNER[1:], (*effect.variances, *effect.cases), strict=True)),
        "relative_method": effect.relative.method,
    }


def _ends(name: str, given: Estimate) -> dict[str, Any]:
    return {name: given.value, f"{name}_low": given.low, f"{name}_high": given.high}


def _equal_errors(part: pl.DataFrame, *, adjusted: bool) -> npt.NDArray[np.float64]:
    """Return the segments' errors under equal effects, on the difference's scale."""
    arm, control = (
        [part[f"{name}_{end}"].to_numpy() for name in ("variance", "customers", "cases")]
        for end in ("arm", "control")
    )
    if part["kind"][0] == "share" and not adjusted:
        return share_errors(arm[2], arm[1], control[2], control[1])
    return mean_errors(*arm, *control)


def _shrunken(part: pl.DataFrame, sums: Sums, metric: Kpi, level: float) -> Estimate:
    """Shrink segments' effects, weighted by counts, or by errors for ratios and signed amounts."""
    column = {name: part[name].to_numpy() for name in part.columns if part[name].dtype.is_numeric()}
    if part.height == 1:
        low, high = column["difference_low"], column["difference_high"]
        return estimate(column["difference"], low, high, level, "not shrunken")
    rows = list(range(len(sums.segments)))
    arms = [sums.arms.index(part[name][0]) for name in ("arm", "control")]
    one, two = (sums.amounts(arm, metric.column, rows) for arm in arms)
    signed = any((arm.total < 0).any() for arm in (one, two))
    signed = signed or any(sums.often_negative(arm, metric.column) for arm in arms)
    if metric.kind == "ratio" or signed:
        return shrink(column["difference"], column["error"], level=level)
    cases = effective_cases(one, two)
    # CUPED shifts the totals and reduces the variance per case.
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = column["null_error"] / no_effect(one, two).error
        phi = (one.total + two.total) / (cases[0] + cases[1]) * np.where(ratio > 0, ratio, 1) ** 2
    customers = column["customers_arm"], column["customers_control"]
    totals = [
        n * column[name] for n, name in zip(customers, ("value_arm", "value_control"), strict=True)
    ]
    counts = [np.maximum(total / phi, 0.0) for total in totals]
    return shrink_counts(counts, customers, totals, level=level)


def _between_segments(
    effects: pl.DataFrame, sums: Sums, metrics: Sequence[Kpi], level: float, *, adjusted: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Test whether segments' effects differ, and shrink them."""
    tests, shrunk = [], []
    named = {metric.name: metric for metric in metrics}
    keys = ["metric", "arm", "segment"]
    ends = {"shrunk": "value", "shrunk_low": "low", "shrunk_high": "high"}
    segments = effects.filter(pl.col("segment") != ALL)
    for part in segments.partition_by("metric", "arm", maintain_order=True):
        test = heterogeneity(
            part["difference"].to_numpy(),
            part["error"].to_numpy(),
            equal_errors=_equal_errors(part, adjusted=adjusted),
        )
        first = {name: part[name][0] for name in ("metric", "label", "arm")}
        figures = {name: getattr(test, name) for name in _TESTS}
        tests.append(first | {"segments": test.groups, "scale": "difference"} | figures)
        shrunken = _shrunken(part, sums, named[part["metric"][0]], level)
        moved = {name: pl.Series(getattr(shrunken, end)) for name, end in ends.items()}
        shrunk.append(part.select(keys).with_columns(**moved))
    if not tests:
        blank = [pl.lit(None, pl.Float64).alias(name) for name in ends]
        return effects.with_columns(blank), pl.DataFrame()
    joined = effects.join(pl.concat(shrunk), on=keys, how="left", maintain_order="left")
    return joined, pl.DataFrame(tests)


COUNTS = ("arm", "day", "customers", "converted")


@dataclass(frozen=True, slots=True, eq=False)
class DailyLift(Result):
    """Difference in conversion by day since the assignment.

    Attributes
    ----------
    table : DataFrame
        day, value_arm, value_control (converted so far), difference, low, high (valid at all looks
        together), fixed_low, fixed_high (valid only at one look that is fixed beforehand).
    arm, control : str
    planned_rate : float
        Conversion expected at the end; the limits are narrowest near it.
    level : float
    """

    table: pl.DataFrame
    arm: str
    control: str
    planned_rate: float
    level: float

    @property
    def first_day(self) -> int | None:
        """First day on which the always-valid interval excludes zero; None if there is none."""
        limited = self.table.filter(pl.col("low").is_finite())  # NaN counts as large
        out = limited.filter((pl.col("low") > 0) | (pl.col("high") < 0))
        return None if out.is_empty() else int(out["day"][0])

    @property
    def text(self) -> str:
        """Finding: the first day on which the test could have been stopped."""
        last = self.table.row(-1, named=True)
        if not math.isfinite(last["low"]):
            return (
                f"After {counted(last['day'], 'day')} {self.arm} and {self.control} stand at "
                f"{percent(last['value_arm'])} and {percent(last['value_control'])} conversion: "
                "where nobody, or everybody, has converted in both, there is no always-valid "
                "interval yet, and on no day could one have stopped."
            )
        when = (
            "On no day could one have stopped"
            if self.first_day is None
            else f"From day {number(self.first_day)} on one could have stopped"
        )
        return (
            f"{when}, however often one looked: after {counted(last['day'], 'day')} the difference "
            f"in conversion between {self.arm} and {self.control} is "
            f"{number(100 * last['difference'])} points, always-valid "
            f"{percent(self.level, places=0)} CI {number(100 * last['low'])} to "
            f"{number(100 * last['high'])}. The price of looking is a wider interval than the "
            f"{number(100 * last['fixed_low'])} to {number(100 * last['fixed_high'])} of a single "
            "look; a conversion still to come may change either."
        )

    def plot(self) -> Figure:
        """Draw the difference and its always-valid limits by day."""
        from segkit.plot import lines

        return lines(
            self.table,
            "day",
            "difference",
            band=("low", "high"),
            percent=True,
            markers=False,
            title=f"Conversion of {self.arm} less {self.control}, with limits that hold at "
            "every look",
            x_label="days since the assignment",
            y_label="difference in conversion",
        )


@takes_frames
def measure_daily_lift(
    outcomes: Outcomes | pl.DataFrame,
    *,
    arm: str,
    control: str,
    planned_rate: float,
    days: int | None = None,
    level: float = 0.95,
) -> DailyLift:
    """Compute the difference in conversion day by day, with always-valid confidence limits.

    All customers count from their assignment; each day counts the customers who have converted so
    far. The limits are Robbins' mixture (`segkit.stats.intervals.always_valid`): they are valid for
    all days together.

    Parameters
    ----------
    outcomes : Outcomes or DataFrame
        One row per customer: arm, conversion_day (1 is the first day; null without a conversion).
        Or counts, one row per arm and day: arm, day, customers (of the arm), converted (first
        conversions on that day).
    arm, control : str
    planned_rate : float
        Conversion expected at the end, in (0, 1), declared beforehand.
    days : int, optional
        Number of looks; by default the window's days, or the last day with a conversion.
    level : float

    Returns
    -------
    DailyLift

    Raises
    ------
    ParameterError
        If an arm is unknown or the planned rate not in (0, 1).
    DataError
        If nobody converted and no number of days is given.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["a"] * 4 + ["b"] * 4, "conversion_day": [1, 2] + [None] * 6})
    >>> daily = measure_daily_lift(rows, arm="a", control="b", planned_rate=0.2)
    >>> daily.table["difference"].to_list()
    [0.25, 0.5]
    """
    frame = frame_of(outcomes)
    require_range("(0, 1)", planned_rate=planned_rate)
    window = outcomes.window_days if isinstance(outcomes, Outcomes) else None
    if "conversion_day" not in frame.columns and {*COUNTS} <= {*frame.columns}:
        sizes, daily = _read_counts(frame)
    else:
        require_columns(frame.columns, ["arm", "conversion_day"], "the outcomes")
        sizes = dict(frame.group_by("arm").len().iter_rows())
        daily = frame.drop_nulls("conversion_day").group_by("arm", day="conversion_day").len("new")
    for name in (arm, control):
        require_choice("arm", name, sorted(map(str, sizes)))
    if days is None and window is None and daily.is_empty():
        raise DataError("nobody converted; give the number of days")
    last = days or window or daily["day"].to_numpy().max()
    looks = np.arange(1, int(last) + 1)
    counts = []
    for name in (arm, control):
        own = daily.filter(pl.col("arm") == name).sort("day")
        so_far = np.concatenate([[0], np.cumsum(own["new"].to_numpy())])
        counts.append(so_far[np.searchsorted(own["day"].to_numpy(), looks, side="right")])
    (x1, x2), (n1, n2) = counts, (sizes[arm], sizes[control])
    p1, p2 = x1 / n1, x2 / n2
    error = np.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)
    planned = planned_rate * (1 - planned_rate) * (1 / n1 + 1 / n2)
    intervals = always_valid(p1 - p2, error, information=error**2 / planned, level=level)
    fixed = share_difference(x1, n1, x2, n2, level=level)
    table = pl.DataFrame(
        {
            "day": looks,
            "value_arm": p1,
            "value_control": p2,
            "difference": p1 - p2,
            "low": intervals.low,
            "high": intervals.high,
            "fixed_low": fixed.low,
            "fixed_high": fixed.high,
        }
    )
    return DailyLift(table, arm, control, planned_rate, level)


def _read_counts(frame: pl.DataFrame) -> tuple[dict[str, int], pl.DataFrame]:
    """Return each arm's customers, and its first conversions by day, from counts per day."""
    if frame.select(pl.struct("arm", "day").is_duplicated().any()).item():
        raise DataError("arm and day come twice in the counts; add those rows up")
    if frame.select(pl.any_horizontal(pl.col(COUNTS).is_null()).any()).item():
        raise DataError(f"expected {', '.join(COUNTS)} in every row of the counts, got nulls")
    sizes = frame.group_by("arm").agg(
        pl.col("customers").n_unique().alias("kinds"),
        pl.col("customers").first(),
        pl.col("converted").sum(),
    )
    wrong = sizes.filter((pl.col("kinds") > 1) | (pl.col("converted") > pl.col("customers")))
    if wrong.height:
        raise DataError(
            f"arm {wrong['arm'][0]!r}: customers must be the same on each day, and no fewer than "
            f"converted in all ({wrong['converted'][0]:,})"
        )
    people = dict(sizes.select("arm", "customers").iter_rows())
    return people, frame.select("arm", "day", new="converted")
