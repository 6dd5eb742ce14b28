"""Features from events: visits, time spent, e-mails opened and clicked, abandoned carts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from segkit.features.definitions import Catalogue, Feature, Pick, as_count, per_year, ratio
from segkit.features.orders import trend
from segkit.features.sources import CUSTOMER, is_unknown, micro

COUNTED = {
    "visits": "site_visit",
    "page_views": "page_view",
    "product_views": "product_view",
    "emails_sent": "email_sent",
    "unsubscribes": "unsubscribe",
    "complaints": "complaint",
}
# What a customer does of their own accord; being sent a mail or leaving is not engagement.
ENGAGED = ("email_open", "email_click", "site_visit", "page_view", "product_view", "cart_add",
           "checkout")  # fmt: skip


@dataclass(frozen=True, slots=True)
class EventFacts:
    """Facts about the events that planning the features needs.

    Attributes
    ----------
    columns : tuple of str
    first, as_of : int
        Day numbers of the first event and of the last day used.
    types : tuple of str
        Event types that occur up to ``as_of``.
    pages : mapping of str to list of str
        Feature ending to the names of the sections in the data.
    """

    columns: tuple[str, ...]
    first: int
    as_of: int
    types: tuple[str, ...]
    pages: Mapping[str, list[str]]


def event_sums(events: Any, facts: EventFacts) -> Any:
    """Count a customer's events by type and sum the time by section."""
    kind = nw.col("event_type")
    counts = {name: _one_if(kind == event) for name, event in COUNTED.items()}
    engaged = nw.when(kind.is_in(list(ENGAGED))).then(nw.col("day"))
    seconds = {}
    if "duration_seconds" in facts.columns:
        unknown = is_unknown("duration_seconds")
        duration = (
            nw.when(~unknown).then(nw.col("duration_seconds").cast(nw.Float64)).otherwise(0.0)
        )
        spent = micro(duration, events)
        seconds["seconds"] = spent
        for slug, names in facts.pages.items():
            on_page = nw.col("page").is_in(names) & ~unknown
            seconds[f"seconds_{slug}"] = nw.when(on_page).then(spent).otherwise(0)
    summed = (
        events.with_columns(**counts, **seconds, engaged_day=engaged)
        .group_by(CUSTOMER)
        .agg(nw.col(*counts, *seconds).sum(), nw.col("engaged_day").max())
    )
    if not seconds:
        return summed
    return summed.with_columns(*(nw.col(name).cast(nw.Int64) for name in seconds))


def mail_sums(events: Any, facts: EventFacts) -> Any:
    """Count the e-mails opened and clicked, each at most as often as it was sent."""
    kind = nw.col("event_type")
    marked = events.filter(kind.is_in(["email_sent", "email_open", "email_click"])).with_columns(
        mails=_one_if(kind == "email_sent"),
        opened=_one_if(kind == "email_open"),
        clicked=_one_if(kind == "email_click"),
    )
    keys = [CUSTOMER, *(["campaign_id"] if "campaign_id" in facts.columns else [])]
    mails = marked.group_by(*keys).agg(nw.col("mails", "opened", "clicked").sum())
    if "email_sent" in facts.types:
        sent = nw.col("mails")
        mails = mails.with_columns(
            nw.when(nw.col(name) > sent).then(sent).otherwise(nw.col(name)).alias(name)
            for name in ("opened", "clicked")
        )
    return mails.group_by(CUSTOMER).agg(nw.col("mails", "opened", "clicked").sum())


def cart_sums(events: Any, facts: EventFacts) -> Any:  # noqa: ARG001 - one signature for all blocks
    """Count the sessions with a product added to the cart, and those without a checkout."""
    kind = nw.col("event_type")
    sessions = (
        events.filter(kind.is_in(["cart_add", "checkout"]) & ~nw.col("session_id").is_null())
        .with_columns(carts=_one_if(kind == "cart_add"), paid=_one_if(kind == "checkout"))
        .group_by(CUSTOMER, "session_id")
        .agg(nw.col("carts", "paid").max())
    )
    abandoned = _one_if((nw.col("carts") == 1) & (nw.col("paid") == 0))
    return (
        sessions.with_columns(abandoned=abandoned)
        .group_by(CUSTOMER)
        .agg(nw.col("carts", "abandoned").sum())
    )


# A step of a visit: its event, the event that leads to it, and the feature's name.
STEPS = (
    ("view_to_cart_rate", "product_view", "cart_add"),
    ("cart_to_order_rate", "cart_add", "checkout"),
    ("view_to_order_rate", "product_view", "checkout"),
)


def step_sums(events: Any, facts: EventFacts) -> Any:
    """Count the sessions that reach a step, and those in which the next one follows it."""
    kind = nw.col("event_type")
    time = nw.col("event_time" if "event_time" in facts.columns else "day")
    types = sorted({event for _, *pair in STEPS for event in pair})
    sessions = (
        events.filter(kind.is_in(types) & ~nw.col("session_id").is_null())
        .with_columns(**{event: nw.when(kind == event).then(time) for event in types})
        .group_by(CUSTOMER, "session_id")
        .agg(
            *(nw.col(event).min().alias(f"{event}_first") for event in types),
            *(nw.col(event).max().alias(f"{event}_last") for event in types),
        )
    )
    counts: dict[str, Any] = {}
    for name, start, end in STEPS:
        begun = ~nw.col(f"{start}_first").is_null()
        follows = nw.col(f"{end}_last") >= nw.col(f"{start}_first")
        counts |= {f"{name}_begun": _one_if(begun), f"{name}_followed": _one_if(follows)}
    return sessions.with_columns(**counts).group_by(CUSTOMER).agg(nw.col(*counts).sum())


