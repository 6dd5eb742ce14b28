"""Questions on money: what counts twice, no products, tests, hundredths, debits, discounts."""

from __future__ import annotations

import polars as pl

from segkit.display import counted, money
from segkit.intake.cells import PERSONS, is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import ENOUGH, repeats_in_orders, sample
from segkit.intake.headers import concepts, pattern, plain, regex
from segkit.intake.mapping import STATUS_COLUMNS, TableMapping
from segkit.intake.questions import Finding
from segkit.intake.sums import (
    count_words,
    counted_money,
    counted_rows,
    line_money,
    list_words,
    say_sum,
    sum_of,
)
from segkit.intake.whole_orders import kinds_of, states_of, unnumbered_orders


def about_totals(frame: pl.DataFrame, columns: Columns) -> tuple[dict[str, object], list[Finding]]:
    """Find amounts that are an order's total on its lines; return ``amount_of`` or questions."""
    order, amount = columns.source("order_id"), columns.source("amount")
    if amount is None or columns.mapping.is_set("orders", "amount_of"):
        return {}, []
    if order is None:
        return {}, _about_unnumbered(columns, amount)
    lines = columns.raw.select(order=columns.id("order_id"), amount=columns.number("amount"))
    tried = pl.col("amount").is_null() & _failed(columns)  # an attempt to pay that took nothing
    lines = lines.filter(pl.col("order").is_not_null() & (kinds_of(columns) == "line") & ~tried)
    few = _several(sample(lines))
    if few.height >= MANY and not any(_stated_once(few, least=0.5)):
        return {}, []  # plain in whole blocks of rows already
    several = _several(lines)
    if several.height < FEWEST_ORDERS:
        return {}, []
    on_first, alike = _stated_once(several, least=0.98)
    varied = several["first"].drop_nulls().n_unique() >= 3
    if not varied or not (on_first or alike):
        return {}, []
    # A file that stands twice repeats no total.
    once = frame.filter(kinds_of(columns) == "line").unique().group_by(order).len()
    if once.filter(pl.col("len") > 1).height < FEWEST_ORDERS:
        return {}, []
    if _explained(columns):
        return {}, []
    what = "on one line of each order only" if on_first else "alike on every line of an order"
    text = (
        f"{amount!r} stands {what} ({counted(several.height, 'order')} of several lines): it is "
        "read as the order's total and counted once."
    )
    rows, answer = int(several["rows"].sum()), '[orders] amount_of = "order" (or "line")'
    # A price per line that does not make the amount says that it is a total, too.
    grows = columns.has("quantity", "unit_price") or _grows_with_lines(lines)
    sure = on_first or (grows and bool(concepts(amount)[0] & {"order", "total"}))
    sure |= grows and _beside_total(columns, order, amount)
    severity = "info" if sure else "block"
    if not (on_first or grows):  # as tickets of one price
        text = (
            f"{amount!r} stands {what} ({counted(several.height, 'order')} of several lines), and "
            "orders of more lines have no larger ones: is it what each line was worth, or the "
            "order's total, which counts once?"
        )
        answer = '[orders] amount_of = "line" (or "order")'
        return {}, [Finding("block", "orders", "amount", text, rows, "", answer)]
    return {"amount_of": "order"}, [Finding(severity, "orders", "amount", text, rows, "", answer)]


def _beside_total(columns: Columns, order: str, amount: str) -> bool:
    """Return whether another amount, named as the order's, is on most rows about as large."""
    profiles = columns.profiles
    key, worth = profiles[order].cells, profiles[amount].numbers
    return worth is not None and any(
        shown.numbers is not None
        and {"order", "amount"} <= concepts(header)[0]
        and repeats_in_orders(key, shown.numbers)
        and int(((shown.numbers - worth).abs() <= worth / 4).sum()) > shown.rows / 2
        for header, shown in profiles.items()
        if header != amount
    )


def _grows_with_lines(lines: pl.DataFrame) -> bool:
    """Return whether orders of several lines have larger amounts, as totals have and prices not.

    True where too few orders show it.
    """
    orders = lines.drop_nulls().group_by("order").agg(pl.len(), pl.col("amount").first())
    sizes = [orders.filter(part)["amount"] for part in (pl.col("len") == 1, pl.col("len") > 1)]
    if min(part.len() for part in sizes) < FEWEST_ORDERS:
        return True
    one, several = (float(part.mean() or 0.0) for part in sizes)  # type: ignore[arg-type]
    return several >= GROWN * one


