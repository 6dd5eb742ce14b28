"""Outcomes from raw events and orders, within a window after each customer's assignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from segkit.errors import DataError, ParameterError, require_columns
from segkit.features.sources import MICRO, check_size
from segkit.frames import takes_frames
from segkit.lift.assigned import Issue, settle_assignments
from segkit.lift.outcomes import Outcomes, issue_table

VISITS = ("site_visit", "page_view", "product_view", "cart_add", "checkout")
MAIL = {"email_sent": "emails_sent", "email_open": "emails_opened", "email_click": "emails_clicked"}
YEAR = timedelta(days=364)  # 52 weeks: the same days of the week
FLAGS = {"unsubscribe": "unsubscribed", "complaint": "complained"}


@takes_frames
def derive_outcomes(
    assignments: pl.DataFrame,
    orders: pl.DataFrame | None = None,
    events: pl.DataFrame | None = None,
    *,
    window_days: float = 28,
    campaign_id: str | None = None,
    holdout: str | None = None,
    arms: Sequence[str] | None = None,
    pre_days: float = 365,
    data_from: datetime | None = None,
    data_until: datetime | None = None,
    randomised: bool = True,
) -> Outcomes:
    """What did each assigned customer do in the window after the assignment?

    The window is ``[assigned_at, assigned_at + window_days)``, for every customer of every arm.
    What lies before feeds covariates (and `describe_change`) alone; a customer whose window reaches
    beyond the data is censored: set apart and counted. Where the orders reach back far enough,
    what was ordered in the equally long period before the assignment (``before_``), in the window
    52 weeks earlier (``last_year_``) and in the period before that (``before_last_year_``) is given
    too.

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
        The arm that was to get no mail; those who got one are counted as contaminated.
    arms : sequence of str, optional
        The planned labels; another is an error.
    pre_days : float
        How far the covariates look back.
    data_from : datetime, optional
        Start of the orders (UTC); by default the day of the first one.
    data_until : datetime, optional
        End of the data (UTC); by default the end of the day of the last order or event.
    randomised : bool
        Whether arms were drawn at random.

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
    if not window_days > 0 or not pre_days > 0:
        raise ParameterError(f"windows must be longer than 0 days, got {window_days}, {pre_days}")
    if orders is None and events is None:
        raise DataError("outcomes need orders or events; neither was given")
    window, before = timedelta(days=window_days), timedelta(days=pre_days)
    kept, issues = settle_assignments(
        assignments, campaign_id=campaign_id, arms=arms, window=window
    )
    until = data_until or _end(orders, events)
    kept, censored = _censor(kept, window, until)
    issues.append(censored)
    who = kept.select("customer_id", "assigned_at")
    periods: dict[str, timedelta] = {}
    if orders is not None:
        lines, found = _around(orders, "order_time", who, window, before)
        issues += found
        data_from, periods = _periods(orders, who, window, data_from)
        sums = _from_orders(lines, periods, window)
        kept = kept.join(sums, on="customer_id", how="left")
    if events is not None:
        lines, found = _around(events, "event_time", who, window, before)
        issues += found
        kept = kept.join(_from_events(lines, campaign_id), on="customer_id", how="left")
    issues += _unmet(who["customer_id"], orders, events)
    kept = _whole(kept, periods, orders is not None, events is not None)
    issues += _contaminated(kept, holdout)
    return Outcomes(
        kept.sort("customer_id"), issue_table(issues), window_days, until, randomised, data_from
    )


def _end(orders: pl.DataFrame | None, events: pl.DataFrame | None) -> datetime:
    """Return the end of the last day with data."""
    last = [
        table[column].max()
        for table, column in ((orders, "order_time"), (events, "event_time"))
        if table is not None and column in table.columns and table.height
    ]
    times = [value for value in last if isinstance(value, datetime)]
    if not times:
        raise DataError("neither orders nor events hold a row; where do the data end?")
    end = max(time if time.tzinfo else time.replace(tzinfo=UTC) for time in times)
    return datetime(end.year, end.month, end.day, tzinfo=UTC) + timedelta(days=1)


def _censor(kept: pl.DataFrame, window: timedelta, until: datetime) -> tuple[pl.DataFrame, Issue]:
    end = until if until.tzinfo else until.replace(tzinfo=UTC)
    seen = kept.filter(pl.col("assigned_at") + window <= end)
    lost = kept.height - seen.height
    if seen.is_empty():
        first = kept["assigned_at"].min()
        raise DataError(
            f"the data end on {end:%Y-%m-%d %H:%M}, before any window of {window.days} days is "
            f"over (first assignment {first!s}); wait, or shorten window_days"
        )
    return seen, ("window reaches beyond the data (censored)", lost, lost, "set apart")


def _unmet(
    assigned: pl.Series, orders: pl.DataFrame | None, events: pl.DataFrame | None
) -> list[Issue]:
    """Count the assigned customers whom no order line, or no event, ever names."""
    issues: list[Issue] = []
    for what, table in (("order line", orders), ("event", events)):
        if table is None:
            continue
        known = table["customer_id"].unique()
        without = int((~assigned.is_in(known.implode())).sum())
        hint = ": are the ids of one kind?" if without == len(assigned) else ""
        if without:
            issues.append((f"assigned, but named by no {what} at all{hint}", without, without,
                           "counted as without any"))  # fmt: skip
    return issues


