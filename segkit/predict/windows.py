"""Customers at past dates: what was known of them then, and whether the event came after.

A window has an origin, the last day known. Features are computed as of the origin; the label says
what happened within the horizon after it. The labels of a window end on or before the origin of
the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.errors import DataError, ParameterError, require_choice, require_columns
from segkit.features import build_features
from segkit.features.calendar import check_days
from segkit.ids import require_unique
from segkit.predict.histories import (
    EPOCH,
    HISTORY,
    check_as_of,
    count_purchases,
    customer_days,
    estimate_season,
    find_origins,
)
from segkit.predict.likelihood import Array

Outcome = Literal["churn", "first_order"]
Flags = npt.NDArray[np.bool_]
SINCE = "known_since"  # of clean customer records: the day on which a contact became known

# Features by default, each with the column of the orders that it needs.
FROM_ORDERS = {
    **dict.fromkeys(
        ("recency_days", "frequency", "tenure_days", "order_value_mean", "gap_days_mean",
         "gap_days_cv", "frequency_30d", "frequency_90d", "return_share"),
        "amount",
    ),
    "discount_share": "discount",
    "category_breadth": "category",
    "product_breadth": "product_id",
}  # fmt: skip
# Features by default, each with the events that it needs.
FROM_EVENTS: dict[str, tuple[str, ...]] = {
    "engagement_recency_days": (),
    "visits": ("site_visit",),
    "visits_30d": ("site_visit",),
    "visits_90d": ("site_visit",),
    "product_views_90d": ("product_view",),
    "emails_opened_90d": ("email_open",),
    "emails_clicked_90d": ("email_click",),
    "open_rate": ("email_open", "email_sent"),
    "carts_90d": ("cart_add",),
    "unsubscribed": ("unsubscribe",),
}


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Customers at one date.

    Attributes
    ----------
    origin : date
        Last day known.
    frame : polars.DataFrame
        customer_id and what was known.
    event : ndarray of bool or None
        Whether the event came within the horizon; None where the horizon is not over.
    """

    origin: date
    frame: pl.DataFrame
    event: Flags | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """Clean tables to look at as of any date.

    Attributes
    ----------
    orders, events, customers : polars.DataFrame or None
        As for `build_features`.
    outcome : str
        "churn" (of customers) or "first_order" (of contacts who have not bought).
    attributes : sequence of str
        Columns of ``customers`` to use, known at every origin.
    known_date : str or None
        Column of ``customers``: the day on which a contact became known.
    features : tuple of str, optional
        What a model reads, where one is there; None for the usual ones.
    """

    orders: pl.DataFrame
    events: pl.DataFrame | None = None
    customers: pl.DataFrame | None = None
    outcome: Outcome = "churn"
    attributes: Sequence[str] = ()
    known_date: str | None = None
    features: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("orders", "events", "customers"):
            if isinstance(table := getattr(self, name), pl.LazyFrame):
                object.__setattr__(self, name, table.collect())
        object.__setattr__(self, "attributes", tuple(self.attributes))
        dated = self.customers is not None and SINCE in self.customers.columns
        if self.outcome == "first_order" and self.known_date is None and dated:
            object.__setattr__(self, "known_date", SINCE)
        require_choice("outcome", self.outcome, get_args(Outcome))
        wanted = [*self.attributes, *([self.known_date] if self.known_date else [])]
        if wanted and self.customers is None:
            raise ParameterError(
                f"{', '.join(wanted)} need customers, the table with these columns"
            )
        if self.customers is not None:
            require_columns(self.customers.columns, ["customer_id", *wanted], "customers")
            require_unique(self.customers, "customers")
        if self.outcome == "first_order" and self.events is None and self.known_date is None:
            raise ParameterError(
                "lead scores need events, or customers with known_date, the column of the day on "
                "which a contact became known: they tell who was a lead at a past date"
            )

    def describe(self, origin: date) -> Window:
        """Describe who is to be scored, with what was known at the end of a day.

        Raises
        ------
        DataError
            If nobody is there.
        """
        frame = self._buyers(origin) if self.outcome == "churn" else self._leads(origin)
        if self.attributes and self.customers is not None:
            own = self.customers.select("customer_id", *self.attributes)
            frame = frame.join(own, on="customer_id", how="left", maintain_order="left")
        if frame.is_empty():
            who = "customer" if self.outcome == "churn" else "contact without an order"
            raise DataError(f"no {who} is known as of {origin.isoformat()}")
        return Window(origin, frame)

    def label(self, window: Window, purchases: pl.DataFrame, horizon_days: int) -> Window:
        """Add whether the event came within the days after the origin."""
        after = (window.origin - EPOCH).days
        days = pl.col("order_day")
        bought = purchases.filter((days > after) & (days <= after + horizon_days))
        ordered = window.frame["customer_id"].is_in(bought["customer_id"].unique().implode())
        event = ordered.to_numpy()
        return Window(window.origin, window.frame, ~event if self.outcome == "churn" else event)

    def _buyers(self, origin: date) -> pl.DataFrame:
        names = self.features
        if names is None:
            possible = (n for n, need in FROM_ORDERS.items() if need in self.orders.columns)
            names = (*possible, *self._acts(origin))
        table = build_features(
            self.orders,
            self.events,
            as_of=origin,
            features=list(dict.fromkeys(["recency_days", *names])),
            monetary="gross",  # never below zero, so that every customer can be scored
        ).frame  # some of the names are names of groups too
        table = table.select("customer_id", *(n for n in names if n in table.columns))
        past = count_purchases(self.orders, as_of=origin).select(HISTORY)
        return table.join(past, on="customer_id", how="left", maintain_order="left")

    def _acts(self, origin: date) -> list[str]:
        """Name the usual features that the events up to a date allow."""
        if self.events is None:
            return []
        past = self.events.filter(_day(self.events, "event") <= (origin - EPOCH).days)
        types = set(past["event_type"].unique())
        if not types:
            return []
        names = [name for name, need in FROM_EVENTS.items() if types.issuperset(need)]
        with_session = "session_id" in self.events.columns
        return [name for name in names if with_session or not name.startswith("carts")]

    def _leads(self, origin: date) -> pl.DataFrame:
        """Describe the contacts known by a date who had no order line by then."""
        day = (origin - EPOCH).days
        since_when = []
        if self.events is not None:
            first = self.events.select("customer_id", known=_day(self.events, "event"))
            since_when.append(first)
        if self.known_date is not None and self.customers is not None:
            column = self.customers[self.known_date]
            if not column.dtype.is_temporal():
                raise ParameterError(
                    f"known_date: {self.known_date} must hold dates; it is {column.dtype}"
                )
            since = column.cast(pl.Date).to_physical().cast(pl.Int64)
            since_when.append(self.customers.select("customer_id", known=since))
        bought = self.orders.filter(pl.col("order_day") <= day)["customer_id"].unique()
        frame = (
            pl.concat(since_when)
            .drop_nulls()
            .filter(pl.col("known") <= day)
            .group_by("customer_id")
            .agg(known_days=day - pl.col("known").min())
            .filter(~pl.col("customer_id").is_in(bought.implode()))
            .sort("customer_id")
        )
        names = self._acts(origin) if self.features is None else self.features
        if names:
            recency = ["engagement_recency_days"] if self.events is not None else []
            acts = build_features(
                self.orders,
                self.events,
                frame.select("customer_id"),
                as_of=origin,
                features=list(dict.fromkeys([*recency, *names])),
                population="all",
            ).frame
            acts = acts.select("customer_id", *(n for n in names if n in acts.columns))
            frame = frame.join(acts, on="customer_id", how="left", maintain_order="left")
        return frame


