"""Order lines: amounts, currencies, sales and returns, lines of totals."""

from __future__ import annotations

import re

import polars as pl

from segkit.display import counted
from segkit.intake.cells import MICRO, from_micro, is_text, product
from segkit.intake.columns import Columns
from segkit.intake.headers import pattern
from segkit.intake.ledger import Part, money_from_micro
from segkit.intake.people import People, customers_of
from segkit.intake.rejects import (
    MICROS,
    MONEY,
    REPEAT,
    Settled,
    discount_comes_off,
    order_rules,
    repeats,
    settle,
    told_returns,
)
from segkit.intake.statuses import ROW_KINDS
from segkit.intake.tables import Cleaned, join_customers, note_repeats, time_columns
from segkit.intake.whole_orders import (
    cancel_both,
    earlier_states,
    kinds_of,
    mark_given_back,
    settle_orders,
    share_discounts,
    unnumbered_orders,
)

SUM_OFF = 0.02  # rounding of a stated sum


def total_lines(columns: Columns, customers: pl.Series) -> pl.Series:
    """Mark the rows that are sums of other rows.

    Such a row has no customer, or has a word for total as customer and no date, or an amount that
    is the sum of the rows before it. A customer named Total keeps its orders.
    """
    raw, totals = columns.raw, _total_pattern(columns)
    nobody = pl.Series("total", [False]).new_from_index(0, raw.height)
    texts = [name for name, kind in raw.schema.items() if is_text(kind)]
    if not texts or not totals or not raw.height:
        return nobody
    in_id, sure = named_totals(columns)
    marks = sure | _sums_before(columns, in_id)
    unnamed = customers.is_null()
    if unnamed.any():
        rows = raw.lazy().filter(unnamed).select(pl.col(name).cast(pl.String) for name in texts)
        says = [pl.col(name).str.contains(totals).fill_null(value=False) for name in texts]
        is_total = rows.select(pl.any_horizontal(says).alias("total")).collect()["total"]
        marks |= nobody.scatter(unnamed.arg_true(), is_total)
    return marks


def _total_pattern(columns: Columns) -> str:
    """Match a word for totals, perhaps after that of a month ("January total"); empty without."""
    words = "|".join(re.escape(str(word).lower()) for word in columns.option("total_words"))
    return rf"^(?i)\s*(?:\p{{L}}+\.?\s+)?(?:{words}){pattern('after_total')}" if words else ""


def named_totals(columns: Columns) -> tuple[pl.Series, pl.Series]:
    """Mark the rows whose customer is a word for totals, and those that are sums for certain."""
    who, raw, totals = columns.source("customer_id"), columns.raw, _total_pattern(columns)
    if who is None or not is_text(raw.schema[who]) or not totals:
        nobody = pl.Series("total", [False]).new_from_index(0, raw.height)
        return nobody, nobody
    text = pl.col(who).cast(pl.String)
    in_id = text.str.contains(totals).fill_null(value=False)
    sure = text.str.contains(pattern("sure_total")).fill_null(value=False)
    undated = columns.blank("order_time").fill_null(value=False)
    marks = raw.select(in_id.alias("total"), sure=sure | undated)
    return marks["total"], marks["total"] & marks["sure"]


def _sums_before(columns: Columns, named: pl.Series) -> pl.Series:
    """Mark the rows named a total whose amount is the sum of the rows since the last, or of all."""
    if columns.source("amount") is None or not named.any():
        return named & False
    worth = columns.numbers("amount").fill_null(0.0)
    rows = pl.DataFrame({"named": named, "worth": pl.select(
        pl.when(named).then(0.0).otherwise(worth)).to_series(), "said": worth})  # fmt: skip
    run = pl.col("worth").cum_sum()
    before = pl.when("named").then(run).forward_fill().shift(1).fill_null(0.0)
    alike = ((run - before - pl.col("said")).abs() <= SUM_OFF) | (
        (run - pl.col("said")).abs() <= SUM_OFF
    )
    return rows.select(pl.col("named") & alike & (pl.col("said") != 0)).to_series()


TEXTS = ("category", "brand", "currency", "channel", "country", "region", "company")


def clean_orders(
    columns: Columns, frame: pl.DataFrame, people: People, fx: pl.DataFrame | None
) -> Cleaned:
    """Clean order lines that `read_orders` has read; ``fx`` are rates to the reporting currency."""
    parsed = cancel_both(columns, _with_customers(columns, frame, people))
    parsed = mark_given_back(columns, parsed)
    _note_unread(columns, parsed)
    parsed = _convert(columns, parsed, fx)
    settled = settle(columns, parsed, order_rules(columns, people, parsed))
    return _finish(columns, settled)


