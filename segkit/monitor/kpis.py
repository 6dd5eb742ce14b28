"""Key figures by segment over time: what is counted, day by day, week by week or month by month."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, cast

import polars as pl

from segkit.display import counted, join_words, money, number, percent
from segkit.errors import DataError, require_choice, require_columns, require_range
from segkit.frames import is_returned, is_sold, takes_frames
from segkit.result import Figure, Result

Every = Literal["1d", "1w", "1mo"]
EPOCH = date(1970, 1, 1)
ALL = "all"
NO_SEGMENT = "no segment"
#: Key figure -> what is divided by what (None: a count or a sum), in columns of the daily counts.
KPIS: dict[str, tuple[str, str | None]] = {
    "buyers": ("buyers", None),
    "orders": ("orders", None),
    "revenue": ("revenue", None),
    "order_value": ("sold", "orders"),
    "return_share": ("returned", "sold"),
    "visits": ("visits", None),
    "conversion_rate": ("orders", "visits"),
    "bounce_rate": ("bounces", "visits"),
    "open_rate": ("opens", "sent"),
    "click_rate": ("clicks", "sent"),
    "unsubscribe_rate": ("unsubscribes", "sent"),
    "complaint_rate": ("complaints", "sent"),
    "churn_rate": ("lapsed", "active"),
    "csat": ("satisfied", "answers"),
}
#: Key figure -> its name in words, and its definition.
WORDS: dict[str, tuple[str, str]] = {
    "revenue": ("Revenue", "Net of returns."),
    "orders": ("Orders", "Orders with something sold."),
    "buyers": ("Buyers", "Customers with an order in the period."),
    "order_value": ("Average order value", "What was sold per order, before returns."),
    "return_share": ("Return rate", "Returned money of sold money."),
    "visits": ("Visits", "Sessions."),
    "conversion_rate": ("Conversion", "Orders per visit."),
    "bounce_rate": ("Bounce rate", "Share of sessions with one event."),
    "open_rate": ("Open rate", "Opened of sent messages."),
    "click_rate": ("Click-through rate", "Clicked of sent messages."),
    "unsubscribe_rate": ("Unsubscribe rate", "Unsubscribed of sent messages."),
    "complaint_rate": ("Complaint rate", "Complaints of sent messages."),
    "churn_rate": (
        "Churn",
        "Customers who passed the lapse time without an order, of those active.",
    ),
    "csat": ("Satisfaction (CSAT)", "Share of answers that are 4 or 5 of 5."),
}
MONEY = ("sold", "returned", "revenue")
CASES = {"sold": "orders", "revenue": "orders", "returned": "returns"}
SATISFIED, SCALE = 4, (1, 5)  # lowest answer that counts as satisfied, and the scale
LAPSE_DAYS = 182
MAILS = {
    "email_sent": "sent",
    "email_open": "opens",
    "email_click": "clicks",
    "unsubscribe": "unsubscribes",
    "complaint": "complaints",
}


def write_value(kpi: str, value: float | None, currency: str | None = None) -> str:
    """Write a key figure in its unit.

    Examples
    --------
    >>> write_value("revenue", 4493.08, "GBP"), write_value("open_rate", 0.257)
    ('4,493 GBP', '25.7%')
    """
    if value is None:
        return "not known"
    above, below = KPIS[kpi]
    if below is not None and kpi != "order_value":
        return percent(value)
    return money(value, currency) if above in MONEY else number(round(value))


@dataclass(frozen=True, slots=True, eq=False)
class KpiSeries(Result):
    """Key figures by segment and period.

    Attributes
    ----------
    series : polars.DataFrame
        One row per period, segment and key figure: period (its first day), segment_name ("all"
        too), kpi, value (null where the denominator is zero), numerator, denominator (null for
        counts and sums), cases (orders or returns behind money, else the numerator), squares (of
        money: the sum of the squared order values).
    every : {"1d", "1w", "1mo"}
        Length of a period.
    """

    series: pl.DataFrame
    every: Every

    @property
    def measured(self) -> list[str]:
        """The key figures that can be computed from the data."""
        return self.series["kpi"].unique(maintain_order=True).to_list()

    @property
    def text(self) -> str:
        """State what is counted for whom, and over which time."""
        kpis = self.series["kpi"].unique(maintain_order=True).to_list()
        segments = self.series["segment_name"].n_unique() - 1
        periods = self.series["period"]
        first, last = cast("tuple[date, date]", (periods.min(), periods.max()))
        unit = {"1d": "day", "1w": "week", "1mo": "month"}[self.every]
        return (
            f"{join_words(kpis)} of all customers and {counted(segments, 'segment')} in "
            f"{counted(periods.n_unique(), unit)} from {first:%Y-%m-%d} to {last:%Y-%m-%d}."
        )

    def plot(self, kpi: str = "revenue", *, order: Iterable[str] = ()) -> Figure:
        """Draw one key figure over time, one line per segment.

        Parameters
        ----------
        kpi : str
        order : iterable of str
            Names of segments in the order of their colours; others follow.
        """
        from segkit.plot import lines

        require_choice("kpi", kpi, self.series["kpi"].unique().to_list())
        some = self.series.filter((pl.col("kpi") == kpi) & (pl.col("segment_name") != ALL))
        names = pl.Enum(list(dict.fromkeys([*order, *some["segment_name"]])))
        some = some.with_columns(pl.col("segment_name").cast(names))
        return lines(some, "period", "value", group="segment_name", y_label=kpi)


@takes_frames
def measure_kpis(
    orders: pl.DataFrame,
    events: pl.DataFrame | None = None,
    assignments: pl.DataFrame | None = None,
    *,
    survey: pl.DataFrame | None = None,
    every: Every = "1mo",
    since: date | None = None,
    until: date | None = None,
    lapse_days: int = LAPSE_DAYS,
) -> KpiSeries:
    """Measure key figures by segment and period.

    Parameters
    ----------
    orders : polars.DataFrame
        Clean order lines: customer_id, order_id, order_day, amount, is_return (optional).
    events : polars.DataFrame, optional
        Clean events: customer_id, event_day, event_type, and session_id for visits.
    assignments : polars.DataFrame, optional
        customer_id and segment_name. With a column ``as_of`` (as `refresh_series` has them) a day
        counts for the segment that was in force, the last one assigned before it; of a customer's
        rows of one day the last one stands. No segment is called "all" or "no segment".
    survey : polars.DataFrame, optional
        Answers or closed tickets: customer_id, csat (1 to 5) and answered_at (a day or time, or ISO
        text). Without the last column satisfaction over time is not known, and left out.
    every : {"1d", "1w", "1mo"}
        Length of a period; a week begins on Monday. Periods that the data cover only in part, at
        both ends, are left out.
    since, until : datetime.date, optional
        First and last day that counts; by default those of the data.
    lapse_days : int
        Days without an order after which a customer has lapsed.

    Returns
    -------
    KpiSeries

    Raises
    ------
    ColumnError
        If a table lacks a column.
    DataError
        If no whole period is covered, or a segment has a reserved name.

    Notes
    -----
    revenue is net of returns; order_value is what was sold per order, before returns; return_share
    is returned money over sold money; a line is a return by is_return or, where that is absent or
    null, if its amount is below zero; a visit is a session, and bounces are sessions of one event;
    mail rates are per message sent in the same period. churn_rate: of the customers who had ordered
    within ``lapse_days`` when the period began, the share who passed that many days without an
    order in it; null where the data do not reach back so far, and not measured by day. csat: share
    of answers that are 4 or 5. Key figures that cannot be computed from the data are left out.

    Examples
    --------
    >>> orders = pl.DataFrame({"customer_id": ["a", "b", "a"], "order_id": ["1", "2", "3"],
    ...     "order_day": [19_723, 19_730, 19_760], "amount": [10.0, 30.0, 50.0]})
    >>> months = measure_kpis(orders, since=date(2024, 1, 1), until=date(2024, 2, 29))
    >>> months.series.filter(pl.col("kpi") == "revenue")["value"].to_list()
    [40.0, 50.0]
    """
    require_choice("length of a period", every, ("1d", "1w", "1mo"))
    require_columns(orders.columns, ["customer_id", "order_id", "order_day", "amount"], "orders")
    require_range("[31, 3650]", lapse_days=lapse_days)
    if assignments is not None:
        _check_names(assignments)
    days = [orders["order_day"], *([] if events is None else [events["event_day"]])]
    days = [one for one in days if one.count()]
    if not days:
        raise DataError("there are neither orders nor events to measure key figures on")
    first = since or EPOCH + timedelta(days=min(int(one.min()) for one in days))  # type: ignore[arg-type]
    last = until or EPOCH + timedelta(days=max(int(one.max()) for one in days))  # type: ignore[arg-type]
    starts = _whole_periods(first, last, every)
    begin, end = (starts[0] - EPOCH).days, (last - EPOCH).days
    counts = _orders(orders.filter(pl.col("order_day").is_between(begin, end)))
    if events is not None:
        counts += _events(events.filter(pl.col("event_day").is_between(begin, end)))
    if survey is not None:
        counts += [one.filter(pl.col("day").is_between(begin, end)) for one in _answers(survey)]
    if every != "1d":
        counts += _lapses(orders, starts, every, lapse_days)
    filled = _by_period(counts, assignments, starts, every)
    parts = [
        filled.select(
            "period",
            "segment_name",
            pl.lit(kpi).alias("kpi"),
            _ratio(above, below).alias("value"),
            pl.col(above).cast(pl.Float64).alias("numerator"),
            (pl.lit(None, pl.Float64) if below is None else pl.col(below).cast(pl.Float64)).alias(
                "denominator"
            ),
            pl.col(CASES.get(above, above)).cast(pl.Float64).alias("cases"),
            _squares(above).alias("squares"),
        )
        for kpi, (above, below) in KPIS.items()
        if {above, below or above} <= set(filled.columns)
    ]
    order = pl.col("segment_name") != ALL
    series = pl.concat(parts).sort(order, "segment_name", "period", maintain_order=True)
    return KpiSeries(series, every)


def _check_names(assignments: pl.DataFrame) -> None:
    """Refuse segments that are called as all customers are, or those without a segment."""
    require_columns(assignments.columns, ["customer_id", "segment_name"], "assignments")
    names = assignments["segment_name"]
    for reserved in (ALL, NO_SEGMENT):
        if names.eq(reserved).any():
            raise DataError(
                f"a segment is called {reserved!r}, which key figures keep for "
                f"{'all customers' if reserved == ALL else 'customers without one'}; rename it"
            )


def _by_period(
    counts: Sequence[pl.DataFrame],
    assignments: pl.DataFrame | None,
    starts: pl.Series,
    every: Every,
) -> pl.DataFrame:
    """Sum counts by customer and day to one row per period and segment, all customers first."""
    keys = ["period", "segment_name"]
    whole = pl.lit(ALL).alias("segment_name")
    tables: list[pl.DataFrame] = []
    for one in counts:
        marked = _with_segment(one, assignments).with_columns(
            period=(pl.lit(EPOCH) + pl.duration(days="day")).dt.truncate(every)
        )
        marked = marked.filter(pl.col("period").is_in(starts.implode()))
        names = [c for c in one.columns if c not in ("customer_id", "day")]
        sums = [pl.col(names).sum()]
        if "orders" in names:
            buys = pl.col("customer_id").filter(pl.col("orders") > 0)
            sums.append(buys.n_unique().alias("buyers"))
        every_one = marked.group_by("period", maintain_order=True).agg(sums).with_columns(whole)
        groups = (
            [] if assignments is None else [marked.group_by(keys, maintain_order=True).agg(sums)]
        )
        tables.append(pl.concat([every_one, *groups], how="diagonal"))
    groups_seen = pl.concat([one["segment_name"] for one in tables]).unique().sort().to_frame()
    filled = starts.to_frame("period").join(groups_seen, how="cross")
    for one in tables:
        filled = filled.join(one, on=keys, how="left")
    return filled.fill_null(0)


def _orders(orders: pl.DataFrame) -> list[pl.DataFrame]:
    """Count orders and money by customer and day; returns count on the day they have."""
    back = is_returned(orders.columns)
    money = orders.with_columns(
        sold=pl.when(~back).then(pl.col("amount")).otherwise(0.0),
        returned=pl.when(back).then(pl.col("amount").abs()).otherwise(0.0),
    )
    keys = ["customer_id", pl.col("order_day").cast(pl.Int64).alias("day")]
    lines = money.group_by(keys, maintain_order=True).agg(  # sums to the last digit, each time
        orders=pl.col("order_id").filter(pl.col("sold") > 0).n_unique(),
        sold=pl.col("sold").sum(),
        returned=pl.col("returned").sum(),
    )
    return [
        lines.with_columns(
            revenue=pl.col("sold") - pl.col("returned"),
            returns=(pl.col("returned") > 0).cast(pl.Int64),
            sold_squares=pl.col("sold") ** 2,
            returned_squares=pl.col("returned") ** 2,
        )
    ]


def _answers(survey: pl.DataFrame) -> list[pl.DataFrame]:
    """Count the answers about satisfaction by customer and day; none without their day."""
    if not {"csat", "answered_at"} <= set(survey.columns):
        return []
    require_columns(survey.columns, ["customer_id"], "the survey")
    given = survey.filter(pl.col("csat").is_not_null() & pl.col("answered_at").is_not_null())
    low, high = SCALE
    strange = given.filter(~pl.col("csat").is_between(low, high))
    if strange.height:
        raise DataError(
            f"csat must be {low} to {high}, got {strange['csat'][0]} in "
            f"{counted(strange.height, 'answer')}"
        )
    day = pl.col("answered_at")
    if survey.schema["answered_at"] == pl.String:
        day = day.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    answers = given.select(
        "customer_id",
        day=day.cast(pl.Date).cast(pl.Int32).cast(pl.Int64),
        answers=pl.lit(1, pl.Int64),
        satisfied=(pl.col("csat") >= SATISFIED).cast(pl.Int64),
    )
    unread = answers["day"].null_count()
    if unread:
        raise DataError(f"answered_at holds no day in {counted(unread, 'answer')} (YYYY-MM-DD)")
    return [answers] if answers.height else []


def _lapses(
    orders: pl.DataFrame, starts: pl.Series, every: Every, lapse_days: int
) -> list[pl.DataFrame]:
    """Count who was active when each period began, and who lapsed in it, on its first day."""
    bought = orders.filter(is_sold(orders.columns)).select("customer_id", day="order_day")
    bought = bought.cast({"day": pl.Int64}).unique().sort("customer_id", "day")
    if not bought.height:
        return []
    reach = int(bought["day"].min())  # type: ignore[arg-type]
    spans = bought.select(
        "customer_id",
        first="day",
        gone=pl.col("day") + lapse_days + 1,
        again=pl.col("day").shift(-1).over("customer_id"),
    )
    counts = []
    for start, end in zip(starts, starts.dt.offset_by(every), strict=True):
        day, following = (start - EPOCH).days, (end - EPOCH).days
        if day - 1 - lapse_days < reach:
            continue
        # the last order before the period was not longer ago than allowed on the day before it
        active = (pl.col("first") < day) & (pl.col("gone") >= day)
        active &= pl.col("again").is_null() | (pl.col("again") >= day)
        lapses = (pl.col("gone") < following) & (
            pl.col("again").is_null() | (pl.col("again") >= pl.col("gone"))
        )
        counts.append(
            spans.filter(active).select(
                "customer_id",
                day=pl.lit(day, pl.Int64),
                active=pl.lit(1, pl.Int64),
                lapsed=lapses.cast(pl.Int64),
            )
        )
    return [pl.concat(counts)] if counts else []


def _events(events: pl.DataFrame) -> list[pl.DataFrame]:
    """Count messages, visits and bounces by customer and day."""
    require_columns(events.columns, ["customer_id", "event_day", "event_type"], "events")
    day = pl.col("event_day").cast(pl.Int64).alias("day")
    kind = pl.col("event_type")
    mails = events.filter(kind.is_in(list(MAILS)))
    by_kind = [(kind == name).sum().alias(column) for name, column in MAILS.items()]
    counts = [mails.group_by("customer_id", day).agg(by_kind)] if mails.height else []
    if "session_id" in events.columns and events["session_id"].count():
        views = events.filter(~kind.is_in(list(MAILS)) & pl.col("session_id").is_not_null())
        sessions = views.group_by("customer_id", "session_id").agg(day.min(), pl.len())
        counts.append(
            sessions.group_by("customer_id", "day").agg(
                visits=pl.len(), bounces=(pl.col("len") == 1).sum()
            )
        )
    return counts


def _whole_periods(first: date, last: date, every: Every) -> pl.Series:
    """Return the first days of the periods that lie between two days as a whole."""
    days = pl.Series("day", [first, last]).dt.truncate(every)
    starts = pl.date_range(days[0], days[1], interval=every, eager=True)
    ends = starts.dt.offset_by(every)
    whole = starts.filter((starts >= first) & (ends <= last + timedelta(days=1)))
    if not whole.len():
        raise DataError(f"no whole period of {every} lies between {first} and {last}")
    return whole


def _with_segment(daily: pl.DataFrame, assignments: pl.DataFrame | None) -> pl.DataFrame:
    """Give each customer's day the segment that was in force."""
    if assignments is None:
        return daily.with_columns(segment_name=pl.lit(ALL))
    if "as_of" not in assignments.columns:
        one = assignments.select("customer_id", "segment_name").unique("customer_id", keep="last")
        joined = daily.join(one, on="customer_id", how="left")
    else:
        dated = assignments.select(
            "customer_id", "segment_name", day=(pl.col("as_of") - pl.lit(EPOCH)).dt.total_days() + 1
        )
        joined = daily.sort("day").join_asof(
            dated.sort("day", maintain_order=True),
            on="day",
            by="customer_id",
            strategy="backward",
            check_sortedness=False,  # it cannot be checked by customer; both are sorted here
        )
    return joined.with_columns(pl.col("segment_name").fill_null(NO_SEGMENT))


def _squares(above: str) -> pl.Expr:
    """Return the sum of squared order values; of revenue with returns taken off in proportion."""
    if above not in MONEY:
        return pl.lit(None, pl.Float64)
    if above != "revenue":
        return pl.col(f"{above}_squares").cast(pl.Float64)
    share_kept = pl.when(pl.col("sold") > 0).then(pl.col("revenue") / pl.col("sold")).otherwise(0.0)
    return pl.col("sold_squares") * share_kept**2


def _ratio(above: str, below: str | None) -> pl.Expr:
    top = pl.col(above).cast(pl.Float64)
    if below is None:
        return top
    return pl.when(pl.col(below) > 0).then(top / pl.col(below)).otherwise(None)