def _about_unnumbered(columns: Columns, amount: str) -> list[Finding]:
    """Ask whether lines of a customer at one time repeat the total of an order without a number.

    Rows that repeat a product are units of it, which cost the same. By chance two lines have one
    amount as often as its frequency says.
    """
    columns = columns.sampled
    raw, product = columns.raw, columns.source("product_id")
    orders = unnumbered_orders(columns)
    if orders is None or raw.height < ENOUGH:
        return []
    what = raw[product].hash() if product else raw.hash_rows(seed=0)
    lines = pl.DataFrame({"order": orders, "amount": columns.numbers("amount"), "what": what})
    lines = lines.filter(pl.col("order").is_not_null() & (kinds_of(columns) == "line"))
    goods = lines.group_by("order").agg(goods=pl.col("what").n_unique())
    several = _several(lines).join(goods, on="order").filter(pl.col("goods") > 1)
    shares = lines["amount"].drop_nulls().value_counts(normalize=True)["proportion"]
    alike = float((several["kinds"] <= 1).mean() or 0.0)  # type: ignore[arg-type]
    chance = float((shares**2).sum())
    few = several.height < FEWEST_ORDERS or several["first"].drop_nulls().n_unique() < 3
    if few or alike < ALIKE or alike < 3 * chance or _explained(columns):
        return []
    text = (
        f"{amount!r} stands alike on the lines that a customer has at one time "
        f"({counted(several.height, 'time')}): is it the order's total, which counts once?"
    )
    answer = '[orders] amount_of = "order" (or "line")'
    return [Finding("block", "orders", "amount", text, int(several["rows"].sum()), "", answer)]


def _several(lines: pl.DataFrame) -> pl.DataFrame:
    """Count the amounts of each order of several lines."""
    return (
        lines.group_by("order")
        .agg(
            rows=pl.len(),
            stated=pl.col("amount").count(),
            kinds=pl.col("amount").drop_nulls().n_unique(),
            first=pl.col("amount").drop_nulls().first(),
        )
        .filter(pl.col("rows") > 1)
    )


def _stated_once(several: pl.DataFrame, *, least: float) -> tuple[bool, bool]:
    """Return whether amounts stand on one line of each order, or alike on all its lines."""
    on_first = several.filter(pl.col("stated") <= 1).height >= least * several.height
    return on_first, several.filter(pl.col("kinds") <= 1).height >= least * several.height


def _failed(columns: Columns) -> pl.Series:
    """Mark the rows whose own state is cancelled or unpaid."""
    failed = pl.Series([False]).new_from_index(0, columns.raw.height)
    for name in filter(columns.source, STATUS_COLUMNS):
        failed |= states_of(columns, name).is_in(["cancelled", "unpaid"]).fill_null(value=False)
    return failed


def _explained(columns: Columns) -> bool:
    """Return whether quantity times price is the amount on nearly every line."""
    if not columns.has("quantity", "unit_price"):
        return False
    gross = columns.numbers("quantity") * columns.numbers("unit_price")
    fits = ((gross - columns.numbers("amount")).abs() <= 0.011).mean()
    return fits is not None and float(fits) >= MOSTLY  # type: ignore[arg-type]


def about_overlaps(columns: Columns) -> list[Finding]:
    """Ask whether rows that repeat others, their own number too, come of overlapping exports."""
    raw = columns.raw
    if columns.mapping.is_set("orders", "duplicates") or raw.height < ENOUGH:
        return []
    if raw.hash_rows(seed=0).n_unique() == raw.height:
        return []
    height, numbered = numbered_rows(columns)
    if not numbered or not 0.5 * raw.height < height < raw.height:
        return []
    known = raw.filter(raw[numbered[0]].is_not_null())
    rows = known.height - known.n_unique()
    if not rows:
        return []
    text = (
        f"{counted(rows, 'row')} repeat others in every column, {numbered[0]!r} too, which is "
        "another on every other row: do the same rows stand twice in the file?"
    )
    answer = '[orders] duplicates = "drop" (or "flag")'
    return [Finding("block", "orders", "order_id", text, rows, answer=answer)]


