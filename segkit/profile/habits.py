"""Words for habits and offers: tables of data that persona cards are written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Feature, without its window -> what its typical value is called on a card.
HABITS: dict[str, str] = {
    "recency_days": "days since the last order",
    "frequency": "orders",
    "monetary": "net spend",
    "gap_days_mean": "days between orders",
    "order_value_mean": "spend an order",
    "discount_share": "share of list price saved",
    "discounted_order_share": "share of orders with a discount",
    "return_share": "share of spend returned",
    "category_breadth": "categories bought from",
    "visits": "visits to the site",
    "abandonment_rate": "share of carts abandoned",
    "open_rate": "share of e-mails opened",
    "click_rate": "share of e-mails clicked",
    "engagement_recency_days": "days since the last open, click or visit",
    "tenure_days": "days since the first order",
    "product_breadth": "different products bought",
    "carts_abandoned": "carts abandoned",
    "product_views": "product pages seen",
    "time_seconds": "seconds on the site",
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


def stem(feature: str) -> str:
    """Return a feature's name without its window.

    Examples
    --------
    >>> stem("frequency_365d"), stem("visits")
    ('frequency', 'visits')
    """
    head, _, tail = feature.rpartition("_")
    return head if head and tail.endswith("d") and tail[:-1].isdigit() else feature


def habit(feature: str, known: Mapping[str, str] = HABITS) -> str:
    """Name a feature in words.

    Examples
    --------
    >>> habit("frequency_365d"), habit("shoe_size")
    ('orders (last 365 days)', 'shoe size')
    """
    name = stem(feature)
    said = known.get(name, name.replace("_", " "))
    window = feature[len(name) + 1 : -1] if name != feature else ""
    return f"{said} (last {window} days)" if window else said
