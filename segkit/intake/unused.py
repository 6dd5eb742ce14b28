"""Unused columns of few words that could tell which orders count, in whatever language.

It is the net under `segkit.intake.exclusions`: a column that says nothing else is shown with its
words and rows. Words of states, a header that names one, or values spread as states are
make it a question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from segkit.display import number, shorten_list
from segkit.intake.cells import NO, YES
from segkit.intake.columns import Columns, Shared
from segkit.intake.consents import is_consent
from segkit.intake.country import country_code
from segkit.intake.evidence import ENOUGH, ColumnProfile, constant_within, sample
from segkit.intake.flags import KINDS, OF_ORDER
from segkit.intake.headers import WORDS, concepts, pattern, plain, regex
from segkit.intake.numbers import CODES
from segkit.intake.privacy import show_state
from segkit.intake.statuses import row_meaning, spelt, status_meaning

MANY_WORDS = 4  # that are spread evenly: places, methods, people
FEW_WORDS, REPEATS = 12, 3  # a column of states has so many words at most, each so often on average
# Most orders are in one state, the next has so many of its rows at most: ways to pay, products and
# channels are spread more evenly. Where dates are missing with one state, half of them are allowed.
OFTEN, NEXT, NEXT_DATED = 0.44, 0.4, 0.5
AT_STAKE, FEWEST_OUT = 0.02, 0.005  # of the money; of the rows, that a known word excludes
MOST_COLUMNS, MOST_SHOWN = 3, 4
CONSTANT, BESIDE = 0.98, 0.9
_SMALL = 0.5  # what does not count is the smaller part
# What a header names that is no state of an order.
_ELSE = frozenset(WORDS["headers"]["no_state"].split())
_TENDERS = re.compile(rf"\b(?:{pattern('tenders')})\b")


def is_named_state(header: str) -> bool:
    """Return whether a header has a fragment of a word for a state, alone or in a compound.

    Examples
    --------
    >>> is_named_state("Auftragszustandskennung"), is_named_state("Trạng thái đơn hàng")
    (True, True)
    >>> is_named_state("Estate")
    False
    """
    return bool(regex("state_header").search(plain(header)))


def unused_words(
    columns: Columns, profiles: dict[str, ColumnProfile], still_counted: pl.Series
) -> dict[str, dict[str, str]]:
    """List the unused columns of few words that say nothing else, with what is known of the words.

    ``profiles`` are those that no question is about, ``still_counted`` the rows that nothing
    excludes so far.
    """
    unused = {}
    for header, shown in profiles.items():
        if _says_something_else(header, shown):
            continue
        cells = columns.fill_orders(columns.cells(header)).cast(pl.String)
        words = cells.filter(still_counted).drop_nulls()
        kinds = words.str.to_lowercase().n_unique() + (words.len() < int(still_counted.sum()))
        if not 2 <= kinds <= FEW_WORDS or words.len() < REPEATS * kinds:
            continue
        meanings = {word: status_meaning(word) for word in sorted(words.unique().to_list())}
        are_sales = {*meanings.values()} == {"sale"} or {*map(row_meaning, meanings)} == {"line"}
        is_idle = are_sales or _is_idle(header, shown, words, {*meanings.values()})
        if is_idle or not _is_of_orders(columns, cells):
            continue
        unused[header] = {word: kind for word, kind in meanings.items() if kind is not None}
    return unused


def _is_idle(
    header: str, shown: ColumnProfile, words: pl.Series, meanings: set[str | None]
) -> bool:
    """Return whether a column cannot exclude orders: stages of shipping, types, an even spread."""
    meant = concepts(header)[0]
    if "shipping" in meant and (shown.is_flag or None not in meanings):
        return not {"cancelled", "refunded"} & meanings
    if meanings & {"cancelled", "refunded", "unpaid"}:
        return False
    counts = words.value_counts(sort=True)["count"]
    is_spread = counts.len() > 1 and counts[1] > NEXT_DATED * counts[0]
    if counts.len() >= MANY_WORDS and meanings == {None}:
        return is_spread  # a state as a part of a country, too
    return not is_named_state(header) and ("type" in meant or (bool(meant) and is_spread))


def is_likely_state(
    columns: Columns, header: str, cells: pl.Series, meanings: dict[str, str]
) -> bool:
    """Return whether the evidence is enough to ask: the header, or words on the smaller part."""
    meant = concepts(header)[0]
    counts = {"sale", "unpaid"} if "shipping" in meant else {"sale"}  # what is sent may be paid
    bad = [word for word, meaning in meanings.items() if meaning not in counts]
    if is_named_state(header) and not {"shipping", "type"} & meant:
        return True
    share = float(cells.is_in(bad).mean() or 0.0) if bad else 0.0  # type: ignore[arg-type]
    if not FEWEST_OUT < share < _SMALL:
        return False
    share_known = len(meanings) / max(cells.drop_nulls().n_unique(), 1)
    return share_known > 1 / 3 or _usual_word(columns, cells) is not None


def likely_unknown(
    columns: Columns, headers: Iterable[str], still_counted: pl.Series, worth: pl.Series | None
) -> dict[str, str]:
    """Find columns of unknown words that are spread as states are, the costliest first.

    Return their headers with the word that most orders have; what one column puts at stake, another
    does not. Without their money (``worth``) all rows count alike.
    """
    height = columns.raw.height
    money = pl.repeat(1.0, height, eager=True) if worth is None else worth.fill_null(0.0).abs()
    stakes: dict[str, pl.Series] = {}
    usual: dict[str, str] = {}

    def sum_of(rows: pl.Series) -> float:
        return float(money.filter(rows).sum())

    for header in headers:
        meant = concepts(header)[0]
        cells = columns.fill_orders(columns.cells(header)).cast(pl.String)
        is_flag = cells.str.to_lowercase().drop_nulls().is_in([*YES, *NO]).all()
        if (
            meant - OF_ORDER - {*KINDS}
            or (meant and is_flag)
            or regex("notes").search(plain(header))
        ):
            continue
        word = _usual_word(columns, cells)
        if word is not None:
            usual[header] = word
            stakes[header] = still_counted & (cells != word).fill_null(value=True)
    words = {}
    for header in sorted(stakes, key=lambda name: -sum_of(stakes[name])):
        stake = still_counted & stakes[header]
        if sum_of(stake) > AT_STAKE * sum_of(still_counted):
            words[header] = usual[header]
            still_counted &= ~stake
    return words


def _usual_word(columns: Columns, cells: pl.Series) -> str | None:
    """Return the word of most orders, if the others are rare as states are; None if not."""
    counts = cells.alias("word").value_counts(sort=True)
    if counts.height < 2 or counts["word"][0] is None:
        return None
    word, first, second = str(counts["word"][0]), *counts["count"].head(2).to_list()
    if first < OFTEN * cells.len() or second > NEXT_DATED * first:
        return None
    return word if second <= NEXT * first or _lacks_dates(columns, cells, word) else None


def _lacks_dates(columns: Columns, cells: pl.Series, usual: str) -> bool:
    """Return whether a date is there with the usual word and missing with another, or so reversed.

    Such is the day of a payment, a delivery or a cancellation.
    """
    for name, shown in columns.profiles.items():
        if not shown.dated or shown.filled == 1:
            continue
        dates = pl.DataFrame({"word": cells, "there": columns.cells(name).is_not_null()})
        shares = dates.group_by("word").agg(pl.len(), pl.col("there").mean())
        first = float(shares.filter(pl.col("word") == usual)["there"][0])
        others = shares.filter((pl.col("len") >= REPEATS) & (pl.col("word") != usual))["there"]
        if (first >= BESIDE and (others <= 1 - BESIDE).any()) or (
            first <= 1 - BESIDE and (others >= BESIDE).any()
        ):
            return True
    return False


def _says_something_else(header: str, shown: ColumnProfile) -> bool:
    """Return whether a column is no state by its header or by its values."""
    meant, _ = concepts(header)
    if shown.rows < ENOUGH or not shown.distinct or shown.dated or shown.emails:
        return True
    is_else = bool(meant & _ELSE or regex("else_header").search(plain(header)))
    if (
        {"dispute", "accepted"} <= meant
        or "tax" in meant
        or (is_else and not is_named_state(header))
    ):
        return True
    if {"customer", "status"} <= meant and not meant & {"order", "payment"}:  # new, regular, guest
        return not {"cancelled", "refunded", "unpaid"} & {*map(status_meaning, shown.words)}
    is_way = "type" in meant or bool(regex("method").search(plain(header)))
    if (is_way and {"payment", "shipping"} & meant) or not (shown.words or shown.is_flag):
        return True
    words = [str(word) for word in shown.words]
    if not words or shown.is_flag:
        return False
    alike = [
        word.upper() in CODES
        or country_code(word) is not None
        or bool(re.search(r"\d", word) or regex("else_words").fullmatch(spelt(word)))
        or bool(_TENDERS.search(spelt(word)))
        for word in words
    ]
    return sum(alike) > 0.5 * len(words) or (len(words) == 1 and words[0].lower() in (*YES, *NO))


def _is_of_orders(columns: Columns, cells: pl.Series) -> bool:
    """Return whether a column is one within an order, and not within a customer or product."""
    for role, is_other in (("order_id", False), ("product_id", True), ("customer_id", True)):
        source = columns.source(role)
        if source is None:
            continue
        keys = columns.orders if role == "order_id" else columns.cells(source).cast(pl.String)
        share = constant_within(keys, cells)
        if share is not None and (share >= CONSTANT) == is_other:
            return False
    return True


def say_uneven(columns: Columns, rows: pl.Series) -> list[str]:
    """Say the words of unused columns that are spread as states are, with the rows that count."""
    used = {*columns.mapping.tables["orders"].columns.values(), *columns.option("not_states")}
    profiles = {
        header: shown
        for header, shown in columns.profiles.items()
        if header not in used and not is_consent(columns, header)
    }
    shared: Shared = {("profiles", columns.nulls): columns.profiles}
    part = Columns("orders", sample(columns.raw), columns.mapping, shared=shared)
    said = []
    unused = unused_words(part, profiles, sample(rows.to_frame("rows"))["rows"])
    for header, meanings in unused.items():
        cells = part.fill_orders(part.cells(header)).cast(pl.String)
        if {*meanings.values()} <= {"sale"} and _usual_word(part, cells) is None:
            continue
        cells = columns.fill_orders(columns.cells(header)).cast(pl.String)
        words = [
            f"{'empty' if word is None else show_state(word, cells)} {number(count)}"
            for word, count in cells.filter(rows).value_counts(sort=True).iter_rows()
        ]
        said.append(f"{header!r} ({', '.join(shorten_list(words, MOST_SHOWN))})")
    return shorten_list(said, MOST_COLUMNS)
