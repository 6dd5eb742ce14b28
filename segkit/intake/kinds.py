"""Rows that are no orders among order rows: events, quotes, carts, payouts, fees, refunds.

Each is asked about, with the words to leave out, until the mapping names the kinds of rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import polars as pl

from segkit.display import counted
from segkit.intake.answers import quote_text
from segkit.intake.bookings import ledger_kinds, mark_kinds
from segkit.intake.cells import YES, is_text
from segkit.intake.columns import Columns
from segkit.intake.consents import is_consent
from segkit.intake.evidence import sample
from segkit.intake.flags import names_sales
from segkit.intake.headers import WORDS, concepts, pattern, plain
from segkit.intake.mapping import STATUS_COLUMNS, Mapping
from segkit.intake.questions import Finding
from segkit.intake.statuses import (
    CREDIT,
    CREDIT_NOTE,
    TAX_INVOICE,
    UNBINDING,
    row_meaning,
    spelt,
    status_meaning,
    stem,
)
from segkit.intake.sums import count_words, counted_rows, line_money, say_rows

MOST_KINDS = 40
NO_MATTER = ("row_kind", "customer_id", "order_time")  # what payouts and fees lack is asked about
# A kind of row stands on nearly every row; a charge beside goods in so many of its orders.
MOSTLY, BESIDE = 0.95, 0.9
FEWEST_ORDERS = 5
MOST_CODES = 8
REPEATED = 0.8  # share of the rows of one kind whose money stands on a sale's row, too
_BROWSING, _BOUGHT, _ABANDONED, _RECOVERED, _CART, _TENDERS, _WAYS, _WAY_TO_PAY, _DOCUMENT_TYPE = (
    re.compile(pattern(name))
    for name in (
        *("browsing", "bought", "abandoned", "recovered", "cart"),
        *("tenders", "ways", "way_to_pay", "document_type"),
    )
)
_DOCUMENTS = {k: re.compile(words.replace("\n", "")) for k, words in WORDS["documents"].items()}
_AN_INVOICE = re.compile(pattern("invoice_number"))
_NOTE_OF_CREDIT = re.compile(CREDIT_NOTE)
_TYPE_WORDS = {*pattern("type_words").split("|")}  # headers of kinds of rows
_NOT_CARTS = re.compile(r"url|token|link")


def about_other_rows(columns: Columns, given: Mapping) -> list[Finding]:
    """Ask which rows are orders where a list also holds events, other documents or carts."""
    part = given.tables.get("orders")
    frame, used = columns.raw, columns.mapping
    mapped = {} if part is None else {**part.columns, **part.constants}
    if part is not None and "row_kind" in part.columns and frame.height:
        return _ask_unnamed(part.columns["row_kind"], part.values.get("row_kind", {}), columns)
    if "row_kind" in mapped or frame.height < 2:
        return []
    settled = {columns.source("customer_id")}
    settled |= {mapped.get(name) for name in (*STATUS_COLUMNS, "is_return", "currency")}
    states = [columns.source(name) for name in STATUS_COLUMNS]
    settled |= {name for name in states if name and "status" in concepts(name)[0]}
    settled |= {*used.option("orders", "not_states")}
    few = sample(frame.filter(counted_rows(columns, NO_MATTER)))
    for name, dtype in few.schema.items():
        if (
            not (is_text(dtype) or dtype.is_integer())
            or name in settled
            or is_consent(columns, name)
        ):
            continue
        cells = few[name].cast(pl.String).str.strip_chars().drop_nulls()
        words = cells.filter(cells != "").unique()
        questions: tuple[_Ask, ...] = (
            *(_ask_ledger, _ask_events, _ask_documents, _ask_movements, _ask_codes),
        )
        stems = words.len() > MOST_KINDS
        if stems:  # "Payout #55", "Payout #56": the words without their numbers
            words, questions = stem(words).unique(), (_ask_movements,)
            words = words.filter(words != "")
        if not 2 <= words.len() <= MOST_KINDS or 2 * cells.len() < few.height:
            continue
        spelling = {word: spelt(word) for word in words.sort().to_list()}
        row_words = cache(partial(_row_words, frame[name], stems=stems))
        for ask in questions:
            findings = ask(name, spelling, row_words, columns)
            if findings:
                return findings
    return (
        _refuse_histories(sample(frame), columns)
        or _ask_links(columns)
        or _ask_carts(frame, mapped, columns)
    )


_Words = Callable[[], pl.Series]
_Ask = Callable[[str, dict[str, str], _Words, Columns], list[Finding]]


def _row_words(cells: pl.Series, *, stems: bool) -> pl.Series:
    """Return the word of each row, if asked without its numbers."""
    words = cells.cast(pl.String).str.strip_chars()
    return stem(words) if stems else words


def _ask_unnamed(name: str, kinds: dict[str, object], columns: Columns) -> list[Finding]:
    """Ask about the kinds of rows that the mapping does not name, and that may be no sales."""
    cells = columns.cells(name).cast(pl.String)
    stems = cells.n_unique() > MOST_KINDS
    counts = counted_rows(columns, ("row_kind",))
    unnamed = cells.filter(counts & ~cells.is_in([*kinds])).drop_nulls().unique()
    unnamed = unnamed.filter(~stem(unnamed).is_in([*kinds]) & ("*" not in kinds))
    worth = line_money(columns)
    if stems:
        cells, unnamed = stem(cells), stem(unnamed).unique()
    positive = set(unnamed)
    if worth is not None:
        unnamed = unnamed.filter(unnamed.is_in(cells.filter(worth != 0).unique().implode()))
        positive = set(cells.filter(worth > 0).unique())
    if not unnamed.len() or unnamed.len() > MOST_KINDS:
        return []
    spelling = {word: spelt(word) for word in cells.drop_nulls().unique().sort().to_list()}
    ledger = ledger_kinds(spelling, cells, worth, columns)
    read = _row_meanings(spelling, is_payment="payment" in concepts(name)[0])
    others: dict[str, str] = {}
    for word in unnamed.sort().to_list():
        text = spelling[word]
        if word not in positive and (ledger or read[word] != "other"):
            continue  # what is given back
        is_counted = read[word] in ("line", "way", "charge", "discount") or any(
            one.fullmatch(text) for one in (_BOUGHT, *_DOCUMENTS.values())
        )
        is_counted = is_counted and not UNBINDING.search(text)
        if ledger.get(word, "line") != "line":
            others[word] = ledger[word]
        elif not ledger and not is_counted:
            kind = read[word] or "..."
            others[word] = "return" if kind == "refunded" else kind
    if not others:
        return []
    text = (
        f"{name!r} holds kinds of rows that the mapping does not name "
        f"({_shown(cells, [*others], columns)}): are they sales?"
    )
    rows = int(cells.is_in([*others]).sum())
    values = ", ".join(f'{quote_text(word)} = "{kind}"' for word, kind in others.items())
    answer = f'[orders.values.row_kind] {values} ("line" for words that count, "other" if not)'
    return [Finding("block", "orders", "row_kind", text, rows, answer=answer)]


def _ask_ledger(
    name: str, spelling: dict[str, str], row_words: _Words, columns: Columns
) -> list[Finding]:
    """Ask which rows of a ledger are sales: invoices, credit notes, receipts, purchases, marks."""
    if len(spelling) > MOST_CODES + MOST_CODES:
        return []
    cells, worth = row_words(), line_money(columns)
    marks = mark_kinds(name, cells, worth)
    kinds = marks or ledger_kinds(spelling, cells, worth, columns)
    if not kinds:
        return []
    shown = _shown(cells, [*kinds], columns)
    text = (
        f"{name!r} marks debit and credit ({shown}): which rows are sales, which reduce them?"
        if marks
        else f"{name!r} tells the rows of a ledger ({shown}): do only invoices and credit notes "
        "count, and no receipts or purchases?"
    )
    return _question(name, text, kinds, cells)


def _refuse_histories(rows: pl.DataFrame, columns: Columns) -> list[Finding]:
    """Ask about a history of states: rows of one order that differ in nothing but state and time.

    It is refused where no time tells which state is the last.
    """
    order, state = columns.source("order_id"), columns.source("status")
    if order is None or state is None or columns.source("product_id") is not None:
        return []
    if columns.option("state_time") is not None:
        return []
    moving = {order, state, columns.source("order_time")}
    moving |= {name for name in rows.columns if {"date", "created", "updated"} & concepts(name)[0]}
    fixed = [name for name in rows.columns if name not in moving]
    groups = (
        rows.group_by(order)
        .agg(pl.len().alias("\0rows"), pl.col(state).n_unique().alias("\0states"),
             pl.all_horizontal(pl.col(fixed).n_unique() == 1).alias("\0same") if fixed
             else pl.lit(value=True).alias("\0same"))
        .filter(pl.col("\0rows") > 1)
    )  # fmt: skip
    histories = groups.filter(pl.col("\0same") & (pl.col("\0states") == pl.col("\0rows"))).height
    if groups.height < FEWEST_ORDERS or histories < MOSTLY * groups.height:
        return []
    text = (
        f"This is a history of states: the rows of an order differ only in {state!r} and time "
        f"({counted(histories, 'order')}), and each would count again."
    )
    times = [n for n in rows.columns if n in moving and columns.profiles[n].dated]
    at = [n for n in times if rows.select(pl.struct(order, n).n_unique()).item() == rows.height]
    other = "a file with one row per order, in its last state"
    answer = other
    if at:
        own = columns.source("order_time")
        answer = f"[orders] state_time = {quote_text(own if own in at else at[0])} with [orders] "
        answer += f'amount_of = "line", so that the last state of each order counts; or {other}'
    return [Finding("block", "orders", "status", text, columns.raw.height, answer=answer)]


def _tells_kinds(
    meant: frozenset[str],
    bare: set[str],
    read: dict[str, str | None],
    sales: list[str],
    recognised: list[str],
) -> bool:
    """Return whether a column tells kinds of rows, by its header and the words that are known."""
    most = 2 * len(recognised) > len(read)
    typed = "type" in meant or bare <= {"category", "event", "kind"}
    typed |= bool(bare & _TYPE_WORDS) and (most or bool(sales))  # else descriptions of articles
    is_product = bool(meant & {"product", "category", "customer", "card", "discount"})
    is_product = is_product and not meant & {"order", "payment"}  # Zahlungsart, Belegart
    is_product |= {"line", "name"} <= meant
    if "status" in meant or not (typed or (sales and most)):
        return False
    return not is_product or bool(sales and len(recognised) == len(read))


def _ask_movements(
    name: str, spelling: dict[str, str], row_words: _Words, columns: Columns
) -> list[Finding]:
    """Ask about rows of payouts, holds, charges and refunds beside sales, and about other kinds."""
    meant, bare = concepts(name)[0], set(plain(name).split("_"))
    read = _row_meanings(spelling, is_payment="payment" in meant)
    sales = [word for word, kind in read.items() if kind == "line"]
    recognised = [word for word, kind in read.items() if kind not in (None, "way")]
    if not _tells_kinds(meant, bare, read, sales, recognised):
        return []
    cells = row_words()
    worth = line_money(columns)
    who = columns.source("customer_id")
    rows = pl.DataFrame({"word": cells}).with_columns(
        money=pl.lit(worth, dtype=pl.Float64),
        named=pl.lit(True) if who is None else pl.lit(columns.cells(who).is_not_null()),
    )
    matter = rows.filter(pl.col("named") & (pl.col("money") != 0))
    positive = set(matter.filter(pl.col("money") > 0)["word"].unique().drop_nulls())
    with_money = set(matter["word"].unique().drop_nulls())
    back = [word for word, kind in read.items() if kind == "refunded"]
    rows = rows.with_columns(key=_key_of_sale(cells, sales, columns))
    beside = _repeats(sales, back, rows)
    read |= {word: "return" if word not in positive or word in beside else "other" for word in back}
    others = {
        word: kind
        for word, kind in read.items()
        if word in with_money
        and (kind in ("other", "charge") or (kind in ("return", "discount") and word in positive))
    }
    others |= _paid_out(read, rows, with_money - positive if positive else set(), others)
    if not sales and len(others) == len(with_money) and "other" in others.values():
        most = rows.filter(pl.col("word").is_in([w for w, k in others.items() if k == "other"]))
        first = most.group_by("word").agg(pl.col("money").sum()).sort("money", "word")["word"][-1]
        others[first] = "line"  # authorisations that are never captured are the sales
    charges = [word for word, kind in others.items() if kind == "charge"]
    if charges and not sales and not _are_beside_others(cells, charges, columns):
        others = {word: kind for word, kind in others.items() if kind != "charge"}
    odd = [word for word, kind in read.items() if kind is None and word in with_money]
    if not recognised and "ticket" in bare:  # kinds of tickets are what is sold
        return []
    if not others and meant == {"name"}:  # a subject: free text, beside credit notes at most
        return []
    if not others and not (odd and (recognised or meant == {"order", "type"})):
        return []
    listed = _shown(row_words(), [*others, *odd], columns)
    is_lone = not sales and not odd and "way" not in read.values()
    if is_lone and {*others.values()} <= {"return"}:  # a list of refunds alone
        return []
    text = (
        f"{name!r} holds kinds of rows beside sales ({listed}): are they sales, sums given back, "
        "or left out?"
    )
    again = _repeats(sales, odd, rows)
    kinds = others | {word: kind for word, kind in read.items() if kind == "discount"}
    kinds |= dict.fromkeys(_repeats_of_returns(kinds, rows), "other")
    for word in odd:
        is_bad = status_meaning(word) in ("cancelled", "unpaid") or word in again
        is_off = word not in positive and _are_beside_others(cells, [word], columns)
        kinds[word] = "other" if is_bad else "discount" if is_off else "line"
    finding = _question(name, text, kinds, cells)[0]
    muted = f'[orders] not_states = ["{name}"], if all are sales'
    left_out = [word for word, kind in kinds.items() if kind in ("other", "charge")]
    money = (
        rows.filter(pl.col("money") > 0)
        .group_by(pl.col("word").is_in(left_out))
        .agg(pl.col("money").sum())
    )
    sums = dict(money.iter_rows())
    offers = [finding.answer, muted]
    if sums.get(True, 0.0) > sums.get(False, 0.0):  # what leaves most money out is offered last
        offers.reverse()
    return [replace(finding, answer="; or ".join(offers))]


def _paid_out(
    read: dict[str, str | None], rows: pl.DataFrame, negative: set[str], others: dict[str, str]
) -> dict[str, str]:
    """Name the rows that the shop itself pays: always negative, and no refund.

    With them go payouts and charges that name no customer, so that all are asked about at once.
    """
    paid = {w: "other" for w, kind in read.items() if kind in ("line", "way") and w in negative}
    if not others | paid:
        return {}
    moved = set(rows.filter(pl.col("money") != 0)["word"].unique().drop_nulls())
    return paid | {
        word: kind for word, kind in read.items() if kind in ("other", "charge") and word in moved
    }


def _ask_codes(
    name: str, spelling: dict[str, str], row_words: _Words, columns: Columns
) -> list[Finding]:
    """Ask about kinds of rows told by numbers; those that name others' orders are given back."""
    meant, unknown = concepts(name)
    order = columns.source("order_id")
    if not all(re.fullmatch(r"\d{1,4}", word) for word in spelling) or len(spelling) > MOST_CODES:
        return []
    is_type = "type" in meant and meant <= {"type", "order", "line", "refund"}
    if order is None or not is_type or (unknown and not _DOCUMENT_TYPE.search(plain(name))):
        return []
    words, worth = row_words(), line_money(columns)
    with_money = words if worth is None else words.filter(worth != 0)
    if with_money.n_unique() < 2:
        return []
    kinds = dict.fromkeys(spelling, "line")
    orders = columns.cells(order).cast(pl.String)
    usual = words.value_counts(sort=True)[words.name][0]
    for other in columns.raw.columns:
        if other == order or other in columns.mapping.tables["orders"].columns.values():
            continue
        named = columns.cells(other).cast(pl.String).is_in(orders.filter(words == usual).implode())
        for word in spelling:
            rows = named.filter(words == word).fill_null(value=False)
            if word != usual and rows.len() and rows.mean() >= BESIDE:  # type: ignore[operator]
                kinds[word] = "return"
    shown = _shown(words, list(kinds), columns)
    text = f"{name!r} tells kinds of rows by numbers ({shown}): which are sales, which given back?"
    finding = _question(name, text, kinds, words)[0]
    return [replace(finding, answer=f'{finding.answer}; or [orders] not_states = ["{name}"]')]


