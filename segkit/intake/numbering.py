"""Order numbers that begin again by kind of document, store or day, and those of returns."""

from __future__ import annotations

from itertools import combinations

import polars as pl

from segkit.display import counted, join_words
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import FEW
from segkit.intake.headers import WORDS, concepts
from segkit.intake.mapping import TableMapping
from segkit.intake.questions import Finding

FEWEST, MIXED = 3, 0.01  # numbers that several customers share, and their share of all
LEFT, APART = 0.02, 0.8  # of these what a column may leave, and those on several days
FILLED, MOST = 0.98, 8  # of the rows, and columns that are tried
_NO_SERIES = frozenset(WORDS["headers"]["no_series"].split())


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

    All ids are numbers of the same lengths, with letters before a smaller part of them; in codes of
    figures and letters by chance, a prefix says nothing.

    Examples
    --------
    >>> lines = pl.DataFrame({"InvoiceNo": ["536365", "536366", "C536379"], "Quantity": [6, 2, -1]})
    >>> return_prefix(lines, TableMapping({"order_id": "InvoiceNo", "quantity": "Quantity"}))
    'C'
    >>> codes = lines.with_columns(InvoiceNo=pl.Series(["1f6365", "536366", "ee6379"]))
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
    shape = (
        pl.col(order)
        .cast(pl.String)
        .str.extract_groups(r"^(?<prefix>[A-Za-z]{0,3})-?(?<number>\d+)$")
    )
    ids = (
        frame.lazy()
        .filter(pl.col(order).is_not_null())
        .select(shape.struct.unnest(), minus=negative)
    )
    ids = ids.group_by("prefix", length=pl.col("number").str.len_chars()).agg(
        pl.len(), pl.col("minus").sum()
    )
    shapes = ids.collect()
    marked, plain_ids = (
        shapes.filter(one) for one in (pl.col("prefix") != "", pl.col("prefix") == "")
    )
    alike = marked["length"].is_in(plain_ids["length"].implode()).all()
    if shapes["prefix"].null_count() or not alike or marked["len"].sum() > plain_ids["len"].sum():
        return None
    prefixes = (
        marked.group_by("prefix").agg(pl.col("len", "minus").sum()).sort("len", descending=True)
    )
    prefixes = prefixes.filter(pl.col("minus") > 0.95 * pl.col("len"))
    return str(prefixes["prefix"][0]) if prefixes.height else None
