"""Proposal of a mapping: every column of the orders weighed for every role.

The lead over the runner-up decides between proposed and asked; see `segkit.intake.roles` for the
scores. The other tables are read by their headers alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

import polars as pl

from segkit.display import counted, percent
from segkit.errors import MappingError
from segkit.intake.amounts import (
    about_empty_amounts,
    about_tips,
    about_unit,
    differ_by_tax,
    is_of_order,
    is_same,
    is_total_of_orders,
    say_sums,
    settle_totals,
    stated_currency,
    take_home,
)
from segkit.intake.answers import mapping_of, offered_answers, quote_text
from segkit.intake.bookings import refuse_bookings
from segkit.intake.columns import Columns, Shared
from segkit.intake.consents import CONSENTS, about_consents, is_consent
from segkit.intake.customers import choose_customer, take_personal_number
from segkit.intake.doubted_ids import settle_spellings
from segkit.intake.equations import (
    about_equations,
    find_equations,
    is_discount_taken,
    is_net_of_refunds,
)
from segkit.intake.evidence import (
    ENOUGH,
    ColumnProfile,
    constant_within,
    find_order_numbers,
    same_groups,
)
from segkit.intake.exchange import about_currencies
from segkit.intake.exclusions import about_exclusions
from segkit.intake.factors import EXACT, LEAD, LEAST, Scores
from segkit.intake.flags import (
    find_links,
    flag_meanings,
    is_state_flag,
    place_flags,
    settle_words,
)
from segkit.intake.headers import concepts, without_prefix
from segkit.intake.kinds import about_other_rows
from segkit.intake.layouts import match_customer_columns, preset_mapping
from segkit.intake.lookups import find_attributes, propose_by_header
from segkit.intake.mapping import STATUS_COLUMNS, Mapping, TableMapping, lacks
from segkit.intake.money import (
    about_discounts,
    about_minor_units,
    about_non_products,
    about_overlaps,
    about_summaries,
    about_tests,
    about_totals,
    ask_debits,
)
from segkit.intake.numbering import (
    about_numbering,
    find_main,
    find_repeating,
    other_numbers,
    return_prefix,
)
from segkit.intake.numbers import code_of
from segkit.intake.orders import total_lines
from segkit.intake.pieces import take_pieces_off
from segkit.intake.questions import Finding, about_rivals, open_questions
from segkit.intake.roles import (
    adjusted_columns,
    assign_roles,
    close_rivals,
    credit_and_debit,
    discount_unit,
    holds_addresses,
    score_columns,
)
from segkit.intake.sanity import refuse_other_tables, refuse_without_customers
from segkit.intake.states import about_returns, about_statuses
from segkit.intake.statuses import read_statuses, status_meaning
from segkit.intake.tried import LATER
from segkit.intake.void import about_void
from segkit.schema import CONTRACTS

MOST_OFFERED = 3
NEARLY_ALL = 0.98  # of the rows have a date
# What names the time of an order, and of what is paid out for it.
_PLACED, _PAID_OUT = frozenset(["order", "buy", "created"]), frozenset(["balance", "converted"])
_DAY, _SAME_DAY = 10, 0.95  # characters of a day; share of rows on which two times have one
FEW_CUSTOMERS, RIVAL = 20, 0.1  # of a column of places, beside ten times as many customers


@dataclass(frozen=True, slots=True)
class _Draft:
    """A mapping of orders in the making: the columns chosen so far, and what chooses them."""

    frame: pl.DataFrame
    given: Mapping
    part: TableMapping
    profiles: dict[str, ColumnProfile]
    scores: Scores
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> dict[str, str]:
        return {**self.columns, **self.part.columns}

    @property
    def used(self) -> set[str]:
        return {*self.part.columns.values(), *self.columns.values()}

    @property
    def fixed(self) -> set[str]:
        """The roles that the mapping as given fills itself."""
        constant = {*STATUS_COLUMNS, "is_return", "refund"} & {*self.part.constants}
        return {*self.part.columns, *constant}

    def profile(self, role: str) -> ColumnProfile | None:
        return self.profiles.get(self.whole.get(role, ""))


def propose_orders(raw_columns: Columns) -> tuple[TableMapping, list[Finding]]:
    """Propose columns and options for raw order lines, from names, values and their fit."""
    frame, given, profiles = raw_columns.raw, raw_columns.mapping, raw_columns.profiles
    part = given.tables.get("orders", TableMapping())
    equations = find_equations(profiles)
    scores = score_columns(profiles, equations)
    draft = _Draft(frame, given, part, profiles, scores)
    columns, fixed, taken = draft.columns, draft.fixed, set(part.columns.values())
    consents = [name for name in profiles if is_consent(raw_columns, name)]
    no_states = {*given.option("orders", "not_states"), *consents}
    for role in ("status", "cancelled_at", "is_return"):
        scores[role] = {h: score for h, score in scores[role].items() if h not in no_states}
    adjusted = _favour_adjusted(scores, profiles)
    columns.update(assign_roles(scores, taken, fixed))
    _settle_returns(draft)
    if "order_time" not in fixed:
        columns.update(_better_date(draft))
    questions: list[Finding] = []
    if "customer_id" not in fixed:
        questions += choose_customer(frame, columns, draft.whole, scores)
        take_personal_number(columns, profiles, taken)
    if holds_addresses(profiles.get(draft.whole.get("customer_id", ""))):
        columns.pop("email", None)  # another one is of somebody else
    numbered = _number_orders(draft)
    constants, asks = ({}, []) if "currency" in fixed else take_home(columns, scores, profiles)
    settled, more = settle_totals(columns, scores, profiles, draft.whole, given)
    questions += [*_rivals(draft), *numbered, *asks, *more]
    pair = credit_and_debit(profiles) if "amount" not in fixed else None
    if pair is not None:
        columns["amount"] = pair[0]
        questions = [item for item in questions if item.column != "amount"] + ask_debits(*pair)
    if "refund" in columns and is_net_of_refunds(draft.whole, profiles):
        del columns["refund"]  # they have come off the amount already
        constants["refund"] = 0
    asks = about_equations(columns, equations)
    questions += asks
    questions += [item for item in _note_money(columns) if not asks or item.column != "amount"]
    whole = draft.whole
    if not {"currency"} & {*whole, *constants, *part.constants}:
        constants |= stated_currency(whole, profiles, given)
    named = profiles[columns["currency"]].words if "currency" in columns else ()
    codes = {word: code for word in named if (code := code_of(word)) not in (None, word.upper())}
    values = _place_states(draft, no_states)
    values |= {"currency": {**codes}} if codes else {}
    attributes = find_attributes(frame, draft.used)
    columns.update({role: header for role, header in attributes.items() if role not in fixed})
    options: dict[str, object] = {**settled}
    changed = adjusted.get(whole.get("amount", ""))
    if changed is not None and not {"refund", "is_return"} & {*columns, *fixed}:
        columns["refund"], options["refund_is"] = changed, "left"
    prefix, unit = return_prefix(frame, TableMapping(whole)), discount_unit(whole, profiles)
    proposed = Columns("orders", frame, Mapping({**given.tables, "orders": TableMapping(
        whole, {}, values, {**part.options, **options})}))  # fmt: skip
    link = None if {"row_kind", "is_return"} & {*whole, *fixed} else find_links(proposed)
    if link is not None:
        columns["row_kind"] = link
        values["row_kind"] = {"": "line", "*": "return"}
        text = f"{link!r} names the sale that a row gives back: these rows are returns."
        answer = f"[orders] not_states = [{quote_text(link)}], if they are sales"
        questions.append(Finding("info", "orders", "row_kind", text, answer=answer))
    told: dict[str, object] = {"return_prefix": prefix, "discount_unit": unit}
    told["discount_taken"] = is_discount_taken(whole, equations)
    options |= {name: value for name, value in told.items() if value not in (None, "")}
    return TableMapping(columns, constants, values, options), questions


def _favour_adjusted(scores: Scores, profiles: dict[str, ColumnProfile]) -> dict[str, str]:
    """Favour the amount whose adjusted values stand in a column of their own; return the pairs."""
    adjusted = adjusted_columns(profiles)
    for base, header in adjusted.items():
        scores["amount"].pop(header, None)
        if scores["amount"].get(base, 0) >= LEAST:
            scores["amount"][base] += LEAD
    return adjusted


def _settle_returns(draft: _Draft) -> None:
    """Take a flag of returns out where it is a state, or where a refund's money says it better."""
    returned, whole = draft.columns.get("is_return"), draft.whole
    if returned is None:
        return
    is_named = draft.scores["is_return"][returned] >= EXACT
    shown = draft.profiles[returned]
    is_state = not is_named and is_state_flag(draft.frame, TableMapping(whole), shown)
    if is_state or "refund" in whole:
        del draft.columns["is_return"]


