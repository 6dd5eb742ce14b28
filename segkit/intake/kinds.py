"""Rows that are no orders among order rows: events, quotes, carts, payouts, fees, refunds.

Each is asked about, with the words to leave out, until the mapping names the kinds of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from segkit.intake.answers import quote_text
from segkit.intake.bookings import ledger_kinds, mark_kinds
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.consents import is_consent
from segkit.intake.evidence import sample
from segkit.intake.flags import names_sales
from segkit.intake.headers import WORDS, concepts, pattern, plain, regex
from segkit.intake.mapping import STATUS_COLUMNS, Mapping
from segkit.intake.questions import GIVE_AS, Finding
from segkit.intake.states import ask_carts, ask_histories
from segkit.intake.statuses import (
    CREDIT,
    TAX_INVOICE,
    UNBINDING,
    row_meaning,
    spelt,
    status_meaning,
    stem,
)
from segkit.intake.sums import count_words, counted_rows, line_money, say_rows
from segkit.intake.whole_orders import kinds_of

MOST_KINDS = 40
NO_MATTER = ("row_kind", "customer_id", "order_time")  # what payouts and fees lack is asked about
# A kind of row stands on nearly every row; a charge beside goods in so many of its orders.
MOSTLY, BESIDE = 0.95, 0.9
MOST_CODES = 8
REPEATED = 0.8  # share of the rows of one kind whose money stands on a sale's row, too
FEW_ALIKE = 0.5  # share of the sales whose customer has another one of the same money
_DOCUMENTS = {k: re.compile(words.replace("\n", "")) for k, words in WORDS["documents"].items()}
_TYPE_WORDS = {*pattern("type_words").split("|")}  # headers of kinds of rows


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
    others = kinds_of(columns) != "return"  # links tell these
    few = sample(frame.filter(counted_rows(columns, NO_MATTER) & others))
    for name, dtype in few.schema.items():
        if not (is_text(dtype) or dtype.is_integer()) or name in settled:
            continue
        if is_consent(columns, name):
            continue
        cells = few[name].cast(pl.String).str.strip_chars().drop_nulls()
        words = cells.filter(cells != "").unique()
        stems = words.len() > MOST_KINDS
        if stems:  # "Payout #55", "Payout #56": the words without their numbers
            words = stem(words).unique()
            words = words.filter(words != "")
        if not 2 <= words.len() <= MOST_KINDS or 2 * cells.len() < few.height:
            continue
        spelling = {word: spelt(word) for word in words.sort().to_list()}
        one = _Kinds(name, spelling, columns, stems)
        whole = (_ask_ledger, _ask_events, _ask_documents, _ask_movements, _ask_codes)
        for ask in (_ask_movements,) if stems else whole:
            findings = ask(one)
            if findings:
                return findings
    histories = ask_histories(sample(frame), columns)
    return histories or _ask_links(columns) or ask_carts(columns, mapped)


@dataclass(frozen=True)
class _Kinds:
    """A raw column (``name``) that may tell kinds of rows; ``spelling`` holds its words."""

    name: str
    spelling: dict[str, str]
    columns: Columns
    stems: bool

    @cached_property
    def cells(self) -> pl.Series:
        """The word of each row, if asked without its numbers."""
        words = self.columns.raw[self.name].cast(pl.String).str.strip_chars()
        return stem(words) if self.stems else words

    @cached_property
    def worth(self) -> pl.Series | None:
        return line_money(self.columns)

    def show(self, words: Iterable[str]) -> str:
        return _shown(self.cells, [*words], self.columns)

    def write(self, kinds: dict[str, str]) -> str:
        """Write the mapping lines that give words their kinds."""
        values = " and ".join(f'{quote_text(word)} = "{kind}"' for word, kind in kinds.items())
        column = f"[orders.columns] row_kind = {quote_text(self.name)}"
        return f"{column} with [orders.values.row_kind] {values}"

    def ask(
        self, text: str, kinds: dict[str, str], *others: str, last: bool = False
    ) -> list[Finding]:
        """Write the question with the words that are no sales, and what they are."""
        answer = (
            f'{self.write(kinds)} ("line" for words that count, "return" for what was given back, '
            '"discount" for what comes off, "other" for what is left out)'
        )
        offers = [offer for offer in (answer, *others) if offer]
        answer = "; or ".join(reversed(offers) if last else offers)
        rows = int(self.cells.is_in([*kinds]).sum())
        return [Finding("block", "orders", "row_kind", text, rows, answer=answer)]

    def ask_or_all(self, text: str, kinds: dict[str, str]) -> list[Finding]:
        """Ask so, and offer that all rows are sales; what leaves most money out is last.

        Where few rows are asked about, and rather sales, that they are left out is offered. Voided
        sales can be rows beside the sale, or the sale itself: the other reading is offered, too.
        """
        rows = pl.DataFrame({"word": self.cells}).with_columns(
            money=pl.lit(self.worth, dtype=pl.Float64)
        )
        earned = rows.filter(pl.col("money") > 0).drop_nulls("word")
        are_sales = {*kinds.values()} == {"line"}
        named = [word for word, kind in kinds.items() if are_sales or kind in ("other", "charge")]
        asked = earned.filter(pl.col("word").is_in(named))["money"].sum()
        is_most = 2 * asked > earned["money"].sum()
        other = f'[orders] not_states = ["{self.name}"], if all are sales'
        if are_sales and not is_most:
            other = self.write(dict.fromkeys(kinds, "other"))
            text += " (line counts them, other leaves them out)"
        positive = earned.filter(pl.col("word").is_in([*kinds]))["word"].unique()
        turned = {
            word: "return" if kinds[word] == "other" else "other"
            for word in positive.sort()
            if kinds[word] in ("other", "return") and row_meaning(word) == "refunded"
        }
        if not turned:
            return self.ask(text, kinds, other, last=is_most and not are_sales)
        are = "beside the sales" if "return" in turned.values() else "the sales themselves"
        return self.ask(text, kinds, f"{self.write(kinds | turned)}, if they are {are}", other)


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
    read |= _settle_back(_Kinds(name, spelling, columns, stems), read)
    others: dict[str, str] = {}
    for word in unnamed.sort().to_list():
        text = spelling[word]
        if word not in positive and (ledger or read[word] != "other"):
            continue  # what is given back
        is_counted = read[word] in ("line", "way", "charge", "discount") or any(
            one.fullmatch(text) for one in (regex("bought"), *_DOCUMENTS.values())
        )
        is_counted = is_counted and not UNBINDING.search(text)
        if ledger.get(word, "line") != "line":
            others[word] = ledger[word]
        elif not ledger and not is_counted:
            others[word] = read[word] or "line"
    if not others:
        return []
    text = (
        f"{name!r} holds kinds of rows that the mapping does not name "
        f"({_shown(cells, [*others], columns)}): are they sales?"
    )
    rows = int(cells.is_in([*others]).sum())
    turned = dict.fromkeys(others, "other" if "line" in others.values() else "line")
    answers = [
        "[orders.values.row_kind] "
        + ", ".join(f'{quote_text(word)} = "{kind}"' for word, kind in kinds_.items())
        for kinds_ in (others, turned)
    ]
    answer = "; or ".join(answers) + ' ("line" for words that count, "other" if not)'
    return [Finding("block", "orders", "row_kind", text, rows, answer=answer)]


def _ask_ledger(one: _Kinds) -> list[Finding]:
    """Ask which rows of a ledger are sales: invoices, credit notes, receipts, purchases, marks."""
    if len(one.spelling) > MOST_CODES + MOST_CODES:
        return []
    marks = mark_kinds(one.name, one.cells, one.worth)
    kinds = marks or ledger_kinds(one.spelling, one.cells, one.worth, one.columns)
    if not kinds:
        return []
    back = [word for word, kind in marks.items() if kind == "return"]
    given_back = one.write(marks) if back and _are_movements(one, back) else ""
    if given_back:
        kinds = marks | dict.fromkeys(back, "other")
    text = (
        f"{one.name!r} marks debit and credit ({one.show(kinds)}): which rows are sales, which "
        "reduce them?"
        if marks
        else f"{one.name!r} tells the rows of a ledger ({one.show(kinds)}): do only invoices and "
        "credit notes count, and no receipts or purchases?"
    )
    return one.ask(text, kinds, given_back)


def _are_movements(one: _Kinds, marked: list[str]) -> bool:
    """Return whether rows are withdrawals, transfers or fees: by another column, or no customer."""
    rows = one.cells.is_in(marked).fill_null(value=False)
    most, who = MOSTLY * int(rows.sum()), one.columns.source("customer_id")
    if who is not None and one.columns.cells(who).filter(rows).null_count() >= most:
        return True
    for shown in one.columns.profiles.values():
        if shown.name == one.name or not shown.words or shown.cells.len() != rows.len():
            continue
        cells = shown.cells.cast(pl.String)
        words = cells.filter(rows).drop_nulls().unique()
        moved = cells.is_in([word for word in words if row_meaning(word) in ("other", "charge")])
        if int(moved.filter(rows).sum()) >= most and not moved.filter(~rows).any():
            return True
    return False


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


def _ask_movements(one: _Kinds) -> list[Finding]:
    """Ask about rows of payouts, holds, charges and refunds beside sales, and about other kinds."""
    meant, bare = concepts(one.name)[0], set(plain(one.name).split("_"))
    read = _row_meanings(one.spelling, is_payment="payment" in meant)
    sales = [word for word, kind in read.items() if kind == "line"]
    recognised = [word for word, kind in read.items() if kind not in (None, "way")]
    if not _tells_kinds(meant, bare, read, sales, recognised):
        return []
    rows = _rows_of_kinds(one, sales)
    matter = rows.filter(pl.col("named") & (pl.col("money") != 0))
    positive = set(matter.filter(pl.col("money") > 0)["word"].unique().drop_nulls())
    with_money = set(matter["word"].unique().drop_nulls())
    read |= _settle_back(one, read)
    credits_ = [
        word for word in with_money - positive if one.spelling[word] in ("credit", "credits")
    ]
    read |= dict.fromkeys(credits_ if positive else [], "return")
    others = {
        word: kind
        for word, kind in read.items()
        if word in with_money
        and (kind in ("other", "charge") or (kind in ("return", "discount") and word in positive))
    }
    others |= _paid_out(read, rows, with_money - positive if positive else set(), others)
    held = [w for w, k in others.items() if k == "other" and row_meaning(w) != "refunded"]
    if not sales and len(others) == len(with_money) and held:
        most = rows.filter(pl.col("word").is_in(held))
        first = most.group_by("word").agg(pl.col("money").sum()).sort("money", "word")["word"][-1]
        others[first] = "line"  # authorisations that are never captured are the sales
    charges = [word for word, kind in others.items() if kind == "charge"]
    if charges and not sales and not _are_beside_others(one, charges):
        others = {word: kind for word, kind in others.items() if kind != "charge"}
    odd = [word for word, kind in read.items() if kind is None and word in with_money]
    is_told = odd and (recognised or (meant == {"order", "type"} and not _is_even(rows)))
    if not others and (meant == {"name"} or not is_told):  # a subject is free text
        return []
    are_lone = not sales and not odd and "way" not in read.values()
    if are_lone and {*others.values()} <= {"return"}:  # a list of refunds alone
        return []
    if regex("ticket").search(plain(one.name)) and {*read.values()} <= {None, "way", "discount"}:
        return []  # kinds of tickets are what is sold
    return _ask_kinds(one, read, others, odd, rows)


def _is_even(rows: pl.DataFrame) -> bool:
    """Return whether words share the sales as channels and types of service do, not as refunds."""
    counts = rows.filter(pl.col("money") > 0)["word"].drop_nulls().value_counts()["count"].sort()
    return counts.len() > 1 and 2 * counts[-2] > counts[-1]


def _rows_of_kinds(one: _Kinds, sales: list[str]) -> pl.DataFrame:
    """Return the word, the money and the key of each row, and whether it names a customer."""
    columns, who = one.columns, one.columns.source("customer_id")
    customer = None if who is None else columns.cells(who).cast(pl.String)
    return pl.DataFrame({"word": one.cells}).with_columns(
        money=pl.lit(one.worth, dtype=pl.Float64),
        who=pl.lit(customer, dtype=pl.String),
        named=pl.lit(True if customer is None else customer.is_not_null()),
        key=_key_of_sale(one.cells, sales, columns),
    )


def _settle_back(one: _Kinds, read: dict[str, str | None]) -> dict[str, str]:
    """Return what words for refunded and voided sales are: rows beside the sale, or it itself.

    "return" are negative sums, rows that name a sale's number, and those that repeat the money of
    a sale of the same order, or of the same customer where few sales do; "other" is the rest.
    """
    back = [word for word, kind in read.items() if kind == "refunded"]
    if not back:
        return {}
    sales = [word for word, kind in read.items() if kind in ("line", "way", None)]
    rows = _rows_of_kinds(one, sales)
    positive = rows.filter(pl.col("named") & (pl.col("money") > 0))["word"]
    beside = _repeats(sales, back, rows)
    order = one.columns.source("order_id")
    if order is not None:
        linked = rows.filter(rows["key"] != one.columns.raw[order].cast(pl.String))
        beside += linked["word"].unique().to_list()
    sold = rows.filter(pl.col("word").is_in(sales)).select("who", "money")
    if sold.is_duplicated().sum() < FEW_ALIKE * sold.height:
        beside += _repeats(sales, back, rows.with_columns(key="who"))
    are_beside = {*back} - {*positive} | {*beside}
    return {word: "return" if word in are_beside else "other" for word in back}


def _ask_kinds(
    one: _Kinds,
    read: dict[str, str | None],
    others: dict[str, str],
    odd: list[str],
    rows: pl.DataFrame,
) -> list[Finding]:
    """Ask about kinds of rows beside sales (``others``) and unknown ones (``odd``)."""
    text = (
        f"{one.name!r} holds kinds of rows beside sales ({one.show([*others, *odd])}): are they "
        "sales, sums given back, or left out?"
    )
    sales = [word for word, kind in read.items() if kind == "line"]
    positive = set(rows.filter(pl.col("named") & (pl.col("money") > 0))["word"].drop_nulls())
    again = _repeats(sales, odd, rows)
    kinds = others | {word: kind for word, kind in read.items() if kind == "discount"}
    kinds |= dict.fromkeys(_repeats_of_returns(kinds, rows), "other")
    for word in odd:
        is_bad = status_meaning(word) in ("cancelled", "unpaid") or word in again
        is_off = word not in positive and _are_beside_others(one, [word])
        sold = "line" if word in positive else "return"
        kinds[word] = "other" if is_bad else "discount" if is_off else sold
    return one.ask_or_all(text, kinds)


def _paid_out(
    read: dict[str, str | None], rows: pl.DataFrame, negative: set[str], others: dict[str, str]
) -> dict[str, str]:
    """Name the rows that the shop itself pays: always negative, and no refund.

    With them go payouts and charges that name no customer, so that all are asked about at once.
    """
    paid = {
        w: "return" if w.lower() == "credit" else "other"  # as its name says, if always negative
        for w, kind in read.items()
        if kind in ("line", "way") and w in negative
    }
    if not others | paid:
        return {}
    moved = set(rows.filter(pl.col("money") != 0)["word"].unique().drop_nulls())
    return paid | {
        word: kind for word, kind in read.items() if kind in ("other", "charge") and word in moved
    }


def _ask_codes(one: _Kinds) -> list[Finding]:
    """Ask about kinds of rows told by numbers; those that name others' orders are given back."""
    (meant, unknown), columns = concepts(one.name), one.columns
    order, words = columns.source("order_id"), one.spelling
    if not all(re.fullmatch(r"\d{1,4}", word) for word in words) or len(words) > MOST_CODES:
        return []
    is_type = "type" in meant and meant <= {"type", "order", "line", "refund"}
    is_type &= not unknown or bool(regex("document_type").search(plain(one.name)))
    if order is None or not is_type:
        return []
    with_money = one.cells if one.worth is None else one.cells.filter(one.worth != 0)
    if with_money.n_unique() < 2:
        return []
    kinds = dict.fromkeys(words, "line")
    usual = one.cells.value_counts(sort=True)[one.name][0]
    orders = columns.cells(order).cast(pl.String).filter(one.cells == usual).implode()
    for other in columns.raw.columns:
        if other == order or other in columns.mapping.tables["orders"].columns.values():
            continue
        named = columns.cells(other).cast(pl.String).is_in(orders).fill_null(value=False)
        for word in words:
            rows = named.filter(one.cells == word)
            if word != usual and rows.len() and rows.mean() >= BESIDE:  # type: ignore[operator]
                kinds[word] = "return"
    text = (
        f"{one.name!r} tells kinds of rows by numbers ({one.show(kinds)}): which are sales, which "
        "given back?"
    )
    return one.ask(text, kinds, f'[orders] not_states = ["{one.name}"]')


