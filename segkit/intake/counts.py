"""Counts of clean order lines: people, orders, money and months, for audit and doubts."""

from __future__ import annotations

from collections.abc import Mapping as Map

import polars as pl

from segkit.display import counted, join_words, money, number, shorten_list
from segkit.intake.beside import compare_reading
from segkit.intake.cells import MICRO, from_micro
from segkit.intake.columns import Columns
from segkit.intake.consents import consent_columns, consents_of_orders, say_consents
from segkit.intake.mapping import STATUS_COLUMNS, Mapping
from segkit.intake.people import WHO
from segkit.intake.questions import Finding
from segkit.intake.states import MOST_NAMED, MOST_STATUSES, say_word
from segkit.intake.statuses import stem
from segkit.intake.store import Intake
from segkit.intake.sums import counted_money, refunds_are_negative
from segkit.intake.whole_orders import is_cancelled, kinds_of, states_of


def count_lines(lines: pl.DataFrame) -> pl.DataFrame:
    """Count clean order lines by customer, order, day and whether they are returns, once for all.

    Customers and orders are 64-bit hashes, which are counted much faster than texts; ``micro`` is
    the amount in whole millionths, so that no sum depends on the order in which threads add.
    """
    return (
        lines.lazy()
        .group_by(
            "is_return",
            customer=pl.col("customer_id").hash(),
            order=pl.col("order_id").hash(),
            day=pl.col("order_day"),
        )
        .agg(rows=pl.len(), micro=(pl.col("amount") * MICRO).round(0).cast(pl.Int64).sum())
        .collect()
    )


def about_shared_orders(counts: pl.DataFrame) -> list[Finding]:
    """Count the order ids that several customers share."""
    pairs = counts.select("order", "customer").unique()
    owners = pairs["order"].value_counts()
    shared = owners.filter(pl.col("count") > 1).height
    if not shared:
        return []
    finding = counted(shared, "order id belongs", "order ids belong")
    answer = "[orders.columns] order_id; or [orders] order_within, if numbers begin again by kind, "
    answer += "store or day"
    return [
        Finding("warn", "orders", "order_id", f"{finding} to several customers.", answer=answer)
    ]


def understand(
    mapping: Mapping,
    taken: Intake | None,
    counts: pl.DataFrame | None = None,
    read: Map[str, Columns] | None = None,
) -> str:
    """Say in lines what the orders were understood to be.

    The first names the columns, the second counts people, orders and money, the third says what
    is left out and which words of states count; where orders were wholly given back, a line says
    whether they count. Then comes who may be contacted, if that is recorded; after it come lines
    that begin with "Compare", where columns that are not used would give other figures. ``read``
    holds the raw columns, where they are read already.
    """
    if taken is None or taken.orders is None or not taken.orders.height:
        return ""
    counts = count_lines(taken.orders) if counts is None else counts
    if read is None:
        raw = taken.raw or {}
        read = {name: Columns(name, raw[name].lazy().collect(), mapping) for name in raw}
    lines, part = taken.orders, mapping.tables["orders"].columns
    named = ", ".join(
        f"{word} by {part[name]!r}"
        for word, name in (
            ("customers", "customer_id"),
            ("orders", "order_id"),
            ("time", "order_time"),
        )
        if name in part
    )
    if states := [repr(part[name]) for name in STATUS_COLUMNS if name in part]:
        named += f", state by {join_words(states)}"
    if within := mapping.option("orders", "order_within"):
        order = repr(part.get("order_id"))
        named = named.replace(order, f"{order} within {join_words([*map(repr, within)])}", 1)
    cash = [repr(part[n]) for n in ("amount",) if n in part] or [
        repr(part[n]) for n in ("quantity", "unit_price") if n in part
    ]
    worth = " x ".join(cash)
    if mapping.option("orders", "amount_of") == "order":
        worth += " of the whole order"
    back = " the pieces in" if mapping.option("orders", "refund_is") == "pieces" else ""
    if "refund" in part and not ("orders" in read and refunds_are_negative(read["orders"])):
        worth += f" less{back} {part['refund']!r}"
    sales = counts.filter(~pl.col("is_return"))
    returns = counts.height - sales.height
    currency = mapping.option("orders", "currency")
    if currency is None and len(codes := _currencies(lines)) == 1:
        (currency,) = codes
    days = counts["day"].cast(pl.Date)
    worth_of_all = float(counts["micro"].sum()) / MICRO
    total = money(worth_of_all, currency)
    if currency is None and not codes:
        total += " (no currency stated)"
    net = " net of refunds" if returns or "refund" in part else ""
    people = sales["customer"].n_unique()
    only = counts["customer"].n_unique() - people
    apart = f" ({counted(only, 'more person', 'more people')} only returned)" if only else ""
    text = (
        f"{counted(people, 'person', 'people')}{apart}, "
        f"{counted(sales['order'].n_unique(), 'order')}, {total}{net}, "
        f"{str(days.min())[:7]} to {str(days.max())[:7]}"
    )
    columns = read.get("orders")
    text = f"Read {named}; money is {worth}.\n{text}.\n{_say_left_out(columns, taken)}"
    given_back, beside = [], []
    if columns is not None:
        given_back = _given_back(columns, taken, counts)
        beside = compare_reading(columns, taken, worth_of_all, people)
    return "\n".join(
        line for line in (text, *given_back, _contactable(taken, read), *beside) if line
    )