def _better_date(draft: _Draft) -> dict[str, str]:
    """Return the only column of dates where none is the time of the order yet.

    A date that a part of the sales lacks, or of delivery or payout, gives way to one that all have.
    """
    best = draft.columns.get("order_time")
    dated = {h: shown for h, shown in draft.profiles.items()
             if shown.dated and not LATER & concepts(h)[0]}  # fmt: skip
    if best is None:
        free = [header for header in dated if header not in draft.used]
        free = [header for header in free if not _PAID_OUT & concepts(header)[0]] or free
        return {"order_time": free[0]} if len(free) == 1 else {}
    shown = draft.profiles[best]
    state = draft.profile("status")
    words = None if state is None else read_statuses(state.cells.cast(pl.String), {})
    may_count = None if words is None else words.is_in(["cancelled", "refunded", "unpaid"]).not_()
    of_sales = shown.cells if may_count is None else shown.cells.filter(may_count.fill_null(True))
    meant = concepts(best)[0]
    is_later = bool(LATER & meant) or (not _PLACED & meant and bool(_PAID_OUT & meant))
    is_full = of_sales.count() >= NEARLY_ALL * of_sales.len()
    if shown.rows < ENOUGH or (is_full and not is_later):
        return {}
    scores = draft.scores["order_time"]
    full = {h: scores.get(h, 0.0) for h, other in dated.items() if other.filled >= NEARLY_ALL}
    full = {
        header: score
        for header, score in full.items()
        if score >= LEAST or (is_later and (_PLACED | {"payment"}) & concepts(header)[0])
    }
    return {"order_time": max(full, key=lambda header: full[header])} if full else {}


