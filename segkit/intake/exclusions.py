"""Columns that could exclude orders: flags of refunds and cancellations, states, open balances.

What is sure is read as a state; for every other such column that is not used the shop is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import polars as pl

from segkit.display import counted
from segkit.intake.cells import NO, NO_MARKS
from segkit.intake.columns import Columns
from segkit.intake.consents import is_consent
from segkit.intake.dates import numeric_format
from segkit.intake.evidence import ENOUGH, ColumnProfile
from segkit.intake.flags import (
    ALONE,
    KINDS,
    MOST_WORDS,
    OF_ORDER,
    SLOTS,
    flag_meanings,
    flag_words,
    kind_of,
    marks_others,
    names_sales,
    words_of,
    yes_and_no,
)
from segkit.intake.headers import WORDS, concepts, plain
from segkit.intake.mapping import STATUS_COLUMNS
from segkit.intake.pieces import counts_returns, returned_pieces, take_pieces_off
from segkit.intake.privacy import mask_word, show_state
from segkit.intake.questions import MOST_ASKED, Finding
from segkit.intake.roles import adjusted_columns
from segkit.intake.states import Told, has_invoices, part_refunds, say_left, settle_unknown
from segkit.intake.statuses import likely_status, on_account_words, refund_meaning, status_meaning
from segkit.intake.sums import (
    count_words,
    counted_rows,
    line_money,
    reversals,
    say_rows,
    say_sum,
    sum_of,
)
from segkit.intake.unused import (
    FEW_WORDS,
    FEWEST_OUT,
    is_likely_state,
    likely_unknown,
    unused_words,
)
from segkit.intake.whole_orders import states_of

MOST_SHOWN = 6
# A date of payment or a sum paid is there on most orders; what is owed is the whole amount.
MOSTLY_PAID, MOSTLY_EQUAL = 0.5, 0.8
# So many orders refunded in part, and so large a share of them, show a column of refunds.
FEWEST, MOST_STATED = 3, 0.9
_OF_OTHERS = frozenset(WORDS["headers"]["of_others"].split())
_PAID = frozenset(["amount", "total", "revenue", "price"])


def about_exclusions(columns: Columns, asked: list[str], *, own: bool) -> list[Finding]:
    """Ask about each unused column of orders that could exclude orders or reduce their money.

    A column that one of the questions so far (``asked``) begins with is not asked about again.
    Where the mapping file or a preset is complete (``own``), what it says about states stands, and
    only kinds that it does not name are asked.
    """
    frame, mapping = columns.raw, columns.mapping
    part = mapping.tables["orders"]
    named = {*part.columns, *part.constants}
    settled = {*part.columns.values(), *mapping.option("orders", "not_states")}
    findings = take_pieces_off(columns, own=True)[1] if own else []
    profiles = {
        name: shown
        for name, shown in columns.profiles.items()
        if name not in settled
        and not counts_returns(name, shown)
        and not is_consent(columns, name)
        and not names_sales(columns, name)
        and not any(text.startswith(repr(name)) for text in asked)
    }
    if not profiles or not frame.height:
        return findings
    worth = cache(lambda: line_money(columns))
    findings += _about_refunds(columns, profiles, named)
    if own and named & {*SLOTS}:
        return findings
    still_counted = counted_rows(columns)  # and by the columns asked about so far
    unread: dict[str, ColumnProfile] = {}
    owed = False
    read = {name: _read_unused(columns, shown, worth, unread) for name, shown in profiles.items()}
    known = {name: meanings for name, meanings in read.items() if meanings}
    # What words are known to exclude comes before words that are asked.
    for header, meanings in sorted(known.items(), key=lambda item: {*item[1].values()} <= {"sale"}):
        is_owed = "*" in meanings and bool({"balance", "payment"} & concepts(header)[0])
        cells = columns.fill_orders(columns.cells(header)).cast(pl.String)
        if is_owed and owed:  # what is open and what is paid say the same
            continue
        counted_here = _counted(cells, meanings)
        lost, money = still_counted & ~counted_here, worth()
        if (lost if money is None else lost & (money > 0)).any():
            owed = owed or is_owed
            still_counted &= counted_here
            findings.append(_question(columns, profiles[header], meanings, named))
            named.add(findings[-1].column)  # two answers must not overwrite each other
    cash = worth()
    paid = still_counted if cash is None else still_counted & (cash > 0)
    open_columns = unused_words(columns, unread, paid.fill_null(value=False))
    for header in [*open_columns]:
        cells = columns.fill_orders(columns.cells(header)).cast(pl.String)
        if is_likely_state(columns, header, cells, open_columns[header]):
            meanings = open_columns.pop(header)
            findings.append(_question(columns, unread[header], meanings, named))
            named.add(findings[-1].column)
    more = max(MOST_ASKED - len(asked) - len(findings), 0)
    unknown = likely_unknown(columns, open_columns, paid.fill_null(value=False), cash)
    for header, usual in [*unknown.items()][:more]:
        meanings = {usual: "sale", **open_columns.pop(header)}
        asked_last = _question(columns, unread[header], meanings, named)
        findings.append(replace(asked_last, kind="unknown"))
        named.add(findings[-1].column)
    # A type of document does not tell what is paid.
    states = [part.columns.get(name, "") for name in STATUS_COLUMNS if name in named]
    if not findings and all("type" in concepts(header)[0] for header in states):
        findings += _about_blank_dates(columns, unread, paid.fill_null(value=False), named)
    return findings


def _about_blank_dates(
    columns: Columns, unread: dict[str, ColumnProfile], paid: pl.Series, named: set[str]
) -> list[Finding]:
    """Ask about a date in words that are not known, which some orders lack, as unpaid ones do."""
    for header, shown in unread.items():
        meant, unknown = concepts(header)
        if not (shown.dated and unknown and meant <= {"date"}):
            continue
        cells = columns.fill_orders(columns.cells(header)).cast(pl.String)
        share = float(cells.filter(paid).is_not_null().mean() or 0.0)  # type: ignore[arg-type]
        if MOSTLY_PAID < share < 1:
            return [_question(columns, shown, {"": "unpaid", "*": "sale"}, named)]
    return []


def _read_unused(
    columns: Columns,
    shown: ColumnProfile,
    worth: Callable[[], pl.Series | None],
    unread: dict[str, ColumnProfile],
) -> dict[str, str] | None:
    """Read the words of an unused column as states; what cannot be read is added to ``unread``."""
    rows, meant = columns.raw.height, concepts(shown.name)[0]
    is_stated = "refund" in meant and (_is_money(shown) or not _leaves_refunds(columns, shown))
    if not shown.distinct or is_stated:
        return None
    cells = columns.fill_orders(columns.cells(shown.name)).cast(pl.String)
    if shown.filled < 1 and shown.rows == rows:
        shown = replace(shown, filled=1 - cells.null_count() / cells.len())
    is_open = bool({"balance", "payment"} & meant) and not _tells_paid(columns)
    of_all = worth if shown.rows == rows else lambda: None
    meanings = _doubt(shown, of_all, is_open=is_open)
    if not meanings:
        unread[shown.name] = shown
    elif "status" in columns.mapping.tables["orders"].columns:
        sales = (states_of(columns, "status") == "sale").fill_null(value=False)
        told = cells.filter(sales & counted_rows(columns)).drop_nulls()
        usual, bad = told.mode().sort().first(), [w for w in meanings if meanings[w] != "sale"]
        out = float(told.is_in(bad).mean() or 0.0)  # type: ignore[arg-type]
        if out > FEWEST_OUT and not {"*", usual} & {*meanings}:
            meanings = {**meanings, str(usual): "sale"}  # as the state of most of its rows says
        lost = float((~_counted(cells, meanings).filter(sales)).mean() or 0.0)  # type: ignore[arg-type]
        if lost > 0.5:
            return None  # a stage that the sales have, too
    return meanings


def _tells_paid(columns: Columns) -> bool:
    """Return whether a state tells the orders that are not paid, or has words that may.

    What the mapping says of a balance or a day of payment holds for the other, too.
    """
    for shown in map(columns.profile, columns.option("not_states")):
        is_sum = shown is not None and (shown.dated or shown.numbers is not None)
        if shown is not None and is_sum and {"balance", "payment"} & concepts(shown.name)[0]:
            return True
    if {*STATUS_COLUMNS} & {*columns.mapping.tables["orders"].constants}:
        return True
    for name in filter(columns.source, STATUS_COLUMNS):
        read, cells = states_of(columns, name), columns.cells(str(columns.source(name)))
        asked = cells.filter(read.is_null()).cast(pl.String).unique()
        words = cells.cast(pl.String).drop_nulls().unique()
        given = {*columns.mapping.tables["orders"].values.get(name, {})} & {*words}
        owed = given & {
            *on_account_words(words),
            *(w for w in given if status_meaning(w) == "unpaid"),
        }
        if (
            owed
            or (read == "unpaid").any()
            or any(likely_status(word, words) != "sale" for word in asked)
        ):
            return True
    return False


def _leaves_refunds(columns: Columns, shown: ColumnProfile) -> bool:
    """Return whether a column of refunds could mark orders whose refund nothing else states."""
    part = columns.mapping.tables["orders"]
    if "is_return" in {*part.columns, *part.constants} or "refund" in part.constants:
        return False
    if not columns.source("refund"):
        return True
    full = replace(shown, cells=columns.cells(shown.name))
    return marks_others(full, columns.numbers("refund"))


def _about_refunds(
    columns: Columns, profiles: dict[str, ColumnProfile], named: set[str]
) -> list[Finding]:
    """Ask about columns that hold refunds, or what totals were changed to."""
    if {"refund", "is_return"} & named:
        return []
    findings, worth = [], line_money(columns)
    changed = {adjusted: base for base, adjusted in adjusted_columns(columns.raw.columns).items()}
    for header, shown in profiles.items():
        meant, _ = concepts(header)
        if not _is_money(shown) or meant & _OF_OTHERS or _is_whole(shown, worth):
            continue
        answer = f'[orders.columns] refund = "{header}"'
        net = "[orders.constants] refund = 0, if"
        if header in changed and meant & _PAID:
            rows, base = shown.cells.count(), changed[header]
            text = f"{header!r} is not used and holds changed totals: do they replace {base!r}?"
            answer = f'[orders.columns] amount = "{base}" with {answer} and [orders] refund_is = '
            answer += f'"left"; or {net} they do not'
            findings.append(Finding("block", "orders", "refund", text, rows, answer=answer))
        elif ("refund" in meant or _stands_on_part_refunds(columns, shown)) and (
            total := sum_of(columns, header, "refund")
        ) != 0:
            text = f"{header!r} is not used and holds refunds{say_sum(total)}: are they taken off?"
            answer = f"{answer}; or {net} the amounts are net of them"
            rows = columns.raw.height
            findings.append(Finding("block", "orders", "refund", text, rows, answer=answer))
    return findings


def _is_whole(shown: ColumnProfile, worth: pl.Series | None) -> bool:
    """Return whether a column would give back nearly every order as a whole."""
    if worth is None or shown.numbers is None or shown.numbers.len() != worth.len():
        return False
    whole = (shown.numbers.abs() >= worth).filter(worth > 0).fill_null(value=False)
    return whole.len() >= ENOUGH and float(whole.mean() or 0) > MOST_STATED  # type: ignore[arg-type]


def _stands_on_part_refunds(columns: Columns, shown: ColumnProfile) -> bool:
    """Return whether money stands on orders that are refunded in part, and on hardly any other."""
    partly, worth, back = part_refunds(columns), line_money(columns), shown.numbers
    if worth is None or back is None or back.len() != worth.len() or partly.sum() < FEWEST:
        return False
    back = back.fill_null(0).abs()
    allowed = partly
    for name in filter(columns.source, STATUS_COLUMNS):
        allowed |= (states_of(columns, name) != "sale").fill_null(value=False)
    fits = (back > 0) & (back <= worth.abs())
    return bool(
        fits.filter(partly).mean() >= MOST_STATED and not (back.filter(~allowed) > 0).any()  # type: ignore[operator]
    )


def _counted(cells: pl.Series, meanings: dict[str, str]) -> pl.Series:
    """Mark the rows that count by the meanings of a column's words."""
    named = [word for word in meanings if word not in ("", "*")]
    sales = cells.is_in([word for word in named if meanings[word] == "sale"])
    if meanings.get("*") == "sale":
        sales = sales | ~cells.is_in(named)
    empty = pl.Series([meanings.get("", "sale") == "sale"])
    return sales.zip_with(cells.is_not_null(), empty.new_from_index(0, cells.len()))