def _row_meanings(spelling: dict[str, str], *, is_payment: bool) -> dict[str, str | None]:
    """Return what kinds of rows words name; "way" is a way to buy or to pay."""
    read = {word: row_meaning(word) for word in spelling}
    tenders = [word for word, text in spelling.items() if _TENDERS.fullmatch(text)]
    if len(tenders) == 1 and not is_payment and "charge" in read.values():
        return read | {tenders[0]: "charge"}  # cash on delivery is a fee, beside fees
    for word, text in spelling.items():
        pays = (is_payment or tenders) and _WAY_TO_PAY.fullmatch(text)
        if word in tenders or pays or _WAYS.fullmatch(text) or (is_payment and not read[word]):
            read[word] = "way"
    if "debit" not in spelling.values() and {"sale", "sales"} & {*spelling.values()}:
        read |= {word: "return" for word, text in spelling.items() if text in ("credit", "credits")}
    return read


def _key_of_sale(cells: pl.Series, sales: list[str], columns: Columns) -> pl.Series:
    """Return the order or else the customer of each row; of rows that name a sale's order, that."""
    source = columns.source("order_id") or columns.source("customer_id")
    if source is None:
        return pl.Series([None], dtype=pl.String).new_from_index(0, cells.len())
    key = columns.raw[source].cast(pl.String)
    sold = cells.is_in(sales)
    orders, used = key.filter(sold), columns.mapping.tables["orders"].columns.values()
    for name in columns.raw.columns if source == columns.source("order_id") else ():
        if name in used or "id" not in concepts(name)[0]:
            continue
        named = columns.cells(name).cast(pl.String)
        others = named.filter(~sold).drop_nulls()
        if others.len() and others.is_in(orders.implode()).mean() >= BESIDE:  # type: ignore[operator]
            return named.zip_with(~sold & named.is_not_null(), key)
    return key