def _row_meanings(spelling: dict[str, str], *, is_payment: bool) -> dict[str, str | None]:
    """Return what kinds of rows words name; "way" is a way to buy or to pay."""
    read = {word: row_meaning(word) for word in spelling}
    tenders = [word for word, text in spelling.items() if regex("tenders").fullmatch(text)]
    if len(tenders) == 1 and not is_payment and "charge" in read.values():
        return read | {tenders[0]: "charge"}  # cash on delivery is a fee, beside fees
    for word, text in spelling.items():
        pays = bool((is_payment or tenders) and regex("way_to_pay").fullmatch(text))
        pays |= is_payment and not read[word]
        if word in tenders or pays or regex("ways").fullmatch(text):
            read[word] = "way"
    captured = [word for word, text in spelling.items() if regex("captured").search(text)]
    read |= dict.fromkeys(captured, "line")
    sold = captured or {"sale", "sales"} & {*spelling.values()}
    if "debit" not in spelling.values() and sold:
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
    back.sort(key=lambda word: regex("credit_note").search(spelt(word)) is None)
    return [word for n, word in enumerate(back) if _repeats(back[:n], [word], rows)]


def _ask_events(one: _Kinds) -> list[Finding]:
    """Ask whether only some kinds of events are orders; refuse those of which none is."""
    browsing = [word for word, text in one.spelling.items() if regex("browsing").fullmatch(text)]
    bought = [word for word, text in one.spelling.items() if regex("bought").fullmatch(text)]
    bought = [word for word in bought if word not in browsing]
    is_named = bool({"event", "action", "activity"} & set(plain(one.name).split("_")))
    most = len(browsing) + len(bought) >= 0.5 * len(one.spelling)
    if not browsing or not most or (len(browsing) < 2 and not is_named and not bought):
        return []
    if not bought:
        text = f"{one.name!r} holds kinds of events ({one.show(browsing)}), none an order."
        answer = GIVE_AS.format("events")
        rows = one.columns.raw.height
        return [Finding("block", "orders", "row_kind", text, rows, answer=answer)]
    back = [word for word in bought if row_meaning(word) in ("return", "refunded")
            or status_meaning(word) == "cancelled"]  # fmt: skip
    again = _repeating_kinds(one, [word for word in bought if word not in back])
    bought = [word for word in bought if word not in (*back, *again)]
    text = (
        f"{one.name!r} holds kinds of events ({one.show(one.spelling)}): are only the rows "
        f"with {' and '.join(map(repr, bought))} orders?"
    )
    others = dict.fromkeys([word for word in one.spelling if word not in bought], "other")
    return one.ask(text, others | dict.fromkeys(back, "return"))


