"""Scores of raw columns for the roles of order lines, from names, values and their fit.

A role is a column of the contract. Its score per column comes from the concepts that the header
names, from what the values show, and from whether they fit the other columns: an order has one
customer and one time; quantity times price is the amount.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from math import inf

import polars as pl

from segkit.intake.cells import is_header, is_text
from segkit.intake.equations import Equation, weigh_equations
from segkit.intake.evidence import (
    ENOUGH,
    FEW,
    ColumnProfile,
    are_sums,
    constant_within,
    find_order_numbers,
    folded,
)
from segkit.intake.factors import EXACT, LEAD, LEAST, Scores, best_column, weigh_money
from segkit.intake.headers import (
    WORDS,
    concepts,
    is_address_part,
    names_companion,
    pattern,
    plain,
    regex,
    without_number,
)
from segkit.intake.reshape import name_pairs
from segkit.intake.statuses import CREDIT, refund_meaning, row_meaning, status_meaning

# Per role: combinations of concepts in a header with their scores, and the concepts beside them
# that take little away; every other concept means something else ("customer name").
ORDERS: dict[str, tuple[list[tuple[frozenset[str], float]], frozenset[str]]] = {
    role: (
        [(frozenset(words.split()), score) for words, score in item["named"]],
        frozenset(item["light"].split()),
    )
    for role, item in WORDS["roles"].items()
}
_POSTCODE = pattern("postcode")
SAME_SUMS = 0.7  # of the rows, on which what a customer pays is an amount, too
MOST_STATES = 12  # of an order, where as many codes could be of regions
MOST_ORDERS = 0.9  # of the rows, where an order has several lines
SURE = 2.9  # a score by which a column is an order number, whatever the others are
ADJUSTED = frozenset(WORDS["headers"]["adjusted"].split())
# What a header of codes of currencies may name beside: "WKZ Umsatz".
_BESIDE_CODES = frozenset(["currency", "order", "buy", "amount", "revenue", "price", "total", "id"])
_FOREIGN, _LIGHT, _UNKNOWN, _COMPANION = 1.6, 0.15, 0.2, 0.9


def name_score(role: str, header: str) -> float:
    """Score a header for a role by the concepts that it names; zero if none fits.

    Examples
    --------
    >>> name_score("amount", "Order total"), name_score("amount", "Tax total")
    (2.45, 1.0)
    """
    if plain(without_number(header)) == role:
        return EXACT
    meant, unknown = concepts(header)
    combinations, light = ORDERS[role]
    best = 0.0
    for wanted, score in combinations:
        if wanted <= meant:
            beside = meant - wanted
            foreign = len(beside - light)
            off = _LIGHT * (len(beside) - foreign) + _FOREIGN * foreign + _UNKNOWN * unknown
            best = max(best, round(score - off, 3))
    return best


def _fits(role: str, header: str, shown: ColumnProfile) -> float | None:
    """Return what a column's values add to its score for a role; None if they exclude it."""
    enough = shown.rows >= ENOUGH
    if not shown.distinct:  # a list, or a table without rows
        return None if shown.filled else 0.0
    if role.endswith("_id"):
        return _fits_id(role, header, shown)
    if role in ("amount", "unit_price", "refund", "discount", "quantity"):
        return _fits_number(role, shown)
    if role == "email":
        return _fits_email(header, shown)
    if role == "order_time":
        return _fits_time(shown)
    if role == "currency" and not shown.currency:
        return None if enough or shown.numbers is not None else 0.0
    if role == "status":
        return _fits_status(header, shown)
    if role == "is_return":
        return 0.0 if shown.is_flag or 0 < len(shown.words) <= 3 else None
    if role == "cancelled_at":
        says_so = {*map(status_meaning, shown.words)} == {"cancelled"} and shown.filled < 1
        is_date = shown.dated and (shown.filled < 1 or not enough)
        return 0.0 if shown.is_flag or is_date or says_so else None
    return None if shown.is_money or shown.dated else 0.0


def _fits_time(shown: ColumnProfile) -> float | None:
    """Return what dates add; words without a figure, as of time zones, are none."""
    worded = shown.words and not any(re.search(r"\d", word) for word in shown.words)
    if worded and shown.rows >= ENOUGH:
        return None
    return 0.5 if shown.dated else -0.5


