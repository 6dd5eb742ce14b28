"""What a segment is called: plain words for what marks it, from the data alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from segkit.labels import label, stem

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Feature, without its window -> the word for customers high on it, and for those low on it.
WORDS: dict[str, tuple[str, str]] = {
    "recency_days": ("lapsed", "recent"),
    "frequency": ("frequent", "infrequent"),
    "orders_per_year": ("frequent", "infrequent"),
    "monetary": ("high-spend", "low-spend"),
    "tenure_days": ("long-standing", "new"),
    "order_value_mean": ("big-basket", "small-basket"),
    "order_value_std": ("uneven-basket", "even-basket"),
    "gap_days_mean": ("slow-returning", "quick-returning"),
    "gap_days_cv": ("irregular", "regular"),
    "return_share": ("returning-goods", "no-returns"),
    "discount_share": ("discount-driven", "full-price"),
    "category_breadth": ("wide-ranging", "single-category"),
    "season_share_winter": ("winter", "non-winter"),
    "season_share_spring": ("spring", "non-spring"),
    "season_share_summer": ("summer", "non-summer"),
    "season_share_autumn": ("autumn", "non-autumn"),
    "gift_share": ("gift-buying", "no-occasion"),
    "visits": ("often-visiting", "seldom-visiting"),
    "visits_per_year": ("often-visiting", "seldom-visiting"),
    "page_views": ("much-browsing", "little-browsing"),
    "product_views": ("product-browsing", "little-looking"),
    "open_rate": ("mail-opening", "mail-ignoring"),
    "emails_sent": ("much-mailed", "little-mailed"),
    "emails_opened": ("mail-opening", "mail-ignoring"),
    "click_rate": ("mail-clicking", "seldom-clicking"),
    "emails_clicked": ("mail-clicking", "seldom-clicking"),
    "carts": ("cart-filling", "few-carts"),
    "carts_abandoned": ("cart-abandoning", "cart-completing"),
    "abandonment_rate": ("cart-abandoning", "cart-completing"),
    "engagement_recency_days": ("disengaged", "engaged"),
    "orders_trend": ("growing", "fading"),
    "visits_trend": ("warming", "cooling"),
}
# Features that say much the same: a name takes one of each set.
TOPICS: tuple[tuple[str, ...], ...] = (
    ("frequency", "orders_per_year", "gap_days_mean"),
    ("visits", "visits_per_year", "page_views", "product_views", "carts"),
    ("open_rate", "emails_opened", "click_rate", "emails_clicked", "engagement_recency_days"),
    ("abandonment_rate", "carts_abandoned"),
    ("order_value_mean", "order_value_std"),
)
# Standard deviations from the mean of all customers below which a feature marks nobody.
MARKS = 0.4
WORDS_IN_NAME = 2


def marks(differences: NDArray[np.float64], features: Sequence[str]) -> list[tuple[str, float]]:
    """Return the features that mark one segment, strongest first, one of each topic.

    Parameters
    ----------
    differences : array (d,)
        Segment mean less the mean of all customers, in standard deviations of the transformed
        feature.
    features : sequence of str

    Examples
    --------
    >>> marks(np.array([0.1, -2.0, 1.0]), ["age", "visits", "carts"])
    [('visits', -2.0)]
    """
    taken: set[str] = set()
    found = []
    for place in np.lexsort((np.arange(len(features)), -np.abs(differences))):
        name, size = features[place], float(differences[place])
        topic = next((t[0] for t in TOPICS if stem(name) in t), stem(name))
        if abs(size) >= MARKS and topic not in taken:
            taken.add(topic)
            found.append((name, size))
    return found


def name_segments(
    differences: NDArray[np.float64],
    features: Sequence[str],
    words: Mapping[str, tuple[str, str]] | None = None,
) -> list[str]:
    """Name each segment by the one or two features that mark it most; all names differ.

    A name that two segments share grows by their next marks; where the marks are used up, a
    number tells them apart.

    Parameters
    ----------
    differences : array (k, d)
        As for `marks`, one row a segment.
    features : sequence of str
    words : mapping, optional
        Feature, without its window, to the words for high and low; looked up before ``WORDS``.
        A feature in neither reads "high <feature>" or "low <feature>".

    Examples
    --------
    >>> name_segments(np.array([[2.0, -1.0], [-1.0, 0.1]]), ["frequency", "discount_share"])
    ['Frequent full-price customers', 'Infrequent customers']
    """
    known = {**WORDS, **(words or {})}
    found = [marks(row, features) for row in differences]
    lengths = [WORDS_IN_NAME] * len(found)
    while True:
        names = [_phrase(m[:n], known) for m, n in zip(found, lengths, strict=True)]
        clash = [i for i, name in enumerate(names) if names.count(name) > 1]
        longer = [i for i in clash if lengths[i] < len(found[i])]
        if not longer:
            break
        for i in longer:
            lengths[i] += 1
    seen: dict[str, int] = {}
    for i in clash:
        seen[names[i]] = seen.get(names[i], 0) + 1
        names[i] = f"{names[i]} {seen[names[i]]}"
    return names


def _phrase(found: list[tuple[str, float]], known: Mapping[str, tuple[str, str]]) -> str:
    before, after = [], []
    for feature, size in found:
        pair = known.get(stem(feature))
        if pair is not None:
            before.append(pair[0] if size > 0 else pair[1])
        else:
            after.append(f"{'high' if size > 0 else 'low'} {label(feature)}")
    if not found:
        return "Average customers"
    name = " ".join([*before, "customers"])
    name += f" with {' and '.join(after)}" if after else ""
    return name[0].upper() + name[1:]