def _repeats(sales: list[str], words: list[str], rows: pl.DataFrame) -> list[str]:
    """List the words whose rows repeat the money of sales, by order or else by customer."""
    sold = rows.filter(pl.col("word").is_in(sales)).select("key", "money").unique()
    met = rows.filter(pl.col("word").is_in(words)).join(
        sold.with_columns(met=True), on=["key", "money"], how="left"
    )
    shares = met.group_by("word").agg(pl.col("met").fill_null(value=False).mean())
    return shares.filter(pl.col("met") > REPEATED)["word"].to_list()


def _repeats_of_returns(kinds: dict[str, str], rows: pl.DataFrame) -> list[str]:
    """List the kinds of returns that repeat another's money; credit notes stand for both."""
    back = [word for word, kind in kinds.items() if kind == "return"]
    back.sort(key=lambda word: _NOTE_OF_CREDIT.search(spelt(word)) is None)
    return [word for n, word in enumerate(back) if _repeats(back[:n], [word], rows)]


def _ask_events(
    name: str, spelling: dict[str, str], row_words: _Words, columns: Columns
) -> list[Finding]:
    browsing = [word for word, text in spelling.items() if _BROWSING.fullmatch(text)]
    bought = [word for word, text in spelling.items() if _BOUGHT.fullmatch(text)]
    bought = [word for word in bought if word not in browsing]
    is_named = bool({"event", "action", "activity"} & set(plain(name).split("_")))
    most = len(browsing) + len(bought) >= 0.5 * len(spelling)
    if not browsing or not most or (len(browsing) < 2 and not is_named and not bought):
        return []
    if not bought:
        shown = _shown(row_words(), browsing, columns)
        text = f"{name!r} holds kinds of events ({shown}), none an order."
        answer = (
            'give it as "events", beside a table of order lines: {"orders": ..., "events": ...}'
        )
        return [Finding("block", "orders", "row_kind", text, columns.raw.height, answer=answer)]
    back = [word for word in bought if row_meaning(word) in ("return", "refunded")
            or status_meaning(word) == "cancelled"]  # fmt: skip
    again = _repeating_kinds(row_words(), [word for word in bought if word not in back], columns)
    bought = [word for word in bought if word not in (*back, *again)]
    shown = _shown(row_words(), list(spelling), columns)
    text = (
        f"{name!r} holds kinds of events ({shown}): are only the rows "
        f"with {' and '.join(map(repr, bought))} orders?"
    )
    others = dict.fromkeys([word for word in spelling if word not in bought], "other")
    others |= dict.fromkeys(back, "return")
    return _question(name, text, others, row_words())