def _around(
    table: pl.DataFrame, time: str, who: pl.DataFrame, window: timedelta, before: timedelta
) -> tuple[pl.DataFrame, list[Issue]]:
    """Keep an assigned customer's lines in or before the window; count the others."""
    what = "orders" if time == "order_time" else "events"
    need = ["order_id", "amount"] if what == "orders" else ["event_type"]
    require_columns(table.columns, ["customer_id", time, *need], what)
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
    if what == "orders":
        wrong = lines.filter(~pl.col("amount").is_finite() | pl.col("amount").is_null()).height
        if wrong:
            raise DataError(f"{wrong:,} order lines have an amount that is not a finite number")
    early, late = lines.filter(wait < timedelta(0)), lines.filter(wait >= window)
    others = table.height - lines.height
    return lines, [
        (f"{what} before the assignment", early["customer_id"].n_unique(), early.height,
         "covariates only"),
        (f"{what} after the window", late["customer_id"].n_unique(), late.height, "left out"),
        (f"{what} of customers who are not measured", 0, others, "left out"),
    ]  # fmt: skip


def _periods(
    orders: pl.DataFrame, who: pl.DataFrame, window: timedelta, data_from: datetime | None
) -> tuple[datetime | None, dict[str, timedelta]]:
    """Return where the orders begin, and by prefix the start of each period that they cover.

    Starts are counted from the assignment; each period is as long as the window.
    """
    first, drawn = data_from or orders["order_time"].min(), who["assigned_at"].min()
    if not isinstance(first, datetime) or not isinstance(drawn, datetime):
        return None, {}
    first = first if first.tzinfo else first.replace(tzinfo=UTC)
    if data_from is None:
        first = datetime(first.year, first.month, first.day, tzinfo=UTC)
    starts = {"before_": -window, "last_year_": -YEAR, "before_last_year_": -YEAR - window}
    if drawn - YEAR - window < first:
        starts = {"before_": -window} if drawn - window >= first else {}
    return first, starts


def _from_orders(
    lines: pl.DataFrame, periods: Mapping[str, timedelta], window: timedelta
) -> pl.DataFrame:
    """Sum order lines to orders, and these to customers (no distinct counts)."""
    wait = pl.col("order_time") - pl.col("assigned_at")
    lines = lines.with_columns(
        **{name: (wait >= start) & (wait < start + window) for name, start in periods.items()}
    )
    back = pl.col("is_return") if "is_return" in lines.columns else pl.col("amount") < 0
    bought = ~back.fill_null(value=False) & (pl.col("amount") > 0)
    check_size(float(lines["amount"].abs().sum()), "amount", "orders")
    # Whole millionths, whose sum does not hang on the order in which lines are added.
    millionths = (pl.col("amount") * MICRO).round().cast(pl.Int64)
    whole = lines.group_by("customer_id", "order_id", "after", "pre", *periods).agg(
        amount=millionths.sum(), bought=bought.any(), day=pl.col("day").min()
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
    own = pl.lit(value=True)
    if campaign_id is not None and "campaign_id" in lines.columns:
        own = pl.col("campaign_id").eq_missing(campaign_id) | pl.col("campaign_id").is_null()
    visit = kind.is_in(VISITS)
    counts: list[Any] = [
        ((kind == event) & after & own).sum().cast(pl.Int64).alias(name)
        for event, name in MAIL.items()
    ]
    counts += [
        ((kind == event) & after).any().cast(pl.Int64).alias(n) for event, n in FLAGS.items()
    ]
    some = "session_id" in lines.columns
    for name, when in (("visits", after), ("pre_visits", pre)):
        session = pl.col("session_id").filter(visit & when) if some else None
        days = pl.col("day").filter(visit & when)  # without sessions a visit is a day
        unit = days if session is None else session
        counts.append(unit.n_unique().cast(pl.Int64).alias(name))
    return lines.group_by("customer_id").agg(counts)


def _whole(
    kept: pl.DataFrame, periods: Mapping[str, timedelta], orders: bool, events: bool
) -> pl.DataFrame:
    """Give whoever did nothing zeros, and derive the shares."""
    prefixes = ["", "pre_", *periods] if orders else []
    sums = [f"{name}{what}" for name in prefixes for what in ("orders", "revenue")]
    sums += [*MAIL.values(), *FLAGS.values(), "visits", "pre_visits"] if events else []
    whole = kept.with_columns(pl.col(sums).fill_null(0))
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


def _contaminated(kept: pl.DataFrame, holdout: str | None) -> list[Issue]:
    found: list[Issue] = []
    if holdout is not None and "emails_sent" in kept.columns:
        mailed = kept.filter((pl.col("arm") == holdout) & (pl.col("emails_sent") > 0))
        n = mailed.height
        found.append((f"in {holdout}, but got the campaign's mail (contaminated)", n, n, "kept"))
        others = pl.col("arm") != holdout
        if kept.filter(others)["emails_sent"].sum():
            n = kept.filter(others & (pl.col("emails_sent") == 0)).height
            found.append((f"not in {holdout}, but got no mail", n, n, "kept"))
    if "revenue" in kept.columns:
        n = kept.filter(pl.col("revenue") < 0).height
        found.append(("returned more than they bought", n, n, "kept, revenue below zero"))
    return found
