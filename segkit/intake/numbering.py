"""Order numbers: coarser and finer ones, those that begin again by store or day, of returns."""

from __future__ import annotations

from itertools import combinations

import polars as pl

from segkit.display import counted, join_words
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import (
    ENOUGH,
    FEW,
    FEWEST_GROUPS,
    ColumnProfile,
    constant_within,
    folded,
)
from segkit.intake.headers import WORDS, concepts, plain, regex
from segkit.intake.mapping import TableMapping
from segkit.intake.questions import Finding

FEWEST, MIXED = 3, 0.01  # numbers that several customers share, and their share of all
LEFT, APART = 0.02, 0.8  # of these what a column may leave, and those on several days
FILLED, MOST = 0.98, 8  # of the rows, and columns that are tried
_NO_SERIES = frozenset(WORDS["headers"]["no_series"].split())
_NUMBER = frozenset(["id", "order", "buy", "shipping", "group", "payment"])  # what may number


def other_numbers(profiles: dict[str, ColumnProfile], columns: dict[str, str]) -> list[str]:
    """List the unused columns that could number orders, of one customer on all rows of each number.

    Their header names an order's number; or they are coarser or finer than the one in use, and
    have one time on all rows of each. What numbers the lines of orders is left out. ``columns`` are
    the headers in use, by the contract's name.

    Examples
    --------
    >>> thirds = [i // 3 for i in range(36)]
    >>> rows = pl.DataFrame({"who": [i // 9 for i in range(36)], "part": range(36),
    ...     "main": thirds, "day": [f"2024-05-{10 + third}" for third in thirds]})
    >>> used = {"customer_id": "who", "order_time": "day", "order_id": "part"}
    >>> from segkit.intake.evidence import profile_columns
    >>> other_numbers(profile_columns(rows, ()), used)
    ['main']
    """
    who, when, order = (
        profiles.get(columns.get(name, "")) for name in ("customer_id", "order_time", "order_id")
    )
    if when is None:
        return []
    used = pl.int_range(when.rows, eager=True) if order is None else order.cells
    found = []
    for header, shown in profiles.items():
        meant, is_named = concepts(header)[0], {"id", "order"} <= concepts(header)[0]
        if header in columns.values() or not meant <= _NUMBER or shown.dated or shown.is_money:
            continue
        if min(shown.filled, shown.codes) < FILLED or (who and shown.distinct <= who.distinct):
            continue
        if order is not None and shown.distinct >= max(FILLED * shown.rows, order.distinct + 1):
            continue  # numbers lines
        fits = _holds_several(shown.cells, used)
        fits = fits or ("payment" not in meant and _holds_several(used, shown.cells))
        same = [] if who is None else [folded(who)]
        same += [] if is_named and same else [when.cells]
        shares = [constant_within(shown.cells, other) for other in same]
        if (is_named or fits) and all(share is None or share >= FILLED for share in shares):
            found.append(header)
    return found


def _holds_several(coarse: pl.Series, fine: pl.Series) -> bool:
    """Return whether numbers hold several finer ones each, of which each is in one alone."""
    pairs = pl.DataFrame({"coarse": coarse, "fine": fine}).drop_nulls().unique()
    several = (pairs["coarse"].value_counts()["count"] > 1).sum() >= FEWEST_GROUPS
    return bool(several and pairs.height <= (1 + LEFT) * pairs["fine"].n_unique())


def find_main(
    profiles: dict[str, ColumnProfile], columns: dict[str, str], others: list[str]
) -> str | None:
    """Return the number of ``others`` that is the order's, where the one in use is of its parts.

    Each holds several of these, of one time. It is called the main one, or these are called parts
    or number the lines of what is called an order's number, too.

    Examples
    --------
    >>> rows = pl.DataFrame({"main order": [i // 3 for i in range(36)], "sub order": range(36),
    ...     "day": [f"2024-05-{10 + i // 3}" for i in range(36)]})
    >>> from segkit.intake.evidence import profile_columns
    >>> used = {"order_id": "sub order", "order_time": "day"}
    >>> find_main(profile_columns(rows, ()), used, ["main order"])
    'main order'
    """
    part, when = (profiles.get(columns.get(name, "")) for name in ("order_id", "order_time"))
    if part is None or when is None:
        return None
    is_part = regex("part_number").search(plain(part.name)) or (
        "order" in concepts(part.name)[0] and part.distinct >= FILLED * part.rows
    )
    found = []
    for header in others:
        cells, is_main = profiles[header].cells, regex("main_number").search(plain(header))
        if not is_main and not (is_part and {"id", "order"} <= concepts(header)[0]):
            continue
        alike = constant_within(cells, when.cells)
        if alike is not None and alike >= FILLED and _holds_several(cells, part.cells):
            found.append((not is_main, -profiles[header].distinct, header))
    return min(found)[2] if found else None