def _is_money(shown: ColumnProfile) -> bool:
    """Return whether a column holds numbers beside 0 that are no yes and no."""
    values = shown.numbers
    return values is not None and not shown.is_flag and not shown.dated and (values != 0).any()


def _doubt(
    shown: ColumnProfile, worth: Callable[[], pl.Series | None], *, is_open: bool
) -> dict[str, str] | None:
    """Return what the words of a column would mean if it told a state; None if it tells none.

    The word "*" stands for each word not named, "" for an empty cell. With ``is_open``, the column
    is of money paid or owed, and no state tells yet which orders are paid.
    """
    meant, _ = concepts(shown.name)
    is_payment = shown.dated and "payment" in meant  # of the goods, too
    # Won or lost, of the few that were disputed.
    if {"dispute", "accepted"} <= meant or (meant & _OF_OTHERS and not is_payment):
        return None
    kind = kind_of(shown.name)
    if kind is not None:
        meanings = _doubt_kind(shown, kind)
        if meanings is not None or "status" not in meant:
            return meanings
    return (_owed(shown, meant, worth()) if is_open else None) or _doubt_words(shown, meant)


def _doubt_kind(shown: ColumnProfile, kind: str) -> dict[str, str] | None:
    """Return what the words of a column mean whose header names a reason not to count."""
    yes, no = KINDS[kind]
    flagged = flag_meanings(shown, yes, no)
    if flagged:
        meanings = {*flagged.values(), *([no] if shown.filled < 1 else [])}
        return {**flagged, "": no} if meanings != {"sale"} else None
    if kind in ALONE:
        return None
    if shown.numbers is not None and not shown.dated:
        zeros = dict.fromkeys(_zeros(shown), "sale")
        return {**zeros, "*": yes} if (shown.numbers != 0).any() else None
    if kind == "refund" and shown.words:
        states = {word: refund_meaning(word) for word in words_of(shown)}
        if "sale" in states.values():  # else words for what was given back
            rest = {"": "sale"} if shown.filled < 1 else {}
            return {word: meant for word, meant in states.items() if meant is not None} | rest
    negatives = [word for word in words_of(shown)[:MOST_WORDS] if word.lower() in (*NO, *NO_MARKS)]
    if negatives and shown.distinct <= MOST_WORDS:  # no, and more than one kind of yes
        return {**dict.fromkeys(negatives, no), "": no, "*": yes}
    return {"": "sale", "*": yes} if shown.filled <= MOSTLY_PAID else None