def _repeating_kinds(words: pl.Series, bought: list[str], columns: Columns) -> list[str]:
    """List the kinds of rows whose orders another kind, with fewer rows per order, tells, too."""
    order = columns.source("order_id")
    if order is None or len(bought) < 2:
        return []
    rows = pl.DataFrame({"word": words, "order": columns.orders}).drop_nulls()
    rows_per_order = rows.filter(pl.col("word").is_in(bought)).group_by("word", "order").len()
    sizes = rows_per_order.group_by("word").agg(pl.col("len").mean(), pl.col("order"))
    first, *others = sizes.sort("len", "word").iter_rows()
    return [word for word, _, orders in others
            if len({*orders} & {*first[2]}) >= BESIDE * len({*orders})]  # fmt: skip


def _ask_documents(
    name: str, spelling: dict[str, str], row_words: _Words, columns: Columns
) -> list[Finding]:
    kinds: dict[str, list[str]] = {}
    for word, text in spelling.items():
        kind = next((k for k, names in _DOCUMENTS.items() if names.fullmatch(text)), "")
        if kind in ("", "invoice") and UNBINDING.search(text):  # the most specific word decides
            kind = "quote"
        elif kind == "" and TAX_INVOICE.search(text):
            kind = "invoice"
        kind = "credit" if re.search(CREDIT, word.lower()) else kind
        kinds.setdefault(kind, []).append(word)
    _part_receipts(kinds, row_words(), columns)
    several = [kind for kind in _DOCUMENTS if kind in kinds]
    recognised = sum(len(words) for kind, words in kinds.items() if kind)
    if len(several) < 2 or recognised < 0.5 * len(spelling):
        return []
    listed = [word for kind in several for word in kinds[kind]]
    counts = kinds[several[0]]
    shown = _shown(row_words(), [*listed, *kinds.get("credit", []), *kinds.get("", [])], columns)
    text = (
        f"{name!r} holds several documents of one sale ({shown}); added "
        "up, the same money counts several times. Does only "
        f"{' or '.join(map(repr, counts))} count?"
    )
    others = dict.fromkeys([word for word in listed if word not in counts], "other")
    for word in kinds.get("", []):  # what is not known is in the answer, too
        others[word] = "other" if row_meaning(word) in ("other", "charge") else "line"
    others |= dict.fromkeys(kinds.get("credit", []), "return")
    return _question(name, text, others, row_words())