def numbered_rows(columns: Columns) -> tuple[int, list[str]]:
    """Count the different rows, and list the columns that number them: another id on each."""
    raw = columns.raw
    distinct = raw.hash_rows(seed=0).n_unique()
    people = {columns.source(name) for name in PERSONS}
    likely = [
        name
        for name, kind in raw.schema.items()
        if (is_text(kind) or kind.is_integer())
        and name not in people
        and ("id" in concepts(name)[0] or name == columns.source("order_id"))
        and raw[name].n_unique() >= (1 - FOOTER) * distinct  # a row of totals has none
    ]
    if not likely:
        return distinct, []
    once = raw.unique(maintain_order=True) if distinct < raw.height else raw
    numbered = [
        name
        for name in likely
        if once[name].null_count() <= FOOTER * once.height
        and once[name].drop_nulls().is_unique().all()
    ]
    return once.height, numbered


def about_summaries(frame: pl.DataFrame, columns: Columns) -> tuple[TableMapping, list[Finding]]:
    """Find the words or empty cells that mark rows which sum up the other rows of their order."""
    order, amount = columns.source("order_id"), columns.source("amount")
    if order is None:
        return TableMapping(), []
    kinds, states = columns.source("row_kind"), columns.mapping.tables["orders"].columns
    lines = frame if kinds is None else frame.filter(kinds_of(columns) == "line")
    whole = columns if kinds is None else Columns("orders", lines, columns.mapping)
    columns = whole.sampled
    part = columns.raw
    orders = columns.orders
    if orders.null_count() or orders.n_unique() > 0.7 * part.height:
        return TableMapping(), []
    worth, product = line_money(columns), columns.source("product_id")
    if worth is None:
        return TableMapping(), []
    for name, kind in part.schema.items():
        if name in (order, amount, kinds, *map(states.get, STATUS_COLUMNS)) or not is_text(kind):
            continue
        cells = part[name].cast(pl.String).str.strip_chars().fill_null("")
        if name == product:
            cells = cells.replace_strict({"": ""}, default="\0")
        if not 2 <= cells.n_unique() <= 8:
            continue
        lines = pl.DataFrame({"order": orders, "word": cells, "worth": worth})
        sums = lines.group_by("order", "word").agg(pl.col("worth").sum(), rows=pl.len())
        word = _summing_word(sums)
        words = _repeating_words(sums) if word is None else [word]
        if not words or (kinds is not None and "*" in words):  # in states, every other word
            continue
        rows = int(cells.is_in(words).sum())
        shown = " and ".join(repr(word) if word else "an empty cell" for word in words)
        text = (
            f"Rows with {shown} in {name!r} sum up the other rows of their order "
            f"({counted(rows, 'row')}{' of a sample' if part.height < frame.height else ''}); "
        )
        if kinds is not None:
            free = next((slot for slot in STATUS_COLUMNS if slot not in states), "")
            states_ = {"*": "sale", "": "sale", **dict.fromkeys(words, "cancelled")}
            values_ = ", ".join(f'"{word}" = "{meaning}"' for word, meaning in states_.items())
            answer = f'[orders.columns] {free} = "{name}" with [orders.values.{free}] {values_}'
            answer = answer if free else "a file without these rows"
            text += "as they stand, their money counts twice: are they left out?"
            return TableMapping(), [Finding("block", "orders", free, text, rows, answer=answer)]
        text += "they are rejected, so that no money counts twice."
        answer = f'[orders.columns] row_kind = "{name}", [orders.values.row_kind] '
        answer += " and ".join(f'"{word}" = "line"' for word in words)
        return (
            TableMapping({"row_kind": name}, {}, {"row_kind": dict.fromkeys(words, "total")}),
            [Finding("warn", "orders", "row_kind", text, rows, answer=answer)],
        )
    return TableMapping(), []