def _doubt_words(shown: ColumnProfile, meant: frozenset[str]) -> dict[str, str] | None:
    """Return the meanings of a column whose words are states, or whose header says so."""
    if shown.distinct + (shown.filled < 1) < 2 or shown.distinct > MOST_WORDS or shown.dated:
        return None
    words = words_of(shown)
    kinds = yes_and_no(shown.name)
    flags = flag_words(words, *kinds) if kinds == ("sale", "unpaid") and "payment" in meant else {}
    if flags and (len({word.lower() for word in words}) > 2 or shown.filled < 1):
        others = {word: status_meaning(word) for word in words if word not in flags}
        flags |= {word: meaning for word, meaning in others.items() if meaning is not None}
        return {**flags, **({"": "unpaid"} if shown.filled < 1 else {})}
    if flag_meanings(shown, "yes", "no"):
        return _doubt_flag(shown, meant)
    meanings = {word: status_meaning(word) for word in words}
    recognised = [meaning for meaning in meanings.values() if meaning is not None]
    bad = {*recognised} - {"sale"}
    if "shipping" in meant:  # what waits to be sent may be paid
        bad -= {"unpaid"}
    if "status" in meant and "shipping" not in meant:
        if meant - OF_ORDER != {"status"} or not (bad or len(recognised) < len(words)):
            return None
    elif not shown.words or not bad or len(recognised) < 2 or len(recognised) <= 0.5 * len(words):
        return None
    return {word: meaning for word, meaning in meanings.items() if meaning is not None}