def _part_receipts(kinds: dict[str, list[str]], cells: pl.Series, columns: Columns) -> None:
    """Take words whose rows repeat the money of a customer's invoices as their payments."""
    who = columns.source("customer_id")
    if who is None or "invoice" not in kinds:
        return
    rows = pl.DataFrame({"word": cells, "key": columns.cells(who).cast(pl.String)}).with_columns(
        money=pl.lit(line_money(columns), dtype=pl.Float64)
    )
    others = [word for word in kinds.get("", []) if not _AN_INVOICE.search(spelt(word))]
    for word in _repeats(kinds["invoice"], others, rows):
        kinds[""].remove(word)
        kinds.setdefault("payment", []).append(word)


def _are_beside_others(cells: pl.Series, charges: list[str], columns: Columns) -> bool:
    """Return whether lines with these words stand beside others of the same orders, mostly."""
    order = columns.source("order_id")
    if order is None or cells.null_count() > (1 - MOSTLY) * cells.len():
        return False
    lines = pl.DataFrame({"order": columns.orders, "charge": cells.is_in(charges)})
    orders = lines.group_by("order").agg(pl.col("charge").sum(), rows=pl.len())
    orders = orders.filter(pl.col("charge") > 0)
    return orders.filter(pl.col("rows") > pl.col("charge")).height >= BESIDE * orders.height