def _number_orders(draft: _Draft) -> list[Finding]:
    """Take the order id by its values where no header names one, and say so.

    A number of an order's parts gives way to the order's, as do numbers that share one amount.
    """
    who, when = draft.profile("customer_id"), draft.profile("order_time")
    if (finer := draft.columns.get("order_id")) is not None:
        others = other_numbers(draft.profiles, draft.whole)
        repeating = find_repeating(draft.profiles, draft.whole, others)
        header = repeating or find_main(draft.profiles, draft.whole, others)
        if header is None:
            return []
        draft.scores["order_id"].pop(finer)
        draft.columns["order_id"] = header
        text = (
            f"{header!r} is read as the order id: {draft.whole['amount']!r} is one on all rows of "
            f"each, though {finer!r} differs."
            if repeating
            else f"{header!r} is read as the order id: each has one time, and several {finer!r}."
        )
        answer = f'[orders.columns] order_id = "{finer}", if that is meant'
        return [Finding("info", "orders", "order_id", text, answer=answer)]
    if "order_id" in draft.whole or who is None or when is None:
        return []
    header = find_order_numbers(draft.profiles, who, when, draft.used)
    if header is None:
        return []
    draft.columns["order_id"] = header
    text = (
        f"{header!r} is read as the order id: it is one on all rows that a customer has at one "
        "time, and another on all others."
    )
    answer = f'[orders.columns] order_id = "...", if {header!r} is none'
    return [Finding("info", "orders", "order_id", text, answer=answer)]


def _place_states(draft: _Draft, no_states: set[str]) -> dict[str, dict[str, object]]:
    """Add a second status and flags to the columns; return what their words mean."""
    status, profiles, scores = draft.columns.get("status"), draft.profiles, draft.scores["status"]
    used = draft.used
    others = [h for h, score in scores.items() if h not in used and score >= LEAST]
    for header in sorted(others, key=lambda name: -scores[name]) if status is not None else ():
        meanings = {status_meaning(word) for word in profiles[header].words}
        if _contradicts(profiles[str(status)], profiles[header]):
            continue
        are_codes = not profiles[header].words  # states as numbers are asked
        told = constant_within(profiles[header].cells, profiles[str(status)].cells)
        if are_codes and told == 1 and profiles[str(status)].words:
            continue  # the codes of these words
        if profiles[header].is_flag or are_codes or meanings - {None, "sale"}:
            draft.columns["payment_status"] = header
            break
    values: dict[str, dict[str, object]] = {}
    for role in ("status", "payment_status"):
        header_ = draft.columns.get(role)
        of_payment = header_ is not None and "payment" in concepts(header_)[0]
        if header_ is not None and of_payment and profiles[header_].is_flag:
            values[role] = {**flag_meanings(profiles[header_], "sale", "unpaid")}
    left = {header: shown for header, shown in profiles.items() if header not in no_states}
    flagged, meanings_ = place_flags(TableMapping(draft.whole), left, draft.fixed)
    draft.columns.update(flagged)
    return values | meanings_