def _currencies(lines: pl.DataFrame) -> set[str]:
    """Return the codes that order lines state."""
    stated = lines.get_column("currency", default=pl.Series(dtype=pl.String))
    return {*stated.drop_nulls().unique()}


def _say_left_out(columns: Columns | None, taken: Intake) -> str:
    """Say how many rows are left out, for which reasons and words, and which words count."""
    told, kept = ({}, "") if columns is None else _words_of_states(columns, taken)
    said = []
    for item in (r for step in taken.ledger.steps if step.table == "orders" for r in step.rejected):
        listed = ", ".join(shorten_list(told.get(item.reason, []), MOST_NAMED))
        if item.money and not listed:
            listed = money(float(item.money))
        said.append(f"{item.reason.replace('_', ' ')} {number(item.rows)}" + f" ({listed})" * (
            listed != ""))  # fmt: skip
    ignored = [] if columns is None else columns.option("not_states")
    no_states = f" No state: {join_words([*map(repr, ignored)])}." if ignored else ""
    return f"Rows left out: {', '.join(said) or 'none'}.{kept}{no_states}"


def _words_of_states(columns: Columns, taken: Intake) -> tuple[dict[str, list[str]], str]:
    """List the words by which rows are left out, with their money, by reason; say which count."""
    rejects = taken.rejects["orders"]
    reasons = pl.Series([""]).new_from_index(0, columns.raw.height)
    reasons = reasons.scatter(rejects["source_row"], rejects["reason"])
    is_one = _is_one_currency(columns, taken)
    worth = counted_money(columns, reasons != "") if is_one else None
    told: dict[str, list[str]] = {}
    kept, left = [], pl.Series([True]).new_from_index(0, reasons.len())
    main = next(iter(columns.shown(*STATUS_COLUMNS)), None)  # other columns are named
    for header, states in _states_told(columns).items():
        words = columns.cells(header).cast(pl.String)
        kinds = words if words.n_unique() <= MOST_STATUSES else stem(words)
        are_many = columns.profiles[header].dated or kinds.n_unique() > MOST_STATUSES
        if are_many:  # dates or notes: filled or not
            kinds = kinds.set(kinds.is_not_null(), "")
        table = pl.DataFrame({"reason": reasons, "word": kinds})
        table = table.with_columns(money=pl.lit(worth, dtype=pl.Float64))
        meets = (reasons == states).fill_null(value=False) & left
        left &= ~meets  # told by the first column that says so
        sums = (
            table.filter(meets | (reasons == ""))
            .group_by("reason", "word")
            .agg(pl.len(), pl.col("money").sum())
        )
        is_plain = header == main and not (are_many or columns.profiles[header].is_flag)
        named = []
        for reason, word, rows, sum_ in sums.sort("len", "word", descending=[True, False]).rows():
            text = "filled" if word == "" else say_word(word, kinds)
            if not reason:
                named.append(f"{text} {number(rows)}")
                continue
            text = text if is_plain and word is not None else f"{header!r}: {text}"
            text += "" if worth is None else f" {money(sum_)}"
            told.setdefault(reason, []).append(text)
        if named and header in columns.shown(*STATUS_COLUMNS):
            of_column = "" if is_plain else f"{header!r}: "
            kept.append(of_column + ", ".join(shorten_list(named, MOST_NAMED)))
    if "refunded" in reasons and "refunded" not in told and columns.source("refund"):
        told["refunded"] = [f"all by {columns.source('refund')!r}"]
    return told, f" Counted: {'; '.join(kept)}." if kept else ""


def _states_told(columns: Columns) -> dict[str, pl.Series]:
    """Return the reason that each column of states or kinds of rows tells for each row."""
    states = {h: states_of(columns, name) for name in STATUS_COLUMNS if (h := columns.source(name))}
    if header := columns.source("cancelled_at"):
        states[header] = pl.select(
            pl.when(is_cancelled(columns)).then(pl.lit("cancelled"))
        ).to_series()
    if header := columns.source("row_kind"):
        states[header] = kinds_of(columns) + "_line"
    return states


def _is_one_currency(columns: Columns, taken: Intake) -> bool:
    """Return whether all rows state the same currency, if they state any."""
    codes = _currencies(taken.tables["orders"])
    if columns.has("currency"):
        codes = {*columns.raw.select(columns.text("currency")).to_series().drop_nulls().unique()}
    return len(codes) <= 1