def _summing_word(sums: pl.DataFrame) -> str | None:
    """Return the word whose rows add up to the other rows of each order; None if there is none."""
    orders = sums["order"].n_unique()
    sums = sums.with_columns(
        whole=pl.col("worth").sum().over("order"), kinds=pl.len().over("order")
    ).filter((pl.col("kinds") > 1) & (pl.col("whole").abs() > 0.01))
    by_word = sums.group_by("word").agg(
        orders=pl.len(),
        fits=((pl.col("worth") * 2 - pl.col("whole")).abs() <= 0.02).mean(),
        rows=pl.col("rows").mean(),
    )
    summing = by_word.filter(
        (pl.col("orders") >= FEWEST_ORDERS) & (pl.col("fits") >= 0.95) & (pl.col("rows") <= 1)
    ).sort("rows", "orders", descending=[False, True])
    if not summing.height or summing["orders"][0] < 0.5 * orders:
        return None
    if summing.height > 1:  # one line beside one total: the word that says so
        said = [w for w in summing["word"] if not w or regex("summing").search(w.lower())]
        return str(said[0]) if len(said) == 1 else None
    return str(summing["word"][0])


def _repeating_words(sums: pl.DataFrame) -> list[str]:
    """Return the words whose rows each add up to the lines of their order: sale, payment."""
    most = sums.group_by("word").agg(pl.col("rows").mean(), pl.len()).sort("rows", "word")
    if most.height < 3 or most["rows"][-1] <= 1:
        return []
    lines = sums.filter(pl.col("word") == most["word"][-1]).select("order", lines="worth")
    both = sums.join(lines, on="order").filter(pl.col("lines").abs() > 0.01)
    fits = ((pl.col("worth") - pl.col("lines")).abs() <= 0.02).mean()
    alike = both.group_by("word").agg(orders=pl.len(), rows=pl.col("rows").mean(), fits=fits)
    repeating = alike.filter(
        (pl.col("orders") >= 0.5 * lines.height)
        & (pl.col("orders") >= FEWEST_ORDERS)
        & (pl.col("fits") >= 0.95)
        & (pl.col("word") != most["word"][-1])
    )
    return repeating["word"].sort().to_list()


FEWEST_ORDERS, ALIKE = 5, 0.8
GROWN = 1.25  # times the mean of orders of one line is that of others where amounts are totals
MANY = 200  # orders of a sample that show what the whole is like


def about_non_products(columns: Columns) -> tuple[list[str], list[Finding]]:
    """Find the product codes that stand for postage, fees, adjustments, tests and coupons."""
    product = columns.source("product_id")
    if product is None or columns.mapping.is_set("orders", "non_products"):
        return [], []
    codes = columns.cells(product).cast(pl.String)
    once = codes.unique().drop_nulls()
    is_fee = once.str.to_lowercase().str.strip_chars().str.contains(f"^(?:{pattern('no_goods')})$")
    is_fee |= once.is_in(_coupon_codes(columns, codes).implode())
    listed = once.filter(is_fee).sort().to_list()
    if not listed or len(listed) > 0.5 * once.len():
        return [], []
    counts = counted_rows(columns)
    marked = counts & codes.is_in(listed).fill_null(value=False)
    worth = counted_money(columns, counts)
    total = "" if worth is None else f", {money(float(worth.filter(marked).sum()))}"
    rows = int(marked.sum())
    text = (
        f"Product codes that look like postage, fees, adjustments, tests or coupons: "
        f"{', '.join(map(repr, listed[:8]))}{' ...' if len(listed) > 8 else ''} "
        f"({counted(rows, 'line')}{total}); their money counts, as no product."
    )
    answer = '[orders] non_product_lines = "set_apart" (or non_products = [])'
    return listed, [Finding("info", "orders", "product_id", text, rows, answer=answer)]


def _coupon_codes(columns: Columns, codes: pl.Series) -> pl.Series:
    """List the codes that have a negative price wherever they have one."""
    nothing = codes.clear()
    if columns.source("unit_price") is None:
        return nothing
    price = columns.numbers("unit_price")
    if not (price < 0).any():
        return nothing
    most = pl.DataFrame({"code": codes, "price": price}).drop_nulls().group_by("code").max()
    return most.filter(pl.col("price") < 0)["code"]


