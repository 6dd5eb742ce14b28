"""What is a variable called among people? One table of labels for texts, pictures and tables."""

from __future__ import annotations

import re

__all__ = ["in_words", "label"]

# Feature, without its window -> what its value is.
LABELS: dict[str, str] = {
    "recency_days": "days since the last order",
    "frequency": "orders",
    "monetary": "net spend",
    "tenure_days": "days since the first order",
    "order_value_mean": "spend an order",
    "order_value_std": "spread of spend an order",
    "orders_per_year": "orders a year",
    "gap_days_mean": "days between orders",
    "gap_days_cv": "irregularity of days between orders",
    "return_share": "share of spend returned",
    "return_order_share": "share of orders with a return",
    "discount_share": "share of list price saved",
    "discounted_order_share": "share of orders with a discount",
    "category_breadth": "categories bought from",
    "product_breadth": "different products bought",
    "gift_share": "share of spend before gift occasions",
    "weekend_share": "share of spend at weekends",
    "orders_trend": "trend of orders",
    "visits": "visits to the site",
    "visits_per_year": "visits to the site a year",
    "visits_trend": "trend of visits to the site",
    "page_views": "pages seen",
    "product_views": "product pages seen",
    "time_seconds": "seconds on the site",
    "emails_sent": "e-mails sent",
    "emails_opened": "e-mails opened",
    "open_rate": "share of e-mails opened",
    "emails_clicked": "e-mails clicked",
    "click_rate": "share of e-mails clicked",
    "carts": "carts filled",
    "carts_abandoned": "carts abandoned",
    "abandonment_rate": "share of carts abandoned",
    "engagement_recency_days": "days since the last open / click / visit",
    "converted": "conversion",
    "pre_converted": "had ordered before the assignment",
    "pre_orders": "orders before the assignment",
    "pre_revenue": "revenue before the assignment",
    "pre_visits": "visits to the site before the assignment",
    "complaints": "complaints",
    "unsubscribed": "unsubscribed from mail",
    "smallest_share": "share of the smallest segment",
    "largest_share": "share of the largest segment",
    "jaccard_least": "Jaccard index of the least stable segment",
    "agreement": "mean agreement with the other methods",
    "known_share": "share of values known",
    "reachable_share": "share with consent and a channel",
    "predictable_auc": "how well descriptions tell it (AUC)",
    "kpi_difference": "difference on the outcome",
}
# Families of features: what stands before the level's name, and after it.
FAMILIES: dict[str, tuple[str, str]] = {
    "season_share_": ("share of spend in ", ""),
    "occasion_share_": ("share of spend before or at ", ""),
    "channel_share_": ("share of spend by ", ""),
    "time_seconds_": ("seconds on ", " pages"),
    "attitude_": ("", " (attitude)"),
}
LEVELS: dict[str, str] = {
    "christmas": "Christmas",
    "black_friday": "Black Friday",
    "valentines": "Valentine's Day",
    "easter": "Easter",
    "new_year_sales": "the New Year sales",
    "summer_sales": "the summer sales",
    "back_to_school": "back-to-school time",
    "mothers_day": "Mother's Day",
    "new_in": "new-in",
}


def stem(feature: str) -> str:
    """Return a feature's name without its window.

    Examples
    --------
    >>> stem("frequency_365d"), stem("visits")
    ('frequency', 'visits')
    """
    head, _, tail = feature.rpartition("_")
    return head if head and tail.endswith("d") and tail[:-1].isdigit() else feature


def label(name: str) -> str:
    """Name a variable in words; a name that is not known keeps its own, in words.

    Examples
    --------
    >>> label("frequency_365d"), label("channel_share_app"), label("shoe_size")
    ('orders (last 365 days)', 'share of spend by app', 'shoe size')
    """
    bare = stem(name)
    said = LABELS.get(bare) or _of_family(bare) or bare.replace("_", " ").strip()
    window = name[len(bare) + 1 : -1] if bare != name else ""
    return f"{said} (last {window} days)" if window else said


def is_known(name: str) -> bool:
    """Tell whether a name is that of a feature with a label of its own.

    Examples
    --------
    >>> is_known("visits_7d"), is_known("shoe_size")
    (True, False)
    """
    bare = stem(name)
    return bare in LABELS or bool(_of_family(bare))


def in_words(text: str) -> str:
    """Write a condition, or any text that names features, with their labels.

    Examples
    --------
    >>> in_words("recency_days < 31 and visits_7d > 3")
    'days since the last order < 31 and visits to the site (last 7 days) > 3'
    """
    return re.sub(r"\w+", lambda word: label(word[0]) if is_known(word[0]) else word[0], text)


def _of_family(bare: str) -> str:
    for start, (before, after) in FAMILIES.items():
        if bare.startswith(start) and len(bare) > len(start):
            level = bare.removeprefix(start)
            return f"{before}{LEVELS.get(level, level.replace('_', ' '))}{after}"
    return ""
