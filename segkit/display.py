"""Display of numbers, names and tables: rounding, labels of variables, HTML."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

__all__ = ["first_sentence", "in_words", "label"]

# Columns whose cells name variables: shown by their labels, kept by their names.
SMALLEST_P = 0.0001  # a smaller p-value is written as a bound
NAMING = ("variable", "feature", "representative", "measure", "covariate")
SHARE_ENDINGS = ("share", "rate", "prevalence")
# Figures that are the same on every processor: a computed value is sure to some 15 digits, and
# whether it is just below a whole number, or just above a half, hangs on the order of its sums.
SURE_DIGITS = 12
# Feature, without its window -> what its value is.
LABELS: dict[str, str] = {
    "recency_days": "days since the last order",
    "frequency": "orders",
    "monetary": "net spend",
    "tenure_days": "days since the first order",
    "order_value_mean": "average order value",
    "order_value_std": "spread of order values",
    "orders_per_year": "orders per year",
    "gap_days_mean": "inter-purchase time in days",
    "gap_days_cv": "irregularity of inter-purchase time",
    "return_share": "return rate (of spend)",
    "return_order_share": "return rate (of orders)",
    "discount_share": "discount rate (off list price)",
    "discounted_order_share": "share of orders with a discount",
    "category_breadth": "categories bought from",
    "product_breadth": "different products bought",
    "gift_share": "share of spend before gift occasions",
    "weekend_share": "share of spend at weekends",
    "orders_trend": "trend of orders",
    "visits": "visits to the site",
    "visits_per_year": "visits to the site per year",
    "visits_trend": "trend of visits to the site",
    "page_views": "pages seen",
    "product_views": "product pages seen",
    "time_seconds": "seconds on the site",
    "emails_sent": "e-mails sent",
    "emails_opened": "e-mails opened",
    "open_rate": "open rate",
    "emails_clicked": "e-mails clicked",
    "click_rate": "click-through rate",
    "carts": "carts filled",
    "carts_abandoned": "carts abandoned",
    "abandonment_rate": "cart abandonment rate",
    "view_to_cart_rate": "share of visits with a product page that fill a cart",
    "cart_to_order_rate": "share of visits with a cart that order",
    "view_to_order_rate": "share of visits with a product page that order",
    "favourite_category": "favourite category",
    "first_category": "first category",
    "favourite_brand": "favourite brand",
    "first_brand": "first brand",
    "category_new_rate": "new categories per later order",
    "brand_new_rate": "new brands per later order",
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
    "predictable_auc": "prediction from descriptors (AUC)",
    "kpi_difference": "difference on the outcome",
}
# Families of features: what stands before the level's name, and after it.
FAMILIES: dict[str, tuple[str, str]] = {
    "season_share_": ("share of spend in ", ""),
    "occasion_share_": ("share of spend before or at ", ""),
    "channel_share_": ("share of spend by ", ""),
    "category_share_": ("share of spend on ", ""),
    "category_recency_days_": ("days since the last purchase of ", ""),
    "category_affinity_": ("affinity for ", " (1 = average)"),
    "brand_share_": ("share of spend on the brand ", ""),
    "brand_recency_days_": ("days since the last purchase of the brand ", ""),
    "brand_affinity_": ("affinity for the brand ", " (1 = average)"),
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


# Numbers --------------------------------------------------------------------------------


def is_share(name: str) -> bool:
    """Tell whether a column's name says that it holds a share of one.

    Examples
    --------
    >>> is_share("return_share"), is_share("open_rate_30d"), is_share("rate_of_exchange")
    (True, True, False)
    >>> is_share("retention_rate_low")
    True
    """
    bare = name.removesuffix("_low").removesuffix("_high")
    bare = bare.rsplit("_", 1)[0] if bare.rsplit("_", 1)[-1][:-1].isdigit() else bare
    return bare.endswith(SHARE_ENDINGS) or "_share_" in bare


def without_noise(value: float) -> float:
    """Remove from a computed value what rounding has left in its last digits.

    -0.9999999999999998 and -1 are then one value, on whatever processor it was computed.

    Examples
    --------
    >>> without_noise(-0.9999999999999998), without_noise(0.1 + 0.2), without_noise(1e-17)
    (-1.0, 0.3, 1e-17)
    """
    if not math.isfinite(value) or abs(value) >= 10 ** (SURE_DIGITS - 3):
        return value
    return float(f"{value:.{SURE_DIGITS}g}")


def number(value: float | Decimal | None, *, digits: int = 3) -> str:
    """Write a number with thousands separators and at least ``digits`` significant figures.

    Parameters
    ----------
    value : float, Decimal or None
        ``None`` and NaN are written as an en dash.
    digits : int
        Significant figures kept; whole numbers are never cut.

    Returns
    -------
    str

    Examples
    --------
    >>> number(8911407.904), number(0.012345), number(12), number(None)
    ('8,911,408', '0.0123', '12', '–')
    """
    if value is None:
        return "–"
    as_float = float(value)
    if math.isnan(as_float):
        return "–"
    if math.isinf(as_float):
        return "∞" if as_float > 0 else "-∞"
    as_float = without_noise(as_float)
    if as_float == int(as_float):
        return f"{int(as_float):,}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(as_float))))
    return f"{as_float:,.{min(places, 12)}f}"


def counted(rows: int, one: str, many: str = "") -> str:
    """Write a number with its noun, singular where it is one.

    Examples
    --------
    >>> counted(1, "finding"), counted(2, "finding"), counted(1200, "study", "studies")
    ('1 finding', '2 findings', '1,200 studies')
    """
    return f"{number(rows)} {one if rows == 1 else many or one + 's'}"


def join_words(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    Examples
    --------
    >>> join_words(["a"]), join_words(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def percent(value: float | None, *, places: int = 1) -> str:
    """Write a share of one as a percentage; what is not zero is never written as zero.

    Examples
    --------
    >>> percent(0.1234), percent(0.0002), percent(None)
    ('12.3%', '0.02%', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    value = without_noise(value)
    if 0 < abs(value) < 0.5 * 10 ** -(places + 2):
        places = min(12, -2 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}%}"


