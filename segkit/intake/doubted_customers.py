"""Doubts about the customer of orders: an order's number, guests, a till, names, relays.

Every doubt is a question about what was proposed, with the column that could be the customer
instead; a customer that the mapping file names itself is doubted in a warning.
"""

from __future__ import annotations

import re
from dataclasses import replace

import polars as pl

from segkit.display import counted, money, number, percent
from segkit.ids import fold_ids, is_no_customer
from segkit.intake.cells import MICRO, is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import ENOUGH
from segkit.intake.headers import concepts, is_personal_number, plain
from segkit.intake.questions import Finding
from segkit.intake.store import Intake
from segkit.intake.tried import names_person, other_customers

FEW_PER_CENT = 0.05
MOST = 0.95  # of the rows, on which another column that names customers is filled
MANY_ORDERS = 50
FEW_PEOPLE = {5: 10, 20: 50}  # so few people with more than so many orders each
GUEST_SHARE = 0.2
MANY_NAMES, MANY_SHARED = 4, 0.3  # names of one id, and share of ids with several
MASKED = 0.8  # people on the orders of a domain whose addresses are another one each time
FEW_RETURNED = 0.01  # of the money, given back to those who never bought
FEW_MISSING = 0.1  # of the rows without a customer, where another column names one
MOST_OF, FEWEST_SPLIT, FEW_SPLIT = 0.8, 3, 0.02  # values that stand beside several customers
GUEST_TIMES, GUEST_LINES, GUEST_ORDERS = 4, 50, 20  # or so many times the next customer's


def doubt_customers(
    columns: Columns, taken: Intake, counts: pl.DataFrame, *, named: bool, no_customer: bool
) -> list[Finding]:
    """List the doubts about who the customer is.

    Parameters
    ----------
    columns : Columns
        The raw order lines, as they were mapped.
    taken : Intake
        The result of cleaning by it.
    counts : polars.DataFrame
        Its lines as `segkit.intake.counts.count_lines` counts them.
    named : bool
        Whether the mapping as given names the customer: doubts are warnings then.
    no_customer : bool
        Whether the mapping says which ids are nobody's.

    Returns
    -------
    list of Finding
    """
    guests = [] if no_customer else _doubt_counter(columns)
    if guests and named:
        guests = [replace(item, severity="warn") for item in guests]
    guests = guests or _doubt_guests(columns, counts, is_given=named or no_customer)
    doubts = _doubt_single_orders(columns, counts) + _doubt_missing(columns, taken)
    if not _ask(doubts):
        doubts += _doubt_masks(columns) or _doubt_splits(columns)
    if not _ask(doubts + guests):
        doubts += _doubt_names(columns) or _doubt_namesakes(columns) or _doubt_spellings(columns)
    findings = [replace(item, severity="warn") for item in doubts] if named else doubts
    findings = findings + guests + _doubt_returns(columns, counts)
    return findings + ([] if no_customer else _warn_shared(columns))


def _doubt_returns(columns: Columns, counts: pl.DataFrame) -> list[Finding]:
    """Warn of customers who have returns and no sale, where these are more than a per cent."""
    people = counts.group_by("customer").agg(
        pl.col("is_return").all(), pl.col("rows", "micro").sum()
    )
    only = people.filter("is_return")
    back, total = abs(int(only["micro"].sum())), int(people["micro"].sum())
    if only.height == people.height or back <= FEW_RETURNED * total:
        return []
    text = (
        f"{counted(only.height, 'customer has', 'customers have')} returns and no sale "
        f"({money(-back / MICRO)}): the shop itself, or suppliers?"
    )
    answer = (
        f"[orders.columns] customer_id, if {columns.source('customer_id')!r} is not the customer"
    )
    return [Finding("warn", "orders", "customer_id", text, int(only["rows"].sum()), answer=answer)]


def _ask(findings: list[Finding]) -> bool:
    """Return whether one of the findings is a question."""
    return any(item.severity == "block" for item in findings)


def write_customer_line(others: list[str]) -> str:
    """Return the mapping line that takes one of the columns as the customer; empty without any."""
    if not others:
        return ""
    also = ", ".join(f'"{name}"' for name in others[1:4])
    return f'[orders.columns] customer_id = "{others[0]}"' + (f" (or {also})" if also else "")


