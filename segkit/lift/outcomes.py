"""Outcomes of each assigned customer in the window after the assignment, given or derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import (
    ColumnError,
    DataError,
    ParameterError,
    require_choice,
    require_columns,
    require_range,
)
from segkit.features.sources import MICRO, check_size
from segkit.frames import is_sold, takes_frames
from segkit.ids import spelling_hint
from segkit.lift.requirements import as_utc, refuse_later_segments, refuse_twice
from segkit.result import Result

Issue = tuple[str, int, int, str]


def settle_assignments(
    assignments: pl.DataFrame,
    *,
    campaign_id: str | None = None,
    window: timedelta,
) -> tuple[pl.DataFrame, list[Issue]]:
    """Reduce assignments to one row per customer, and count what was dropped.

    The first assignment counts (intention to treat): it was random, a later change may not have
    been. A customer with two arms at the same time has no first assignment and is left out.

    Parameters
    ----------
    assignments : DataFrame
        customer_id, arm, assigned_at; campaign_id where there are several campaigns.
    campaign_id : str, optional
        The campaign to measure; needed if there are several.
    window : timedelta
        Time around the assignment in which another campaign's assignment of the same customer is
        counted.

    Returns
    -------
    tuple of (DataFrame, list of issues)

    Raises
    ------
    ColumnError, DataError
        If a column is missing, a customer, arm or time is null, or nobody is left.
    ParameterError
        If the campaign is unknown.

    Examples
    --------
    >>> from datetime import datetime
    >>> frame = pl.DataFrame({"customer_id": ["a", "a"], "arm": ["x", "y"],
    ...     "assigned_at": [datetime(2024, 3, 1), datetime(2024, 3, 2)]})
    >>> settle_assignments(frame, window=timedelta(28))[0]["arm"].to_list()
    ['x']
    """
    require_columns(assignments.columns, ["customer_id", "arm", "assigned_at"], "the assignments")
    if not isinstance(assignments.schema["assigned_at"], pl.Datetime):
        kind = assignments.schema["assigned_at"]
        raise ColumnError(f"assigned_at must be a date-time (UTC), is {kind}")
    for column in ("customer_id", "arm", "assigned_at"):
        missing = assignments[column].null_count()
        if missing:
            raise DataError(f"{counted(missing, 'assignment has', 'assignments have')} no {column}")
    frame = assignments.with_columns(
        pl.col("customer_id", "arm").cast(pl.String),
        assigned_at=as_utc(assignments.schema, "assigned_at"),
    )
    mine, others = _one_campaign(frame, campaign_id)
    refuse_later_segments(mine)
    assigned, issues = _first_only(mine)
    if assigned.is_empty():
        raise DataError("no customer was assigned to exactly one arm")
    near = assigned.select("customer_id", "assigned_at").join(
        others.select("customer_id", other="assigned_at"), on="customer_id"
    )
    near = near.filter((pl.col("other") - pl.col("assigned_at")).abs() < window)
    count = near["customer_id"].n_unique()
    issues.append(("also in another campaign within the window", count, near.height, "kept"))
    return assigned, issues


def _one_campaign(
    frame: pl.DataFrame, campaign_id: str | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the assignments of the campaign, and those of the others."""
    if "campaign_id" not in frame.columns:
        return frame, frame.clear()
    campaigns = [str(name) for name in frame["campaign_id"].unique().drop_nulls().sort()]
    if campaign_id is None:
        if len(campaigns) > 1:
            raise ParameterError(
                f"the assignments are of {counted(len(campaigns), 'campaign')} "
                f"({', '.join(campaigns[:5])}); say which by campaign_id"
            )
        return frame, frame.clear()
    require_choice("campaign", campaign_id, campaigns)
    own = pl.col("campaign_id").eq_missing(campaign_id)
    return frame.filter(own), frame.filter(~own)


