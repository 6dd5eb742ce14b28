"""A stretch of history to refresh segments on: before today, or a further simulated year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, cast

import numpy as np
import polars as pl

from segkit.cluster import SegmentModel
from segkit.display import counted, join_words, label, lower_first, number, percent
from segkit.errors import DataError
from segkit.frames import takes_frames
from segkit.intake import Intake, clean_data
from segkit.monitor.refresh import WEEKS
from segkit.monitor.series import EPOCH, RefreshSeries, fit_earlier
from segkit.result import Result
from segkit.schema import EVENT_TYPES
from segkit.stats.intervals import wilson

ORDERS = ("customer_id", "order_id", "order_day", "order_time", "amount", "is_return", "quantity",
          "unit_price", "discount", "product_id", "category", "channel")  # fmt: skip
EVENTS = ("customer_id", "event_day", "event_type", "session_id", "campaign_id")
#: Beginnings of features' names -> columns that they need beside those.
ALSO = {("view_to_", "cart_to_"): ("event_time",), ("time",): ("page", "duration_seconds")}
QUARTER = 91  # days of 13 weeks
SIMULATION = ("difficulty", "structure", "lift")
#: Trait that can be planted -> feature in which it shows.
SHOWS = {
    "orders_per_year": "orders_per_year",
    "price_tier": "order_value_mean",
    "deal_proneness": "discount_share",
    "return_probability": "return_share",
    "sessions_per_month": "visits_per_year",
    "open_probability": "open_rate",
}


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Period of history on which refreshes are replayed.

    Attributes
    ----------
    model : SegmentModel
        In force at the start.
    orders : polars.DataFrame
    events, survey, campaigns : polars.DataFrame or None
        The survey with the day of each answer, where there is one.
    start, end : datetime.date
        Last day of the fit, and of all data.
    days : tuple of datetime.date
        Days to refresh on, the end last.
    truth : polars.DataFrame or None
        What was planted for each customer (`segkit.simulate.FurtherYear.truth`).
    habits : mapping of str to float
        Traits that were planted for everybody, with their factors.
    text : str
        Where the period comes from, and what that means for season.
    simulated : bool
        Whether the period is a further year, simulated for the refresh.
    """

    model: SegmentModel
    orders: pl.DataFrame
    events: pl.DataFrame | None
    survey: pl.DataFrame | None
    campaigns: pl.DataFrame | None
    start: date
    end: date
    days: tuple[date, ...]
    truth: pl.DataFrame | None
    habits: Mapping[str, float]
    text: str
    simulated: bool = False

    @property
    def since(self) -> date:
        """The first day after the fit."""
        return self.start + timedelta(days=1)

    def decide(self, series: RefreshSeries) -> str:
        """Say what to do now: the decision of the refreshes, or that today's segments are newer."""
        if self.simulated:
            return f"In the year simulated: {lower_first(series.decision)}"
        if not series.models:
            return series.decision
        days = join_words([day.isoformat() for day in sorted(series.models)])
        return (
            f"Keep the segments in force, fitted as of {self.end.isoformat()}: those of "
            f"{self.start.isoformat()} would have been fitted anew on {days}."
        )

    @property
    def about(self) -> str:
        """Return what readers of this period's figures must know, "" where it is the past."""
        if not self.simulated:
            return ""
        return f"the year after {self.start.isoformat()}, simulated for the refresh"

    def date(self, finding: str) -> str:
        """Add to a finding of this period which one that is, where it is not the past.

        Examples
        --------
        >>> History.date(History(*[None] * 11), "They hold.")
        'They hold.'
        """
        return f"{finding.rstrip('.')}, in {self.about}." if self.about else finding

    @property
    def campaign_days(self) -> list[str]:
        """Days on which campaigns went out, as ISO text."""
        if self.campaigns is None or "starts" not in self.campaigns.columns:
            return []
        return [day.isoformat() for day in self.campaigns["starts"].drop_nulls().unique().sort()]


