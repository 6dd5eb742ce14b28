"""Money and states that belong to whole orders: totals shared over lines, refunds, statuses."""

from __future__ import annotations

import re
from dataclasses import replace

import polars as pl

from segkit.display import counted, money
from segkit.errors import MappingError, unknown
from segkit.intake.cells import MICRO, NO, NO_MARKS, is_text, product
from segkit.intake.columns import Columns
from segkit.intake.evidence import repeats_in_orders
from segkit.intake.headers import concepts
from segkit.intake.mapping import STATUS_COLUMNS, Mapping, TableMapping
from segkit.intake.rejects import MICROS, REPEAT, left_out, repeats
from segkit.intake.statuses import CREDIT_NOTE, STATUSES, read_kinds, read_statuses

WIDE = pl.Int128
LINE_AMOUNTS = frozenset(["amount", "total", "revenue", "net", "gross"])
NO_AMOUNTS = frozenset(["balance", "cost", "discount", "fee", "tax", "shipping", "refund", "unit",
                        "price", "quantity", "percent", "date", "id", "payment"])  # fmt: skip
FEWEST = 3  # documents called cancelled that take others back
MOST_TAKEN_BACK = 0.5  # share of the documents of a state that others take back
MOST_WORDS = 20  # in a column that tells kinds of documents
ROUNDED = MICRO // 50  # what rounded prices may be off an order's total


def settle_orders(columns: Columns, parsed: pl.DataFrame) -> pl.DataFrame:
    """Share totals over the lines of an order, take refunds off, and read each line's state.

    ``__state`` (a status of ``STATUSES``) is added where states or refunds are mapped,
    ``__conflict`` where amounts are of orders.
    """
    states = _states(columns)
    if states:
        worst = pl.min_horizontal(pl.lit(state) for state in states)
        names = dict(enumerate(STATUSES))
        parsed = parsed.with_columns(__state=worst.replace_strict(names, return_dtype=pl.String))
    if columns.option("amount_of") == "order" and columns.has("amount"):
        parsed = _share_totals(columns, parsed)
    if columns.has("refund"):
        parsed = _take_off_refunds(columns, parsed)
    return parsed


def share_discounts(columns: Columns, parsed: pl.DataFrame) -> pl.DataFrame:
    """Count a discount that stands on every line of its order once, and share it over the lines."""
    if not columns.has("discount", "order_id") or columns.option("discount_unit") != "money":
        return parsed
    if not repeats_in_orders(parsed["order_id"], parsed["__discount"]):
        return parsed
    worth = pl.col("__amount")
    if columns.has("quantity", "unit_price"):
        worth = product(pl.col("__quantity"), pl.col("__unit_price"))
    frame = parsed.with_columns(weight=worth.cast(WIDE).abs().fill_null(0))
    if columns.option("duplicates") == "drop":
        frame = frame.with_columns(pl.col("weight") * ~repeats(columns.raw))
    weight = pl.when(pl.col("weight").sum().over("order_id") > 0).then("weight").otherwise(1)
    shared = _share(pl.col("__discount").abs().fill_null(0), weight.cast(WIDE), "order_id")
    alone = pl.col("order_id").is_null()
    columns.notes.append(
        "orders: discounts are of whole orders; each is counted once and shared over the lines"
    )
    return parsed.with_columns(
        frame.select(pl.when(alone).then("__discount").otherwise(shared).alias("__discount"))
    )


def _states(columns: Columns) -> list[pl.Series]:
    """Read every mapped column of states as ranks in ``STATUSES``; unknown words are sales."""
    ranks = {name: rank for rank, name in enumerate(STATUSES)}
    states = []
    for name in STATUS_COLUMNS:
        if columns.has(name):
            read = states_of(columns, name)
            states.append(read.replace_strict(ranks, default=ranks["sale"], return_dtype=pl.Int8))
    if columns.has("cancelled_at"):
        state = pl.when(is_cancelled(columns)).then(ranks["cancelled"]).otherwise(ranks["sale"])
        states.append(pl.select(state.cast(pl.Int8)).to_series())
    return states