def _contradicts(first: ColumnProfile, other: ColumnProfile) -> bool:
    """Return whether a second status would exclude most of what the first says is a sale."""
    states = [
        read_statuses(shown.cells.cast(pl.String), {}, blank=None) for shown in (first, other)
    ]
    sales = states[1].filter(states[0] == "sale")
    return bool(sales.len() and sales.drop_nulls().len() and (sales != "sale").mean() > 0.5)  # type: ignore[operator]


def _rivals(draft: _Draft) -> list[Finding]:
    """Ask which column is meant where the lead of the best is too small, with what each gives."""
    questions = []
    profiles, is_no_rival = draft.profiles, partial(_is_no_rival, draft)
    for role, rivals in close_rivals(draft.scores, draft.columns, draft.used, is_no_rival):
        if role == "discount" or (role == "unit_price" and "amount" in draft.whole):
            continue  # what else stands beside the money is said below it
        order = draft.profile("order_id") if role == "amount" else None
        totals = {name for name in rivals if is_total_of_orders(profiles[name], order)}
        if len(totals) < len(rivals):  # an order's total before a part of it
            state = draft.profile("status")
            of_lines = order and state and not is_of_order(order.cells, state.cells)
            rivals = sorted(rivals, key=lambda name: (name not in totals) != bool(of_lines))
        is_money = role in ("amount", "refund", "unit_price")
        listed = [repr(name) + _say_yield(draft, role, name) for name in rivals[:MOST_OFFERED]]
        kind = "tax" if role == "amount" and differ_by_tax(profiles, rivals) else "rivals"
        answer = "; or ".join(
            f'[orders.columns] {role} = "{name}"'
            + (' with [orders] amount_of = "order"' if name in totals else "")
            for name in rivals
        )
        # A price makes the amount where there is none.
        must = role in ("customer_id", "order_time", "amount", "unit_price")
        asked = about_rivals("orders", role, listed, answer, must, kind)
        questions.append(replace(asked, sums=tuple(rivals[:MOST_OFFERED]) if is_money else ()))
    return questions


def _note_money(columns: dict[str, str]) -> list[Finding]:
    """Say where the values overrule a header: units named amount, a price that is the line's."""
    findings = []
    for role, concept, text in (
        ("quantity", "amount", "holds whole numbers beside a price; it is read as the quantity"),
        ("amount", "price", "grows with the quantity; it is read as the amount of the line"),
    ):
        meant = concepts(columns[role])[0] if role in columns else frozenset()
        if concept in meant and "total" not in meant:
            answer = f"[orders.columns] {'amount' if role == 'quantity' else 'unit_price'}"
            answer += f' = "{columns[role]}", if it is not'
            if role == "amount" and "quantity" not in columns:
                text = "is read as the amount: each row is an order, and none has a quantity"
            text = f"{columns[role]!r} {text}."
            findings.append(Finding("info", "orders", role, text, answer=answer))
    return findings


def _is_no_rival(draft: _Draft, role: str, header: str, best: str) -> bool:
    """Return whether a column says the same as the best one: equal numbers, or groups of rows.

    A time that many rows lack is of payment, delivery or the end beside one that they all have.
    """
    frame, shown, leading = draft.frame, draft.profiles[header], draft.profiles[best]
    if role == "customer_id" and shown.rows >= ENOUGH and shown.distinct < FEW_CUSTOMERS:
        return shown.distinct < RIVAL * leading.distinct
    if role == "order_time" and shown.rows >= ENOUGH:
        days = [one.cells.cast(pl.String).str.head(_DAY) for one in (shown, leading)]
        is_same_day = float((days[0] == days[1]).mean() or 0.0) >= _SAME_DAY  # type: ignore[arg-type]
        if is_same_day or shown.filled < 0.8 * leading.filled:
            return True
    if role not in ("amount", "refund", "discount", "unit_price", "quantity"):
        grouped = frame.height >= ENOUGH and same_groups(frame, header, best)
        return grouped or frame[header].equals(frame[best])
    return is_same(shown.numbers, leading.numbers)