def read_orders(columns: Columns) -> pl.DataFrame:
    """Read every mapped column; helper columns start with two underscores."""
    wanted = time_columns(columns, "order")
    wanted |= {name: columns.id(name) for name in ("order_id", "product_id") if columns.has(name)}
    wanted |= {name: columns.text(name) for name in TEXTS if columns.has(name)}
    for name in ("amount", "quantity", "unit_price", "discount"):
        if columns.has(name):
            wanted[f"__{name}"] = columns.micro(name)
            wanted[f"__no_{name}"] = columns.blank(name)
            wanted[f"__unit_{name}"] = columns.strange(name)
    if columns.has("is_return"):
        wanted["__flag"] = columns.flag("is_return")
    wanted |= _currency(columns)
    if columns.has("rate"):
        wanted["__stated_rate"] = columns.number("rate")
    if columns.has("refund"):
        wanted["__refund"] = columns.micro("refund")
        wanted["__no_refund"] = columns.blank("refund")
    if columns.has("row_kind"):
        kinds = kinds_of(columns)
        wanted |= {f"__{kind}_row": pl.lit(kinds == kind) for kind in ROW_KINDS[1:]}
    frame = _settle_refunds(columns, columns.raw.lazy().select(**wanted).collect())
    frame = frame.with_columns(__coupon=_is_coupon(columns, frame))
    if columns.option("state_time") and columns.source("order_id"):
        order = pl.col("order_id")  # all rows of an order get the time of the first
        first = (
            pl.when(order.is_null())
            .then(name)
            .otherwise(pl.col(name).min().over(order))
            .alias(name)
            for name in ("order_time", "order_day")
        )
        frame = frame.with_columns(*first, __earlier=earlier_states(columns))
    frame = share_discounts(columns, frame)
    # Lazy, so that the exact product is computed once.
    summed = frame.lazy().with_columns(repeats(columns.raw).alias(REPEAT), *_sums(columns))
    return settle_orders(columns, summed.collect())


def _is_coupon(columns: Columns, frame: pl.DataFrame) -> pl.Expr:
    """Mark lines of a negative price that come off their order, as coupons: of no product."""
    price, nothing = pl.col("__unit_price"), pl.lit(value=False)
    if not columns.has("unit_price") or not (frame["__unit_price"] < 0).any():
        return nothing
    order = pl.col("order_id")
    if not columns.has("order_id"):  # what one customer bought at one time
        made = unnumbered_orders(columns)
        if made is None:
            return nothing
        order = pl.lit(made)
    sold = (price > 0).any()
    units = pl.col("__quantity") if columns.has("quantity") else pl.lit(1)
    goods = sold.over(order, price.abs())  # given back at the price of one of its products
    if columns.has("product_id"):
        codes = [str(code) for code in columns.option("non_products")]
        is_code = pl.col("product_id").is_in(codes)
        goods = pl.when(pl.col("product_id").is_null()).then(goods).otherwise(~is_code)
    in_order = order.is_not_null() & sold.over(order)
    return ((price < 0) & (units > 0) & in_order & ~goods).fill_null(value=False)


def _settle_refunds(columns: Columns, frame: pl.DataFrame) -> pl.DataFrame:
    """Turn what is left of amounts into refunds, and refunds without an amount into returns."""
    if not columns.has("refund", "amount"):
        return frame
    if columns.option("refund_is") == "left":
        off = (pl.col("__amount") - pl.col("__refund")).clip(lower_bound=0)
        return frame.with_columns(__refund=pl.when(~pl.col("__no_refund")).then(off).otherwise(0))
    alone = pl.col("__no_amount") & (pl.col("__refund") != 0).fill_null(value=False)
    return frame.with_columns(
        __amount=pl.when(alone).then(-pl.col("__refund").abs()).otherwise("__amount"),
        __refund=pl.when(~alone).then("__refund"),
        __no_amount=pl.col("__no_amount") & ~alone,
    )


def _with_customers(columns: Columns, frame: pl.DataFrame, people: People) -> pl.DataFrame:
    """Add each line's customer, and whether it is a line of totals."""
    who = customers_of(columns, people.links)
    totals = total_lines(columns, who["customer_id"])
    if "__total_row" in frame.columns:
        totals = totals | frame["__total_row"]
    if totals.any():  # "Total" is not a customer id
        who = who.with_columns(pl.when(~totals).then("customer_id"), __total=totals)
    frame = join_customers(frame, who, people)
    note_repeats(columns, frame, "line")
    return frame