def _doubt_flag(shown: ColumnProfile, meant: frozenset[str]) -> dict[str, str] | None:
    """Return the meanings of yes and no where the header is a word for a state (Deleted)."""
    state = status_meaning(shown.name)
    if (
        state is None
        or meant & {"shipping", "possible"}
        or (state == "sale" and meant & {"buy", "payment"})
    ):
        return None
    if state == "sale" and len(plain(shown.name).split("_")) > 1:
        return None
    no = "unpaid" if state == "sale" else "sale"
    return {**flag_meanings(shown, state, no), "": no}


def _zeros(shown: ColumnProfile) -> list[str]:
    """List the spellings of zero in a column of numbers."""
    zero = shown.cells.filter(pl.Series(shown.numbers) == 0)
    return sorted(zero.unique().cast(pl.String).drop_nulls().to_list())


def _owed(
    shown: ColumnProfile, meant: frozenset[str], worth: pl.Series | None
) -> dict[str, str] | None:
    """Return the meanings of an empty date of payment, an open balance, or nothing paid."""
    values = shown.numbers
    counted_time = values is not None and numeric_format(values) not in (None, "excel")
    if (shown.dated or counted_time) and "payment" in meant and "balance" not in meant:
        zeros = [] if values is None else _zeros(shown)
        paid = shown.filled if values is None else float((values.fill_null(0) != 0).mean() or 0)  # type: ignore[arg-type]
        meanings = {**dict.fromkeys(zeros, "unpaid"), "": "unpaid", "*": "sale"}
        return meanings if MOSTLY_PAID < paid < 1 else None
    if values is None or shown.dated or worth is None or shown.rows < ENOUGH:
        return None
    values = values.fill_null(0)
    equal = (values - worth).abs() < 0.01
    is_positive = values > 0
    if not is_positive.any() or float(equal.filter(is_positive).mean() or 0) < MOSTLY_EQUAL:  # type: ignore[arg-type]
        return None
    share = float(is_positive.mean() or 0)  # type: ignore[arg-type]
    if "balance" in meant and share < 1:
        return {**dict.fromkeys(_zeros(shown), "sale"), "": "sale", "*": "unpaid"}
    if "payment" in meant and MOSTLY_PAID < share < 1 and (worth.filter(~is_positive) > 0).any():
        return {**dict.fromkeys(_zeros(shown), "unpaid"), "": "unpaid", "*": "sale"}
    return None