def _ask_links(columns: Columns) -> list[Finding]:
    """Ask about rows of positive money that name the sale they give back, if nothing else does."""
    settled = {*columns.option("not_states"), *columns.mapping.tables["orders"].columns.values()}
    for name in columns.raw.columns:
        worth = line_money(columns) if name not in settled and names_sales(columns, name) else None
        rows = columns.cells(name).is_not_null()
        if worth is None or not (worth.filter(rows) > 0).any():
            continue
        text = (
            f"{name!r} names the sale that a row gives back "
            f"({say_rows(int(rows.sum()), float(worth.filter(rows).sum()))}): are these refunds?"
        )
        answer = f"[orders.columns] row_kind = {quote_text(name)} with [orders.values.row_kind] "
        answer += '"" = "line" and "*" = "return"; or [orders] not_states = '
        answer += f"[{quote_text(name)}], if they are sales"
        return [Finding("block", "orders", "row_kind", text, int(rows.sum()), answer=answer)]
    return []


def _ask_carts(frame: pl.DataFrame, mapped: dict[str, object], columns: Columns) -> list[Finding]:
    """Ask whether carts that were left behind are orders."""
    headers = {name: plain(name) for name in frame.columns}
    headers = {name: text for name, text in headers.items() if not _NOT_CARTS.search(text)}
    abandoned = [name for name, text in headers.items() if _ABANDONED.search(text)]
    back = [name for name, text in headers.items() if _RECOVERED.search(text)]
    if not abandoned and not (back and any(_CART.search(text) for text in headers.values())):
        return []
    if {"status", "payment_status"} & {*mapped} or not any(
        columns.cells(name).drop_nulls().len() for name in (*abandoned, *back)
    ):
        return []
    listed = ", ".join(map(repr, [*abandoned, *back][:3]))
    text = (
        f"These look like carts that were left behind ({listed}), not like orders: do they count?"
    )
    answer = '[orders.constants] status = "sale", if all were paid'
    if back:
        words = columns.cells(back[0]).cast(pl.String).drop_nulls().unique().sort().to_list()
        yes = next((word for word in words if spelt(word) in _YES), None)
        no = next((word for word in words if spelt(word) not in _YES), None)
        if yes and no and len(words) == 2:
            answer = (
                f'[orders.columns] status = "{back[0]}" with [orders.values.status] "{yes}" = '
                f'"sale" and "{no}" = "cancelled", if the recovered ones count; or {answer}'
            )
    return [Finding("block", "orders", "status", text, frame.height, answer=answer)]


_YES = {*YES, "recovered"}


def _shown(cells: pl.Series, words: list[str], columns: Columns) -> str:
    """List words with their rows and their money, those without a customer too."""
    counts = count_words(columns, cells, NO_MATTER).rows_by_key("word", unique=True)
    words = [word for word in words if word in counts]
    shown = [f"{word!r} {say_rows(*counts[word][:2])}" for word in words[:8]]
    return "; ".join(shown) + ("; ..." if len(words) > len(shown) else "")


def _question(name: str, text: str, others: dict[str, str], cells: pl.Series) -> list[Finding]:
    """Write the question with the words that are no sales, and what they are."""
    rows = int(cells.is_in([*others]).sum())
    values = " and ".join(f'{quote_text(word)} = "{kind}"' for word, kind in others.items())
    answer = (
        f"[orders.columns] row_kind = {quote_text(name)} with [orders.values.row_kind] {values} "
        '("line" for words that count, "return" for what was given back, "discount" for what '
        'comes off, "other" for what is left out)'
    )
    return [Finding("block", "orders", "row_kind", text, rows, answer=answer)]