MOST_KINDS = 12  # a column with more different words is no kind of row
FOOTER = 0.02  # of the rows may be sums without an id
FEWEST = 5  # amounts that show their unit
MOSTLY = 0.95  # a kind of row stands on nearly every row


def about_tests(frame: pl.DataFrame, columns: Columns) -> tuple[TableMapping, list[Finding]]:
    """Find the column whose words mark lines as tests, to be rejected as a ``row_kind``."""
    amount = columns.source("amount")
    if amount is None or columns.has("row_kind"):
        return TableMapping(), []
    part = sample(frame)
    used = set(columns.mapping.tables["orders"].columns.values())
    for name, dtype in part.schema.items():
        if name in used or not is_text(dtype):
            continue
        words = part[name].cast(pl.String).str.strip_chars()
        filled = words.drop_nulls()
        if filled.len() < MOSTLY * words.len() or not 2 <= filled.n_unique() <= MOST_KINDS:
            continue
        distinct = filled.unique().sort().to_list()
        tests = [word for word in distinct if regex("test_rows").fullmatch(word.lower())]
        if tests and any(regex("real_rows").fullmatch(word.lower()) for word in distinct):
            table = count_words(columns, frame[name].cast(pl.String).str.strip_chars())
            table = table.filter(pl.col("word").is_in(tests))
            shown = list_words(table, repr)
            text, rows = f"{name!r} marks tests: {shown}; they are rejected.", table["rows"].sum()
            values: dict[str, dict[str, object]] = {"row_kind": dict.fromkeys(tests, "test")}
            answer = f'[orders.values.row_kind] "{tests[0]}" = "line"'
            asked = Finding("warn", "orders", "row_kind", text, int(rows), answer=answer)
            return TableMapping({"row_kind": name}, {}, values), [asked]
    return TableMapping(), []


def about_minor_units(columns: Columns) -> tuple[dict[str, object], list[Finding]]:
    """Find amounts that are in hundredths, by names such as ``amount_cents``: ``minor_units``."""
    if columns.mapping.is_set("orders", "minor_units"):
        return {}, []
    names = [n for n in ("amount", "unit_price", "refund") if columns.source(n) is not None]
    in_minor = [n for n in names if regex("cents").search(plain(str(columns.source(n))))]
    whole = [n for n in in_minor if bool((columns.numbers(n).drop_nulls() % 1 == 0).all())]
    if not whole:
        written = _written_out(columns, names)
        return written if any(written) else ({}, _ask_hundredths(columns, names))
    listed = ", ".join(repr(columns.source(name)) for name in whole)
    others = [name for name in names if name not in whole]
    texts = {n: columns.cells(str(columns.source(n))).cast(pl.String) for n in others}
    in_units = [n for n in others if texts[n].str.contains(r"[.,]\d\d?$").any()]
    if others != in_units:
        text = f"{listed} is in hundredths by its name, other amounts may be or not."
        offers = ["true", str(whole).replace("'", '"')]
        if columns.source("refund") and columns.source("amount"):
            back, worth = columns.numbers("refund").abs(), columns.numbers("amount")
            paid_back = [((back * by == worth) & (back > 0)).sum() for by in (1, 100)]
            offers = offers if paid_back[0] >= paid_back[1] else offers[::-1]
        answer = "; or ".join(f"[orders] minor_units = {offer}" for offer in (*offers, "false"))
        return {}, [Finding("block", "orders", "amount", text, None, answer=answer)]
    text = f"{listed} is read in hundredths of the currency, as its name says."
    answer = "[orders] minor_units = false"
    finding = Finding("info", "orders", "amount", text, None, answer=answer)
    return {"minor_units": whole if others else True}, [finding]