def _keeps_orders(columns: Columns, cells: pl.Series, meanings: dict[str, str]) -> bool:
    """Return whether what a column would exclude probably counts.

    An invoice on account counts when it is issued; an order of which pieces came back keeps the
    others.
    """
    kinds = {*meanings.values()} - {"sale"}
    if kinds == {"unpaid"}:
        return has_invoices(columns)
    returned = returned_pieces(columns) if kinds == {"refunded"} else None
    if returned is None or not columns.source("quantity"):
        return False
    partly = (returned[1] > 0) & (returned[1] < columns.numbers("quantity"))
    return bool((partly & ~_counted(cells, meanings)).fill_null(value=False).any())


def _question(
    columns: Columns, shown: ColumnProfile, meanings: dict[str, str], named: set[str]
) -> Finding:
    """Ask what the words of an unused column say of the order, with rows, money and the answer."""
    header = shown.name
    cells = columns.fill_orders(columns.cells(header)).cast(pl.String)
    few = cells.n_unique() <= MOST_WORDS and not shown.dated and shown.numbers is None
    few = few or (cells.n_unique() <= MOST_SHOWN and shown.share_whole == 1 and not shown.dated)

    def say(word: str | None) -> str:
        if word is None:
            return "empty"
        return repr(show_state(word, cells) if few else mask_word(word, cells))

    kinds = cells if few else pl.select(
        pl.when(cells.is_in([word for word in meanings if word])).then(cells)
        .when(cells.is_not_null()).then(pl.lit("*"))
    ).to_series()  # fmt: skip
    table = count_words(columns, kinds)
    listed = ", ".join(
        f"{'other values' if word == '*' and not few else say(word)} ({say_rows(rows, worth_)})"
        for word, rows, worth_, _ in table.head(MOST_SHOWN).iter_rows()
    )
    more = table.height - MOST_SHOWN
    listed += f" and {counted(more, 'other word')}" if more > 0 else ""
    text = (
        f"{header!r} is not used, but could tell orders that do not count: {listed}. Are some of "
        "them unpaid, cancelled or refunded?"
    )
    free = [slot for slot in STATUS_COLUMNS if slot not in named]
    ignored = f'[orders] not_states = ["{header}"], if it is no state'
    is_filled = not cells.filter(counted_rows(columns)).null_count()
    meanings = {w: m for w, m in meanings.items() if w or not is_filled}
    shown_words = {w: m for w, m in meanings.items() if few or "*" in meanings or m != "sale"}
    for word in table["word"].drop_nulls() if few and "*" not in meanings else ():
        shown_words.setdefault(word, likely_status(word, table["word"].drop_nulls()))
    if not is_filled and not {"", "*"} & {*meanings}:
        shown_words[""] = "..." if "sale" in meanings.values() else "sale"
    table = table.with_columns(pl.col("word").fill_null(""))
    offered: Told = dict(shown_words.items())
    told = settle_unknown(offered, dict(table.select("word", "rows").iter_rows()))
    back = dict.fromkeys(reversals(table, told[0]), "refunded")
    told = (told[0] | back, told[1] | back)
    pair = told if told[0] != told[1] else (dict.fromkeys(told[0], "sale"), told[0])
    text += say_left(table, pair, lambda word: "others" if word == "*" else say(word or None))
    if free:
        answer, other = (
            f'[orders.columns] {free[0]} = "{header}" with [orders.values.{free[0]}] '
            f'{_write_words(words, cells)} (or "unpaid", "cancelled", "refunded")'
            for words in told
        )
        keeps = {*told[0].values()} == {"sale"} or _keeps_orders(columns, cells, meanings)
        counts = f'[orders] not_states = ["{header}"], if these orders count all the same'
        answers = [counts, other] if keeps else [*dict.fromkeys([answer, other]), ignored]
        answer = "; ".join(answers)
    elif "cancelled_at" not in named and _fills_cancelled(offered, few=few):
        words = next((one for one in told if {*one.values()} != {"sale"}), told[0])
        sales: Told = {
            word: "no"
            for word, kind in words.items()
            if word and kind == "sale" and word.lower() not in (*NO, *NO_MARKS)
        }
        answer = f'[orders.columns] cancelled_at = "{header}"'
        if sales:
            answer += f" with [orders.values.cancelled_at] {_write_words(sales, cells)}"
        keeps = {*told[0].values()} == {"sale"}  # nothing known says that some do not count
        answer = "; or ".join([ignored, answer] if keeps else [answer, ignored])
    else:
        answer = f"{ignored}; else a file without these orders"
    return Finding("block", "orders", (free or ["status"])[0], text, cells.len(), answer=answer)


def _fills_cancelled(meanings: Told, *, few: bool) -> bool:
    """Return whether filled cells exclude, but for a few words that can be named."""
    named = few and len(meanings) <= FEW_WORDS
    return (
        meanings.get("", "sale") == "sale"
        and meanings.get("*") != "sale"
        and (named or "*" in meanings)
    )


def _write_words(meanings: Told, cells: pl.Series) -> str:
    """Write words with their meanings as a mapping does, empty cells and the rest first."""
    ordered = sorted(meanings.items(), key=lambda item: item[0] not in ("", "*"))
    return ", ".join(
        f'"{word if word in ("", "*") else show_state(str(word), cells)}" = "{meaning}"'
        for word, meaning in ordered[:FEW_WORDS]
    )