def is_cancelled(columns: Columns) -> pl.Series:
    """Mark the rows where the column of cancellations is filled, and not with a no."""
    cells = columns.raw.select(columns.text("cancelled_at").alias("c")).to_series()
    low = cells.str.to_lowercase()
    is_no = low.is_in([*NO, *NO_MARKS]) | low.str.starts_with("0000-00-00")
    return (cells.is_not_null() & ~is_no).fill_null(value=False)


def earlier_states(columns: Columns) -> pl.Series:
    """Mark the rows of an order that are not of its last state, in a history of states."""
    header = str(columns.option("state_time"))
    if header not in columns.raw.columns:
        raise MappingError(f"[orders] state_time: {unknown('column', header, columns.raw.columns)}")
    of_state = Mapping({"orders": TableMapping({"order_time": header})}).over(columns.mapping)
    time, _, _ = replace(columns, mapping=of_state, notes=[]).time("order_time")
    rows = columns.raw.select(order=columns.id("order_id"), moment=time)
    rows = rows.with_row_index("place")
    last = pl.col("place").sort_by("moment", "place").last().over("order")
    return rows.select((pl.col("place") != last) & pl.col("order").is_not_null()).to_series()


def states_of(columns: Columns, name: str, words: pl.Series | None = None) -> pl.Series:
    """Return the meaning of statuses, of the whole column or of some words; null if not known."""
    raw_column = columns.source(name)
    if words is None and raw_column is not None:
        words = columns.cells(raw_column).cast(pl.String)
    if words is None:
        words = pl.Series([columns.constant(name)], dtype=pl.String).new_from_index(
            0, columns.raw.height
        )
    own_words = {str(word): "cancelled" for word in columns.option("cancelled")}
    own_words |= columns.mapping.tables[columns.table].values.get(name, {})
    return read_statuses(words, own_words)


def kinds_of(columns: Columns) -> pl.Series:
    """Return the kind of each row by the words of ``row_kind``: lines where none is mapped."""
    raw_column = columns.source("row_kind")
    if raw_column is None:
        return pl.Series(["line"]).new_from_index(0, columns.raw.height)
    kinds = columns.mapping.tables["orders"].values.get("row_kind", {})
    return read_kinds(columns.cells(raw_column).cast(pl.String), kinds)


def _share_totals(columns: Columns, parsed: pl.DataFrame) -> pl.DataFrame:
    """Count the amount of an order once, and share it over the order's lines.

    Shares are in proportion to quantity times unit price where both are known, or to amounts of the
    lines in another column, else equal; they add up to the total exactly. Rows that name no product
    are attempts to pay the whole: those that failed have no share beside one that counts.
    """
    if not columns.has("order_id"):
        return _share_unnumbered(columns, parsed)
    has_values = columns.has("quantity", "unit_price")
    value = product(pl.col("__quantity"), pl.col("__unit_price")) if has_values else pl.lit(1)
    weight = pl.max_horizontal(value.cast(WIDE).fill_null(0), pl.lit(0, dtype=WIDE))
    order = "order_id"
    counts = pl.lit(value=True)
    if columns.has("row_kind"):
        counts = ~pl.any_horizontal(f"__{kind}_row" for kind in (*left_out(columns), "total"))
    if "__state" in parsed.columns and not (has_values or columns.has("product_id")):
        counts = counts & ~pl.col("__state").is_in(["cancelled", "unpaid"])
    frame = parsed.select("order_id", MICROS, counts=counts, weight=weight)
    beside = None if has_values else _line_amounts(columns, frame)
    if beside is not None:
        frame = frame.with_columns(weight=beside)
    if columns.option("duplicates") == "drop":  # a repeated row has no share
        once = ~parsed[REPEAT]
        frame = frame.with_columns(counts=pl.col("counts") & once, weight=pl.col("weight") * once)
    total = pl.col(MICROS).drop_nulls().first().over(order)
    off = (pl.col("weight").sum().over(order) - total).abs()
    is_even = not has_values and beside is None
    adds_up = pl.lit(value=False) if is_even else (off <= ROUNDED).fill_null(value=False)
    # Where lines are left out that do not make the total up, it stays whole on the others.
    weighed = pl.when(pl.col("counts") | adds_up).then("weight").otherwise(0)
    frame = frame.with_columns(weight=weighed)
    some, ones = pl.col("counts").any().over(order), pl.lit(1, dtype=WIDE)
    frame = frame.with_columns(
        weight=pl.when(pl.col("weight").sum().over(order) == 0)
        .then(pl.when(~some | pl.col("counts")).then(ones).otherwise(0))
        .otherwise("weight")
    )
    shared = frame.select(
        share=_share(pl.col(MICROS), pl.col("weight"), order),
        conflict=pl.col(MICROS).drop_nulls().n_unique().over(order) > 1,
        alone=pl.col(order).is_null(),
        lines=pl.len().over(order),
    )
    parsed = parsed.with_columns(
        pl.when(shared["alone"]).then(MICROS).otherwise(shared["share"]).alias(MICROS),
        __conflict=shared["conflict"] & ~shared["alone"],
    )
    several = int((shared["lines"] > 1).sum())
    if several:
        how = "equally" if beside is None else f"in proportion to {beside.name!r}"
        how = "in proportion to quantity times price" if has_values else how
        columns.notes.append(
            f"orders: amounts are of whole orders; each is counted once and shared over the "
            f"order's lines {how} ({counted(several, 'line')})"
        )
    return parsed


