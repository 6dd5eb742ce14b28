"""Words for habits and offers: tables of data that persona cards are written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segkit.labels import LABELS, label, stem

ARROWS = {"above": "↑", "below": "↓"}
# What a card tells of, in this order.
HABITS: dict[str, str] = {
    name: LABELS[name]
    for name in (
        "recency_days",
        "frequency",
        "monetary",
        "gap_days_mean",
        "order_value_mean",
        "discount_share",
        "discounted_order_share",
        "return_share",
        "category_breadth",
        "visits",
        "abandonment_rate",
        "open_rate",
        "click_rate",
        "engagement_recency_days",
        "tenure_days",
        "product_breadth",
        "carts_abandoned",
        "product_views",
        "time_seconds",
    )
}


@dataclass(frozen=True, slots=True)
class OfferRule:
    """Which mark speaks for which offer.

    Attributes
    ----------
    variable : str
        A feature without its window; a trailing ``*`` stands for any ending.
    direction : str
        "above" or "below" the other customers.
    offer : str
        What to offer.
    """

    variable: str
    direction: str
    offer: str

    def holds(self, variable: str, direction: str) -> bool:
        """Tell whether a mark is the one that the rule names.

        Examples
        --------
        >>> OfferRule("occasion_share_*", "above", "x").holds("occasion_share_easter", "above")
        True
        """
        name = stem(variable)
        same = (
            name.startswith(self.variable[:-1])
            if self.variable.endswith("*")
            else name == self.variable
        )
        return same and direction == self.direction


OFFERS: tuple[OfferRule, ...] = (
    OfferRule("discount_share", "above", "flash sale"),
    OfferRule("discounted_order_share", "above", "flash sale"),
    OfferRule("time_seconds_sale", "above", "flash sale"),
    OfferRule("monetary", "above", "early access"),
    OfferRule("frequency", "above", "early access"),
    OfferRule("open_rate", "above", "early access"),
    OfferRule("discount_share", "below", "early access"),
    OfferRule("recency_days", "above", "re-engagement"),
    OfferRule("engagement_recency_days", "above", "re-engagement"),
    OfferRule("orders_trend", "below", "re-engagement"),
    OfferRule("abandonment_rate", "above", "style guide"),
    OfferRule("carts_abandoned", "above", "style guide"),
    OfferRule("product_views", "above", "style guide"),
    OfferRule("time_seconds_lookbook", "above", "style guide"),
    OfferRule("occasion_share_*", "above", "reminder before the occasion"),
    OfferRule("season_share_*", "above", "reminder before the season"),
)


def habit(feature: str, known: Mapping[str, str] = HABITS) -> str:
    """Name a feature in words, by a card's own or by those that all pictures use.

    Examples
    --------
    >>> habit("frequency_365d"), habit("shoe_size")
    ('orders (last 365 days)', 'shoe size')
    """
    name = stem(feature)
    return label(feature).replace(label(name), known[name]) if name in known else label(feature)