def _fits_email(header: str, shown: ColumnProfile) -> float | None:
    """Return what addresses add; the fuller of two columns is rather the customer's.

    That of a recipient, a participant or a guest is the last that is taken.
    """
    enough = shown.rows >= ENOUGH
    if shown.emails < 0.3 or (enough and shown.distinct == 1):
        return None
    score = (0.3 if holds_addresses(shown) else 0.0) - (1 - shown.filled if enough else 0.0)
    return score - _COMPANION * names_companion(header)


def holds_addresses(shown: ColumnProfile | None) -> bool:
    """Return whether nearly all values of a column are e-mail addresses."""
    return shown is not None and shown.emails >= 0.8


def _fits_id(role: str, header: str, shown: ColumnProfile) -> float | None:
    enough, meant = shown.rows >= ENOUGH, concepts(header)[0]
    is_paid = role == "customer_id" and "payment" in meant  # what the customer paid
    numbers = None if "id" in meant else shown.numbers
    is_sum = numbers is not None and (is_paid or are_sums(numbers))
    is_sum |= shown.counts_persons
    is_sum |= role in ("customer_id", "loyalty_id") and _is_address_part(header, shown)
    if shown.dated or shown.is_money or is_sum or (shown.is_flag and enough):
        return None
    if role == "product_id":
        return 0.0
    if enough and shown.distinct == 1 and role != "customer_id":
        return None
    score = -2.0 if enough and shown.distinct == 1 else 0.0
    if enough and shown.filled < (0.6 if role == "order_id" else 0.3):
        score -= 2.0
    if role in ("loyalty_id", "device_id") and enough and shown.distinct == shown.rows:
        score -= 1.0
    if role == "device_id" and enough and shown.distinct <= FEW:
        return None  # models of devices
    if role == "order_id" and {"amount", "total"} & meant and "id" not in meant:
        return None  # the invoice's amount
    if role == "order_id" and not {"id", "order"} & meant:
        score += 1.6 if shown.codes >= 0.9 else -2.0  # Shopify calls its number "Name"
    if role == "order_id" and enough and shown.codes >= 0.9 and "id" in meant:
        score += 0.7 if shown.distinct == shown.rows - shown.cells.null_count() else 0.3
    return score


def _is_address_part(header: str, shown: ColumnProfile) -> bool:
    """Return whether a column holds postcodes, cities or streets, by header or values."""
    if shown.emails >= 0.3:
        return False
    if is_address_part(header):
        return True
    cells = shown.cells.drop_nulls().cast(pl.String).str.strip_chars()
    is_numbered = "id" in concepts(header)[0] or shown.rows < ENOUGH
    return not is_numbered and bool(cells.str.contains(_POSTCODE).mean() >= 0.95)  # type: ignore[operator]


def _fits_number(role: str, shown: ColumnProfile) -> float | None:
    if shown.numbers is None or (shown.dated and role != "quantity"):
        return None
    values = shown.numbers.drop_nulls()
    if role == "quantity":
        return None if shown.is_money and shown.share_whole < 0.5 else 0.0
    if shown.rows >= ENOUGH and not (values != 0).any():
        return -2.0 if role in ("amount", "unit_price") else -0.6
    is_part = shown.rows >= ENOUGH or "amount" not in concepts(shown.name)[0]
    if role == "refund" and shown.is_flag and is_part:
        return None
    return 0.0


def _fits_status(header: str, shown: ColumnProfile) -> float | None:
    meant, _ = concepts(header)
    are_ids = {"region", "id"} <= meant <= {"region", "id", "status"}
    is_free = 2 * shown.distinct > shown.filled * shown.rows  # text, in a column of notes
    if (are_ids and shown.distinct > MOST_STATES) or (
        is_free and regex("notes").search(plain(header))
    ):
        return None
    meant -= {"id"} if "status" in meant else set()
    if "shipping" in meant or (
        "refund" in meant and any(refund_meaning(w) != status_meaning(w) for w in shown.words)
    ):
        return None
    if shown.is_flag and meant <= {"payment", "status"} and "payment" in meant:
        return 2.5
    is_named = "status" in meant and meant <= {"status", "order", "payment", "buy"}
    if shown.is_flag or not shown.words:  # states as numbers are asked
        is_named |= "status" in meant and meant <= {"status", "order", "payment", "buy", "region"}
        is_code = shown.is_flag or (shown.distinct <= FEW and shown.share_whole == 1)
        return 0.0 if is_named and is_code and shown.distinct > 1 else None
    meanings = [status_meaning(word) for word in shown.words]
    is_state = "status" in meant or {"unpaid", "cancelled"} <= {*meanings}
    if not is_state and any(re.search(CREDIT, word.lower()) for word in shown.words):
        return None  # sales and refunds as rows of their own: a question of signs
    if "type" in meant and "status" not in meant:  # payouts, fees, refunds: kinds of rows
        is_kind = any(row_meaning(word) not in (None, "line") for word in shown.words)
        if is_kind or not {*meanings} - {None, "sale"}:
            return None
    share_known = sum(meaning is not None for meaning in meanings) / len(meanings)
    score = 0.5 if share_known >= 0.5 else 0.0 if is_named and len(meanings) > 1 else -1.5
    if any(meaning not in (None, "sale") for meaning in meanings):
        score += 0.8 if "sale" in meanings else 0.6
        if share_known == 1 and len(meanings) > 1:
            score += 1.0
    return score