def _note_unread(columns: Columns, parsed: pl.DataFrame) -> None:
    """Count the cells of columns that the amount does not need and that cannot be read."""
    spare = ["quantity", "unit_price"] if columns.has("amount") else []
    spare += ["refund"] if discount_comes_off(columns) else ["discount", "refund"]
    for name in filter(columns.has, spare):
        lost = parsed.filter(pl.col(f"__{name}").is_null() & ~pl.col(f"__no_{name}")).height
        if lost:
            columns.notes.append(
                f"orders: {counted(lost, 'value')} of {name} cannot be read as a number and "
                f"{'is' if lost == 1 else 'are'} left empty"
            )


def _currency(columns: Columns) -> dict[str, pl.Expr]:
    """Read the currency written in the amounts, if there is no currency column."""
    if columns.has("currency"):
        sure = columns.stated_currency(*MONEY, sure=True)
        return {} if sure is None else {"__stated": pl.lit(sure)}
    stated = columns.stated_currency(*MONEY)
    in_all = columns.shared.get(("currencies",))  # of all rows, where these are a part
    if stated is None and not in_all:
        return {}
    if stated is None:
        stated = pl.Series("currency", [None], dtype=pl.String)
        stated = stated.new_from_index(0, columns.raw.height)
    bare, seen = stated.is_null(), stated.drop_nulls().unique()
    seen = seen if in_all is None else pl.Series(in_all, dtype=pl.String)
    one = columns.option("currency") or (seen[0] if seen.len() == 1 else None)
    if one and bare.any():
        columns.notes.append(
            f"orders: {counted(int(bare.sum()), 'amount')} without a currency among others in "
            f"{seen[0] if seen.len() == 1 else 'several'}; read as {one}"
        )
        stated = stated.fill_null(one)
    return {"currency": pl.lit(stated)}