def _doubt_single_orders(columns: Columns, counts: pl.DataFrame) -> list[Finding]:
    """Ask whether customers who all bought once are customers at all."""
    bought = counts.filter(~pl.col("is_return")).select("customer", "order").unique()
    orders, by_customer = bought.height, bought.select("customer").unique()
    if by_customer.height < ENOUGH or by_customer.height < 0.98 * orders:
        return []
    raw_column = columns.source("customer_id")
    text = (
        f"Nobody bought twice: {counted(orders, 'order')} of "
        f"{counted(by_customer.height, 'customer')} in {raw_column!r}. Is that the customer, or "
        "the order?"
    )
    alternative, rows = f'"{raw_column}", if nobody did buy twice', _rows(counts)
    others = other_customers(columns, orders)
    if others:
        return [_ask_customer(*others[0], alternative, text, rows)]
    if plain(raw_column or "") == "customer_id":
        return []
    answer = f"[orders.columns] customer_id = {alternative}"
    return [Finding("block", "orders", "customer_id", text, rows, answer=answer)]


def _ask_customer(other: str, people: int, alternative: str, text: str, rows: int) -> Finding:
    """Ask for the customer: another column first, or the one that is kept."""
    answer = (
        f'[orders.columns] customer_id = "{other}" ({counted(people, "customer")}); or '
        f"[orders.columns] customer_id = {alternative}"
    )
    return Finding("block", "orders", "customer_id", text, rows, answer=answer)


def _doubt_masks(columns: Columns) -> list[Finding]:
    """Ask whether addresses of a domain that are another one on each order hide who ordered.

    Marketplaces mask addresses so. Where they do, another column names the same persons again.
    """
    who, order = columns.source("customer_id"), columns.source("order_id")
    shown = columns.profile(who)
    if who is None or shown is None or shown.emails < ENOUGH / 100:
        return []
    rows = columns.raw.select(
        who=pl.lit(columns.cells(who).cast(pl.String).str.to_lowercase()),
        order=pl.lit(columns.cells(order).cast(pl.String)) if order else pl.int_range(pl.len()),
    ).with_columns(domain=pl.col("who").str.extract(r"@([^@\s]+)$"))
    for other, people in other_customers(columns, rows["order"].n_unique(), MOST):
        cells = columns.cells(other).cast(pl.String).str.to_lowercase()
        domains = (
            rows.with_columns(other=cells)
            .drop_nulls()
            .group_by("domain")
            .agg(pl.col("who", "order", "other").n_unique(), rows=pl.len())
            .filter(
                (pl.col("order") >= ENOUGH)
                & (pl.col("who") >= MOST * pl.col("order"))
                & (pl.col("other") <= MASKED * pl.col("order"))
            )
        )
        if domains.height:
            domain, addresses, orders, persons, lines = domains.sort("order").row(-1)
            text = (
                f"Addresses at {domain} are another one on nearly each order ({number(addresses)} "
                f"on {counted(orders, 'order')}), where {other!r} names "
                f"{counted(persons, 'person', 'people')}: a marketplace's masks?"
            )
            return [_ask_customer(other, people, f'"{who}", if they are customers', text, lines)]
    return []


def _doubt_splits(columns: Columns) -> list[Finding]:
    """Ask whether several ids beside one address, number or card are one customer.

    Guests get a new number with each order, and names are written in several ways. Each id has
    one such value, or nearly; where ids have several, too, neither tells persons apart.
    """
    who = columns.source("customer_id")
    if who is None:
        return []
    ids = columns.raw.select(who=fold_ids(pl.lit(columns.cells(who).cast(pl.String))))
    ids = ids.with_columns(who=pl.when(~is_no_customer(ids["who"])).then("who"))
    for other, _ in other_customers(columns, columns.raw.height, MOST_OF):
        kinds = concepts(other)[0]
        if not (kinds & {"email", "phone", "loyalty"} or is_personal_number(other)):
            continue
        cells = columns.cells(other)
        same = fold_ids(pl.lit(cells.cast(pl.String)))
        if "phone" in kinds:
            same = pl.lit(_bare_phones(cells)).replace("", None)
        rows = ids.with_columns(other=same)
        rows = rows.filter(~is_no_customer(rows["other"])).drop_nulls()
        pairs = rows.group_by("who", "other").agg(rows=pl.len())
        split = pairs.filter(pl.len().over("other") > 1)
        people, accounts = pairs["other"].n_unique(), pairs["who"].n_unique()
        one_each = pairs.height <= accounts / MOST
        if not one_each or split["other"].n_unique() < max(FEWEST_SPLIT, FEW_SPLIT * people):
            continue
        text = (
            f"Beside {counted(split['other'].n_unique(), 'value')} of {other!r} stand several of "
            f"{who!r} ({number(accounts)} for {number(people)}): which of them is the customer?"
        )
        kept, lines = f'"{who}", if they are different customers', int(split["rows"].sum())
        if cells.drop_nulls().n_unique() > (1 + FEW_PER_CENT) * people:  # in several spellings
            answer = f"[orders.columns] customer_id = {kept}"
            return [Finding("warn", "orders", "customer_id", text, lines, answer=answer)]
        return [_ask_customer(other, people, kept, text, lines)]
    return []