def assign_roles(scores: Scores, taken: set[str], fixed: Collection[str]) -> dict[str, str]:
    """Give each role its best column, the surest pair first; no column has two roles."""
    pairs = [
        (score, role, header)
        for role, columns in scores.items()
        for header, score in columns.items()
        if score >= LEAST and role not in fixed
    ]
    chosen: dict[str, str] = {}
    used = set(taken)
    for _, role, header in sorted(pairs, key=lambda pair: -pair[0]):
        if role not in chosen and header not in used:
            chosen[role] = header
            used.add(header)
    return chosen


def close_rivals(
    scores: Scores,
    columns: dict[str, str],
    used: Collection[str],
    is_no_rival: Callable[[str, str, str], bool],
) -> Iterator[tuple[str, list[str]]]:
    """List the roles whose best column leads by too little, with all that could be meant."""
    for role, best in columns.items():
        ranked = scores.get(role, {})
        close = [
            header
            for header, score in sorted(ranked.items(), key=lambda item: -item[1])
            if header not in used
            and score >= LEAST
            and score > ranked.get(best, inf) - LEAD
            and not is_no_rival(role, header, best)
        ]
        if close:
            yield role, [best, *close]


def _score_values(role: str, header: str, shown: ColumnProfile) -> float:
    """Score what values alone name: addresses, codes of currencies, words that may be states."""
    if role == "email":
        return 2.3 * (shown.emails >= 0.9)
    if role == "status":
        return 0.1 * (len(shown.words) > 1)
    if role != "currency" or not shown.currency:
        return 0.0
    meant = concepts(header)[0]
    is_stated = "currency" in meant and shown.distinct == 1  # whosever it is
    if "currency" not in meant and all(re.fullmatch("[A-Za-z]{2}", word) for word in shown.words):
        return 0.0  # languages or countries, as French or France
    return 1.8 if meant - _BESIDE_CODES and is_stated else 2.0 * (not meant - _BESIDE_CODES)


def score_columns(profiles: dict[str, ColumnProfile], equations: list[Equation]) -> Scores:
    """Score every column for every role of the orders by name and values."""
    scores: Scores = {role: {} for role in ORDERS}
    for header, shown in profiles.items():
        for role in ORDERS:
            by_name = name_score(role, header)
            by_name = max(by_name, _score_values(role, header, shown))
            if not by_name:
                continue
            fits = _fits(role, header, shown)
            if by_name == EXACT:
                fits = fits or 0.0
            if fits is not None:
                scores[role][header] = by_name + fits
    weigh_equations(scores, [e for e in equations if e.kind != "discount"], LEAST, LEAD)
    weigh_money(scores, profiles)
    for name in chain.from_iterable(name_pairs([*profiles])):  # half a name tells nobody
        scores["customer_id"].pop(name, None)
    _drop_sums(scores, profiles)
    weigh_equations(scores, [e for e in equations if e.kind == "discount"], LEAST, LEAD)
    _weigh_orders(scores, profiles)
    _rest_payments(scores, profiles)
    return scores


