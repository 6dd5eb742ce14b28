"""Words for the state of an order, in the main trading languages, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Mapping as Map
from functools import lru_cache

import polars as pl

from segkit.intake.headers import LETTERS, WORDS, pattern, plain, regex, without_accents

# The worst first: where an order has two statuses, the first of these decides.
STATUSES = ("cancelled", "refunded", "unpaid", "sale")
ROW_KINDS = ("line", "return", "discount", "total", "charge", "test", "other")

# A document that takes a sale back, as a credit note, and any refund as a row of its own.
CREDIT_NOTE = pattern("credit_note")
CREDIT = f"{CREDIT_NOTE}|{pattern('credit')}"


def _pattern(stems: str) -> re.Pattern[str]:
    listed = [stem for line in stems.split("\n") for stem in line.split("|") if stem]
    return re.compile(
        "|".join(rf"\b{stem}" if stem[0].isascii() else stem for stem in listed if stem)
    )


_MEANS = {"asked": None, "paid_waiting": "sale"}
_PATTERNS = {name: _pattern(stems) for name, stems in WORDS["states"].items()}
_AWAITED = {name: _pattern(stems) for name, stems in WORDS["awaited"].items() if name != "small"}
_WAITS = re.compile(rf"(?:{_AWAITED['waits'].pattern})[a-z\u0370-\u06ff]*")
_SMALL = frozenset(WORDS["awaited"]["small"].split())
TAX_INVOICE, UNBINDING = regex("tax_invoice"), regex("unbinding")
_ROW_PATTERNS = (
    (regex("credit_note"), "return"),
    (UNBINDING, "other"),
    (TAX_INVOICE, "line"),
    *((_pattern(stems), name) for name, stems in WORDS["rows"].items()),
)

_AFTER_SALE = re.compile(f"{_PATTERNS['refunded'].pattern}|售后|售後|after ?sales?")


def spelt(word: object) -> str:
    """Write a status word without case, accents and punctuation.

    Examples
    --------
    >>> spelt("wc-on-hold"), spelt(" Annulée "), spelt("Partially_Refunded")
    ('on hold', 'annulee', 'partially refunded')
    """
    text = without_accents(str(word).casefold().replace("ß", "ss"))
    return re.sub(rf"[^{LETTERS}]+|_+", " ", text).strip().removeprefix("wc ") or str(word).strip()


def status_meaning(word: object, own_words: Map[str, str] | None = None) -> str | None:
    """Return what a status word means: a member of ``STATUSES``, or None where it is not known.

    The mapping file's words (``own_words``) go first; "*" is every other word.

    Examples
    --------
    >>> [status_meaning(word) for word in ("Pending Payment", "Recusado", "交易关闭")]
    ['unpaid', 'cancelled', 'cancelled']
    >>> words = "partially_refunded", "partly paid", "No return", "Stage 7"
    >>> [status_meaning(word) for word in (*words, "Contra-Reembolso")]
    ['sale', None, 'sale', None, None]
    >>> status_meaning("holded", {"text of 6 characters": "unpaid"})
    'unpaid'
    """
    text = _state_text(word)
    bare = re.sub(r" ?\S*\d\S*", "", text).strip()  # "Denied 184"
    rest = (own_words or {}).get("*")
    own = {
        _state_text(own_word): meant
        for own_word, meant in (own_words or {}).items()
        if own_word not in ("", "*")
    }
    masked = f"text of {len(str(word))} characters"  # as a question shows a rare one
    if text in own or bare in own or masked in own:
        return own.get(text, own.get(bare, own.get(masked)))
    if rest is not None:
        return rest
    text = regex("on_delivery").sub("cod", text)
    without, partly = regex("without"), regex("partly")
    if without.search(text) and _AFTER_SALE.match(without.sub("", text)):  # "no return"
        return "sale"
    name = _state_name(partly.sub(" ", text).strip())
    if name in ("sale", "refunded") and regex("negated").search(text):
        return None  # "not delivered" is no sale for certain
    if name and partly.search(text):  # the rest of an order that is refunded in part was sold
        return "sale" if name == "refunded" else None
    return _MEANS.get(str(name), name)


@lru_cache(4096)  # questions look at the same words, one after another
def _state_name(text: str) -> str | None:
    names = [name for name, pattern in _PATTERNS.items() if pattern.search(text)]
    waits, is_requested = _WAITS.search(text), _AWAITED["requested"].search(text)
    if "refunded" in names and (waits or is_requested):
        return "asked"  # not yet decided
    is_owed = "unpaid" in names or _AWAITED["payment"].search(text)
    has_goods = _AWAITED["goods"].search(text)
    if "cancelled" in names and (is_requested or (waits and not has_goods and not is_owed)):
        return "asked"  # a deleted order that was to be sent is cancelled
    if not waits or {"asked", "cancelled"} & {*names}:
        return names[0] if names else None
    if has_goods:
        return "asked" if is_owed else "paid_waiting"
    is_bare = {*_WAITS.sub(" ", text).split()} <= _SMALL
    return "unpaid" if is_owed or is_bare else "asked"


def is_part_refund(word: object) -> bool:
    """Return whether a status word says that a part of the order was refunded.

    Examples
    --------
    >>> is_part_refund("Osittain palautettu"), is_part_refund("Palautettu")
    (True, False)
    """
    is_part = regex("partly").search(_state_text(word))
    return bool(is_part) and status_meaning(word) == "sale"


def refund_meaning(word: object) -> str | None:
    """Return what a word says of the order in a column of the states of refunds; None if unknown.

    Examples
    --------
    >>> [refund_meaning(word) for word in ("Completed", "Rejected", "没有申请退款", "退款成功")]
    ['refunded', 'sale', 'sale', 'refunded']
    """
    text = _state_text(word)
    if regex("negated").search(text) or regex("nothing").search(text):
        return "sale"
    meaning = status_meaning(word)
    if meaning == "sale":
        return "sale" if regex("partly").search(text) else "refunded"
    return "sale" if meaning in ("cancelled", "unpaid") else meaning  # refused, or not yet decided


_CODES: dict[str, dict[str, str]] = {
    name: {code: state for state, codes in item.items() for code in codes.split()}
    for name, item in WORDS["codes"].items()
}


def closed_words(words: Iterable[object]) -> dict[str, str]:
    """Read "closed" as a sale where no other word of the column means one.

    Magento closes orders that are refunded, beside complete ones; other systems those that are
    done, beside open and cancelled ones.

    Examples
    --------
    >>> closed_words(["Closed", "Void"]), closed_words(["closed", "complete"])
    ({'Closed': 'sale'}, {})
    """
    texts = [str(word) for word in words]
    if any(status_meaning(word) == "sale" for word in texts):
        return {}
    return {word: "sale" for word in texts if regex("closed").fullmatch(spelt(word))}


def unpaid_words(words: Iterable[object]) -> set[str]:
    """List the words of a column that name what is sent or billed and not paid: to be asked.

    These are words such as "sent" beside "overdue" or "partially paid", and "billed" beside "paid";
    "overdue" is asked with them, so that all are answered alike.

    Examples
    --------
    >>> sorted(unpaid_words(["Sent", "Overdue", "Void"])), unpaid_words(["Sent", "Delivered"])
    (['Overdue', 'Sent'], set())
    """
    texts = {str(word): _state_text(word) for word in words}
    owed = {word for word, text in texts.items() if regex("owed").search(text)}
    issued = {word for word, text in texts.items() if owed and regex("issued").search(text)} - owed
    has_paid = any(map(regex("paid").fullmatch, texts.values()))
    billed = {word for word, text in texts.items() if has_paid and regex("billed").search(text)}
    billed -= owed
    return issued | billed | (owed if issued | billed else set())


def is_of_payment(word: object) -> bool:
    """Return whether a word or header is about a payment: a deposit, what is owed or billed.

    Examples
    --------
    >>> [is_of_payment(word) for word in ("Deposit", "Emitido", "Reserved", "Closed")]
    [True, True, True, False]
    """
    text = _state_text(word)
    named = map(regex, ("held", "owed", "issued", "on_account"))
    return any(one.search(text) for one in (*named, _AWAITED["payment"]))


def on_account_words(words: Iterable[object]) -> set[str]:
    """List the words of invoices that are issued and not, or not wholly, paid.

    Of an invoice, what is expired (Verlopen, Scaduta) is overdue.

    Examples
    --------
    >>> sorted(on_account_words(["Awaiting Payment", "Draft", "Scaduta", "Pending payment"]))
    ['Awaiting Payment', 'Scaduta']
    """
    texts = {str(word): _state_text(word) for word in words}
    issued = unpaid_words(texts)
    return issued | {
        word
        for word, text in texts.items()
        if regex("owed").search(text)
        or (status_meaning(word) in (None, "unpaid") and regex("on_account").search(text))
    }


def likely_status(
    word: object, others: Iterable[object] = (), *, paid: bool = False, header: str = ""
) -> str:
    """Return the meaning to offer for a status word that is not known; "..." if none is likely.

    ``others`` are all words of the column; where another column tells what is ``paid``, an open
    order can count. Codes of some systems are known under their ``header`` alone.

    Examples
    --------
    >>> codes = ["30", "40"]
    >>> [likely_status("40", codes, header=name) for name in ("OrderStatusId", "PaymentStatusId")]
    ['cancelled', 'refunded']
    """
    texts = [*map(str, others)]
    code = _code_meaning(str(word), texts, header)
    if code is not None:
        return code
    if str(word) in unpaid_words(texts):
        return "unpaid"
    meant = status_meaning(word)
    if meant is not None:
        return meant
    meanings_of_others = {status_meaning(other) for other in texts if other != str(word)}
    if regex("held").search(spelt(word)):  # for the buyer, or of his money; a part may be paid
        is_deposit = regex("deposit").search(spelt(word))
        return "unpaid" if "sale" in meanings_of_others and not is_deposit else "..."
    is_negated = len(str(word)) > 1 and regex("negated").search(spelt(word))  # N is a code
    if row_meaning(word) in ("other", "charge") or is_negated:
        return "cancelled"
    if regex("owed").search(_state_text(word)):
        return "unpaid"
    if meanings_of_others and not meanings_of_others & {None, "sale"}:  # all others do not count
        return "sale"
    bare = spelt(word)
    is_open = regex("open").fullmatch(bare)
    if is_open and {"paid", "bezahlt"} & {*map(spelt, texts)}:
        return "unpaid"  # a state of payments
    counts = (paid and is_open) or ("sale" in meanings_of_others and regex("new").fullmatch(bare))
    return "sale" if counts or regex("issued").search(bare) else "..."


def _code_meaning(word: str, texts: list[str], header: str) -> str | None:
    """Return what a code means where all words of the column are codes of one system."""
    for system, codes in _CODES.items():
        named = WORDS["coded_headers"].get(system)
        is_enough = named or system == "rakuten" or len({*texts}) > 2
        if named and not re.search(named, plain(header)):
            continue
        if is_enough and word in codes and {*texts} <= {*codes}:
            return codes[word]
    return None


def _state_text(word: object) -> str:
    """Write a status as `spelt` does, the words of PartiallyPaid parted."""
    return spelt(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(word)))


def row_meaning(word: object) -> str | None:
    """Return what kind of row a word names: a member of ``ROW_KINDS``, or None if it is not known.

    "refunded" is the kind of a word that can be a sale given back or voided, or the row that gives
    it back.

    Examples
    --------
    >>> [row_meaning(word) for word in ("Sale", "Payout", "Service fee", "Chargeback", "Reversed")]
    ['line', 'other', 'charge', 'return', 'refunded']
    >>> [row_meaning(word) for word in ("Annullo scontrino", "Ticket anulado", "Cancellation fee")]
    ['refunded', 'refunded', 'charge']
    """
    return _row_name(regex("on_delivery").sub("cod", _state_text(word)))


@lru_cache(4096)
def _row_name(text: str) -> str | None:
    name = next((meant for pattern, meant in _ROW_PATTERNS if pattern.search(text)), None)
    is_void = name in (None, "line", "return") and regex("void").search(text)
    return "refunded" if is_void else name


def stem(words: pl.Series) -> pl.Series:
    """Write words without the numbers that tell one from the next.

    Examples
    --------
    >>> stem(pl.Series(["Payout #55", "Fee 3/2024", "Sale"])).to_list()
    ['Payout', 'Fee', 'Sale']
    """
    bare = words.str.replace_all(r"\S*\d\S*", " ").str.replace_all(r"[\s#№:;,/–-]+", " ")
    return bare.str.strip_chars(" .")


def read_kinds(cells: pl.Series, kinds: Map[str, str]) -> pl.Series:
    """Return the kind of each row by the mapping's words; a word stands for its numbered ones too.

    The word "*" stands for each word not named, "" for an empty cell.

    Examples
    --------
    >>> read_kinds(pl.Series(["Sale", "Payout #55", None]), {"Payout": "other"}).to_list()
    ['line', 'other', 'line']
    """
    numbered = {word: kind for word, kind in kinds.items() if word and not re.search(r"\d", word)}
    read = cells.replace_strict(kinds, default=None, return_dtype=pl.String)
    other = read.is_null() & cells.str.contains(r"\d").fill_null(value=False)
    if numbered and other.any():
        by_stem = stem(cells.filter(other)).replace_strict(
            numbered, default=None, return_dtype=pl.String
        )
        read = read.scatter(other.arg_true(), by_stem)
    blank = kinds.get("", "line")
    return read.set(cells.is_null(), blank).fill_null(kinds.get("*", "line"))


def read_statuses(
    words: pl.Series, own_words: Map[str, str], *, blank: str | None = "sale"
) -> pl.Series:
    """Return the meaning of each status; null where it is not known.

    Examples
    --------
    >>> read_statuses(pl.Series(["Paid", "n/k", None]), {"n/k": "unpaid"}).to_list()
    ['sale', 'unpaid', 'sale']
    """
    unique = words.drop_nulls().unique()
    meanings = {word: status_meaning(word, own_words) for word in unique.to_list()}
    read = words.replace_strict(
        list(meanings), list(meanings.values()), default=None, return_dtype=pl.String
    )
    blank = own_words.get("", blank)
    return read if blank is None or not words.null_count() else read.set(words.is_null(), blank)