def _sums(columns: Columns) -> list[pl.Expr]:
    """Compute amount, discount and return flag, in millionths."""
    has = columns.has
    if has("quantity", "unit_price"):
        gross = product(pl.col("__quantity"), pl.col("__unit_price"))
    else:
        gross = pl.col("__amount")
    amount = pl.col("__amount") if has("amount") else gross
    off: pl.Expr | None = None
    if has("discount"):
        unit = columns.option("discount_unit")
        given = pl.col("__discount").abs().fill_null(0)
        rate = given // 100 if unit == "percent" else given
        comes_off = discount_comes_off(columns)
        if unit == "money":
            off = given
        elif comes_off or not has("amount"):
            off = product(gross.abs(), rate)
        else:  # the amount is net: a rate d took net x d / (1 - d) off
            whole, left = amount.abs().cast(pl.Int128), (MICRO - rate).cast(pl.Int128)
            before = pl.when(left > 0).then((2 * whole * rate + left) // (2 * left))
            off = before.cast(pl.Int64, strict=False).fill_null(0)
        if comes_off:
            amount = pl.when(amount < 0).then(amount + off).otherwise(amount - off)
    returned, negative = _returned(columns, amount)
    taken_off = pl.lit(value=False)  # a total of the whole order has it taken off
    if has("row_kind") and columns.option("amount_of") == "line":
        taken_off = pl.col("__discount_row")
    returned &= ~(taken_off | pl.col("__coupon"))
    sums = [
        pl.when(returned | taken_off).then(-amount.abs()).otherwise(amount).alias(MICROS),
        returned.alias("is_return"),
        negative.alias("__negative"),
    ]
    if off is not None:
        sums.append(off.alias("__off"))
    return sums


def _returned(columns: Columns, amount: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Mark returns, and the lines whose amount or quantity is negative."""
    has = columns.has
    negative: pl.Expr = amount < 0
    if has("quantity") and columns.option("amount_of") == "line":
        negative = negative | (pl.col("__quantity") < 0)
    negative = negative.fill_null(value=False)
    return negative | told_returns(columns), negative


def _convert(columns: Columns, parsed: pl.DataFrame, fx: pl.DataFrame | None) -> pl.DataFrame:
    """Turn amounts into the reporting currency by the rate of their day."""
    home = columns.option("currency")
    if columns.has("rate"):
        stated = pl.col("__stated_rate")
        rate = 1 / stated if columns.option("rate_is") == "divided" else stated
        parsed = parsed.with_columns(
            __known=pl.lit(value=True), __rate=pl.when(rate > 0).then(rate)
        )
        return _times_rate(columns, parsed, pl.col("__rate") == 1)
    if "currency" in parsed.columns:
        parsed = parsed.with_columns(pl.col("currency").str.to_uppercase())
        is_one = fx is None and home is None and parsed["currency"].drop_nulls().n_unique() <= 1
    if "currency" not in parsed.columns or is_one:
        return parsed.with_columns(__known=pl.lit(value=True), __rate=pl.lit(1.0))
    pairs = parsed.select("currency", "order_day").unique().drop_nulls().sort("order_day")
    if fx is not None and fx.height:
        rates = fx.select("currency", "rate", order_day=pl.col("valid_from").cast(pl.Int32))
        pairs = pairs.join_asof(
            rates.sort("order_day"), on="order_day", by="currency", check_sortedness=False
        )
        known = {*fx["currency"], home} - {None}
    else:
        pairs = pairs.with_columns(rate=pl.lit(None, dtype=pl.Float64))
        known = {home} - {None}
    at_home = pl.lit(value=False) if home is None else pl.col("currency") == home
    rate = pl.when(at_home).then(1.0).otherwise(pl.col("rate"))
    joined = parsed.join(pairs, on=["currency", "order_day"], how="left", maintain_order="left")
    joined = joined.with_columns(
        rate.alias("__rate"),
        pl.col("currency").is_in([*known]).fill_null(value=False).alias("__known"),
    ).drop("rate")
    return _times_rate(columns, joined, at_home)


def _times_rate(columns: Columns, lines: pl.DataFrame, at_home: pl.Expr) -> pl.DataFrame:
    """Multiply the money of lines by their rate, to a millionth."""
    same = pl.col("__rate") == 1.0
    scaled = (pl.col(MICROS) * pl.col("__rate")).round(0).cast(pl.Int64, strict=False)
    others = lines.filter(pl.col("__known") & ~at_home).height
    if others:
        of = repr(columns.source("rate")) if columns.has("rate") else "their day"
        columns.notes.append(
            f"orders: {counted(others, 'line')} in other currencies converted to "
            f"{columns.option('currency') or 'the reporting currency'} by the rate of {of}, to a "
            "millionth"
        )
    return lines.with_columns(pl.when(same).then(pl.col(MICROS)).otherwise(scaled).alias(MICROS))


def _finish(columns: Columns, settled: Settled) -> Cleaned:
    """Select the contract's columns of the kept lines, and count sales and returns."""
    kept, rate = settled.kept, pl.col("__rate")
    has = columns.has
    grain = {
        "day": pl.concat_str(["customer_id", pl.lit("@"), pl.col("order_day").cast(pl.Date)]),
        "time": pl.concat_str(["customer_id", pl.lit("@"), pl.col("order_time").cast(pl.String)]),
        "line": pl.concat_str(["customer_id", pl.lit("#"), pl.col("source_row")]),
    }[columns.option("order_grain")]
    without_order_id = kept.get_column("order_id").null_count() if has("order_id") else kept.height
    if without_order_id:
        columns.notes.append(
            f"orders: {counted(without_order_id, 'line has', 'lines have')} no order id; one order "
            f"is taken to be one customer's {columns.option('order_grain')} (order_grain)"
        )
    order_id = pl.coalesce("order_id", grain) if has("order_id") else grain
    wanted: dict[str, pl.Expr] = {
        "customer_id": pl.col("customer_id"),
        "order_id": order_id,
        "order_time": pl.col("order_time"),
        "order_day": pl.col("order_day"),
        "amount": from_micro(pl.col(MICROS)),
    }
    wanted |= {name: pl.col(name) for name in ("product_id", "category", "brand") if has(name)}
    if has("quantity"):
        amount = from_micro(pl.col("__quantity"))
        wanted["quantity"] = pl.when(pl.col("is_return")).then(-amount.abs()).otherwise(amount)
    if has("unit_price"):
        wanted["unit_price"] = from_micro(pl.col("__unit_price")) * rate
    if has("discount"):
        wanted["discount"] = from_micro(pl.col("__off")) * rate
    attributes = ("currency", "channel", "country", "region", "company")
    wanted |= {name: pl.col(name) for name in attributes if name in kept.columns}
    wanted |= {"is_return": pl.col("is_return"), "source_row": pl.col("source_row")}
    frame = kept.lazy().select(**wanted).collect()
    accepted = pl.concat([frame, kept.select(MICROS)], how="horizontal")
    return Cleaned(frame, settled, parts=(_part(accepted, "sale"), _part(accepted, "return")))


def _part(lines: pl.DataFrame, kind: str) -> Part:
    chosen = lines.filter(pl.col("is_return") == (kind == "return"))
    micro = chosen.select(pl.col(MICROS).cast(pl.Int128).sum()).item()
    return Part(
        "orders",
        kind,
        chosen.height,
        chosen["customer_id"].hash().n_unique(),
        chosen["order_id"].hash().n_unique(),
        money_from_micro(int(micro or 0)),
    )