def find_repeating(
    profiles: dict[str, ColumnProfile], columns: dict[str, str], others: list[str]
) -> str | None:
    """Return the coarser number of ``others`` within which the amount stands alike.

    So it is a sum of that number, which counts once, and none of the orders in use.

    Examples
    --------
    >>> rows = pl.DataFrame({"main": [i // 3 for i in range(36)], "part": range(36),
    ...     "due": [10 + i // 3 for i in range(36)]})
    >>> from segkit.intake.evidence import profile_columns
    >>> used = {"order_id": "part", "amount": "due"}
    >>> find_repeating(profile_columns(rows, ()), used, ["main"])
    'main'
    """
    amount, order = (profiles.get(columns.get(name, "")) for name in ("amount", "order_id"))
    found = []
    for header in others if amount is not None else ():
        number = profiles[header].cells
        rows = pl.DataFrame({"number": number, "worth": amount.numbers})  # type: ignore[union-attr]
        rows = rows.with_columns(order=pl.int_range(pl.len()) if order is None else order.cells)
        held = rows.drop_nulls().group_by("number").agg(pl.col("order", "worth").n_unique(),
                                                        size=pl.col("worth").first())  # fmt: skip
        held = held.filter(pl.col("order") > 1)
        alike = held.filter(pl.col("worth") == 1)["size"]
        if alike.n_unique() >= FEWEST_GROUPS and alike.len() >= FILLED * held.height:
            found.append((held.height, "order" not in concepts(header)[0], header))
    return min(found)[2] if found else None


def about_numbering(columns: Columns) -> tuple[TableMapping, list[Finding]]:
    """Find the columns within which order numbers are unique, where several customers share them.

    Return the order id and the option ``order_within``, and what to say; both empty where numbers
    are unique, or nothing tells orders of one number apart.
    """
    needed = [columns.source(name) for name in ("customer_id", "order_time")]
    named = columns.source("order_id")
    given = columns.mapping.is_set("orders", "order_within") or columns.constant("order_id")
    if None in needed or given or not columns.raw.height:
        return TableMapping(), []
    part = columns.sampled
    rows = part.raw.select(
        who=part.id("customer_id"), day=part.day("order_time"), time=part.cells(str(needed[1]))
    )
    tried = _series(part)
    rows = rows.with_columns(part.cells(name).cast(pl.String).alias(f"\0{name}") for name in tried)
    for number in [named] if named else _numbers(part):
        lines = rows.with_columns(number=part.cells(str(number)).cast(pl.String))
        shared, within = _find_series(lines.drop_nulls(["who", "number"]), tried)
        if not within:
            continue
        within = [header or str(needed[1]) for header in within]
        text = (
            f"{number!r} begins again with each {join_words([*map(repr, within)])}: "
            f"{counted(shared, 'number')} would be of several customers; together they tell orders "
            "apart."
        )
        found = Finding("info", "orders", "order_id", text, answer="[orders] order_within = []")
        named_so = {} if named else {"order_id": str(number)}
        return TableMapping(named_so, options={"order_within": within}), [found]
    return TableMapping(), []