def _day(frame: pl.DataFrame, what: str) -> pl.Expr:
    """Return the day of each row: the column of the day, else that of the time."""
    if f"{what}_day" in frame.columns:
        return pl.col(f"{what}_day").cast(pl.Int64)
    require_columns(frame.columns, [f"{what}_time"], f"{what}s")
    return pl.col(f"{what}_time").cast(pl.Date).to_physical().cast(pl.Int64)


@dataclass(frozen=True, slots=True, eq=False)
class Rolling:
    """Windows at regular past dates, each described once.

    Attributes
    ----------
    windows : tuple of Window
        The latest last.
    end : date
        Last day observed, when the last window's horizon is over.
    horizon_days : int
    purchase_days : polars.Series
        Day of each purchase up to the end.
    """

    windows: tuple[Window, ...]
    end: date
    horizon_days: int
    purchase_days: pl.Series

    def find_season(self, end: date) -> tuple[float, ...]:
        """Estimate the season by month from the purchases up to a day; all 1 where it is hidden."""
        days = self.purchase_days.filter(self.purchase_days <= (end - EPOCH).days)
        first = EPOCH + timedelta(days=int(days.min()))  # type: ignore[arg-type]
        return tuple(estimate_season(days, first, end).months.tolist())

    def before(self, origin: date, most: int) -> tuple[list[Window], Window | None]:
        """Return the windows to fit on before an origin, and the last one, to calibrate on.

        Their labels end on or before the origin. With one window alone nothing is left to
        calibrate on.
        """
        over = timedelta(days=self.horizon_days)
        earlier = [one for one in self.windows if one.origin + over <= origin][-most:]
        return (earlier[:-1], earlier[-1]) if len(earlier) > 1 else (earlier, None)


def roll(tables: Tables, as_of: date | None, horizon_days: int, count: int) -> Rolling:
    """Describe and label customers at dates one horizon apart, the last one horizon before the end.

    Parameters
    ----------
    tables : Tables
    as_of : date, optional
        Last day observed; by default the last day with an order line.
    horizon_days : int
    count : int
        Windows at most; those with under 90 days of history before them are left out.

    Raises
    ------
    DataError
        If no date has enough history before it and a horizon after it.
    """
    check_days((horizon_days,), "horizon_days")
    end = check_as_of(tables.orders, as_of)
    _check_end(tables.orders, end)
    purchases = customer_days(tables.orders, end).filter("purchase")
    origins = find_origins(purchases, end, horizon_days, count)
    labelled = [tables.label(tables.describe(one), purchases, horizon_days) for one in origins]
    return Rolling(tuple(labelled), end, horizon_days, purchases["order_day"])


def _check_end(orders: pl.DataFrame, end: date) -> None:
    """Raise an error where the orders end before the last day observed.

    A pause is no end as long as it is no longer than an earlier one, or a week.
    """
    days = orders["order_day"].drop_nulls().unique().sort()
    pause = max(int(days.diff().max() or 0), 7)  # type: ignore[arg-type]
    last = EPOCH + timedelta(days=int(days[-1]))
    if (end - last).days > pause:
        raise DataError(
            f"as_of is {end.isoformat()}, but the orders end on {last.isoformat()}: who ordered "
            "after that is not known"
        )


def stack(windows: Sequence[Window], last: Window) -> tuple[pl.DataFrame, Array]:
    """Return the rows of several windows and their events, with the columns of the last one too."""
    shared = [
        name
        for name in last.frame.columns
        if all(name in window.frame.columns for window in windows)
    ]
    frame = pl.concat([window.frame.select(shared) for window in windows])
    events = [window.event for window in windows if window.event is not None]
    return frame, np.concatenate(events).astype(float)