def _line_amounts(columns: Columns, frame: pl.DataFrame) -> pl.Series | None:
    """Return the first unused amounts that make up most of an order's total, with their header.

    An order whose total they do not make up by half at least, and by half too much at most, or of
    which a line has none, has ones instead: its total is shared equally.
    """
    part, order = columns.mapping.tables["orders"], "order_id"
    total, weight = pl.col(MICROS).drop_nulls().first().over(order), pl.col("weight")
    whole = weight.sum().over(order)
    fits = (2 * whole).is_between(total, 3 * total) & (weight.min().over(order) > 0)
    several = (pl.len().over(order) > 1) & pl.col(order).is_not_null()
    for header in columns.raw.columns:
        meant = concepts(header)[0]
        if header in part.columns.values() or not LINE_AMOUNTS & meant or NO_AMOUNTS & meant:
            continue
        own = Mapping({"orders": TableMapping({"amount": header}, options={"amount_of": "line"})})
        read = Columns("orders", columns.raw, own.over(columns.mapping), shared=columns.shared)
        beside = frame.with_columns(weight=read.micro("amount").cast(WIDE).fill_null(0))
        shown = beside.select(fits=(several & fits).fill_null(value=False), weight="weight")
        if 2 * int(shown["fits"].sum()) > int(frame.select(several.sum()).item()):
            ones = pl.when("fits").then("weight").otherwise(pl.lit(1, dtype=WIDE))
            return shown.select(ones.alias(header)).to_series()
    return None


def unnumbered_orders(columns: Columns) -> pl.Series | None:
    """Return what stands for the order id where there is none: the customer and the time."""
    named = [columns.source(name) for name in ("customer_id", "email", "loyalty_id")]
    who, when = next((name for name in named if name), None), columns.source("order_time")
    if who is None or when is None:
        return None
    both = (columns.cells(name).cast(pl.String) for name in (who, when))
    return pl.select(pl.concat_str(*map(pl.lit, both), separator="\0")).to_series()


def _share_unnumbered(columns: Columns, parsed: pl.DataFrame) -> pl.DataFrame:
    """Share each total of one customer at one time over the lines on which it stands, equally."""
    orders = unnumbered_orders(columns)
    if orders is None:
        return parsed
    columns.notes.append(
        "orders: amounts are of whole orders; each is counted once and shared over the lines that "
        "one customer has at one time"
    )
    total = pl.concat_str(pl.lit(orders), pl.col(MICROS), separator="\0").alias("total")
    frame = parsed.select(MICROS, total, weight=pl.lit(1, dtype=WIDE))
    shares = frame.select(_share(pl.col(MICROS), pl.col("weight"), "total")).to_series()
    alone = frame["total"].is_null()
    return parsed.with_columns(pl.when(alone).then(MICROS).otherwise(shares).alias(MICROS))