def _find_series(rows: pl.DataFrame, tried: list[str]) -> tuple[int, list[str]]:
    """Count the numbers of several customers, and find the fewest columns that part these.

    The day is named "". Numbers of several customers on one day are orders for several.
    """
    numbers = rows.group_by("number").agg(pl.col("who", "day").n_unique())
    shared = numbers.filter(pl.col("who") > 1)
    if shared.height < max(FEWEST, MIXED * numbers.height) or (
        (shared["day"] > 1).mean() < APART  # type: ignore[operator]
    ):
        return shared.height, []
    orders = rows.select("number", "who", "time").n_unique()
    for size in (1, 2, 3):
        for within in combinations([*tried, ""], size):
            keys = ["number", *(f"\0{header}" if header else "day" for header in within)]
            people = rows.group_by(keys).agg(pl.col("who").n_unique())["who"]
            if (people > 1).sum() <= LEFT * shared.height and people.len() <= (1 + LEFT) * orders:
                return shared.height, [*within]
    return shared.height, []


def _series(columns: Columns) -> list[str]:
    """List the columns of few words on all rows that orders may be numbered by, kinds first."""
    used = columns.mapping.tables["orders"].columns
    taken = {header for name, header in used.items() if name not in ("row_kind", "channel")}
    names = [
        name
        for name, kind in columns.raw.schema.items()
        if name not in taken
        and (is_text(kind) or kind.is_integer())
        and not _NO_SERIES & concepts(name)[0]
    ]
    words = {name: columns.cells(name) for name in names}
    few = [
        name
        for name, cells in words.items()
        if cells.count() >= FILLED * cells.len() and 2 <= cells.n_unique() <= FEW
    ]
    return sorted(few, key=lambda name: "type" not in concepts(name)[0])[:MOST]


def _numbers(columns: Columns) -> list[str]:
    """List the unused columns that number documents by their header and values."""
    used = columns.mapping.tables["orders"].columns.values()
    return [
        header
        for header, shown in columns.profiles.items()
        if header not in used
        and {"id", "order"} <= concepts(header)[0]
        and not _NO_SERIES & concepts(header)[0]
        and shown.filled >= FILLED
        and not shown.dated
    ]


def return_prefix(frame: pl.DataFrame, part: TableMapping) -> str | None:
    """Find the prefix of return orders: other ids are numbers, and all its lines are negative.

    All numbers are of the same lengths; of codes with letters by chance, some start with any.

    Examples
    --------
    >>> lines = pl.DataFrame({"InvoiceNo": ["536365", "C536379"], "Quantity": [6, -1]})
    >>> return_prefix(lines, TableMapping({"order_id": "InvoiceNo", "quantity": "Quantity"}))
    'C'
    >>> codes = pl.DataFrame({"InvoiceNo": ["536365", "1f0379", "ee6379"], "Quantity": [6, 2, -1]})
    >>> return_prefix(codes, TableMapping({"order_id": "InvoiceNo", "quantity": "Quantity"}))
    """
    sign = part.columns.get("quantity") or part.columns.get("amount")
    order = part.columns.get("order_id")
    if not sign or not order or not is_text(frame.schema[order]):
        return None
    value = pl.col(sign)
    negative = (
        value.cast(pl.String).str.strip_chars().str.contains(r"^[-−(]|-$")
        if is_text(frame.schema[sign])
        else value < 0
    )
    letters = pl.col(order).cast(pl.String).str.extract(r"^([A-Za-z]{1,3})-?\d+$", 1)
    rows = frame.lazy().group_by(prefix=letters).agg(pl.len(), negative.mean().alias("negative"))
    marked = rows.filter(pl.col("prefix").is_not_null()).collect()
    if not 0 < marked["len"].sum() <= 0.5 * frame.height:
        return None
    enough = pl.col("len") >= (FEWEST if frame.height >= ENOUGH else 1)
    prefixes = marked.filter(enough & (pl.col("negative") > 0.95)).sort("len", descending=True)
    if not prefixes.height:
        return None
    ids = frame[order].cast(pl.String).drop_nulls().unique()
    sizes = ids.str.extract(r"^[A-Za-z]{0,3}-?(\d+)$").str.len_chars()
    bare = ids.str.contains(r"^\d+$")
    alike = sizes.filter(~bare).is_in(sizes.filter(bare).implode())
    return str(prefixes["prefix"][0]) if alike.all() and not sizes.null_count() else None