def prepare_history(
    taken: Intake,
    model: SegmentModel,
    *,
    as_of: date,
    settings: Mapping[str, Any],
    compare_days: int = 0,
    refresh_weeks: int = 0,
    seed: int = 0,
) -> History:
    """Prepare a period of history on which refreshes are replayed.

    For the simulated retailer, a further year is simulated in which customers change as
    ``settings`` say (``changed``, ``deals``), and today's model is refreshed on it. For any other
    source, the period begins at an earlier day, with the segments that would have been fitted on
    that day.

    Parameters
    ----------
    taken : Intake
        Clean tables up to ``as_of``.
    model : SegmentModel
        In force on that day.
    as_of : datetime.date
    settings : mapping
        The run's parameters: source, customers, seed and those of the simulation.
    compare_days : int
        Days back to the earlier day; 0 chooses by the length of history (`choose_interval`).
    refresh_weeks : int
        Weeks between two refreshes; 0 chooses likewise.
    seed : int

    Returns
    -------
    History

    Raises
    ------
    DataError
        If history is too short, or the segments cannot be made for an earlier day.
    """
    orders = taken.read_columns("orders", ORDERS)
    if orders is None or not orders.height:
        raise DataError("refreshes need orders, and there are none")
    first = EPOCH + timedelta(days=int(orders["order_day"].min()))  # type: ignore[arg-type]
    if _lives_on(settings, as_of):
        return _further_year(taken, model, orders, settings, refresh_weeks)
    events = _events(taken, model)
    back, apart = choose_interval((as_of - first).days + 1)
    back, apart = compare_days or back, 7 * refresh_weeks or apart
    start = as_of - timedelta(days=back)
    season = (
        "each is compared with the same season of the year before the fit"
        if (start - first).days + 1 >= 2 * WEEKS
        else "history before the fit is shorter than two years, so Christmas, summer and sales are "
        "part of what looks like drift (whole weeks keep the weekdays alike)"
    )
    return History(
        model=fit_earlier(model, orders, events, as_of=start, seed=seed),
        orders=orders,
        events=events,
        survey=taken.survey,
        campaigns=taken.campaigns,
        start=start,
        end=as_of,
        days=_days(start, as_of, apart),
        truth=None,
        habits={},
        text=f"Segments as of {start.isoformat()}, {number(back // 7)} weeks before the last day, "
        f"are refreshed every {number(apart // 7)} weeks; {season}.",
    )


def choose_interval(days: int) -> tuple[int, int]:
    """Choose how far back the fit lies, and how far apart refreshes are, by the days of history.

    A year and quarters from two years on; three quarters of the first year; with less, half of
    history in steps of four weeks.

    Raises
    ------
    DataError
        If there are fewer than sixteen weeks.

    Examples
    --------
    >>> choose_interval(1096), choose_interval(365), choose_interval(200)
    ((364, 91), (273, 91), (84, 28))
    """
    if days >= 2 * WEEKS:
        return WEEKS, QUARTER
    if days >= WEEKS:
        return 3 * QUARTER, QUARTER
    if days < 16 * 7:
        raise DataError(
            f"{counted(days, 'day')} of orders are too short a history to refresh segments on; "
            "expected sixteen weeks"
        )
    return days // 2 // 28 * 28, 28


def _events(taken: Intake, model: SegmentModel) -> pl.DataFrame | None:
    """Read the columns of events that the model and the key figures need, as small as they go."""
    columns = list(EVENTS)
    for beginnings, more in ALSO.items():
        if any(name.startswith(beginnings) for name in model.columns):
            columns += more
    events = taken.read_columns("events", columns)
    if events is None:
        return None
    events = events.with_columns(pl.col("event_type").cast(pl.Enum(EVENT_TYPES)))  # a byte each
    if "session_id" not in events.columns:
        return events
    return events.with_columns(pl.col("session_id").cast(pl.Categorical).to_physical())