def _one_if(condition: Any) -> Any:
    return nw.when(condition).then(1).otherwise(0)


BLOCKS: dict[str, Callable[[Any, EventFacts], Any]] = {
    "events": event_sums,
    "mails": mail_sums,
    "sessions": cart_sums,
    "steps": step_sums,
}
NO_ZERO = frozenset({"engaged_day"})


def event_catalogue(facts: EventFacts) -> Catalogue:
    """List the features that these events allow."""
    features: list[Feature] = []
    skipped: list[tuple[str, str]] = []

    def offer(made: list[Feature], *, types: tuple[str, ...] = (), column: str = "") -> None:
        lacking = [kind for kind in types if kind not in facts.types]
        if lacking:
            skipped.extend((f.name, f"no event of type {' or '.join(lacking)}") for f in made)
        elif column and column not in facts.columns:
            skipped.extend((f.name, f"events have no column {column}") for f in made)
        else:
            features.extend(made)

    offer(_counts("visits"), types=("site_visit",))
    yearly = per_year("visits_per_year", "events", "visits", "events.visits", facts.as_of)
    offer([yearly], types=("site_visit",))
    offer(_counts("page_views"), types=("page_view",))
    offer(_counts("product_views"), types=("product_view",))
    offer(_times(facts), column="duration_seconds")
    offer(_counts("emails_sent", group="email"), types=("email_sent",))
    for act, rate, words in (("opened", "open_rate", "open"), ("clicked", "click_rate", "click")):
        offer([_answered(facts, act)], types=(f"email_{words}",))
        offer([_answer_rate(act, rate)], types=(f"email_{words}", "email_sent"))
    offer(_carts(), types=("cart_add",), column="session_id")
    for name, start, end in STEPS:
        offer([_step(name, start, end)], types=(start, end), column="session_id")
    offer([_engagement_recency(facts)])
    offer(_counts("complaints", group="email"), types=("complaint",))
    offer([_unsubscribed()], types=("unsubscribe",))
    visits = trend("visits_trend", "trends", "events", "site visits", "events.visits")
    offer([visits], types=("site_visit",))
    return Catalogue(tuple(features), tuple(skipped))


def _event(
    name: str, group: str, unit: str, formula: str, empty: str, value: Callable[[Pick], pl.Expr]
) -> Feature:
    return Feature(name, group, unit, "events", formula, empty, value)


def _counts(name: str, group: str = "visits") -> list[Feature]:
    formula = f"number of events of type {COUNTED[name]}"
    return [_event(name, group, "events", formula, "zero without one",
                   lambda c: as_count(c(f"events.{name}")))]  # fmt: skip


def _times(facts: EventFacts) -> list[Feature]:
    total = _event("time_seconds", "time", "seconds", "sum of duration_seconds over all events",
                   "zero without one; unknown durations count as none",
                   lambda c: c("events.seconds"))  # fmt: skip
    return [total, *(_page_time(slug, names) for slug, names in facts.pages.items())]


def _page_time(slug: str, names: list[str]) -> Feature:
    return _event(f"time_seconds_{slug}", "time", "seconds", "sum of duration_seconds over events "
                  f"with page {' or '.join(names)}", "zero without one",
                  lambda c: c(f"events.seconds_{slug}"))  # fmt: skip


def _answered(facts: EventFacts, act: str) -> Feature:
    capped = "email_sent" in facts.types
    each = "per campaign" if "campaign_id" in facts.columns else "per customer"
    rule = f"{each} at most as many as were sent in the window" if capped else "repeats included"
    return _event(f"emails_{act}", "email", "events", f"mails {act}: {rule}",
                  "zero without one", lambda c: as_count(c(f"mails.{act}")))  # fmt: skip


def _answer_rate(act: str, rate: str) -> Feature:
    return _event(rate, "email", "share", f"emails_{act} over the mails sent in the window",
                  "null for who was sent none",
                  lambda c: ratio(c(f"mails.{act}"), c("mails.mails")))  # fmt: skip


def _carts() -> list[Feature]:
    none, definition = "zero without one", "sessions with a cart_add and no checkout"
    return [
        _event("carts", "carts", "count", "sessions with a cart_add", none,
               lambda c: as_count(c("sessions.carts"))),
        _event("carts_abandoned", "carts", "count", definition, none,
               lambda c: as_count(c("sessions.abandoned"))),
        _event("abandonment_rate", "carts", "share", "carts_abandoned over carts",
               "null without a cart",
               lambda c: ratio(c("sessions.abandoned"), c("sessions.carts"))),
    ]  # fmt: skip


def _step(name: str, start: str, end: str) -> Feature:
    formula = (
        f"sessions with a {start} and a {end} at the same time or later in it, over sessions with "
        f"a {start}; by the day alone where the events have no time"
    )
    return Feature(
        name, "sequences", "share", "events", formula, f"null without a session with a {start}",
        lambda c: ratio(c(f"steps.{name}_followed"), c(f"steps.{name}_begun")), windowed=False,
    )  # fmt: skip


def _engagement_recency(facts: EventFacts) -> Feature:
    return _event(
        "engagement_recency_days",
        "visits",
        "days",
        f"as_of minus the day of the last event of type {', '.join(ENGAGED)}",
        "null without one",
        lambda c: as_count(facts.as_of - c("events.engaged_day")),
    )


def _unsubscribed() -> Feature:
    return _event("unsubscribed", "email", "yes/no", "1 where there is an event unsubscribe",
                  "zero without one",
                  lambda c: (c("events.unsubscribes") > 0).cast(pl.Int64))  # fmt: skip
