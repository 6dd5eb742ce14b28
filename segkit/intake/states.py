"""Questions on the states of orders and on returns; histories of states, carts left behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Map
from dataclasses import replace

import polars as pl

from segkit.display import counted, join_words, money
from segkit.intake.answers import quote_text
from segkit.intake.cells import YES, flag, is_text
from segkit.intake.columns import Columns
from segkit.intake.headers import WORDS, concepts, plain, regex
from segkit.intake.mapping import STATUS_COLUMNS
from segkit.intake.privacy import mask_word, show_state
from segkit.intake.questions import MOST_KINDS, Finding
from segkit.intake.statuses import (
    CREDIT,
    is_of_payment,
    is_part_refund,
    likely_status,
    on_account_words,
    row_meaning,
    spelt,
    status_meaning,
    stem,
    unpaid_words,
)
from segkit.intake.sums import (
    count_words,
    counted_money,
    counted_rows,
    line_money,
    list_words,
    sum_of,
)
from segkit.intake.whole_orders import kinds_of, states_of

MOST_STATUSES, MOST_NAMED = 40, 4
COLLECTED = re.compile("dunning_status|auto_collection|collection_method")
INVOICE_WORD = re.compile(rf"(?:{WORDS['documents']['invoice']})\b".replace("\n", ""))
FEWEST_ORDERS = 5
WHOLE = 0.95  # share of orders that are refunded as a whole, or differ in their state alone


def has_invoices(columns: Columns) -> bool:
    """Return whether rows are invoices on account: numbered, and due at a date, or named so.

    Invoices that are charged to a card, and a way to pay named "invoice", are none.
    """
    profiles = columns.profiles
    meant = {header: concepts(header)[0] for header in profiles}
    if any(COLLECTED.search(plain(header)) for header in profiles):
        return False
    numbered = any("id" in meant[h] and regex("invoice_number").search(plain(h)) for h in profiles)
    due = any("deadline" in meant[h] and profiles[h].dated for h in profiles)
    kinds = {str(w) for h in profiles if "payment" not in meant[h] for w in profiles[h].words}
    named = any(INVOICE_WORD.match(spelt(word)) for word in kinds)
    flags = [header for header in profiles if profiles[header].is_flag]
    owed = any(on_account_words([word]) for word in (*kinds, *flags))
    return (numbered and due) or (named and (numbered or owed))


def about_statuses(columns: Columns) -> list[Finding]:
    """Ask what unknown words of each status mean, with their rows and money."""
    asked: list[Finding] = []
    offers: list[list[str]] = []
    for name in STATUS_COLUMNS:
        raw_column = columns.source(name)
        if raw_column is None or not columns.raw.height:
            continue
        words = columns.cells(raw_column).cast(pl.String)
        if words.n_unique() > MOST_STATUSES:
            words = stem(words)
        table = count_words(columns, words, (name,))
        returns = kinds_of(columns) == "return"
        back = {*words.filter(returns)} - {*words.filter(~returns)}
        table = table.with_columns(meaning=_meanings(columns, name, back))
        unknown = table.filter(pl.col("meaning").is_null())
        if unknown.height:
            question, offered = _ask_words(columns, name, words, table)
            asked.append(question)
            offers.append(offered)
    findings = _warn_part_refunds(columns)
    if asked:  # of both columns in one question
        most = max(map(len, offers))
        offers = [[*offered, *offered[:1] * (most - len(offered))] for offered in offers]
        first, *others = dict.fromkeys(map(" and ".join, zip(*offers, strict=True)))
        answer = f'{first}, each one of "sale", "unpaid", "cancelled", "refunded"'
        answer += "".join(f"; or {other}" for other in others)
        text, rows = " ".join(one.finding for one in asked), sum(one.rows or 0 for one in asked)
        kind = max(one.kind for one in asked)
        findings.insert(0, replace(asked[0], finding=text, rows=rows, answer=answer, kind=kind))
    return findings


def part_refunds(columns: Columns) -> pl.Series:
    """Mark the rows whose state says that a part of the order was refunded."""
    marked = pl.Series([False]).new_from_index(0, columns.raw.height)
    for source in filter(None, map(columns.source, STATUS_COLUMNS)):
        words = columns.cells(source).cast(pl.String)
        partly = [word for word in words.drop_nulls().unique() if is_part_refund(word)]
        marked |= words.is_in(partly).fill_null(value=False)
    return marked


def _warn_part_refunds(columns: Columns) -> list[Finding]:
    """Say how much money counts in full though a part was refunded, where no refund is stated."""
    part = columns.mapping.tables["orders"]
    if {"refund", "is_return", "row_kind"} & {*part.columns, *part.constants}:
        return []
    rows, worth = part_refunds(columns) & counted_rows(columns), line_money(columns)
    if not rows.any() or (worth is not None and ((worth < 0).any() or _is_net(columns, worth))):
        return []
    money_ = counted_money(columns, rows)
    order = columns.source("order_id")
    orders = columns.orders.filter(rows).n_unique() if order else int(rows.sum())
    total = "" if money_ is None else f" ({money(float(money_.sum()))})"
    text = (
        f"A state says that {counted(orders, 'order')}{total} were refunded in part, and no column "
        "says how much: they count in full."
    )
    answer = (
        '[orders.columns] refund = "column"; or [orders.constants] refund = 0, if the amounts are '
        "net of refunds"
    )
    return [Finding("warn", "orders", "refund", text, int(rows.sum()), answer=answer)]


def _is_net(columns: Columns, worth: pl.Series) -> bool:
    """Return whether a column is more than the money where a part was refunded, else the same."""
    partly, counts = part_refunds(columns), counted_rows(columns)
    for shown in columns.profiles.values():
        before = shown.numbers
        if before is None or shown.dated or before.len() != worth.len():
            continue
        same = (before == worth).filter(counts & ~partly).mean()
        if same is not None and same >= WHOLE and (before > worth).filter(partly).all():  # type: ignore[operator]
            return True
    return False


def _ask_words(
    columns: Columns, name: str, words: pl.Series, table: pl.DataFrame
) -> tuple[Finding, list[str]]:
    """Ask what words of one column mean; add the answers that are offered."""
    unknown = table.filter(pl.col("meaning").is_null())
    offers = _offer_meanings(columns, name, words)
    minus = table.filter(~pl.col("positive") & (pl.col("money") < 0))["word"]  # a refund of its own
    offers |= {word: "refunded" for word in minus if offers.get(word) in ("...", "unpaid")}
    issued = unknown.filter(pl.col("word").is_in([*_issued(columns, words)]))
    few = unknown.head(MOST_KINDS)
    listed = list_words(few, lambda word: repr(_word(word, words)))
    shown = {word: "" if word is None else _word(word, words) for word in few["word"]}
    asked = {word: offers.get(word, "...") for word in unknown["word"]}
    paid = {word: "unpaid" if word in issued["word"] else asked[word] for word in asked}
    rows = dict(table.select("word", "rows").iter_rows())
    known = dict(
        table.select("word", "meaning").filter(pl.col("meaning").is_not_null()).iter_rows()
    )
    most, least = settle_unknown(known | asked, rows)[0], settle_unknown(known | paid, rows)[1]
    partly = [w for w in asked if w and asked[w] == "unpaid" and regex("partly").search(spelt(w))]
    in_part = most | dict.fromkeys(partly, "sale")
    pair = (most, least) if most != least else (in_part, most)
    readings = [most, least, in_part]
    if most == least == in_part:  # no answer is the only one
        pair = _all_or_none(columns, most, asked, name)
        readings += pair
    answers = [
        f"[orders.values.{name}] "
        + ", ".join(f'{quote_text(shown[word])} = "{offered[word]}"' for word in shown)
        for offered in readings
    ]
    mean = "means" if unknown.height == 1 else "mean"
    text = f"It is not known what {listed} in {columns.source(name)!r} {mean}: a sale, unpaid, "
    text += "cancelled or refunded?"
    if issued["money"].count():
        sum_ = money(float(issued["money"].sum()))
        text += f" Invoices count when they are issued; {sum_} is not, or not wholly, paid."
    text += say_left(table, pair, lambda word: say_word(word or None, words))
    if most not in pair and table["money"].count():
        text += f" The first answer leaves {_left_of(table, most)}."
    text += _say_part(
        columns, words.is_in([w for w in few["word"] if w and regex("partly").search(spelt(w))])
    )
    first = say_word(unknown["word"][0], words).strip("'")
    kind = "words" if "..." in asked.values() else ""
    said = sum(unknown["rows"])
    return Finding("block", columns.table, name, text, said, first, answers[0], kind), answers


Told = dict[str | None, str]


def _all_or_none(columns: Columns, told: Told, asked: Told, name: str) -> tuple[Told, Told]:
    """Return the readings of words that are asked as sales, and as no sales.

    Those are unpaid where it is about a payment, else cancelled, unless they are ``told`` already.
    """
    about_payment = "payment" in concepts(str(columns.source(name)))[0]
    bad = {
        word: told[word] if told[word] != "sale"
        else "unpaid" if about_payment or is_of_payment(word) else "cancelled"
        for word in asked
    }  # fmt: skip
    return told | dict.fromkeys(asked, "sale"), told | bad


def settle_unknown(offered: Told, rows: Map[str | None, int]) -> tuple[Told, Told]:
    """Return what words mean if all unknown ones are sales, and if the rare ones are unpaid.

    The word of most rows is a sale, if it has most of them all or no other one is known as a sale.

    Examples
    --------
    >>> settle_unknown({"Zork": "...", "Blip": "..."}, {"Zork": 9, "Blip": 1})[1]
    {'Zork': 'sale', 'Blip': 'unpaid'}
    """
    unknown = sorted((w for w in offered if offered[w] == "..."), key=lambda w: -rows.get(w, 0))
    most = offered | dict.fromkeys(unknown, "sale")
    has_most = unknown and 2 * rows.get(unknown[0], 0) > sum(rows.values())
    rare = unknown[1:] if has_most or "sale" not in offered.values() else unknown
    return most, most | dict.fromkeys(rare, "unpaid")


def say_left(table: pl.DataFrame, told: tuple[Told, Told], say: Callable[[str], str]) -> str:
    """Say what is left of the money of words with some of them as sales, and as not.

    ``table`` is one of `segkit.intake.sums.count_words`; ``say`` writes a word, empty or not.
    """
    sums = {word or "": worth for word, worth in table.select("word", "money").iter_rows()}
    kinds = [{word or "": kind for word, kind in one.items()} for one in told]
    meant = [{word: one.get(word, one.get("*")) for word in sums} for one in kinds]
    differ = [word for word in sums if meant[0][word] != meant[1][word]]
    if not differ or not table["money"].count():
        return ""
    # What takes back orders that are left out goes with them: the words alone do not tell the sum.
    is_back = any(
        one[word] == "refunded" and (sums[word] or 0) < 0 for one in meant for word in sums
    )
    is_unsure = is_back and any("cancelled" in one.values() for one in meant)
    left = [_left_of(table, one) for one in told]
    if is_unsure or left[0] == left[1]:
        return ""
    named = join_words([say(word) for word in differ[:MOST_NAMED]])
    more = " ..." if len(differ) > MOST_NAMED else ""
    others = {str(meant[1][word]) for word in differ}
    other = others.pop() if len(others) == 1 else "not"
    return f" With {named}{more} as sales {left[0]} is left, with them {other} {left[1]}."


def _left_of(table: pl.DataFrame, told: Told) -> str:
    """Write the money that is left of words by what they mean."""
    counts = {word or "": kind for word, kind in told.items()}
    left = 0.0
    for word, worth in table.select("word", "money").iter_rows():
        kind = counts.get(word or "", counts.get("*"))
        left += worth if kind == "sale" or (kind == "refunded" and worth < 0) else 0.0
    return money(left)


def _say_part(columns: Columns, asked: pl.Series) -> str:
    """Say which unused column holds what was paid of rows that are asked about, if in part."""
    used, worth = columns.mapping.tables[columns.table].columns, columns.source("amount")
    whole = None if worth is None else columns.profiles[worth].numbers
    for header, shown in columns.profiles.items():
        meant = concepts(header)[0]
        if header in used.values() or not {"payment"} <= meant <= {"payment", "amount", "total"}:
            continue
        if whole is None or shown.numbers is None or shown.dated or whole.len() != asked.len():
            continue
        paid = pl.DataFrame({"paid": shown.numbers, "whole": whole}).filter(asked & (whole > 0))
        paid = paid.filter(pl.col("paid") > 0)
        if paid.height and (paid["paid"] <= paid["whole"]).all():
            least, most = float(paid["paid"].sum()), float(paid["whole"].sum())
            if least < most:
                return (
                    f" Of {money(most)}, {money(least)} is paid by {header!r}: take that as the "
                    "amount to count only what was paid."
                )
    return ""


def _offer_meanings(columns: Columns, name: str, words: pl.Series) -> dict[str | None, str]:
    """Return the likely meaning of each word; orders that are refunded as a whole are refunded."""
    listed = words.drop_nulls().unique().to_list()
    is_paid = any(columns.source(other) for other in STATUS_COLUMNS if other != name)
    offers: dict[str | None, str] = {
        w: likely_status(w, listed, paid=is_paid, header=str(words.name)) for w in listed
    }
    offers |= {word: kind for word, kind in _paid_words(columns, words).items()
               if offers.get(word) == "..." or regex("new").fullmatch(spelt(word))}  # fmt: skip
    offers |= dict.fromkeys(_issued(columns, words), "sale")
    worth = line_money(columns)
    if worth is not None:  # what comes off is no open order
        negative = {*words.filter(worth < 0)} - {*words.filter(worth > 0)}
        offers |= {word: "refunded" for word in negative if status_meaning(word) is None}
    if columns.source("refund") is None or columns.source("amount") is None:
        return offers
    back, worth = columns.numbers("refund").abs(), columns.numbers("amount")
    rows = pl.DataFrame({"word": words, "whole": (back >= worth) & (worth > 0)})
    shares = rows.group_by("word").agg(pl.col("whole").fill_null(value=False).mean())
    whole = shares.filter(pl.col("whole") >= WHOLE)["word"]
    return offers | {word: "refunded" for word in whole if offers.get(word) == "..."}


def _paid_words(columns: Columns, words: pl.Series) -> dict[str | None, str]:
    """Tell by an unused column of payments which words stand on paid orders and which on others."""
    used = columns.mapping.tables[columns.table].columns.values()
    for header, shown in columns.profiles.items():
        is_named = concepts(header)[0] - {"date", "amount"} == {"payment"}
        if header in used or not (is_named or (shown.dated and is_of_payment(header))):
            continue
        cells = columns.cells(header)
        if shown.is_flag:
            paid = cells.cast(pl.String).str.to_lowercase().is_in(YES)
        elif shown.dated:
            paid = cells.is_not_null()
        elif shown.numbers is not None and shown.numbers.len() == cells.len():
            paid = shown.numbers > 0
        else:
            continue
        rows = pl.DataFrame({"word": words, "paid": paid.fill_null(value=False)})
        shares = dict(rows.group_by("word").agg(pl.col("paid").mean()).iter_rows())
        sales = [share for word, share in shares.items() if status_meaning(word) == "sale"]
        if not any(map(status_meaning, filter(None, shares))):  # paid or not by the column alone
            sales = [max(shares.values())] if min(shares.values()) <= 1 - WHOLE else []
        if sales and min(sales) >= WHOLE:
            told = {True: "sale", False: "unpaid"}
            return {w: told[s >= WHOLE] for w, s in shares.items() if s >= WHOLE or s <= 1 - WHOLE}
    return {}


def _issued(columns: Columns, words: pl.Series) -> set[str]:
    """List the words of invoices on account that are issued and not wholly paid."""
    issued = on_account_words(words.drop_nulls().unique())
    return issued if issued and has_invoices(columns) else set()


def _meanings(columns: Columns, name: str, returns: set[str | None]) -> pl.Expr:
    """Read the meaning of each word; null where it is asked.

    Asked are a positive "Refund", which may be a row beside the sale, but none of ``returns``; what
    is billed, or an invoice on account, and not yet paid; and empty cells with money beside words
    that mean a sale.
    """
    own_words = columns.mapping.tables[columns.table].values.get(name, {})
    low, word = pl.col("word").str.to_lowercase(), pl.col("word")
    own = low.is_in([str(own_word).lower() for own_word in own_words])
    read = word.map_batches(lambda words: states_of(columns, name, words), return_dtype=pl.String)
    is_row = low.str.contains(CREDIT) & pl.col("positive") & ~word.is_in([*returns - {None}])
    owed = word.map_batches(
        lambda words: words.is_in([*unpaid_words(words.drop_nulls()), *_issued(columns, words)]),
        return_dtype=pl.Boolean,
    )
    asked = ((is_row | owed) & ~own).fill_null(value=False)
    if not {"", "*"} & {*own_words}:
        asked |= word.is_null() & pl.col("positive").fill_null(value=True)
    return pl.when(~asked).then(read)


def say_word(word: str | None, words: pl.Series) -> str:
    """Show a word of a state in quotes; in a column of many different texts masked as any cell."""
    return "empty" if word is None else repr(_word(word, words))


def _word(word: str, words: pl.Series) -> str:
    """Show a status; in a column of many different texts only as any other cell."""
    few = words.n_unique() <= MOST_STATUSES
    if few and re.fullmatch(r"\w{,30}", word) and row_meaning(word):
        return word  # a term of the trade, no name
    return show_state(word, words) if few else mask_word(word, words)


def about_returns(columns: Columns) -> list[Finding]:
    """Ask which words mean a return, if an unused column seems to contain them."""
    frame, part = columns.raw, columns.mapping.tables["orders"]
    raw_column = part.columns.get("is_return")
    if raw_column is not None and is_text(frame.schema[raw_column]):
        words = part.values.get("is_return", {})
        cells = frame.select(pl.col(raw_column).cast(pl.String).str.strip_chars().alias("word"))
        read = flag(pl.col("word"), pl.String(), (), words)
        known = pl.col("word").is_in(["", *map(str, words)])
        worth = line_money(columns)
        back = False if worth is None else (worth < 0).fill_null(value=False)  # by its sign
        is_odd = read.is_null() & ~known & counted_rows(columns) & ~pl.lit(back)
        marked = cells.select(is_odd.fill_null(value=False).alias("odd")).to_series()
        odd = cells.filter(marked)
        text = f"holds {_some(odd['word'])}, neither yes nor no."
        filled = cells.filter(pl.col("word") != "")
        # Words on fewer than half the rows, none of them a no, are reasons: all came back.
        are_reasons = (
            2 * filled.height < cells.height and filled.select(read.is_null().all()).item()
        )
        if not odd.height:
            return []
        left = _left_by_sign(columns, marked)
        return [_return_question(raw_column, text, odd, cells["word"], left, are_reasons)]
    is_told = columns.has("is_return") or columns.option("return_prefix")
    return [] if is_told else _credit_notes(columns)


def _credit_notes(columns: Columns) -> list[Finding]:
    """Find unused columns whose words name credit notes on lines that are not negative."""
    part = columns.mapping.tables["orders"]
    # Other kinds of rows have their sign, or do not count.
    counts = counted_rows(columns, ("row_kind",)) & (kinds_of(columns) == "line")
    frame = columns.raw.filter(counts)
    signs = [part.columns[n] for n in ("quantity", "amount") if n in part.columns]
    minus = pl.any_horizontal(
        pl.col(name).cast(pl.String).str.strip_chars().str.contains(r"^[-−(]|-$") for name in signs
    ) if signs else pl.lit(value=False)  # fmt: skip
    used = set(part.columns.values())
    texts = [n for n, kind in frame.schema.items() if n not in used and is_text(kind)]
    kinds = frame.head(10_000).select(pl.col(texts).n_unique())
    few = [column.name for column in kinds if column[0] <= MOST_KINDS]
    few = [name for name in few if not _tells_payment(name)]
    words = pl.col(few).cast(pl.String).str.to_lowercase()
    says = words.str.replace_all(regex("on_delivery").pattern, "").str.contains(CREDIT).any()
    for name in [column.name for column in frame.select(says) if column[0]]:
        kind = pl.col(name).cast(pl.String).str.strip_chars()
        credited = kind.str.to_lowercase().str.contains(CREDIT).fill_null(value=False)
        notes = columns.raw.select(counts & (credited & ~minus).fill_null(value=False)).to_series()
        if notes.any():
            rows = columns.raw.filter(notes).select(word=kind)
            text = f"holds {_some(rows['word'])}: returns?"
            cells = frame.select(kind).to_series()
            return [_return_question(name, text, rows, cells, _left_by_sign(columns, notes))]
    return []


def _tells_payment(header: str) -> bool:
    """Return whether a header is of ways to pay, none of which is a return."""
    return "payment" in concepts(header)[0] and bool(regex("paying_by").search(spelt(header)))


def _left_by_sign(columns: Columns, notes: pl.Series) -> tuple[str, bool]:
    """Say what is left if rows are returns and if they are sales; and whether they are sales.

    They are where a column of refunds states what was given back of most of them.
    """
    counts, refund = counted_rows(columns), columns.source("refund")
    worth = counted_money(columns, counts)
    if worth is None:
        return "", False
    of_orders = columns.option("amount_of") == "order"
    left = []
    for returned in (notes & False, notes):
        sold = counts & ~returned
        off = sum_of(columns, refund, "refund", of_orders=of_orders, rows=sold) if refund else 0.0
        back = float(worth.filter(counts & returned).sum())
        left.append(money(float(worth.filter(sold).sum()) - back - (off or 0.0)))
    is_stated = refund and (columns.numbers("refund").filter(notes) != 0).mean() > 0.5  # type: ignore[operator]
    again = f" {refund!r} takes off what was given back of them already." if is_stated else ""
    return f"{again} As sales {left[0]} is left, as returns {left[1]}.", bool(is_stated)


def _return_question(
    column: str,
    what: str,
    rows: pl.DataFrame,
    cells: pl.Series,
    left: tuple[str, bool],
    are_reasons: bool = False,
) -> Finding:
    """Ask which words of a column mean a return, the likely ones first; or none of them."""
    words = cells.drop_nulls().unique().sort()
    words = words.filter(words != "")
    credited = words.str.to_lowercase().str.contains(CREDIT)
    ordered = [*words.filter(credited), *words.filter(~credited)][:MOST_KINDS]
    shown = {word: show_state(word, cells) for word in ordered}
    likely = ordered if are_reasons else [*words.filter(credited)] or ordered[:1]
    given = [word for word in ordered if word == shown[word] or word in likely[:1]]
    said, are_sales = left
    answers = [
        f'[orders.columns] is_return = "{column}" with [orders.values.is_return] '
        + ", ".join(f'"{w}" = {"true" if w in likely and back else "false"}' for w in given)
        for back in (True, False)
    ]
    answer = "; or ".join(answers[:: -1 if are_sales else 1])
    text = f"{column!r} {what} It decides the sign of {counted(rows.height, 'row')}.{said}"
    example = shown[likely[0]]
    return Finding("block", "orders", "is_return", text, rows.height, example, answer)


def _some(words: pl.Series) -> str:
    words_shown = words.drop_nulls().unique().sort().head(4).to_list()
    return ", ".join(repr(mask_word(word, words)) for word in words_shown)


def ask_histories(rows: pl.DataFrame, columns: Columns) -> list[Finding]:
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
    if groups.height < FEWEST_ORDERS or histories < WHOLE * groups.height:
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


def ask_carts(columns: Columns, mapped: Iterable[str]) -> list[Finding]:
    """Ask whether carts that were left behind are orders."""
    headers = {name: plain(name) for name in columns.raw.columns}
    for name in [name for name, text in headers.items() if re.search(r"url|token|link", text)]:
        del headers[name]
    abandoned = [name for name, text in headers.items() if regex("abandoned").search(text)]
    back = [name for name, text in headers.items() if regex("recovered").search(text)]
    if not abandoned and not (back and any(map(regex("cart").search, headers.values()))):
        return []
    is_mapped = bool({"status", "payment_status"} & {*mapped})
    if is_mapped or not any(columns.cells(name).count() for name in (*abandoned, *back)):
        return []
    listed = ", ".join(map(repr, [*abandoned, *back][:3]))
    text = (
        f"These look like carts that were left behind ({listed}), not like orders: do they count?"
    )
    answer = '[orders.constants] status = "sale", if all were paid'
    if back:
        words = columns.cells(back[0]).cast(pl.String).drop_nulls().unique().sort().to_list()
        words.sort(key=lambda word: spelt(word) not in (*YES, "recovered"))
        is_yes = [spelt(word) in (*YES, "recovered") for word in words]
        if is_yes == [True, False]:
            yes, no = words
            answer = (
                f'[orders.columns] status = "{back[0]}" with [orders.values.status] "{yes}" = '
                f'"sale" and "{no}" = "cancelled", if the recovered ones count; or {answer}'
            )
    return [Finding("block", "orders", "status", text, columns.raw.height, answer=answer)]