def money(value: float | Decimal | None, currency: str | None = None) -> str:
    """Write an amount of money with its currency, where that is known.

    Examples
    --------
    >>> money(1234.5, "GBP"), money(1234.5)
    ('1,234 GBP', '1,234')
    """
    return f"{number(value)} {currency}" if currency and value is not None else number(value)


def first_sentence(text: str) -> str:
    """Cut a text after its first sentence, for a headline.

    Examples
    --------
    >>> first_sentence("Of 1.5 million rows most are kept. The rest is not.")
    'Of 1.5 million rows most are kept.'
    """
    head, stop, _ = text.partition(". ")
    return f"{head}." if stop else text


# Names of variables ---------------------------------------------------------------------


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
    words = LABELS.get(bare) or _of_family(bare) or bare.replace("_", " ").strip()
    window = name[len(bare) + 1 : -1] if bare != name else ""
    return f"{words} (last {window} days)" if window else words


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


# Tables ---------------------------------------------------------------------------------


def cell(value: Any, column: str) -> str:
    """Write one cell of a table as text, by its type and its column's name."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | Decimal):
        if column.startswith("p_") and 0 <= value < SMALLEST_P:
            return f"< {SMALLEST_P}"
        return percent(float(value)) if is_share(column) else number(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return ", ".join(cell(item, column) for item in value)
    # A "column" may also be one of the source's own, whose name is to be read as it stands.
    named = column in NAMING or (column == "column" and is_known(str(value)))
    if column in ("offer", "offer_name"):
        return str(value).replace("_", " ")
    return label(str(value)) if named else str(value)


def heading(column: str) -> str:
    """Write a column's name as a heading, by its label where it has one.

    Examples
    --------
    >>> heading("recency_days"), heading("customer_share")
    ('days since the last order', 'customer share')
    """
    return label(column) if is_known(column) else column.replace("_", " ")


def table_html(
    frame: pl.DataFrame,
    *,
    caption: str = "",
    headings: Mapping[str, str] | None = None,
    max_rows: int = 30,
) -> str:
    """Render a frame as a plain, accessible HTML table that takes the page's own colours.

    Parameters
    ----------
    frame : polars.DataFrame
        Any number of rows; those past ``max_rows`` are counted, not shown.
    caption : str
        The table's caption, read out by screen readers first.
    headings : mapping of str to str, optional
        Column name to heading; by default as `heading` has it.
    max_rows : int
        Rows shown.

    Returns
    -------
    str
        HTML without style sheets or scripts.

    Examples
    --------
    >>> import polars as pl
    >>> "12.5%" in table_html(pl.DataFrame({"return_share": [0.125]}))
    True
    """
    titles = dict(headings or {})
    numeric = {name for name, kind in frame.schema.items() if kind.is_numeric()}
    dates = {name for name, kind in frame.schema.items() if kind.is_temporal()}
    head = "".join(
        f'<th scope="col"{_align(name in numeric)}>'
        f"{html.escape(titles.get(name, heading(name)))}</th>"
        for name in frame.columns
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_align(name in numeric, whole=name in dates)}>"
            f"{html.escape(cell(value, name))}</td>"
            for name, value in row.items()
        )
        + "</tr>"
        for row in frame.head(max_rows).iter_rows(named=True)
    )
    rest = frame.height - max_rows
    note = f"<p><small>… and {rest:,} more rows</small></p>" if rest > 0 else ""
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return (
        f'<table class="segkit">{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{note}"
    )


def _align(is_number: bool, *, whole: bool = False) -> str:
    unbroken = ";white-space:nowrap" if whole else ""
    return f' style="text-align:{"right" if is_number else "left"}{unbroken}"'