def _ask_hundredths(columns: Columns, names: list[str]) -> list[Finding]:
    """Ask about whole amounts beside currencies in lower case, as interfaces write both."""
    source = columns.source("currency")
    if source is None or not names or columns.raw.height < FEWEST:
        return []
    codes = columns.cells(source).cast(pl.String).drop_nulls().unique()
    amounts = columns.numbers(names[0]).drop_nulls().abs()
    is_written = codes.str.contains("^[a-z]{3}$").all()
    if not codes.len() or not is_written or codes.str.contains(pattern("without_cents")).any():
        return []
    if not (amounts % 1 == 0).all():
        return []
    if (amounts % 100 == 0).mean() > MOSTLY or float(amounts.median() or 0) < 100:  # type: ignore[arg-type, operator]
        return []
    header = str(columns.source(names[0]))
    text = (
        f"{header!r} holds whole numbers{say_sum(sum_of(columns, header, names[0]))} beside "
        f"{codes.sort()[0]!r}: are they hundredths, as interfaces state them?"
    )
    answer = "[orders] minor_units = true (or false)"
    return [Finding("block", "orders", "amount", text, amounts.len(), answer=answer)]


def _written_out(columns: Columns, names: list[str]) -> tuple[dict[str, object], list[Finding]]:
    """Find whole amounts beside a column that writes them with their decimals: 3480, $34.80."""
    if not names or columns.raw.height < FEWEST:
        return {}, []
    cents = columns.sampled.numbers(names[0])
    if not (cents.drop_nulls() % 1 == 0).all() or not (cents.drop_nulls() >= 100).any():
        return {}, []
    for name, shown in columns.profiles.items():
        if name == columns.source(names[0]) or shown.numbers is None or not shown.is_money:
            continue
        fits = ((shown.numbers * 100 - cents).abs() < 0.5).filter(cents != 0)
        if fits.count() >= FEWEST and fits.mean() >= MOSTLY:  # type: ignore[operator]
            text = f"{columns.source(names[0])!r} is in hundredths of {name!r}; it is read as such."
            answer = "[orders] minor_units = false"
            finding = Finding("info", "orders", "amount", text, None, answer=answer)
            return {"minor_units": True}, [finding]
    return {}, []


def ask_debits(credit: str, debit: str) -> list[Finding]:
    """Ask whether money paid out, in a column of its own, was given back to customers."""
    text = f"Money received stands in {credit!r}, money paid out in {debit!r}: are these refunds?"
    answer = (
        f'[orders.columns] amount = "{credit}" with [orders.columns] refund = "{debit}"; or '
        f'[orders.columns] amount = "{credit}" with [orders.constants] refund = 0, if they are not'
    )
    return [Finding("block", "orders", "amount", text, answer=answer, sums=(credit, debit))]


def about_discounts(columns: Columns) -> list[Finding]:
    """Ask whether discounts come off amounts that are quantity times list price beside them, too.

    A price that is the same with a discount and without is no price after it.
    """
    needed = ("amount", "discount", "quantity", "unit_price")
    named = [columns.source(name) for name in (*needed, "product_id")]
    if None in named or columns.mapping.is_set("orders", "discount_taken"):
        return []
    if columns.option("discount_unit") != "money" or columns.option("amount_of") == "order":
        return []
    rows = pl.DataFrame({name: columns.numbers(name) for name in needed}).with_columns(
        product=columns.cells(str(named[-1])).cast(pl.String), off=pl.col("discount").abs() > 0
    )
    reduced = rows.filter("off")
    gross = (pl.col("quantity") * pl.col("unit_price") - pl.col("amount")).abs() <= 0.011
    if reduced.height < FEWEST or not reduced.select(gross.mean() >= MOSTLY).item():
        return []
    both = rows.filter(pl.col("off").n_unique().over("product") > 1)
    alike = both.group_by("product").agg(pl.col("unit_price").n_unique() == 1)["unit_price"]
    if alike.len() < FEWEST or alike.mean() < ALIKE:  # type: ignore[operator]
        return []
    order = columns.source("order_id")
    of_orders = order is not None and repeats_in_orders(columns.cells(order), rows["discount"])
    off = sum_of(columns, str(named[1]), "discount", of_orders=of_orders)
    worth = float(rows["amount"].filter(counted_rows(columns)).sum())
    text = (
        f"{named[0]!r} is quantity times price on the lines with a discount, too, and prices are "
        f"the same with it: does {named[1]!r}{say_sum(off)} come off? discount_taken = false: it "
        f"comes off, {money(worth - abs(off or 0))} is left; true: it is off already, "
        f"{money(worth)} stays."
    )
    answer = "[orders] discount_taken = false (or true)"
    return [Finding("block", "orders", "discount", text, reduced.height, answer=answer)]