def _first_only(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Issue]]:
    """Keep each customer's first assignment, and leave out customers with two at the same time."""
    ordered = frame.sort("customer_id", "assigned_at", "arm", maintain_order=True)
    first = pl.col("assigned_at").min().over("customer_id")
    facts = ordered.with_columns(
        arms=pl.col("arm").n_unique().over("customer_id"),
        at_once=pl.col("arm").filter(pl.col("assigned_at") == first).n_unique().over("customer_id"),
        rows=pl.len().over("customer_id"),
    )
    changed = facts.filter((pl.col("arms") > 1) & (pl.col("at_once") == 1))
    doubly = facts.filter(pl.col("at_once") > 1)
    repeated = facts.filter((pl.col("arms") == 1) & (pl.col("rows") > 1))
    firsts = facts.filter(pl.col("at_once") == 1).unique(
        "customer_id", keep="first", maintain_order=True
    )

    def issue(what: str, rows: pl.DataFrame, treatment: str) -> Issue:
        return what, rows["customer_id"].n_unique(), rows.height, treatment

    return firsts.drop("arms", "at_once", "rows"), [
        issue("assigned to the same arm again", repeated, "first kept"),
        issue("arm changed later", changed, "kept in the first arm"),
        issue("in two arms at one time", doubly, "left out"),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes(Result):
    """Outcomes per assigned customer: arm, segment, figures in the window and before it.

    Attributes
    ----------
    frame : DataFrame
        customer_id, campaign_id, arm, offer, segment, assigned_at, and the outcomes: converted,
        orders, revenue, conversion_day (1 is the first; null without an order), visited, visits,
        emails_sent, emails_opened, emails_clicked, clicked, unsubscribed, complained, inactive;
        and from before the assignment pre_converted, pre_orders, pre_revenue, pre_visits. For
        `describe_change` also converted, orders and revenue of three earlier periods, with the
        prefixes ``before_``, ``last_year_`` and ``before_last_year_`` (see `derive_outcomes`).
    issues : DataFrame
        issue, customers, rows, treatment: each problem and how it was handled.
    window_days : float or None
        Length of the window from each customer's assignment; None for outcomes as given.
    data_until : datetime or None
        End of the data; windows that reach beyond are censored.
    randomised : bool
        Whether arms were assigned at random, as far as is known.
    data_from : datetime or None
        Start of the orders.
    """

    frame: pl.DataFrame
    issues: pl.DataFrame
    window_days: float | None
    data_until: datetime | None
    randomised: bool
    data_from: datetime | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return the number of customers and the sums of their outcomes, by arm."""
        sums = [name for name in ("converted", "orders", "revenue") if name in self.frame.columns]
        return (
            self.frame.group_by("arm")
            .agg(pl.len().alias("customers"), pl.col(sums).sum())
            .sort("arm")
        )

    @property
    def text(self) -> str:
        """Finding: how many customers are measured, over which window, and what was left out."""
        window = "" if self.window_days is None else f" over {counted(self.window_days, 'day')}"
        issues = self.issues.filter(pl.col("customers") > 0)
        counts = "; ".join(
            f"{row['issue']}: {number(row['customers'])} ({row['treatment']})"
            for row in issues.iter_rows(named=True)
        )
        arms = self.frame["arm"].n_unique()
        return (
            f"{counted(self.frame.height, 'customer')} in {counted(arms, 'arm is', 'arms are')} "
            f"measured{window} from their assignment. "
            f"{f'Found: {counts}.' if counts else 'Nothing was amiss.'}"
        )


@takes_frames
def read_outcomes(
    assignments: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    names: dict[str, str] | None = None,
    randomised: bool = True,
) -> Outcomes:
    """Take outcomes that a source gives per customer, instead of deriving them from events.

    Parameters
    ----------
    assignments : DataFrame
        customer_id, arm, and optionally segment, segment_as_of, assigned_at, covariates.
    outcomes : DataFrame
        customer_id and outcome columns.
    names : dict of str to str, optional
        The source's outcome name to segkit's ({"spend": "revenue"}).
    randomised : bool
        Whether arms were assigned at random.

    Returns
    -------
    Outcomes
        Outcomes of the assigned customers. Customers without an outcome are left out and counted.

    Raises
    ------
    DataError
        If a customer comes twice on either side, or nobody is on both.

    Examples
    --------
    >>> who = pl.DataFrame({"customer_id": ["a", "b"], "arm": ["mail", "none"]})
    >>> did = pl.DataFrame({"customer_id": ["a", "b"], "spend": [5.0, 0.0]})
    >>> read_outcomes(who, did, names={"spend": "revenue"}).frame["revenue"].to_list()
    [5.0, 0.0]
    """
    require_columns(assignments.columns, ["customer_id", "arm"], "the assignments")
    require_columns(outcomes.columns, ["customer_id"], "the outcomes")
    for frame in (assignments, outcomes):
        refuse_twice(frame)
    refuse_later_segments(assignments)
    joined = assignments.join(outcomes.rename(names or {}), on="customer_id", how="inner")
    without = assignments.height - joined.height
    beyond = outcomes.height - joined.height
    if joined.is_empty():
        raise DataError("no assigned customer has an outcome; are the ids of one kind?")
    rows = [
        ("assigned, but without an outcome", without, without, "left out"),
        ("outcome of a customer who was not assigned", beyond, beyond, "left out"),
    ]
    return Outcomes(joined.sort("customer_id"), issue_table(rows), None, None, randomised)


def issue_table(rows: list[tuple[str, int, int, str]]) -> pl.DataFrame:
    """Return the issues as a frame: issue, customers, rows, treatment."""
    schema: dict[str, Any] = {
        "issue": pl.String,
        "customers": pl.Int64,
        "rows": pl.Int64,
        "treatment": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


VISITS = ("site_visit", "page_view", "product_view", "cart_add", "checkout")
MAIL = {"email_sent": "emails_sent", "email_open": "emails_opened", "email_click": "emails_clicked"}
YEAR = timedelta(days=364)  # 52 weeks: the same days of the week
FLAGS = {"unsubscribe": "unsubscribed", "complaint": "complained"}
_NULL_WITHOUT_LINES = ("conversion_day",)  # of all other sums, no line means zero


@takes_frames
def derive_outcomes(
    assignments: pl.DataFrame,
    orders: pl.DataFrame | None = None,
    events: pl.DataFrame | None = None,
    *,
    window_days: float = 28,
    campaign_id: str | None = None,
    holdout: str | None = None,
    pre_days: float = 365,
    data_until: datetime | None = None,
    randomised: bool = True,
) -> Outcomes:
    """Derive each assigned customer's outcomes in the window after the assignment.

    The window is ``[assigned_at, assigned_at + window_days)``, for every customer of every arm.
    Data from before the assignment are used only for covariates and `describe_change`. A customer
    whose window reaches beyond the data is censored: left out and counted. Where the orders reach
    back far enough, what was ordered in the equally long period before the assignment
    (``before_``), in the window 52 weeks earlier (``last_year_``) and in the period before that
    (``before_last_year_``) is given too.

    Parameters
    ----------
    assignments : DataFrame
        customer_id, arm, assigned_at; optional campaign_id, offer, segment, segment_as_of and
        covariates. See `settle_assignments` for customers assigned twice.
    orders : DataFrame, optional
        Clean order lines: customer_id, order_id, order_time, amount, optionally is_return; with
        those before the assignment, for covariates.
    events : DataFrame, optional
        Clean events: customer_id, event_time, event_type, optionally session_id, campaign_id
        (mails of other campaigns are then left out).
    window_days : float
        Length of the attribution window, > 0.
    campaign_id : str, optional
        The campaign, where assignments or mails are of several.
    holdout : str, optional
        The arm without contact. Its customers who got mail are counted as contaminated.
    pre_days : float
        Days before the assignment that the covariates cover.
    data_until : datetime, optional
        End of the data (UTC); by default the end of the day of the last order or event.
    randomised : bool
        Whether arms were assigned at random.

    Returns
    -------
    Outcomes

    Raises
    ------
    DataError
        If there are neither orders nor events, an amount is not finite, or every window reaches
        beyond the data.
    ColumnError, ParameterError
        If a column is missing, an arm or campaign unknown, or the window not positive.

    Examples
    --------
    >>> drawn = datetime(2024, 3, 1, tzinfo=UTC)
    >>> who = pl.DataFrame({"customer_id": ["a", "b"], "arm": ["mail", "none"],
    ...     "assigned_at": [drawn, drawn]})
    >>> lines = pl.DataFrame({"customer_id": ["a"], "order_id": ["1"], "amount": [20.0],
    ...     "order_time": [drawn + timedelta(days=3)]})
    >>> end = drawn + timedelta(days=28)
    >>> derive_outcomes(who, lines, data_until=end).frame.select("converted", "revenue").rows()
    [(1, 20.0), (0, 0.0)]
    """
    require_range("(0, inf)", window_days=window_days, pre_days=pre_days)
    if orders is None and events is None:
        raise DataError("outcomes need orders or events; neither was given")
    window, before = timedelta(days=window_days), timedelta(days=pre_days)
    assigned, issues = settle_assignments(assignments, campaign_id=campaign_id, window=window)
    until = data_until or _end(orders, events)
    assigned, censored = _censor(assigned, window, until)
    issues.append(censored)
    who = assigned.select("customer_id", "assigned_at")
    data_from, periods = None, dict[str, timedelta]()
    summed: list[str] = []
    if orders is not None:
        lines, unusable = _around(orders, "order_time", who, window, before)
        issues += unusable
        data_from, periods = _periods(orders, who, window)
        sums = _from_orders(lines, periods, window)
        assigned = assigned.join(sums, on="customer_id", how="left")
        summed += sums.columns[1:]
    if events is not None:
        lines, unusable = _around(events, "event_time", who, window, before)
        issues += unusable
        sums = _from_events(lines, campaign_id)
        assigned = assigned.join(sums, on="customer_id", how="left")
        summed += sums.columns[1:]
    issues += _unmet(who["customer_id"], orders, events)
    assigned = _whole(assigned, summed, periods, orders is not None, events is not None)
    issues += _contaminated(assigned, holdout)
    return Outcomes(
        assigned.sort("customer_id"), issue_table(issues), window_days, until, randomised, data_from
    )


def _end(orders: pl.DataFrame | None, events: pl.DataFrame | None) -> datetime:
    """Return the end of the last day with data."""
    last = [
        table[column].max()
        for table, column in ((orders, "order_time"), (events, "event_time"))
        if table is not None and column in table.columns
    ]
    times = [_zoned(value) for value in last if isinstance(value, datetime)]
    if not times:
        raise DataError(
            "neither orders nor events hold a row; give data_until, the end of the data"
        )
    return _midnight(max(times)) + timedelta(days=1)


def _zoned(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _midnight(time: datetime) -> datetime:
    return datetime(time.year, time.month, time.day, tzinfo=UTC)


def _censor(
    assigned: pl.DataFrame, window: timedelta, until: datetime
) -> tuple[pl.DataFrame, Issue]:
    end = _zoned(until)
    observed = assigned.filter(pl.col("assigned_at") + window <= end)
    lost = assigned.height - observed.height
    if observed.is_empty():
        first: datetime = assigned["assigned_at"].min()  # type: ignore[assignment]
        raise DataError(
            f"the data end on {end:%Y-%m-%d %H:%M}, before any window of "
            f"{counted(window.days, 'day')} is over (first assignment {first:%Y-%m-%d %H:%M}); "
            "wait, or shorten window_days"
        )
    return observed, ("window reaches beyond the data (censored)", lost, lost, "left out")


def _unmet(
    assigned: pl.Series, orders: pl.DataFrame | None, events: pl.DataFrame | None
) -> list[Issue]:
    """Count the assigned customers who have no order line, or no event."""
    issues: list[Issue] = []
    for name, table in (("order line", orders), ("event", events)):
        if table is None:
            continue
        known = table["customer_id"].drop_nulls().unique()
        unmet = assigned.filter(~assigned.is_in(known.implode()))
        without = len(unmet)
        hint = spelling_hint(unmet, known)
        hint += ": are the ids of one kind?" if without == len(assigned) else ""
        what = f"assigned, but named by no {name} at all{hint}"
        if without:
            issues.append((what, without, without, "counted as without any"))
    return issues


def _around(
    table: pl.DataFrame, time: str, who: pl.DataFrame, window: timedelta, before: timedelta
) -> tuple[pl.DataFrame, list[Issue]]:
    """Keep an assigned customer's lines in or before the window; count the others."""
    name = "orders" if time == "order_time" else "events"
    need = ["order_id", "amount"] if name == "orders" else ["event_type"]
    require_columns(table.columns, ["customer_id", time, *need], name)
    zone = getattr(table.schema[time], "time_zone", None)
    utc = pl.col(time) if zone else pl.col(time).dt.replace_time_zone("UTC")
    lines = table.with_columns(utc.alias(time))
    lines = lines.join(who, on="customer_id", how="inner")
    wait = pl.col(time) - pl.col("assigned_at")
    lines = lines.with_columns(
        after=(wait >= timedelta(0)) & (wait < window),
        pre=(wait < timedelta(0)) & (wait >= -before),
        day=wait.dt.total_days() + 1,
    )
    if name == "orders":
        wrong = lines.filter(~pl.col("amount").is_finite() | pl.col("amount").is_null()).height
        if wrong:
            raise DataError(
                f"{counted(wrong, 'order line has', 'order lines have')} an amount that is not a "
                "finite number"
            )
    early, late = lines.filter(wait < timedelta(0)), lines.filter(wait >= window)
    others = table.height - lines.height
    return lines, [
        (
            f"{name} before the assignment",
            early["customer_id"].n_unique(),
            early.height,
            "covariates only",
        ),
        (f"{name} after the window", late["customer_id"].n_unique(), late.height, "left out"),
        (f"{name} of customers who are not measured", 0, others, "left out"),
    ]


def _periods(
    orders: pl.DataFrame, who: pl.DataFrame, window: timedelta
) -> tuple[datetime | None, dict[str, timedelta]]:
    """Return the start of the orders, and the start of each covered period by prefix.

    Starts are counted from the assignment; each period is as long as the window.
    """
    first, drawn = orders["order_time"].min(), who["assigned_at"].min()
    if not isinstance(first, datetime) or not isinstance(drawn, datetime):
        return None, {}
    first = _midnight(first)
    starts = {"before_": -window, "last_year_": -YEAR, "before_last_year_": -YEAR - window}
    if drawn - YEAR - window < first:
        starts = {"before_": -window} if drawn - window >= first else {}
    return first, starts


def _from_orders(
    lines: pl.DataFrame, periods: Mapping[str, timedelta], window: timedelta
) -> pl.DataFrame:
    """Sum order lines to orders, and orders to customers (no distinct counts)."""
    wait = pl.col("order_time") - pl.col("assigned_at")
    lines = lines.with_columns(
        **{name: (wait >= start) & (wait < start + window) for name, start in periods.items()}
    )
    check_size(float(lines["amount"].abs().sum()), "amount", "orders")
    # Amounts as whole millionths: their sum does not depend on the order of the lines.
    millionths = (pl.col("amount") * MICRO).round().cast(pl.Int64)
    whole = lines.group_by("customer_id", "order_id", "after", "pre", *periods).agg(
        amount=millionths.sum(), bought=is_sold(lines.columns).any(), day=pl.col("day").min()
    )
    after, pre = pl.col("after"), pl.col("pre")
    return whole.group_by("customer_id").agg(
        orders=(pl.col("bought") & after).sum().cast(pl.Int64),
        revenue=pl.col("amount").filter(after).sum() / MICRO,
        conversion_day=pl.col("day").filter(after & pl.col("bought")).min(),
        pre_orders=(pl.col("bought") & pre).sum().cast(pl.Int64),
        pre_revenue=pl.col("amount").filter(pre).sum() / MICRO,
        **{
            f"{name}orders": (pl.col("bought") & pl.col(name)).sum().cast(pl.Int64)
            for name in periods
        },
        **{
            f"{name}revenue": pl.col("amount").filter(pl.col(name)).sum() / MICRO
            for name in periods
        },
    )


def _from_events(lines: pl.DataFrame, campaign_id: str | None) -> pl.DataFrame:
    kind, after, pre = pl.col("event_type"), pl.col("after"), pl.col("pre")
    own = after
    if campaign_id is not None and "campaign_id" in lines.columns:
        campaign = pl.col("campaign_id")
        own = after & (campaign.eq_missing(campaign_id) | campaign.is_null())
    visit = kind.is_in(VISITS)
    # Without sessions, one visit per day.
    unit = pl.col("session_id" if "session_id" in lines.columns else "day")
    counts = {name: ((kind == event) & own).sum() for event, name in MAIL.items()}
    counts |= {name: ((kind == event) & after).any() for event, name in FLAGS.items()}
    counts |= {
        name: unit.filter(visit & when).n_unique()
        for name, when in (("visits", after), ("pre_visits", pre))
    }
    return lines.group_by("customer_id").agg(
        count.cast(pl.Int64).alias(name) for name, count in counts.items()
    )


def _whole(
    assigned: pl.DataFrame,
    summed: Sequence[str],
    periods: Mapping[str, timedelta],
    orders: bool,
    events: bool,
) -> pl.DataFrame:
    """Fill zeros for customers without activity, and derive the 0/1 outcomes."""
    prefixes = ["", "pre_", *periods] if orders else []
    zeros = [name for name in summed if name not in _NULL_WITHOUT_LINES]
    whole = assigned.with_columns(pl.col(zeros).fill_null(0))
    whole = whole.with_columns(
        **{f"{name}converted": (pl.col(f"{name}orders") > 0).cast(pl.Int64) for name in prefixes}
    )
    if events:
        whole = whole.with_columns(
            visited=(pl.col("visits") > 0).cast(pl.Int64),
            clicked=(pl.col("emails_clicked") > 0).cast(pl.Int64),
        )
    if orders and events:
        idle = (pl.col("orders") == 0) & (pl.col("visits") == 0)
        whole = whole.with_columns(inactive=idle.cast(pl.Int64))
    return whole


def _contaminated(assigned: pl.DataFrame, holdout: str | None) -> list[Issue]:
    issues: list[Issue] = []
    if holdout is not None and "emails_sent" in assigned.columns:
        mailed = assigned.filter((pl.col("arm") == holdout) & (pl.col("emails_sent") > 0))
        n = mailed.height
        issues.append((f"in {holdout}, but got the campaign's mail (contaminated)", n, n, "kept"))
        others = pl.col("arm") != holdout
        if assigned.filter(others)["emails_sent"].sum():
            n = assigned.filter(others & (pl.col("emails_sent") == 0)).height
            issues.append((f"not in {holdout}, but got no mail", n, n, "kept"))
    if "revenue" in assigned.columns:
        n = assigned.filter(pl.col("revenue") < 0).height
        issues.append(("returned more than they bought", n, n, "kept, revenue below zero"))
    return issues