def _share(total: pl.Expr, weight: pl.Expr, order: str) -> pl.Expr:
    """Share a total of millionths over an order's lines by weights, without a remainder."""
    whole, upto = weight.sum().over(order), weight.cum_sum().over(order)
    total = total.cast(WIDE)
    return (total * upto // whole - total * (upto - weight) // whole).cast(pl.Int64)


def _take_off_refunds(columns: Columns, parsed: pl.DataFrame) -> pl.DataFrame:
    """Take refunds off the amounts of sale lines; what is refunded as a whole gets that state.

    A refund on a negative amount is that amount, which comes off already; so is what came back for
    a cancelled line, which is left out itself.
    """
    if "__state" not in parsed.columns:
        parsed = parsed.with_columns(__state=pl.lit("sale"))
    if columns.option("refund_is") == "pieces":
        parsed = parsed.with_columns(__refund=_worth_of_pieces(columns))
    has_orders = columns.has("order_id")
    is_sale = ~pl.col("is_return") & pl.col("__state").is_in(["sale", "refunded"])
    apart = (pl.col(MICROS) < 0).fill_null(value=False)
    worth = pl.when(~pl.col("is_return") & (pl.col(MICROS) > 0)).then(MICROS).otherwise(0)
    frame = parsed.with_columns(
        __back=pl.when(apart).then(0).otherwise(pl.col("__refund").abs().fill_null(0)).cast(WIDE),
        __worth=worth.cast(WIDE),
        __sold=pl.when(is_sale).then(worth).otherwise(0).cast(WIDE),
    )
    of_orders = has_orders and refund_of(columns, frame) == "order"
    if of_orders:
        alone = pl.col("order_id").is_null()
        key = pl.when(alone).then(pl.concat_str(pl.lit("\0"), "source_row")).otherwise("order_id")
        frame = frame.with_columns(__order=key)
        # What stands alike on every line of an order is one refund, of its cancelled lines first;
        # different ones add up, without those of lines that are left out.
        alike = pl.col("__back").n_unique().over("__order") == 1
        gone = pl.col("__worth") * (pl.col("__state") == "cancelled")
        rest = (pl.col("__back") - gone.sum().over("__order")).clip(lower_bound=0)
        own = pl.col("__back") * is_sale
        back = pl.when(alike).then(rest).otherwise(own.sum().over("__order"))
        sold = pl.col("__sold").sum().over("__order")
        off = _share(pl.min_horizontal(back, sold), pl.col("__sold"), "__order")
    else:
        back, sold = pl.col("__back"), pl.col("__sold")
        off = pl.min_horizontal(back, sold).cast(pl.Int64)
    partly = is_sale & (back > 0) & (sold > 0) & (back < sold)
    whole = is_sale & (back > 0) & (back >= sold)
    frame = frame.with_columns(
        __partly=partly, __whole=whole, __off_sale=pl.when(partly).then(off).otherwise(0)
    )
    taken = frame.select(pl.col("__off_sale").cast(WIDE).sum()).item()
    lines = int(frame["__partly"].sum())
    if lines:
        columns.notes.append(
            f"orders: refunds of {money(taken / MICRO)} are taken off "
            f"{counted(lines, 'line')} (refund)"
        )
    settled = frame.with_columns(
        (pl.col(MICROS) - pl.col("__off_sale")).alias(MICROS),
        __state=pl.when("__whole")
        .then(pl.lit("refunded"))
        .when("__partly")
        .then(pl.lit("sale"))
        .otherwise("__state"),
    )
    return settled.select(*parsed.columns)


def cancel_both(columns: Columns, parsed: pl.DataFrame) -> pl.DataFrame:
    """Cancel the documents that take back ones which do not count: only both together are zero.

    These have or name the number of such a document; or the opposite sum of the same customer's at
    no earlier day, where most documents of that state have one, or most that take back have no
    other of that sum. Where only what takes back is called cancelled, it counts with the other.
    """
    back = (parsed["is_return"] & (parsed[MICROS] < 0)).fill_null(value=False)
    if "__state" not in parsed.columns or not back.any() or (parsed["__state"] == "sale").all():
        return parsed
    state, key, alike = pl.col("__state"), ["customer_id", "document"], ["customer_id", "size"]
    number = pl.lit(None, pl.String)
    if columns.has("order_id"):
        number = pl.coalesce(_orders_named(columns, back), "order_id")
    own = pl.concat_str(pl.lit("\0"), "source_row")
    rows = parsed.select("customer_id", "order_day", state, back=back, micro=MICROS,
                         number=number, document=pl.coalesce(number, own))  # fmt: skip
    documents = _documents(rows)
    gone, sold = (
        documents.filter(~pl.col("back") & (pl.col("counts") == counts)) for counts in (False, True)
    )
    is_note = pl.col("back") & ~pl.col("counts") & state.is_in(["sale", "refunded"])
    notes = documents.filter(is_note)
    void = documents.filter(pl.col("back") & (state == "cancelled"))
    if void.height >= FEWEST and (rows["back"] | (rows["__state"] != "cancelled")).all():
        pairs = _pair(void, sold)
        if pairs.height > MOST_TAKEN_BACK * void.height:
            counts = _of_documents(rows, pairs.select(key))
            parsed = parsed.with_columns(
                pl.when(counts).then(pl.lit("sale")).otherwise(state).alias("__state")
            )
    cancelling = [notes.join(gone, on=key, how="semi").select(key)]
    for name in STATUSES[:-1]:
        of_state = gone.filter(state == name)
        pairs = _pair(notes, of_state)
        if pairs.height < MOST_TAKEN_BACK * of_state.height:
            pairs = pairs.join(sold, on=alike, how="anti")
        if pairs.height >= MOST_TAKEN_BACK * min(of_state.height, notes.height):
            cancelling.append(pairs.select(key))
    marked = _of_documents(rows, pl.concat(cancelling))
    if not marked.any():
        return parsed
    columns.notes.append(
        f"orders: {counted(rows.filter(marked)['document'].n_unique(), 'document')} that take back "
        "what is cancelled, refunded or unpaid are left out with it"
    )
    gone_too = pl.when(marked).then(pl.lit("cancelled")).otherwise(state)
    return parsed.with_columns(gone_too.alias("__state"))


def _documents(rows: pl.DataFrame) -> pl.DataFrame:
    """Sum up each customer's documents by state and sign, and whether their number counts."""
    state, key = pl.col("__state"), ["customer_id", "document"]
    sizes = pl.when("back").then(state != "unpaid").otherwise(pl.col("micro") > 0)
    return (
        rows.filter(sizes & pl.col("customer_id").is_not_null())
        .group_by(*key, "back", "__state")
        .agg(size=pl.col("micro").cast(WIDE).sum().abs(), day=pl.col("order_day").min())
        .with_columns(counts=((state == "sale") & ~pl.col("back")).any().over(key))
    )


def _pair(notes: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """Pair documents that take back with the same customer's of that sum and no later day."""
    size = ["customer_id", "size"]
    one, other = (
        frame.sort("day", "document").with_columns(nth=pl.int_range(pl.len()).over(size))
        for frame in (notes, documents)
    )
    pairs = one.join(other, on=[*size, "nth"], suffix="_before")
    return pairs.filter(pl.col("day") >= pl.col("day_before"))


def _of_documents(rows: pl.DataFrame, documents: pl.DataFrame) -> pl.Series:
    """Mark the rows of documents that take back."""
    found = rows.with_row_index().filter("back").join(documents, on=documents.columns, how="semi")
    return pl.int_range(len(rows), eager=True).is_in(found["index"].implode())


def mark_given_back(columns: Columns, parsed: pl.DataFrame) -> pl.DataFrame:
    """Mark the orders that credit notes wholly take back, and these: no orders.

    The rows of an order add up to nothing, together with credit notes that name its number in a
    column of their own.
    """
    is_back = parsed["is_return"] & (parsed[MICROS] < 0).fill_null(value=False)
    if columns.has("order_id") and is_back.any():
        is_back &= _are_credit_notes(columns, is_back)
    if not columns.has("order_id") or not is_back.any():
        return parsed
    is_sale = pl.lit(value=True) if "__state" not in parsed.columns else pl.col("__state") == "sale"
    rows = parsed.select(
        "customer_id",
        back=is_back,
        sold=~pl.col("is_return") & is_sale & (pl.col(MICROS) > 0),
        order=pl.coalesce(_orders_named(columns, is_back), "order_id"),
        micro=pl.col(MICROS).cast(WIDE),
    )
    counts, order = pl.col("back") | pl.col("sold"), ["customer_id", "order"]
    whole = [
        pl.when(counts).then("micro").otherwise(0).sum().over(order) == 0,
        *(pl.col(name).any().over(order) for name in ("back", "sold")),
        *(pl.col(name).is_not_null() for name in order),
    ]
    return parsed.with_columns(rows.select(__given_back=counts & pl.all_horizontal(whole)))


def _are_credit_notes(columns: Columns, is_back: pl.Series) -> pl.Series:
    """Mark the rows that a column of a few words calls credit notes."""
    for name, kind in columns.raw.schema.items():
        words = columns.raw[name].filter(is_back).unique() if is_text(kind) else pl.Series()
        spelt = words.drop_nulls().cast(pl.String) if words.len() <= MOST_WORDS else pl.Series()
        named = [word for word in spelt if re.search(CREDIT_NOTE, word.lower())]
        if named:
            return columns.raw[name].cast(pl.String).is_in(named).fill_null(value=False)
    return is_back & False


def _orders_named(columns: Columns, is_back: pl.Series) -> pl.Series:
    """Return the number of the order that a row gives back, where a column names it."""
    orders = columns.orders.cast(pl.String)
    sold = orders.filter(~is_back).unique().implode()
    for name, kind in columns.raw.schema.items():
        if name == columns.source("order_id") or not (is_text(kind) or kind.is_integer()):
            continue
        first = columns.raw[name].filter(is_back).drop_nulls().head(1000).cast(pl.String)
        if not first.str.strip_chars().is_in(sold).any():
            continue
        cells = columns.cells(name).cast(pl.String)
        known = int(cells.filter(is_back).is_in(sold).sum())
        if (
            2 * known > int(is_back.sum())
            and not cells.filter(~is_back).is_in(orders.implode()).any()
        ):
            return pl.select(pl.when(is_back).then(cells)).to_series()
    return pl.Series([None], dtype=pl.String).new_from_index(0, is_back.len())


def _worth_of_pieces(columns: Columns) -> pl.Expr:
    """Return the part of each line's amount that the pieces make up which came back."""
    if not columns.has("quantity"):
        return pl.col("__refund") * 0
    units, back = pl.col("__quantity").abs().cast(WIDE), pl.col("__refund").abs().cast(WIDE)
    part = pl.col(MICROS).abs().cast(WIDE) * pl.min_horizontal(back, units)
    return pl.when(units > 0).then((part + units // 2) // units).otherwise(0).cast(pl.Int64)


def refund_of(columns: Columns, frame: pl.DataFrame) -> str:
    """Return whether refunds are of orders or of lines, as set or as seen in the data.

    They are of orders if each stands on all lines of its order alike, or exceeds its line.
    """
    stated = columns.option("refund_of")
    if stated or columns.option("refund_is") == "pieces":
        return str(stated or "line")
    by_order = (
        frame.lazy()
        .filter(pl.col("order_id").is_not_null())
        .group_by("order_id")
        .agg(
            lines=pl.len(),
            kinds=pl.col("__back").n_unique(),
            most=pl.col("__back").max(),
            over=(pl.col("__back") > pl.col("__worth")).any(),
        )
        .filter((pl.col("lines") > 1) & (pl.col("most") > 0))
        .collect()
    )
    if not by_order.height:
        return "order"
    of_orders = by_order.select((pl.col("kinds") == 1).all() | pl.col("over").any()).item()
    return "order" if of_orders else "line"