def _repeating_kinds(one: _Kinds, bought: list[str]) -> list[str]:
    """List the kinds of rows whose orders another kind, with fewer rows per order, tells, too."""
    if one.columns.source("order_id") is None or len(bought) < 2:
        return []
    rows = pl.DataFrame({"word": one.cells, "order": one.columns.orders}).drop_nulls()
    rows_per_order = rows.filter(pl.col("word").is_in(bought)).group_by("word", "order").len()
    sizes = rows_per_order.group_by("word").agg(pl.col("len").mean(), pl.col("order"))
    first, *others = sizes.sort("len", "word").iter_rows()
    return [word for word, _, orders in others
            if len({*orders} & {*first[2]}) >= BESIDE * len({*orders})]  # fmt: skip


def _ask_documents(one: _Kinds) -> list[Finding]:
    """Ask which documents of a sale count where several stand for the same money."""
    kinds: dict[str, list[str]] = {}
    for word, text in one.spelling.items():
        kind = next((k for k, names in _DOCUMENTS.items() if names.fullmatch(text)), "")
        if kind in ("", "invoice") and UNBINDING.search(text):  # the most specific word decides
            kind = "quote"
        elif kind == "" and TAX_INVOICE.search(text):
            kind = "invoice"
        kind = "credit" if re.search(CREDIT, word.lower()) else kind
        kind = "void" if kind != "quote" and row_meaning(word) == "refunded" else kind
        kinds.setdefault(kind, []).append(word)
    _part_receipts(one, kinds)
    several = [kind for kind in _DOCUMENTS if kind in kinds]
    recognised = sum(len(words) for kind, words in kinds.items() if kind)
    if len(several) < 2 or recognised < 0.5 * len(one.spelling):
        return []
    listed = [word for kind in several for word in kinds[kind]]
    counts, credits_ = kinds[several[0]], kinds.get("credit", [])
    void, rest = kinds.get("void", []), kinds.get("", [])
    shown = one.show([*listed, *credits_, *void, *rest])
    text = (
        f"{one.name!r} holds several documents of one sale ({shown}); added up, the same money "
        f"counts several times. Does only {' or '.join(map(repr, counts))} count?"
    )
    others = dict.fromkeys([word for word in listed if word not in counts], "other")
    read = dict.fromkeys(counts, "line") | dict.fromkeys(void, "refunded")
    others |= _settle_back(one, {**read})
    for word in rest:  # what is not known is in the answer, too
        others[word] = "other" if row_meaning(word) in ("other", "charge") else "line"
    return one.ask_or_all(text, others | dict.fromkeys(credits_, "return"))