def _say_yield(draft: _Draft, role: str, name: str) -> str:
    """Say in brackets what a column would give; sums are said once all is settled."""
    filled = draft.profiles[name].filled
    if role == "customer_id":
        return f" ({counted(draft.frame[name].drop_nulls().n_unique(), 'customer')})"
    is_said = filled < 1 and role not in ("amount", "refund", "unit_price")
    return f" ({percent(filled)} filled)" if is_said else ""


def settle_mapping(
    raw: dict[str, pl.DataFrame], given: Mapping, shared: dict[str, Shared] | None = None
) -> tuple[Mapping, list[Finding]]:
    """Complete a mapping by proposals where it lacks required columns; list open questions.

    A question of severity "block" prevents the mapping's use. ``shared`` collects the cells read of
    each table, so that they need not be read again.
    """
    if "orders" in raw and "customers" not in raw:
        _refuse_without_table(given, raw["orders"])
    with without_prefix(raw["orders"].columns if "orders" in raw else ()):
        return _settle(raw, given, {} if shared is None else shared)


def _settle(
    raw: dict[str, pl.DataFrame], given: Mapping, shared: dict[str, Shared]
) -> tuple[Mapping, list[Finding]]:
    def columns_of(name: str) -> Columns:
        return Columns(name, raw[name], completed, shared=shared.setdefault(name, {}))

    own, given = given, given.over(preset_mapping(raw, given))
    completed = given
    proposed, questions = _propose_tables(raw, given, columns_of)
    # With the likeliest of the rivals, so that all other questions are asked at the same time.
    completed = given.over(Mapping(proposed))
    if len(raw) > 1:
        completed = match_customer_columns(raw, completed, own)
    if "orders" in raw:
        completed.check_columns("orders", raw["orders"])
        is_proposed = bool(lacks("orders", given.tables.get("orders", TableMapping())))
        refused = _refuse(own, given, columns_of("orders"), is_proposed=is_proposed)
        if refused:
            return completed, refused
        orders = columns_of("orders")
        who = orders.raw.select(orders.id("customer_id")).to_series()
        if orders.source("customer_id") and (totals := total_lines(orders, who)).any():
            # Rejected for certain: their words and money are nothing to ask about.
            return _settle({**raw, "orders": raw["orders"].filter(~totals)}, own, {})
    other_rows = about_other_rows(columns_of("orders"), given) if "orders" in raw else []
    if "orders" in proposed and raw["orders"].height:
        completed, more = _complete_orders(columns_of("orders"), other_rows)
        questions += [*about_empty_amounts(columns_of("orders"), given, questions), *more]
    if "orders" in raw:
        completed = settle_words(columns_of("orders"))
    for name, frame in raw.items():
        completed.check_columns(name, frame)
        questions += _ask_table(columns_of(name), other_rows, with_fx="fx" in raw)
    # The question after kinds of rows asks for returns, and for states of a history, too.
    again = {"is_return" if item.column == "row_kind" else item.column for item in other_rows}
    questions = other_rows + [item for item in questions if item.column not in again]
    if "orders" in raw:
        questions += _ask_exclusions(columns_of("orders"), own, questions, "orders" not in proposed)
    summed = (say_sums(columns_of("orders"), q) if q.sums else [q] for q in questions)
    completed, asks = settle_spellings(raw, completed)
    return completed, [*chain.from_iterable(summed), *asks]


def _refuse_without_table(given: Mapping, orders: pl.DataFrame) -> None:
    """Refuse attributes of customers that name a column of the orders, and have no effect."""
    known = [field.name for field in CONTRACTS["customers"]]
    for name, header in given.tables.get("customers", TableMapping()).columns.items():
        if name not in known and header in orders.columns:
            raise MappingError(
                f"[customers.columns] {name} = {header!r} has no effect without a table of "
                f"customers; a consent that orders state is one of {', '.join(CONSENTS)}"
            )


def _ask_table(columns: Columns, other_rows: list[Finding], *, with_fx: bool) -> list[Finding]:
    """List the questions about one table that its completed mapping leaves open.

    Words of rows that the likeliest answer about ``other_rows`` leaves out are not asked about.
    """
    questions = open_questions(columns) + about_currencies(columns, with_fx=with_fx)
    questions += about_consents(columns)
    if columns.table == "orders":
        columns = _assume(columns, other_rows)
        questions += [*about_statuses(columns), *about_returns(columns)]
    return questions