def _doubt_names(columns: Columns) -> list[Finding]:
    """Ask whether ids that stand beside several names are customers.

    Numbers that begin again in each branch are many such ids; addresses that a shop writes where it
    has none are few, with many names each.
    """
    who = columns.source("customer_id")
    if who is None or names_person(who):
        return []
    ids = columns.cells(who).cast(pl.String).str.to_lowercase()
    for other, people in other_customers(columns, 2 * columns.raw.height, MOST):
        if not names_person(other):
            continue
        names = fold_ids(pl.lit(columns.cells(other).cast(pl.String)))
        rows = pl.DataFrame({"who": ids}).with_columns(name=names).drop_nulls()
        each = rows.group_by("who").agg(pl.col("name").n_unique(), rows=pl.len())
        several, many = each.filter(pl.col("name") > 1), each.filter(pl.col("name") >= MANY_NAMES)
        # Where most names stand beside several ids as well, names tell nobody apart.
        shared = rows.group_by("name").agg(pl.col("who").n_unique())["who"]
        if each.height < ENOUGH or (shared > 1).mean() > 0.5:  # type: ignore[operator]
            continue
        if several.height > MANY_SHARED * each.height:
            listed, lines = counted(several.height, "value"), int(several["rows"].sum())
        elif (
            many["rows"].sum() > FEW_PER_CENT * rows.height and several.height < 2 * many.height + 3
        ):
            listed, lines = counted(many.height, "value"), int(many["rows"].sum())
        else:
            continue
        text = (
            f"Beside {listed} of {who!r} ({counted(each.height, 'customer')}) stand several names "
            f"in {other!r} ({counted(people, 'name')}): who is the customer?"
        )
        return [_ask_customer(other, people, f'"{who}", if it is the customer', text, lines)]
    return []


def _doubt_namesakes(columns: Columns) -> list[Finding]:
    """Ask whether names that stand beside several telephone numbers are several customers."""
    who = columns.source("customer_id")
    shown = columns.profile(who)
    if who is None or shown is None or not is_text(shown.cells.dtype):
        return []
    if shown.cells.cast(pl.String).str.contains(r"[\d@]").mean() > FEW_PER_CENT:  # type: ignore[operator]
        return []
    names = columns.cells(who).cast(pl.String)
    for other, people in other_customers(columns, columns.raw.height, MOST):
        if "phone" not in concepts(other)[0]:
            continue
        rows = pl.DataFrame({"who": names, "other": _bare_phones(columns.cells(other))})
        rows = rows.drop_nulls()
        each = rows.group_by("who").agg(pl.col("other").n_unique(), rows=pl.len())
        several = each.filter(pl.col("other") > 1)
        if several.height <= FEW_PER_CENT * each.height:
            continue
        text = (
            f"{who!r} holds names, and {counted(several.height, 'name')} of "
            f"{number(each.height)} stand beside several values of {other!r}: namesakes?"
        )
        kept = f'"{who}", if it is the customer'
        return [_ask_customer(other, people, kept, text, int(several["rows"].sum()))]
    return []


def _bare_phones(cells: pl.Series) -> pl.Series:
    """Write telephone numbers as their last nine figures, which country and area leave alone."""
    return cells.cast(pl.String).str.replace_all(r"\D", "").str.tail(9)