def _drop_sums(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Take no customer from a column that says on most rows what an amount says, too."""
    for header in [*scores["customer_id"]]:
        values = profiles[header].numbers
        if values is None or "id" in concepts(header)[0] or profiles[header].rows < ENOUGH:
            continue
        for other, score in scores["amount"].items():
            amounts = profiles[other].numbers
            if other == header or score < LEAST or amounts is None:
                continue
            if (values == amounts).fill_null(value=False).mean() > SAME_SUMS:  # type: ignore[operator]
                del scores["customer_id"][header]
                break


def credit_and_debit(profiles: dict[str, ColumnProfile]) -> tuple[str, str] | None:
    """Find the columns of money received and money paid out, of which each row fills one.

    Of several pairs that with the most money: after fees less is left.
    """
    by_name = {plain(header): header for header in profiles}
    pairs = {}
    for name, debit in by_name.items():
        for paid, received in WORDS["debits"].items():
            other = "_".join(received if w == paid else w for w in name.split("_"))
            credit = by_name.get(other)
            if other == name or credit is None:
                continue
            pair = [profiles[header].numbers for header in (credit, debit)]
            if pair[0] is None or pair[1] is None:
                continue
            used = [(numbers.fill_null(0) != 0) for numbers in pair]  # type: ignore[union-attr]
            if (used[0] & used[1]).mean() <= 0.05 and (used[0] | used[1]).mean() >= 0.9:  # type: ignore[operator]
                pairs[credit, debit] = float(pair[0].sum()) * all(one.any() for one in used)
    best = max(pairs, key=lambda pair: pairs[pair], default=None)
    return best if best is not None and pairs[best] else None


def adjusted_columns(headers: Iterable[str]) -> dict[str, str]:
    """Pair each column with the one that holds its values as adjusted, by name.

    Examples
    --------
    >>> adjusted_columns(["Order Total", "Adjusted Order Total", "Adjusted Fee"])
    {'Order Total': 'Adjusted Order Total'}
    """
    by_name = {plain(header): header for header in headers}
    pairs = {}
    for name, header in by_name.items():
        bare = "_".join(word for word in name.split("_") if word not in ADJUSTED)
        if bare != name and bare in by_name:
            pairs[by_name[bare]] = header
    return pairs


def _weigh_orders(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Favour an order id whose lines have one customer and one time."""
    _favour_constant(scores, profiles)
    when = best_column(scores, "order_time")
    who = best_column(scores, "customer_id") or best_column(scores, "email")
    for header, score in scores["order_id"].items():
        if score < 1.0 or profiles[header].rows < ENOUGH:
            continue
        counts = _counts_rows(profiles[header]) and (
            _are_grouped(scores, profiles, header) or _has_numbers(profiles, header, who, when)
        )
        if counts or (when and who and _numbers_lines(scores, profiles, header, (when, who))):
            scores["order_id"][header] = score - 2.0
            continue
        cells = profiles[header].cells
        shares = [
            share
            for other in (when, who)
            if other
            and other != header
            and (share := constant_within(cells, folded(profiles[other]))) is not None
        ]
        if (
            not shares
            and when
            and who
            and "id" in concepts(header)[0]
            and all(is_header(profiles[name].cells, cells) for name in (when, who))
        ):  # on the first line of each number alone
            scores["order_id"][header] = score + LEAD
            continue
        if score >= SURE and who is None:  # an order is paid at the second attempt
            shares = []
        if shares and shares[-1] >= 0.98 and score >= SURE:  # settled and refunded on several days
            shares = shares[-1:]
        if shares and min(shares) < 0.7 and score < EXACT:
            scores["order_id"][header] = score - 2.0
        elif shares and min(shares) >= 0.98:
            scores["order_id"][header] = score + 0.4


def _rest_payments(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Take an order's number before the id of its payment; so, too, an id that tells as much."""
    ranked = scores["order_id"]
    meant = {header: concepts(header)[0] for header in ranked}
    payments = [h for h in ranked if {"payment", "id"} <= meant[h] and ranked[h] < EXACT]
    numbers = [
        h
        for h, score in ranked.items()
        if score >= LEAST and "id" in meant[h] and "payment" not in meant[h]
        and not _counts_rows(profiles[h])
    ]  # fmt: skip
    for header in payments:
        shown = profiles[header]
        before = [
            ranked[other]
            for other in numbers
            if ("order" in meant[other] and ranked[other] >= SURE)
            or (
                constant_within(shown.cells, profiles[other].cells) in (None, 1.0)
                and profiles[other].distinct >= shown.distinct
            )
        ]
        if before:
            ranked[header] = min(ranked[header], max(before) - LEAD)


def _counts_rows(shown: ColumnProfile) -> bool:
    """Return whether a column that names no order numbers the rows: 1, 2, 3 ..."""
    if shown.numbers is None or "order" in concepts(shown.name)[0]:
        return False
    steps = shown.numbers.diff().drop_nulls()
    return bool(steps.len() and (steps == 1).mean() >= 0.99)  # type: ignore[operator]


def _numbers_lines(
    scores: Scores, profiles: dict[str, ColumnProfile], header: str, same: tuple[str, str]
) -> bool:
    """Return whether a column is another on each row, and another groups the rows as orders.

    The other's rows have one customer and one time; it names an order, too.
    """
    if profiles[header].distinct < profiles[header].rows or header in same:
        return False
    for other, score in scores["order_id"].items():
        shown = profiles[other]
        is_order = {"order", "id"} <= concepts(other)[0] and score >= 1.0 and other not in same
        if not is_order or not shown.filled or shown.distinct > MOST_ORDERS * shown.rows:
            continue
        shares = [constant_within(shown.cells, folded(profiles[name])) for name in same]
        if all(share is not None and share >= 0.98 for share in shares):
            return True
    return False


def _has_numbers(
    profiles: dict[str, ColumnProfile], header: str, who: str | None, when: str | None
) -> bool:
    """Return whether another column is one on all rows that a customer has at one time."""
    if who is None or when is None:
        return False
    other = find_order_numbers(profiles, profiles[who], profiles[when], {who, when, header})
    return other is not None and profiles[other].distinct < profiles[header].distinct


def _are_grouped(scores: Scores, profiles: dict[str, ColumnProfile], header: str) -> bool:
    """Return whether another column that could be the order id groups the rows."""
    return any(
        score >= 1.0 and other != header and profiles[other].distinct < profiles[other].rows
        for other, score in scores["order_id"].items()
    )


def _favour_constant(scores: Scores, profiles: dict[str, ColumnProfile]) -> None:
    """Favour times and addresses that are one on the lines of an order, where others differ."""
    named = {
        h: s for h, s in scores["order_id"].items() if s >= SURE and profiles[h].rows >= ENOUGH
    }
    if not named:
        return
    keys = profiles[max(named, key=lambda header: named[header])].cells
    for role in ("order_time", "email"):
        for header in scores[role]:
            share = constant_within(keys, folded(profiles[header]))
            shown = profiles[header]
            if share is None or header in named or not (shown.dated or shown.emails):
                continue
            if share >= 0.98:
                scores[role][header] += LEAD
            elif share < 0.9:  # of the line: an attendee's address, a line's own date
                scores[role][header] = min(scores[role][header], SURE) - LEAD


def discount_unit(columns: dict[str, str], profiles: dict[str, ColumnProfile]) -> str | None:
    """Return whether discounts are shares or percent, by header, sums and range."""
    shown = profiles.get(columns.get("discount", ""))
    if shown is None or shown.numbers is None:
        return None
    if "percent" in concepts(shown.name)[0]:
        top = shown.numbers.abs().max()
        return "share" if top is not None and top <= 1 and (shown.numbers != 0).any() else "percent"  # type: ignore[operator]
    if is_text(shown.cells.dtype) and shown.cells.drop_nulls().str.contains("%").mean() > 0.5:  # type: ignore[operator]
        return "percent"
    named = [profiles.get(columns.get(n, "")) for n in ("quantity", "unit_price", "amount")]
    rate = shown.numbers.abs().fill_null(0)
    off = rate.filter(rate > 0)
    if not off.len():
        return None
    if all(item is not None and item.numbers is not None for item in named):
        units, prices, amounts = (item.numbers for item in named)  # type: ignore[union-attr]
        gross = units * prices  # type: ignore[operator]
        fits = {
            unit: ((net - amounts).abs() <= 0.011).filter(rate > 0).mean() or 0.0
            for unit, net in (
                ("share", gross * (1 - rate)),
                ("percent", gross * (1 - rate / 100)),
                ("money", gross - rate),
            )
        }
        unit = max(fits, key=lambda name: fits[name])
        if fits[unit] >= 0.9:  # type: ignore[operator]
            return None if unit == "money" else unit
    priced = [item.numbers for item in named[1:] if item is not None and item.numbers is not None]
    usual = max((float(values.abs().median() or 0) for values in priced), default=0.0)  # type: ignore[arg-type]
    return "share" if off.len() >= 5 and float(off.max()) < 1 and usual >= 2 else None  # type: ignore[arg-type]