def _ask_exclusions(
    columns: Columns, own: Mapping, questions: list[Finding], is_own: bool
) -> list[Finding]:
    """Ask about columns that could exclude orders, with the likeliest column for a lacking one."""
    blocks = [item for item in questions if item.severity == "block"]
    lacking = lacks("orders", columns.mapping.tables["orders"])
    likely = _assume(columns, [item for item in blocks if item.column in lacking])
    if lacks("orders", likely.mapping.tables["orders"]):
        return []
    findings = about_exclusions(likely, [item.finding for item in blocks], own=is_own)
    return findings if lacking else findings + about_void(columns, own)


def _assume(columns: Columns, questions: list[Finding]) -> Columns:
    """Return the columns with the likeliest answer to each question."""
    offers = [offer for item in questions for offer in offered_answers(item.answer)[:1]]
    lines = [line for offer in offers if "=..." not in " ".join(offer) for line in offer]
    return replace(columns, mapping=mapping_of(lines).over(columns.mapping)) if lines else columns


def _refuse(own: Mapping, given: Mapping, columns: Columns, *, is_proposed: bool) -> list[Finding]:
    """Refuse what is given as orders and is none: customers, events, bookings, nobody's sales."""
    raw = columns.raw
    refused = refuse_other_tables(columns, given) if is_proposed else []
    mapped = own.tables.get("orders", TableMapping()).columns
    if not refused and not {"row_kind", "status"} & {*mapped}:
        refused = refuse_bookings(raw)
    if not refused and is_proposed:
        refused = refuse_without_customers(columns)
    return refused


def _propose_tables(
    raw: dict[str, pl.DataFrame], given: Mapping, columns_of: Callable[[str], Columns]
) -> tuple[dict[str, TableMapping], list[Finding]]:
    """Propose a mapping for each table whose given one lacks required columns."""
    proposed: dict[str, TableMapping] = {}
    questions: list[Finding] = []
    for name, frame in raw.items():
        part = given.tables.get(name)
        if part is not None and part.columns and not given.leaves(name):
            continue
        if part is not None:
            given.check_columns(name, frame)
        if name == "orders":
            proposed[name], more = propose_orders(columns_of(name))
        else:
            proposed[name], more = propose_by_header(name, frame, given)
        questions += more
    return proposed, questions


def _complete_orders(columns: Columns, other_rows: list[Finding]) -> tuple[Mapping, list[Finding]]:
    """Add what follows from the columns together: totals, rows that sum up, what is no product.

    Where kinds of rows are asked about (``other_rows``), no total is known yet. The question is
    taken out if all its words are sums of the other rows.
    """
    frame, mapping = columns.raw, columns.mapping
    readable = all(
        not frame.schema[raw_column].is_nested()
        for name in ("amount", "quantity", "unit_price", "order_id", "product_id")
        if (raw_column := columns.source(name)) is not None
    )
    if not readable:
        return mapping, []
    numbering, numbered = about_numbering(columns)
    mapping = Mapping({"orders": numbering}).over(mapping)
    columns = replace(columns, mapping=mapping)
    summaries, questions = about_summaries(frame, columns)
    if columns.has("row_kind"):  # asked, as another column tells kinds of rows already
        summaries = TableMapping()
    options: dict[str, object] = {}
    asked = {word for item in other_rows for word in re.findall(r'"([^"]*)" = "', item.answer)}
    if asked and summaries.columns:
        if asked <= {*summaries.values["row_kind"]}:
            other_rows.clear()
        else:
            summaries, questions = TableMapping(), []
    if not summaries.columns and not other_rows:
        options, more = about_totals(frame, columns)
        questions += more
        if not questions and not options:
            summaries, more = about_tests(frame, columns)
            questions += more
    questions += about_overlaps(columns) + about_discounts(columns) + about_unit(columns)
    questions += about_tips(columns)
    minor, more = about_minor_units(columns)
    options |= minor
    questions += more
    codes, more = about_non_products(columns)
    if codes:
        options["non_products"] = codes
    pieces, asked_back = take_pieces_off(columns)
    questions += asked_back
    part = mapping.tables["orders"]
    whole = TableMapping(
        {**summaries.columns, **pieces.columns, **part.columns},
        part.constants,
        {**summaries.values, **part.values},
        {**options, **pieces.options, **part.options},
    )
    mapping = replace(mapping, tables={**mapping.tables, "orders": whole})
    return mapping, numbered + questions + more
