"""Rows of a bookkeeper's ledger: invoices and credit notes, beside receipts and purchases."""

from __future__ import annotations

import re

import polars as pl

from segkit.errors import SourceError
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.headers import WORDS, plain
from segkit.intake.questions import Finding
from segkit.intake.statuses import spelt

REPEATED = 0.5  # share of receipts whose money stands on an invoice of the same account
FEW_KEYS = 0.9  # an account has more rows than one
_LEDGER = {kind: re.compile(words.replace("\n", "")) for kind, words in WORDS["ledger"].items()}
_WAY_OUT = "export the list of invoices instead: customer, date, number and amount"


def refuse_datev(name: str, start: bytes) -> None:
    """Raise if a file begins as DATEV's exchange format does: it holds bookings, no orders.

    Source: DATEV format, header of a file (EXTF or DTVF, version, category).
    """
    if re.match(rb'(?:\xef\xbb\xbf)?"?(?:EXTF|DTVF)"?;\d{3};', start):
        raise SourceError(
            f"{name} is a DATEV file of bookings, not of orders: payments, costs and taxes stand "
            f"beside sales, and the dates have no year; {_WAY_OUT}"
        )


def refuse_bookings(raw: pl.DataFrame) -> list[Finding]:
    """Refuse bookings with an account and a contra account, which are no orders."""
    headers = {plain(name): name for name in raw.columns}
    contra = [name for text, name in headers.items() if _LEDGER["contra"].search(text)]
    account = [name for text, name in headers.items() if _LEDGER["account"].fullmatch(text)]
    for debit, credit in WORDS["debits"].items():  # numbers of accounts, no money
        pair = [headers[word] for word in (debit, credit) if word in headers]
        if len(pair) == 2 and all(_holds_accounts(raw[name]) for name in pair):
            account, contra = pair[:1], pair[1:]
    if not contra or not account:
        return []
    text = (
        f"These are bookings, not orders: {account[0]!r} and {contra[0]!r} are the two accounts of "
        "each, and payments, costs and taxes stand beside sales."
    )
    return [Finding("block", "orders", "", text, raw.height, answer=_WAY_OUT)]


def _holds_accounts(cells: pl.Series) -> bool:
    """Return whether a column holds the number of an account on nearly every row."""
    if not (is_text(cells.dtype) or cells.dtype.is_integer()) or not cells.len():
        return False
    numbers = cells.cast(pl.String).str.contains(r"^\s*\d{3,8}\s*$").fill_null(value=False)
    return bool(numbers.mean() >= FEW_KEYS and cells.n_unique() <= FEW_KEYS * cells.len())  # type: ignore[operator]


def ledger_kinds(
    words: dict[str, str], cells: pl.Series, worth: pl.Series | None, columns: Columns
) -> dict[str, str]:
    """Give the kind of row of each word of a ledger; empty where a column holds none.

    ``words`` are as `segkit.intake.statuses.spelt` writes them; ``cells`` and ``worth`` are the
    word and the money of each row.
    """
    parts = {
        word: next((kind for kind in _PARTS if _LEDGER[kind].fullmatch(text)), None)
        for word, text in words.items()
    }
    by_part: dict[str, list[str]] = {}
    for word, part in parts.items():
        by_part.setdefault(part or "", []).append(word)
    sales, receipts = by_part.get("invoice", []), by_part.get("receipt", [])
    is_paid_again = bool(receipts) and _repeat(receipts, sales, cells, worth, columns)
    if not sales or "" in by_part or not ("purchase" in by_part or is_paid_again):
        return {}
    paid = {
        word for word in receipts if is_paid_again or not _LEDGER["own_sale"].fullmatch(words[word])
    }
    positive = set() if worth is None else {*cells.filter(worth > 0)}
    kinds = {"purchase": "other", "journal": "other", "credit": "return"}
    read = {word: kinds.get(part or "", "line") for word, part in parts.items()}
    read |= dict.fromkeys(paid, "other")
    return {
        word: "line" if kind == "return" and worth is not None and word not in positive else kind
        for word, kind in read.items()
    }


_PARTS = ("invoice", "credit", "receipt", "purchase", "journal")


def _repeat(
    words: list[str],
    sales: list[str],
    cells: pl.Series,
    worth: pl.Series | None,
    columns: Columns,
) -> bool:
    """Return whether rows repeat sums of sales of the same account, as receipts of invoices do."""
    if worth is None or not sales:
        return False
    met, sold = cells.is_in(words), cells.is_in(sales)
    sums = [shown.numbers for shown in columns.profiles.values() if shown.numbers is not None]
    sums = [numbers for numbers in sums if numbers.len() == worth.len()]
    who = columns.source("customer_id")  # else any column could be the account
    for name in columns.raw.columns if who is None else [who]:
        keys = columns.cells(name).cast(pl.String)
        if not 1 < keys.n_unique() <= FEW_KEYS * keys.len() or keys.equals(cells):
            continue
        pairs = pl.DataFrame({"key": keys, "money": worth}).filter(met).drop_nulls()
        sums_of_sales = pl.concat(
            pl.DataFrame({"key": keys, "money": numbers}).filter(sold) for numbers in [worth, *sums]
        ).unique()
        both = pairs.join(sums_of_sales, on=["key", "money"], how="semi")
        if pairs.height and both.height > REPEATED * pairs.height:
            return True
    return False


def mark_kinds(header: str, cells: pl.Series, worth: pl.Series | None) -> dict[str, str]:
    """Give the kind of row of marks of debit and credit; empty where a column holds none.

    The mark with more rows is taken for the sales, the other one for what reduces them.

    Examples
    --------
    >>> mark_kinds("S/H", pl.Series(["S", "S", "H"]), pl.Series([9.0, 5.0, 2.0]))
    {'S': 'line', 'H': 'return'}
    """
    counts = cells.drop_nulls().value_counts(sort=True, name="rows")
    words = counts[cells.name].to_list()
    pair = frozenset(map(spelt, words))
    marks = {frozenset(both.split()) for both in WORDS["marks"]["pairs"]}
    short = any(len(word) < 3 for word in pair)
    if len(words) != 2 or pair not in marks:
        return {}
    if short and not re.search(WORDS["marks"]["headers"], plain(header)):
        return {}
    first, other = words
    if worth is not None and not (worth.filter(cells == other) > 0).any():
        return {}  # the sign of the money says it
    return {first: "line", other: "return"}