def _days(start: date, end: date, apart: int) -> tuple[date, ...]:
    """Return the days to refresh on: equal steps back from the end."""
    steps = max((end - start).days // apart, 1)
    return tuple(end - timedelta(days=apart * step) for step in range(steps - 1, -1, -1))


def _lives_on(settings: Mapping[str, Any], as_of: date) -> bool:
    """Return whether the source is a simulated retailer whose history ends on that day."""
    if settings.get("source") != "simulated" or settings.get("structure") == "none":
        return False
    return bool(_world(settings).calendar.campaign_date - timedelta(days=1) == as_of)


def _world(settings: Mapping[str, Any]) -> Any:
    from segkit.simulate.world import World

    given = {name: settings[name] for name in SIMULATION if name in settings}
    return World(int(settings["customers"]), int(settings["seed"]), **given)


def _further_year(
    taken: Intake,
    model: SegmentModel,
    orders: pl.DataFrame,
    settings: Mapping[str, Any],
    refresh_weeks: int,
) -> History:
    """Let the simulated retailer live on for a year."""
    from segkit.simulate.later import Changes, continue_year

    deals = float(settings.get("deals", 1.0))
    habits = {} if deals == 1.0 else {"deal_proneness": deals}
    usual = Changes()
    changes = replace(usual, changed=float(settings.get("changed", usual.changed)), habits=habits)
    year = continue_year(_world(settings), changes, ids=orders["customer_id"].unique())
    raw = {name: year.tables[name] for name in ("orders", "events", "products", "prices", "fx")}
    fresh = clean_data(raw, year.mapping)
    start, end = year.start - timedelta(days=1), year.start + timedelta(days=WEEKS - 1)
    survey = year.tables["survey"].rename({"account_id": "customer_id"})
    truth, campaigns = year.truth, year.tables["campaigns"]
    later, lines = _events(fresh, model), fresh.read_columns("orders", orders.columns)
    del raw, year, fresh  # before the events of history are read
    events = _events(taken, model)
    if events is not None and later is not None:
        beyond = cast("int", events["session_id"].max() or 0) + 1
        later = later.with_columns(pl.col("session_id") + beyond)  # sessions of their own
    return History(
        model=model,
        orders=pl.concat([part for part in (orders, lines) if part is not None], how="diagonal"),
        events=pl.concat([part for part in (events, later) if part is not None], how="diagonal"),
        survey=survey,
        campaigns=campaigns,
        start=start,
        end=end,
        days=_days(start, end, 7 * refresh_weeks or QUARTER),
        truth=truth,
        habits=habits,
        text=f"The simulated retailer lives on for 52 weeks after {start.isoformat()}; on the "
        f"first day {percent(changes.changed, places=0)} of its customers take on the habits of "
        f"another archetype, {percent(changes.left, places=0)} leave in the course of the year, "
        f"{percent(changes.new, places=0)} come"
        + (f"; everybody's odds of buying at a discount change by {number(deals)}." if habits
           else ".")
        + " Each refresh is compared with the same season of the year before.",
        simulated=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class PlantedMoves(Result):
    """Moves between segments beside what was planted.

    Attributes
    ----------
    rows : polars.DataFrame
        One row per planted group: planted ("changed archetype", "left in the year", "stayed as they
        were"), customers, moved (in another segment than at the start), moved_share with _low and
        _high (Wilson), arrived_right (share of them in the segment in which most unchanged
        customers of their archetype are).
    habits : polars.DataFrame
        One row per habit planted for everybody: habit, factor, feature, and first_alarm (day of the
        first refresh at which that feature drifted; null: not found).
    false_alarms : list of str
        What else drifted in any refresh.
    """

    rows: pl.DataFrame
    habits: pl.DataFrame
    false_alarms: list[str]

    @property
    def text(self) -> str:
        """State whether planted drift was found, and how many of the planted moves were seen."""
        by_group = {row["planted"]: row for row in self.rows.iter_rows(named=True)}
        changed, stayed = by_group[CHANGED], by_group[STAYED]
        parts = []
        for row in self.habits.iter_rows(named=True):
            alarm = row["first_alarm"]
            when = "was not found" if alarm is None else f"was found on {alarm.isoformat()}"
            parts.append(f"the planted drift of {label(row['feature'])} {when}")
        if not self.habits.height:
            parts.append(
                f"no drift of everybody was planted, {NONE_FOUND[bool(self.false_alarms)]}"
            )
        elif self.false_alarms:
            parts.append(f"{join_words(list(map(label, self.false_alarms)))} drifted besides")
        if changed["customers"] and stayed["customers"]:
            parts.append(
                f"of {counted(changed['customers'], 'customer')} who were given other habits "
                f"{percent(changed['moved_share'])} changed segment (95% CI "
                f"{percent(changed['moved_share_low'])} to {percent(changed['moved_share_high'])}),"
                f" of those who stayed as they were {percent(stayed['moved_share'])}"
            )
        words = "; ".join(parts)
        return f"{words[0].upper()}{words[1:]}."

    @property
    def answer(self) -> str:
        """Return how much of what was planted was found, in one short sentence."""
        planted, detected = self.habits.height, self.habits["first_alarm"].count()
        verdict = "Yes" if detected == planted else "In part" if detected else "Not shown"
        first = f"{verdict}: {detected} of {counted(planted, 'planted drift')} found"
        if not planted:
            first = f"No drift was planted, {NONE_FOUND[bool(self.false_alarms)]}"
        by_group = {row["planted"]: row for row in self.rows.iter_rows(named=True)}
        changed, stayed = by_group[CHANGED], by_group[STAYED]
        if not (changed["customers"] and stayed["customers"]):
            return f"{first}."
        return (
            f"{first}; {percent(changed['moved_share'])} (95% CI "
            f"{percent(changed['moved_share_low'])} to {percent(changed['moved_share_high'])}) of "
            f"customers given other habits changed segment, {percent(stayed['moved_share'])} of "
            "others."
        )


NONE_FOUND = {False: "and none was found", True: "but some was found"}
CHANGED, LEFT, STAYED = "changed archetype", "left in the year", "stayed as they were"


@takes_frames
def compare_with_truth(
    series: RefreshSeries, truth: pl.DataFrame, *, habits: Mapping[str, float] | None = None
) -> PlantedMoves:
    """Compare the moves between segments, and the drift, with what was planted.

    Customers who are there at the start and at the end are judged, both times by the segments in
    force at the start: new boundaries move customers who have not changed.

    Parameters
    ----------
    series : RefreshSeries
    truth : polars.DataFrame
        `segkit.simulate.FurtherYear.truth`.
    habits : mapping of str to float, optional
        What was planted for everybody.

    Returns
    -------
    PlantedMoves
    """
    days = series.assignments["as_of"].unique().sort()
    first, last = (series.assignments.filter(pl.col("as_of") == days[k]) for k in (0, -1))
    ends = [
        frame.select("customer_id", pl.col("segment").alias(name))
        for frame, name in (
            (first, "then"),
            (last if series.rescored is None else series.rescored, "now"),
        )
    ]
    group = (
        pl.when("changed").then(pl.lit(CHANGED))
        .when(pl.col("left") > days[0]).then(pl.lit(LEFT))
        .when(pl.col("left").is_null()).then(pl.lit(STAYED))
    )  # fmt: skip
    both = ends[0].join(ends[1], on="customer_id").join(truth, on="customer_id")
    both = both.with_columns(planted=group).drop_nulls("planted")
    usual = (
        both.filter(pl.col("planted") == STAYED)
        .group_by("archetype_now", "now")
        .len()
        .sort("len", "now", descending=[True, False])
        .unique("archetype_now", keep="first", maintain_order=True)
        .select("archetype_now", usual="now")
    )
    judged = both.join(usual, on="archetype_now", how="left")
    counts = judged.group_by("planted").agg(
        customers=pl.len().cast(pl.Int64),
        moved=(pl.col("then") != pl.col("now")).sum().cast(pl.Int64),
        arrived_right=(pl.col("now") == pl.col("usual")).mean(),
    )
    order = pl.DataFrame({"planted": [CHANGED, LEFT, STAYED]})
    counts = order.join(counts, on="planted", how="left", maintain_order="left")
    counts = counts.with_columns(pl.col("customers", "moved").fill_null(0))
    share = wilson(counts["moved"].to_numpy(), np.maximum(counts["customers"].to_numpy(), 1))
    rows = counts.select(
        "planted",
        "customers",
        "moved",
        moved_share=pl.when(pl.col("customers") > 0).then(pl.col("moved") / pl.col("customers")),
        moved_share_low=pl.Series(share.low),
        moved_share_high=pl.Series(share.high),
        arrived_right="arrived_right",
    )
    planted = [(name, factor, SHOWS.get(name, name)) for name, factor in (habits or {}).items()]
    first_alarms: dict[str, date] = {}
    for day, alarms in series.rows.select("as_of", "alarms").iter_rows():
        for name in filter(None, alarms.split(", ")):
            first_alarms.setdefault(name, day)
    schema = {"habit": pl.String, "factor": pl.Float64, "feature": pl.String,
              "first_alarm": pl.Date}  # fmt: skip
    table = pl.DataFrame(
        [(*one, first_alarms.get(one[2])) for one in planted], schema, orient="row"
    )
    return PlantedMoves(rows, table, sorted(set(first_alarms) - set(table["feature"])))