def _given_back(columns: Columns, taken: Intake, counts: pl.DataFrame) -> list[str]:
    """Say how many orders were wholly given back, whether they count, and who has no other."""
    is_sale, key = ~pl.col("is_return"), ["customer", "order"]
    orders = counts.group_by(key).agg(
        pl.col("day").min(),
        sold=pl.when(is_sale).then("micro").otherwise(0).sum(),
        left=pl.col("micro").sum(),
        bought=is_sale.any(),
    )
    bought = orders.filter("bought").sort("day", "order")
    notes = orders.filter(~pl.col("bought")).with_columns(-pl.col("left")).sort("day")
    # A document of its own that names no order gives one of the same sum back, and no later one.
    nth = pl.int_range(pl.len()).over("customer", "left").alias("nth")
    pairs = bought.with_columns(nth).join(notes.with_columns(nth), on=["customer", "left", "nth"])
    pairs = pairs.filter((pl.col("left") > 0) & (pl.col("day_right") >= pl.col("day")))
    whole = bought.filter((pl.col("left") <= 0) & (pl.col("sold") > 0))
    gone = _rejected_orders(columns, taken).join(bought, on=key, how="anti")
    others = bought.join(whole, on=key, how="anti").join(pairs, on=key, how="anti")
    lines, kept = [], "counted as orders, with no money left"
    for by, how, frame in (
        ("", kept, whole),
        (", as returns of the same sum tell", kept, pairs),
        ("", "not counted", gone),
    ):
        numbers = frame.select(key).unique()
        only = numbers.join(others, on="customer", how="anti")["customer"].n_unique()
        alone = f"; {counted(only, 'person has', 'people have')} no other order" if only else ""
        worth = "" if frame["sold"].has_nulls() else f" ({money(frame['sold'].sum() / MICRO)})"
        orders_were = counted(numbers.height, "order was", "orders were")
        lines += [f"{orders_were} wholly given back{worth}{by}: {how}{alone}."] * (
            numbers.height > 0
        )
    return lines


def _rejected_orders(columns: Columns, taken: Intake) -> pl.DataFrame:
    """Return the sales left out since they were given back; no money where currencies differ."""
    rejected = taken.rejects["orders"].filter(pl.col("reason").is_in(["refunded", "given_back"]))
    at = rejected["source_row"]
    rows = pl.Series([False]).new_from_index(0, columns.raw.height).scatter(at, values=True)
    worth = counted_money(columns, rows) if at.len() else None
    named = columns.orders.gather(at) if columns.has("order_id") else pl.lit(None, pl.String)
    micro = (pl.lit(0.0 if worth is None else worth.gather(at)) * MICRO).round(0).cast(pl.Int64)
    sales = rejected.select(
        pl.col(WHO).hash().alias("customer"),
        pl.coalesce(named, pl.col("source_row").cast(pl.String)).hash().alias("order"),
        micro.alias("sold"),
    ).filter(pl.col("sold") > 0)
    is_one = _is_one_currency(columns, taken)
    return sales if is_one else sales.with_columns(sold=pl.lit(None, pl.Int64))


def _contactable(taken: Intake, read: Map[str, Columns]) -> str:
    """Say which of the buyers may be contacted, as the tables of orders and customers state."""
    tables = [read[name] for name in ("customers", "orders") if name in read]
    is_stated = "customers" in read or any(map(consent_columns, tables))
    if taken.orders is None or not is_stated:
        return ""
    stated = taken.customers
    if stated is None:
        stated = consents_of_orders(read["orders"], taken.orders, taken.rejects["orders"])
    buyers = taken.orders.select("customer_id").unique()
    text = say_consents(tables, buyers.join(stated, on="customer_id", how="left"))
    if "customers" in read:
        matched = buyers.join(stated, on="customer_id", how="semi").height
        whole = counted(buyers.height, "person", "people")
        text = f"{number(matched)} of {whole} are in the table of customers. {text}"
    return text.strip()


def count_months(counts: pl.DataFrame) -> pl.DataFrame:
    """Sum up clean order lines by month, months without any included; see `Audit.coverage`."""
    schema: dict[str, type[pl.DataType]] = {
        "month": pl.Date,
        "rows": pl.UInt32,
        "customers": pl.UInt32,
        "amount": pl.Float64,
    }
    if not counts.height:
        return pl.DataFrame(schema=schema)
    by_month = (
        counts.lazy()
        .group_by(month=pl.col("day").cast(pl.Date).dt.truncate("1mo"))
        .agg(
            pl.col("rows").sum(),
            customers=pl.col("customer").n_unique(),
            micro=pl.col("micro").sum(),
        )
        .with_columns(amount=from_micro(pl.col("micro")))
        .sort("month")
        .collect()
    )
    months = pl.date_range(by_month["month"][0], by_month["month"][-1], "1mo", eager=True)
    whole = months.alias("month").to_frame().join(by_month, on="month", how="left")
    return whole.sort("month").select(
        pl.col(name).fill_null(0).cast(kind) if name != "month" else pl.col(name)
        for name, kind in schema.items()
    )
