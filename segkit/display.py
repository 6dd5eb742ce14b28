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
MOST_WORDS = 25  # of a report's answer
SMALLEST_P = 0.001  # a smaller p-value is written as a bound
NOTHING = 1e-9  # what is smaller was left by rounding
TINY_SHARE = 0.0001  # a smaller share is written as a bound
MOST_PLACES = 3  # decimals of a number in a table, but for numbers that are all smaller
WIDE = 10_000  # a column whose values differ by such a factor is of several units
ROW_NAMES = ("segment_name", "segment")  # columns by which a page finds a segment's rows
NAMING = ("variable", "feature", "representative", "measure", "covariate")
# Columns whose numbers are in the unit of the variable that their row is about.
OF_SUBJECT = frozenset(
    (
        *("mean", "median", "q05", "q25", "q75", "q95", "min", "max", "lowest", "highest"),
        *("mean_all", "median_all", "mean_arm", "mean_control", "value", "value_all", "threshold"),
    )
)
# Columns of a table of figures in the unit of their row's figure.
OF_FIGURE = frozenset(
    (
        *("value_arm", "value_control", "difference", "difference_low", "difference_high"),
        *("low", "high", "other_low", "other_high"),
    )
)
OFFERS = frozenset(
    ("offer_name", "tied", "before", "generic", "persona", "learnt")
)  # their columns
REASONS = ("entry", "fate")  # columns of a ledger's reasons, kept by their names
SHARES = frozenset(
    (
        *("p_top", "p_alive", "p_order", "break_even", "arrived_right", "bias"),
        *("r2", "alone", "last", "change_10", "click_to_open"),
    )
)
SHARE_ENDINGS = ("share", "rate", "prevalence", "_lift")
# Words in the names of columns that hold amounts of money, and those that say otherwise.
MONEY_WORDS = frozenset(
    (
        *("revenue", "spend", "spent", "monetary", "money", "profit", "cost", "costs", "amount"),
        *("amounts", "budget", "price", "aov", "margin", "earned"),
    )
)
WORTH = frozenset(
    (
        *("expected_value", "value_per_customer", "value_at_risk", "monthly"),
        *("value_low", "value_high", "order_value_mean", "order_value_std"),
        *("order_value", "clv"),
    )
)
NO_MONEY = frozenset(
    (
        *("index", "rank", "score", "scores", "trend", "cv", "z", "se", "chance", "log", "roi"),
        *("ratio", "rows", "band", "segment", "segments", "elasticity", "customers", "name"),
    )
)
P_NAMES = re.compile(
    r"p|p_(value|adjusted|holm|same|null|lower|upper|trend|difference).*|.*_p(_value)?"
)
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
    "known_days": "days since the contact became known",
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
    "jaccard": "Jaccard index",
    "apart": "difference from the nearest segment",
    "reachable_share": "share with consent and a channel",
    "predictable_auc": "prediction from descriptors (AUC)",
    "kpi_difference": "difference on the outcome",
    "p_value": "p-value",
    "p_holm": "p-value (Holm)",
    "p_adjusted": "adjusted p-value",
    "p_alive": "probability of being active",
    "smd": "standardised difference",
    "value_arm": "value in the arm",
    "value_control": "value in the control",
    "value_arm_rate": "rate in the arm",
    "value_control_rate": "rate in the control",
    "p_order": "probability of an order",
    "monthly": "profit per month",
    "monthly_low": "low",
    "monthly_high": "high",
}
# Columns of a table alone, as headings.
HEADINGS: dict[str, str] = {
    **{name: name.upper() for name in ("kmo", "rmsea", "tli", "cfi", "srmr", "bic", "aic", "roi")},
    **{name: name.upper() for name in ("vif", "auc", "ece", "ndcg")},
    "pr_auc": "PR AUC",
    "brier": "Brier score",
    "n_factors": "factors",
    "davies_bouldin": "Davies-Bouldin",
    "jaccard_low": "low",
    "jaccard_high": "high",
    "slsa": "stability over k (SLSA)",
    "within_ss": "sum of squares within",
    "ss_loadings": "sum of squared loadings",
    "item_rest_r": "item-rest correlation",
    "mean_r": "mean correlation",
    "heywood": "Heywood cases",
    "se": "standard error",
    "q25": "lower quartile",
    "q75": "upper quartile",
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
    >>> is_share("retention_rate_low"), is_share("p_top")
    (True, True)
    """
    bare = name.removesuffix("_low").removesuffix("_high")
    bare = bare.rsplit("_", 1)[0] if bare.rsplit("_", 1)[-1][:-1].isdigit() else bare
    named = bare.startswith("share_of_") or bare in SHARES
    return named or bare.endswith(SHARE_ENDINGS) or "_share_" in bare


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
    """Write a number with thousands separators and ``digits`` significant figures.

    Parameters
    ----------
    value : float, Decimal or None
        ``None`` and NaN are written as an en dash.
    digits : int
        Significant figures; whole numbers are never cut, and 0.05 takes no zeros to fill them.

    Returns
    -------
    str

    Examples
    --------
    >>> number(8911407.904), number(0.012345), number(0.05), number(1e-18), number(None)
    ('8,911,408', '0.0123', '0.05', '0', '–')
    """
    if value is None:
        return "–"
    as_float = float(value)
    if math.isnan(as_float):
        return "–"
    if math.isinf(as_float):
        return "∞" if as_float > 0 else "-∞"
    if abs(as_float) < NOTHING:
        return "0"
    as_float = without_noise(as_float)
    if as_float == int(as_float):
        return f"{int(as_float):,}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(as_float))))
    text = f"{as_float:,.{places}f}"
    return text.rstrip("0") if places > digits else text


def counted(rows: float | Decimal | None, one: str, many: str = "") -> str:
    """Write a number with its noun, singular where it is one.

    Examples
    --------
    >>> counted(1, "finding"), counted(2, "finding"), counted(1200, "study", "studies")
    ('1 finding', '2 findings', '1,200 studies')
    """
    return f"{number(rows)} {one if rows == 1 else many or one + 's'}"


def lower_first(text: str) -> str:
    """Write a sentence's first letter small, to follow a colon.

    Examples
    --------
    >>> lower_first("They can be used.")
    'they can be used.'
    """
    return text[:1].lower() + text[1:]


def sentences(*parts: str) -> str:
    """Join the sentences that say something.

    Examples
    --------
    >>> sentences("Most are kept.", "", "The rest is not.")
    'Most are kept. The rest is not.'
    """
    return " ".join(part for part in parts if part)


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


def shorten_list(texts: Sequence[str], most: int) -> list[str]:
    """Keep the first texts of a list; the last of them says how many more there are.

    Examples
    --------
    >>> shorten_list(["a", "b", "c", "d"], 2), shorten_list(["a", "b"], 2)
    (['a', 'b and 2 more'], ['a', 'b'])
    """
    rest = len(texts) - most
    return (
        [*texts[: most - 1], f"{texts[most - 1]} and {number(rest)} more"] if rest > 0 else [*texts]
    )


def percent(value: float | None, *, places: int = 1) -> str:
    """Write a share of one as a percentage; what is not zero is never written as zero.

    Examples
    --------
    >>> percent(0.1234), percent(0.0002), percent(2e-6), percent(1e-18), percent(None)
    ('12.3%', '0.02%', '< 0.01%', '0.0%', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    value = 0.0 if abs(value) < NOTHING else without_noise(value)
    if 0 < value < TINY_SHARE and places <= 1:
        return f"< {TINY_SHARE:.2%}"
    if 0 < abs(value) < 0.5 * 10 ** -(places + 2):
        places = -2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{places}%}"


def money(value: float | Decimal | None, currency: str | None = None) -> str:
    """Write an amount of money, in two decimals below 100 and in none from there on.

    Examples
    --------
    >>> money(1234.5, "GBP"), money(12.5), money(-0.057, "GBP"), money(40)
    ('1,234 GBP', '12.50', '-0.06 GBP', '40')
    """
    if value is None or not math.isfinite(value):
        return number(value)
    amount = without_noise(float(value))
    places = 0 if abs(amount) >= 100 or amount == int(amount) else 2
    text = _fixed_decimals(amount, places)
    return f"{text} {currency}" if currency else text


def _fixed_decimals(value: float, places: int) -> str:
    """Write a number in so many decimals; what rounds to zero has no sign."""
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if not re.search("[1-9]", text) else text


def first_sentence(text: str) -> str:
    """Cut a text after its first sentence, for a headline.

    Examples
    --------
    >>> first_sentence("Of 1.5 million rows most are kept. The rest is not.")
    'Of 1.5 million rows most are kept.'
    """
    head, stop, _ = text.partition(". ")
    return f"{head}." if stop else text


def paragraphs(text: str) -> str:
    """Return a text as HTML, with a paragraph for each of its own.

    Examples
    --------
    >>> paragraphs("Most are kept.")
    '<div class="segkit-text"><p>Most are kept.</p></div>'
    """
    parts = "".join(f"<p>{html.escape(part)}</p>" for part in text.split("\n\n"))
    return f'<div class="segkit-text">{parts}</div>'


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
    words = LABELS.get(bare) or _family_label(bare) or bare.replace("_", " ").strip()
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
    return bare in LABELS or bool(_family_label(bare))


def in_words(text: str) -> str:
    """Write a condition, or any text that names features, with their labels.

    Examples
    --------
    >>> in_words("recency_days < 31 and visits_7d > 3")
    'days since the last order < 31 and visits to the site (last 7 days) > 3'
    """
    return re.sub(r"\w+", lambda word: label(word[0]) if is_known(word[0]) else word[0], text)


def _family_label(bare: str) -> str:
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
        return number_cells([value], column)[0]
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return ", ".join(cell(item, column) for item in value)
    # A "column" may also be one of the source's own, whose name is to be read as it stands.
    named = column in NAMING or (column == "column" and is_known(str(value)))
    if column in OFFERS or column.endswith("offer") or column in REASONS:
        return str(value).replace("_", " ")
    if column == "alarms":
        return ", ".join(label(name) for name in str(value).split(", "))
    return label(str(value)) if named else str(value)


def is_money(name: str) -> bool:
    """Tell whether a column's name says that it holds amounts of money.

    Examples
    --------
    >>> is_money("revenue_per_customer"), is_money("revenue_index"), is_money("value_at_risk")
    (True, False, True)
    """
    words = set(stem(name).split("_"))
    if {name, name.removesuffix("_low").removesuffix("_high")} & WORTH:
        return True
    return bool(words & MONEY_WORDS) and not words & NO_MONEY and not is_share(name)


def number_cells(
    values: Sequence[float | Decimal | None], column: str, beside: Sequence[float] = ()
) -> list[str]:
    """Write the numbers of a column in one unit and, but for whole ones, in as many decimals.

    Parameters
    ----------
    values : sequence of float, Decimal or None
    column : str
        Its name, which tells shares (written in per cent), money, points and p-values.
    beside : sequence of float
        Further numbers that decide on the decimals: the limits of these values, or theirs.

    Examples
    --------
    >>> number_cells([0.5, 12.25, None], "difference"), number_cells([0.25, 0.5], "open_rate")
    (['0.5', '12.2', '–'], ['25.0%', '50.0%'])
    >>> number_cells([3.1, 120.0], "revenue"), number_cells([3.1, 20.0], "added_profit")
    (['3', '120'], ['3.10', '20.00'])
    >>> number_cells([0.7638, -0.00042], "F1"), number_cells([0.05, 1e-9], "p_value")
    (['0.764', '0.000'], ['0.050', '< 0.001'])
    """
    if P_NAMES.fullmatch(column) and all(v is None or not v < 0 for v in values):
        return [_p_value(value) for value in values]
    if is_share(column):
        return [percent(None if value is None else float(value)) for value in values]
    sizes = [abs(float(v)) for v in (*values, *beside) if v is not None and math.isfinite(float(v))]
    sizes = [size for size in sizes if size >= NOTHING]
    whole = all(size == int(size) for size in sizes)
    if not sizes or whole:
        return [number(value) for value in values]
    if column.endswith("_points"):
        places = 1
    elif is_money(column):
        places = 0 if max(sizes) >= 100 else 2
    elif max(sizes) >= 10 and max(sizes) / min(sizes) > WIDE:
        return [number(value) for value in values]
    else:
        typical = sorted(sizes)[len(sizes) // 2]
        most = max(MOST_PLACES, 1 - math.floor(math.log10(max(sizes))))
        places = min(most, max(0, 2 - math.floor(math.log10(typical))))
        tidy = [f"{size:.{places}f}" for size in sizes]
        while places and all(text[-1] == "0" for text in tidy):
            places, tidy = places - 1, [text[:-1] for text in tidy]
    return [
        number(value)
        if value is None or not math.isfinite(float(value))
        else _fixed_decimals(without_noise(float(value)), places)
        for value in values
    ]


def _p_value(value: float | Decimal | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"< {SMALLEST_P}" if value < SMALLEST_P else f"{value:.3f}"


def heading(column: str, currency: str | None = None) -> str:
    """Write a column's name as a heading, by its label where it has one, with its unit.

    Examples
    --------
    >>> heading("recency_days"), heading("customer_share"), heading("difference_points")
    ('days since the last order', 'customer share', 'difference, points')
    >>> heading("added_profit", "GBP")
    'added profit, GBP'
    """
    name = column.removesuffix("_points") or column
    words = HEADINGS.get(name) or (
        label(name) if is_known(name) else name.replace("_", " ").strip()
    )
    unit = "points" if name != column else currency if is_money(column) else ""
    return f"{words}, {unit}" if unit else words


def table_html(
    frame: pl.DataFrame,
    *,
    caption: str = "",
    headings: Mapping[str, str] | None = None,
    max_rows: int = 30,
    currency: str | None = None,
    units: Sequence[str] = (),
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
    currency : str, optional
        Of the columns that hold money; named in their headings.
    units : sequence of str
        Of each row, where rows are figures of several units: "share", "money" or another word. It
        is the unit of the columns in ``OF_FIGURE``; differences of shares are in points.

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
        f"{html.escape(titles.get(name, heading(name, currency)))}</th>"
        for name in frame.columns
    )
    part = frame.head(max_rows)
    amounts = {name for name, words in titles.items() if currency and words.endswith(currency)}
    columns = _cells(part, numeric, amounts)
    for name in OF_FIGURE & numeric if units else ():
        values = zip(part[name], units, strict=False)
        columns[name] = [_of_figure(value, unit, name) for value, unit in values]
    names = next((part[name].to_list() for name in ROW_NAMES if name in frame.columns), None)
    body = "".join(
        f"<tr{_named(names[place]) if names else ''}>"
        + "".join(
            f"<td{_align(name in numeric, whole=name in dates)}>{html.escape(texts[place])}</td>"
            for name, texts in columns.items()
        )
        + "</tr>"
        for place in range(part.height)
    )
    shown = f"First {number(max_rows)} of {counted(frame.height, 'row')}"
    note = f"<p><small>{shown}</small></p>" if frame.height > max_rows else ""
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return (
        f'<table class="segkit">{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{note}"
    )


def _cells(frame: pl.DataFrame, numeric: set[str], amounts: set[str]) -> dict[str, list[str]]:
    """Write the cells of each column; limits as the value before them, and in its decimals.

    Columns among the amounts are money, whatever they are called. What describes the variable
    that a row names is written in that variable's unit.
    """
    owner, last = {}, ""
    for name in frame.columns:
        if name not in numeric:
            continue
        stem_ = name.removesuffix("_low").removesuffix("_high")
        if name in ("low", "high"):
            stem_ = last
        elif stem_ != name and stem_ not in numeric:
            stem_ = name
        owner[name] = "money" if name in amounts else stem_ or name
        last = owner[name]
    texts = {}
    subject = next((name for name in NAMING if name in frame.columns), "")
    own = [name for name in owner if subject and (name in OF_SUBJECT or owner[name] in OF_SUBJECT)]
    by_row = [
        number_cells([row[name] for name in own], str(row[subject]))
        for row in (frame.iter_rows(named=True) if own else ())
    ]
    for name in frame.columns:
        values = frame[name].to_list()
        if name not in numeric:
            texts[name] = [cell(value, name) for value in values]
            continue
        if name in own:
            texts[name] = [row[own.index(name)] for row in by_row]
            continue
        family = [one for one, of in owner.items() if of == owner[name] and one != name]
        beside = [v for one in family for v in frame[one].to_list() if v is not None]
        texts[name] = number_cells(values, owner[name], beside)
    return texts


def row_units(frame: pl.DataFrame) -> list[str]:
    """Return the unit of each row of a table of figures (kind, metric); none for other tables."""
    if not {"kind", "metric"} <= set(frame.columns):
        return []
    return [figure_unit(kind, name) for kind, name in frame.select("kind", "metric").iter_rows()]


def figure_unit(kind: str, name: str) -> str:
    """Return the unit in which a figure is written: "share", "money", or else its kind.

    Examples
    --------
    >>> figure_unit("share", "conversion"), figure_unit("mean", "revenue")
    ('share', 'money')
    """
    if kind == "share" or is_share(name):
        return "share"
    return "money" if is_money(name) else kind


def _of_figure(value: float | None, unit: str, column: str) -> str:
    """Write a figure's value, or a difference of two, with its unit.

    Examples
    --------
    >>> _of_figure(0.0125, "share", "value_arm"), _of_figure(0.0125, "share", "difference_low")
    ('1.2%', '1.2 points')
    """
    if value is None or not math.isfinite(value) or unit not in ("share", "money"):
        return number(value)
    if unit == "money":
        return money(value)
    gap = "" if column.startswith("value") else " points"
    return f"{percent(value).removesuffix('%')}{gap}" if gap else percent(value)


def _named(name: object) -> str:
    return "" if name is None else f' data-names="{html.escape(str(name), quote=True)}"'


def _align(is_number: bool, *, whole: bool = False) -> str:
    unbroken = ";white-space:nowrap" if whole else ""
    return f' style="text-align:{"right" if is_number else "left"}{unbroken}"'