def _doubt_spellings(columns: Columns) -> list[Finding]:
    """Ask whether telephone numbers that are written in several ways are customers."""
    who = columns.source("customer_id")
    if who is None or "phone" not in concepts(who)[0]:
        return []
    spellings = columns.cells(who).cast(pl.String).drop_nulls().unique()
    phones = _bare_phones(spellings).n_unique()
    if spellings.len() - phones <= FEW_PER_CENT * phones:
        return []
    text = (
        f"{who!r} writes {counted(phones, 'telephone number')} in {number(spellings.len())} ways "
        "(with and without country, blanks or dashes), each of which is a customer."
    )
    others = [name for name, _ in other_customers(columns, columns.raw.height, MOST)]
    kept = f'[orders.columns] customer_id = "{who}", if they are customers'
    answer = "; or ".join(line for line in (write_customer_line(others), kept) if line)
    return [Finding("block", "orders", "customer_id", text, columns.raw.height, answer=answer)]


def _warn_shared(columns: Columns) -> list[Finding]:
    """Warn of an address beside the telephone numbers of many, as a shop's own for those without.

    All other addresses have few.
    """
    who = columns.source("customer_id")
    shown = columns.profile(who)
    if who is None or shown is None or shown.emails < MASKED:
        return []
    ids = columns.cells(who).cast(pl.String).str.to_lowercase()
    for other in columns.raw.columns:
        if "phone" not in concepts(other)[0] or other == who:
            continue
        rows = pl.DataFrame({"who": ids, "phone": _bare_phones(columns.cells(other))}).drop_nulls()
        each = rows.group_by("who").agg(pl.col("phone").n_unique(), rows=pl.len())
        each = each.sort("phone", descending=True)
        most, usual = (*each["phone"].head(2), 0, 0)[:2]
        if most >= 2 * MANY_NAMES and most >= GUEST_TIMES * usual:
            text = (
                f"One value of {who!r} stands beside {number(most)} telephone numbers in "
                f"{other!r}: the shop's own, for orders without an address?"
            )
            answer = "[orders] no_customer with that address, if so"
            count = int(each["rows"][0])
            return [Finding("warn", "orders", "customer_id", text, count, answer=answer)]
    return []


def _rows(counts: pl.DataFrame) -> int:
    return int(counts["rows"].sum())