def _part_receipts(one: _Kinds, kinds: dict[str, list[str]]) -> None:
    """Take words whose rows repeat the money of a customer's invoices as their payments."""
    who = one.columns.source("customer_id")
    if who is None or "invoice" not in kinds:
        return
    rows = pl.DataFrame({"word": one.cells, "key": one.columns.cells(who).cast(pl.String)})
    rows = rows.with_columns(money=pl.lit(one.worth, dtype=pl.Float64))
    others = [word for word in kinds.get("", []) if not regex("invoice_number").search(spelt(word))]
    for word in _repeats(kinds["invoice"], others, rows):
        kinds[""].remove(word)
        kinds.setdefault("payment", []).append(word)


def _are_beside_others(one: _Kinds, charges: list[str]) -> bool:
    """Return whether lines with these words stand beside others of the same orders, mostly."""
    no_order = one.columns.source("order_id") is None
    if no_order or one.cells.null_count() > (1 - MOSTLY) * one.cells.len():
        return False
    lines = pl.DataFrame({"order": one.columns.orders, "charge": one.cells.is_in(charges)})
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


def _shown(cells: pl.Series, words: list[str], columns: Columns) -> str:
    """List words with their rows and their money, those without a customer too."""
    counts = count_words(columns, cells, NO_MATTER).rows_by_key("word", unique=True)
    words = [word for word in words if word in counts]
    shown = [f"{word!r} {say_rows(*counts[word][:2])}" for word in words[:8]]
    return "; ".join(shown) + ("; ..." if len(words) > len(shown) else "")
