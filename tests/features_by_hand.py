"""Every feature once more, customer by customer in plain Python: the yardstick of the tests."""

import math
import random
import statistics
from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise

import polars as pl
from dateutil.easter import easter as easter_sunday

EPOCH = date(1970, 1, 1)
SEASONS = {"winter": (12, 1, 2), "spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11)}
ENGAGED = {
    "email_open", "email_click", "site_visit", "page_view", "product_view", "cart_add", "checkout",
}  # fmt: skip
TYPES = sorted(ENGAGED | {"email_sent", "unsubscribe", "complaint"})
ORDER_SCHEMA = {
    "customer_id": pl.String, "order_id": pl.String, "order_day": pl.Int32, "amount": pl.Float64,
    "is_return": pl.Boolean, "discount": pl.Float64, "category": pl.String,
    "product_id": pl.String, "channel": pl.String,
}  # fmt: skip
EVENT_SCHEMA = {
    "customer_id": pl.String, "event_day": pl.Int32, "event_type": pl.String,
    "campaign_id": pl.String, "session_id": pl.String, "page": pl.String,
    "duration_seconds": pl.Float64,
}  # fmt: skip


def over(top, bottom):
    return top / bottom if bottom > 0 else None


def occasions(day):
    """Name the occasions of the US calendar that a day belongs to."""
    d = EPOCH + timedelta(days=day)
    md = (d.month, d.day)
    found = set()
    if (12, 1) <= md <= (12, 24):
        found.add("christmas")
    if md >= (12, 26) or md <= (1, 15):
        found.add("new_year_sales")
    if (2, 1) <= md <= (2, 14):
        found.add("valentines")
    if d.month == 7:
        found.add("summer_sales")
    if (8, 15) <= md <= (9, 15):
        found.add("back_to_school")
    if 0 <= (easter_sunday(d.year) - d).days <= 7:
        found.add("easter")
    thanksgiving = [
        date(d.year, 11, k) for k in range(22, 29) if date(d.year, 11, k).weekday() == 3
    ]
    if 0 <= (d - thanksgiving[0]).days <= 4:
        found.add("black_friday")
    sundays = [date(d.year, 5, k) for k in range(8, 15) if date(d.year, 5, k).weekday() == 6]
    if 0 <= (sundays[0] - d).days <= 7:
        found.add("mothers_day")
    return found


OCCASIONS = (
    "christmas", "black_friday", "valentines", "easter", "new_year_sales", "summer_sales",
    "back_to_school", "mothers_day",
)  # fmt: skip


def from_orders(lines, as_of, monetary, channels):
    """Compute one customer's order features from the customer's lines of a window."""
    f = {}
    back = [x["amount"] < 0 if x["is_return"] is None else x["is_return"] for x in lines]
    buys = [x for x, b in zip(lines, back, strict=True) if not b]
    returns = [x for x, b in zip(lines, back, strict=True) if b]
    counted = buys if monetary == "gross" else lines
    ids = {x["order_id"] for x in buys}
    values = [sum(x["amount"] for x in counted if x["order_id"] == i) for i in ids]
    days = sorted({x["order_day"] for x in buys})
    gaps = [b - a for a, b in pairwise(days)]
    spend = sum(x["amount"] for x in buys)
    off = sum(x["discount"] for x in buys)
    f["recency_days"] = as_of - days[-1] if days else None
    f["tenure_days"] = as_of - days[0] if days else None
    f["frequency"] = len(ids)
    f["monetary"] = sum(x["amount"] for x in counted)
    f["order_value_mean"] = statistics.fmean(values) if values else None
    f["order_value_std"] = statistics.stdev(values) if len(values) > 1 else None
    f["gap_days_mean"] = statistics.fmean(gaps) if gaps else None
    f["gap_days_cv"] = statistics.stdev(gaps) / statistics.fmean(gaps) if len(gaps) > 1 else None
    f["return_share"] = over(-sum(x["amount"] for x in returns), spend)
    f["return_order_share"] = over(
        len({x["order_id"] for x in returns}), len({x["order_id"] for x in lines})
    )
    f["discount_share"] = over(off, spend + off)
    f["discounted_order_share"] = over(
        len({x["order_id"] for x in buys if x["discount"] > 0}), len(ids)
    )
    f["category_breadth"] = len({x["category"] for x in buys} - {None})
    f["product_breadth"] = len({x["product_id"] for x in buys} - {None})

    def share(test, base=spend):
        return over(sum(x["amount"] for x in buys if test(x)), base)

    for season, months in SEASONS.items():
        f[f"season_share_{season}"] = share(
            lambda x, m=months: (EPOCH + timedelta(days=x["order_day"])).month in m
        )
    for name in OCCASIONS:
        f[f"occasion_share_{name}"] = share(lambda x, n=name: n in occasions(x["order_day"]))
    gifts = {"christmas", "valentines", "mothers_day"}
    f["gift_share"] = share(lambda x: bool(gifts & occasions(x["order_day"])))
    f["weekend_share"] = share(
        lambda x: (EPOCH + timedelta(days=x["order_day"])).isoweekday() in (6, 7)
    )
    known = sum(x["amount"] for x in buys if x["channel"] is not None)
    for channel in channels:
        f[f"channel_share_{channel}"] = share(lambda x, c=channel: x["channel"] == c, known)
    return f


def from_events(events, as_of, pages, capped=True):
    """Compute one customer's event features from the customer's events of a window."""
    kinds = [x["event_type"] for x in events]
    f = {
        "visits": kinds.count("site_visit"),
        "page_views": kinds.count("page_view"),
        "product_views": kinds.count("product_view"),
        "emails_sent": kinds.count("email_sent"),
        "complaints": kinds.count("complaint"),
        "unsubscribed": int("unsubscribe" in kinds),
        "time_seconds": sum(x["duration_seconds"] or 0 for x in events),
    }
    for page in pages:
        here = [x["duration_seconds"] or 0 for x in events if x["page"] == page]
        f[f"time_seconds_{page}"] = sum(here)
    for kind, done, rate in (
        ("email_open", "emails_opened", "open_rate"),
        ("email_click", "emails_clicked", "click_rate"),
    ):
        f[done] = 0
        for campaign in {x["campaign_id"] for x in events}:
            mine = [x["event_type"] for x in events if x["campaign_id"] == campaign]
            cap = mine.count("email_sent") if capped else len(mine)
            f[done] += min(mine.count(kind), cap)
        f[rate] = over(f[done], f["emails_sent"])
    sessions = defaultdict(set)
    for x in events:
        if x["session_id"] is not None:
            sessions[x["session_id"]].add(x["event_type"])
    carts = [kinds for kinds in sessions.values() if "cart_add" in kinds]
    f["carts"] = len(carts)
    f["carts_abandoned"] = sum("checkout" not in kinds for kinds in carts)
    f["abandonment_rate"] = over(f["carts_abandoned"], f["carts"])
    engaged = [x["event_day"] for x in events if x["event_type"] in ENGAGED]
    f["engagement_recency_days"] = as_of - max(engaged) if engaged else None
    return f


def from_categories(lines, as_of, categories):
    """Compute one customer's features by category, but for the affinity, from all the lines."""
    back = [x["amount"] < 0 if x["is_return"] is None else x["is_return"] for x in lines]
    buys = [x for x, b in zip(lines, back, strict=True) if not b and x["category"] is not None]
    spend = {c: sum(x["amount"] for x in buys if x["category"] == c) for c in categories}
    begun = sorted({(x["order_day"], x["category"]) for x in buys})
    start = {c: min(day for day, own in begun if own == c) for _, c in begun}
    later = sum(day > begun[0][0] for day in start.values())
    orders = len({x["order_id"] for x, b in zip(lines, back, strict=True) if not b})
    f = {
        "favourite_category": min(
            {c for _, c in begun}, key=lambda c: (-round(spend[c], 2), c), default=None
        ),
        "first_category": begun[0][1] if begun else None,
        "category_new_rate": later / (orders - 1) if orders > 1 else None,
    }
    for c in categories:
        own = [x["order_day"] for x in buys if x["category"] == c]
        f[f"category_share_{c}"] = over(spend[c], sum(spend.values()))
        f[f"category_recency_days_{c}"] = as_of - max(own) if own else None
    f["lines"] = [sum(x["category"] == c for x in buys) for c in categories]
    return f


def add_affinities(table, categories):
    """Add each customer's affinities: the Dirichlet-multinomial's posterior share, by moments."""
    counts = {who: row.pop("lines") for who, row in table.items()}
    n = {who: sum(own) for who, own in counts.items() if sum(own)}
    total, m = sum(n.values()), len(n)
    average = [over(sum(own[j] for own in counts.values()), total) for j in range(len(categories))]
    weight = math.inf
    if 1 < m < total:
        between = within = 0.0
        for who, size in n.items():
            for j, mean in enumerate(average):
                p = counts[who][j] / size
                between += size * (p - mean) ** 2 / (m - 1)
                within += size * p * (1 - p) / (total - m)
        size = (total - sum(k * k for k in n.values()) / total) / (m - 1)
        theta = over(between - within, between + (size - 1) * within) or 0.0
        weight = (1 - theta) / theta if theta > 0 else math.inf
    for who, row in table.items():
        lines = sum(counts[who])
        for c, own, mean in zip(categories, counts[who], average, strict=True):
            affinity = None
            if mean and lines + weight > 0:
                share = mean if weight == math.inf else (own + weight * mean) / (lines + weight)
                affinity = share / mean
            row[f"category_affinity_{c}"] = affinity


def from_visits(events):
    """Compute one customer's steps within sessions, by the day."""
    f = {}
    for name, start, end in (
        ("view_to_cart_rate", "product_view", "cart_add"),
        ("cart_to_order_rate", "cart_add", "checkout"),
        ("view_to_order_rate", "product_view", "checkout"),
    ):
        begun = followed = 0
        for session in {x["session_id"] for x in events} - {None}:
            own = [x for x in events if x["session_id"] == session]
            starts = [x["event_day"] for x in own if x["event_type"] == start]
            ends = [x["event_day"] for x in own if x["event_type"] == end]
            begun += bool(starts)
            followed += any(late >= early for early in starts for late in ends)
        f[name] = over(followed, begun)
    return f


def by_hand(orders, events, *, as_of, windows=(), monetary="net", trend_days=90):
    """Give customer -> feature -> value for every buyer, from lists of rows."""
    orders = [x for x in orders if x["order_day"] <= as_of]
    events = [x for x in events if x["event_day"] <= as_of]
    channels = sorted({x["channel"] for x in orders} - {None})
    categories = sorted({x["category"] for x in orders} - {None})
    pages = sorted({x["page"] for x in events} - {None})
    sends = any(x["event_type"] == "email_sent" for x in events)
    table = {}
    for customer in {x["customer_id"] for x in orders}:
        lines = [x for x in orders if x["customer_id"] == customer]
        done = [x for x in events if x["customer_id"] == customer]
        if from_orders(lines, as_of, monetary, channels)["frequency"] == 0:
            continue
        row = {}
        for length in (0, *windows):
            after, end = (as_of - length, f"_{length}d") if length else (-1, "")
            near = [x for x in lines if x["order_day"] > after]
            seen = [x for x in done if x["event_day"] > after]
            part = from_orders(near, as_of, monetary, channels) | from_events(
                seen, as_of, pages, sends
            )
            part |= trends(lines, done, as_of, length or trend_days)
            row |= {name + end: value for name, value in part.items()}
        known = row["tenure_days"] + 60
        row["orders_per_year"] = row["frequency"] / known * 365
        row["visits_per_year"] = row["visits"] / known * 365
        row |= from_visits(done)
        table[customer] = row | (from_categories(lines, as_of, categories) if categories else {})
    if categories:
        add_affinities(table, categories)
    return table


def trends(lines, events, as_of, length):
    """Compute both trends of one customer, whatever the length of the history."""

    def turn(now, then):
        return (now - then) / (now + then) if now + then else None

    def orders(low, high):
        rows = [x for x in lines if low < x["order_day"] <= high]
        return from_orders(rows, as_of, "net", [])["frequency"]

    def visits(low, high):
        return sum(x["event_type"] == "site_visit" and low < x["event_day"] <= high for x in events)

    middle, start = as_of - length, as_of - 2 * length
    return {
        "orders_trend": turn(orders(middle, as_of), orders(start, middle)),
        "visits_trend": turn(visits(middle, as_of), visits(start, middle)),
    }


def random_tables(seed, *, customers=60, lines=900, events=2500, first=18_000, days=700):
    """Draw order lines and events with every oddity that clean frames may hold."""
    draw = random.Random(seed)  # noqa: S311 - tests, not secrets
    who = [f"c{k:03d}" for k in range(customers)]
    orders = []
    for _ in range(lines):
        back = draw.random() < 0.15
        cents = draw.randint(0, 20_000)
        orders.append((
            draw.choice(who), f"o{draw.randint(0, lines // 2)}",
            first + int(days * draw.random() ** 0.7),
            (-cents if back else cents) / 100, None if draw.random() < 0.1 else back,
            draw.choice((0.0, 0.0, 1.5, 3.25)), draw.choice(("x", "y", "z", None)),
            draw.choice(("p1", "p2", "p3", "p4", None)), draw.choice(("store", "web", None)),
        ))  # fmt: skip
    acts = [
        (
            draw.choice(who), first + draw.randint(0, days), draw.choice(TYPES),
            draw.choice(("spring", "sale", None)), draw.choice(("s1", "s2", "s3", None)),
            draw.choice(("home", "sale", None)), draw.choice((None, 12.5, 0.0, 90.25)),
        )
        for _ in range(events)
    ]  # fmt: skip
    return frame(orders, ORDER_SCHEMA), frame(acts, EVENT_SCHEMA)


def frame(rows, schema):
    return pl.DataFrame(rows, schema=schema, orient="row")