def _doubt_missing(columns: Columns, taken: Intake) -> list[Finding]:
    """Ask whether a column without a value on most rows is the customer."""
    lost = taken.ledger.reasons().get("missing_customer_id", 0)
    rows = columns.raw.height
    raw_column = columns.source("customer_id")
    if raw_column is None or rows < ENOUGH or lost <= FEW_MISSING * rows:
        return []
    unnamed = columns.raw.select(columns.id("customer_id")).to_series().is_null()
    others = []
    for name, _ in other_customers(columns, rows, least=0.0):
        filled = columns.cells(name).filter(unnamed).drop_nulls()
        # More than "walk-in" on all of them, and a person rather than a card.
        many = filled.n_unique() >= max(ENOUGH // 4, FEW_MISSING * filled.len())
        if many and filled.len() > FEW_MISSING * rows and "card" not in concepts(name)[0]:
            others.append(name)
    if lost <= 0.5 * rows and not others:
        return []
    if plain(raw_column) == "customer_id" and not others:
        return []
    text = (
        f"{percent(lost / rows)} of the rows have no customer in {raw_column!r}; they are left out."
    )
    answer = f'[orders.columns] customer_id = "{raw_column}", if these are guests'
    answer = f"{write_customer_line(others)}; or {answer}" if others else answer
    return [Finding("block", "orders", "customer_id", text, lost, answer=answer)]


def _doubt_counter(columns: Columns) -> list[Finding]:
    """Ask about the account of sales without a customer, which another column names as nobody."""
    source = columns.source("customer_id")
    if source is None:
        return []
    ids = columns.cells(source).cast(pl.String)
    nobody = is_no_customer(ids)
    for name in columns.raw.columns:
        if name == source or not {"name", "customer"} & concepts(name)[0]:
            continue
        unnamed = is_no_customer(columns.cells(name).cast(pl.String))
        accounts = ids.filter(unnamed & ~nobody).drop_nulls().unique()
        if accounts.len() != 1:
            continue
        rows = (ids == accounts[0]).fill_null(value=False)
        word = str(columns.cells(name).filter(rows)[0])
        if int(rows.sum()) < 2 or not unnamed.filter(rows).all():
            continue
        if word.casefold() in accounts[0].casefold().split():  # Nan O'Connell is a person
            continue
        words = [*ids.filter(nobody).unique().sort(), accounts[0]]
        listed = ", ".join(f'"{each}"' for each in words)
        text = f"One customer id has {word!r} in {name!r}: sales without a customer, as at a till?"
        answer = f"[orders] no_customer = [{listed}], if so; or [orders] no_customer = "
        answer += f"[{listed.rpartition(', ')[0]}], if it is a customer"
        return [Finding("block", "orders", "customer_id", text, int(rows.sum()), answer=answer)]
    return []


def _doubt_guests(columns: Columns, counts: pl.DataFrame, *, is_given: bool) -> list[Finding]:
    """Ask whether an id with a large part of the lines stands for guests."""
    each = counts.group_by("customer").agg(
        pl.col("rows", "micro").sum(), orders=pl.col("order").n_unique()
    )
    # A till's sales are many and short.
    top, most = each.top_k(2, by="rows"), each.top_k(2, by="orders")
    people, height = each.height, _rows(counts)
    if people > 1 and most["orders"][0] >= max(GUEST_TIMES * most["orders"][1], GUEST_ORDERS):
        top = most
    asked = not is_given and height >= ENOUGH
    if people == 1:
        alone = "All lines are of one customer: nothing to segment."
        answer = _other_customer(columns, counts) if asked else ""
        severity = "block" if asked else "warn"
        return [Finding(severity, "orders", "customer_id", alone, height, answer=answer)]
    rows, next_rows = int(top["rows"][0]), int(top["rows"][1])
    half = asked and rows > 0.5 * height
    stands_out = top is most or rows >= max(GUEST_TIMES * next_rows, GUEST_LINES)
    large = rows >= GUEST_SHARE * height
    if not half and (people <= 5 or not (large or stands_out)):
        return _doubt_few(columns, counts) if asked and people <= max(FEW_PEOPLE) else []
    worth = top["micro"][0] / MICRO
    text = (
        f"One customer id has {percent(rows / height)} of the lines ({money(worth)}): a "
        "guest account?"
    )
    answer = _other_customer(columns, counts)
    account = _name_of_account(columns, rows)
    if account:
        answer = f'[orders] no_customer = ["{account}"], if it is no customer; or {answer}'
    else:
        answer += "; or [orders] no_customer with that id, if it is no customer"
    large = rows >= max(GUEST_SHARE * height, GUEST_TIMES * next_rows)
    asked = large and people >= ENOUGH and height >= GUEST_LINES and asked
    severity = "block" if asked or half else "warn"
    if half:
        text = text.replace("a guest account?", "a guest account, or the shop itself?")
    return [Finding(severity, "orders", "customer_id", text, rows, answer=answer)]


def _name_of_account(columns: Columns, rows: int) -> str:
    """Return the id of most lines where it is one word, as no person's name or address is."""
    ids = columns.cells(str(columns.source("customer_id"))).cast(pl.String).alias("id")
    usual = ids.drop_nulls().value_counts(sort=True).row(0) if ids.count() else ("", 0)
    return usual[0] if usual[1] >= rows and re.fullmatch(r"[\w-]{2,20}", usual[0]) else ""


def _doubt_few(columns: Columns, counts: pl.DataFrame) -> list[Finding]:
    """Ask whether a handful of ids with many orders each are the customers or the shop's staff."""
    orders = counts.group_by("customer").agg(pl.col("order").n_unique())["order"]
    usual = float(orders.median() or 0.0)  # type: ignore[arg-type]
    many = any(orders.len() <= few and usual > each for few, each in FEW_PEOPLE.items())
    if not many or orders.sum() < MANY_ORDERS:
        return []
    text = (
        f"{columns.source('customer_id')!r} names {counted(orders.len(), 'customer')} for "
        f"{counted(int(orders.sum()), 'order')}: the customers, or the shop's own accounts and "
        "staff?"
    )
    answer = _other_customer(columns, counts)
    return [Finding("block", "orders", "customer_id", text, _rows(counts), answer=answer)]


def _other_customer(columns: Columns, counts: pl.DataFrame) -> str:
    """Return the mapping lines that take another column as the customer, or this one after all."""
    others = [name for name, _ in other_customers(columns, counts["order"].n_unique())]
    stays = f'[orders.columns] customer_id = "{columns.source("customer_id")}"'
    return "; or ".join(
        [line for line in (write_customer_line(others), f"{stays}, if it is the customer") if line]
    )
