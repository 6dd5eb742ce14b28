"""Doubts about the customer of orders: an order's number, guests, a till, names, relays.

Every doubt is a question about what was proposed, with the column that could be the customer
instead; a customer that the mapping file names itself is doubted in a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import polars as pl

from segkit.display import counted, money, number, percent
from segkit.ids import is_no_customer, names_nobody, split_nobody
from segkit.intake.answers import quote_text
from segkit.intake.cells import MICRO
from segkit.intake.columns import Columns
from segkit.intake.customers import holds_names, pair_rows, spell_rows, sum_by_id
from segkit.intake.evidence import ENOUGH, ColumnProfile
from segkit.intake.headers import concepts, is_personal_number, pattern, plain
from segkit.intake.privacy import mask_cell
from segkit.intake.questions import Finding
from segkit.intake.spellings import spell_cells
from segkit.intake.store import Intake
from segkit.intake.sums import counted_money, counted_rows, say_rows
from segkit.intake.tried import names_person, other_customers, say_people, tells_persons

FEW_PER_CENT = 0.05
MOST = 0.95  # of the rows, on which another column that names customers is filled
_TEST = f"(?i)(?:{pattern('test')})"
MANY_ORDERS = 50
FEW_PEOPLE = {5: 10, 20: 50}  # so few people with more than so many orders each
GUEST_SHARE = 0.2
MANY_NAMES, MANY_SHARED = 4, 0.3  # names of one id, and share of ids with several
MASKED = 0.8  # people on the orders of a domain whose addresses are another one each time
MOST_TILLS = 12  # accounts for buyers without a name; more are guests with an account each
FEW_RETURNED = 0.01  # of the money, given back to those who never bought
FEW_MISSING = 0.05  # of the rows that count without a customer, where another column names one
FEW_UNNAMED = 0.01  # the same, where a number on nearly all rows names them all
FEWEST_OTHERS = 5  # values there
MOST_OF, FEWEST_SPLIT, FEW_SPLIT = 0.8, 3, 0.02  # values that stand beside several customers
LOCAL = 8  # digits at the end of a telephone number that a country's code leaves alone
GUEST_TIMES, GUEST_LINES, GUEST_ORDERS = 4, 50, 20  # or so many times the next customer's

Doubt = tuple[str, str, int]  # in words, when the column is kept nevertheless, and of how many rows


@dataclass(frozen=True, slots=True)
class _Customers:
    """The column of the customer (``who``) of raw order lines, and its pairs with others."""

    columns: Columns
    who: str
    shown: ColumnProfile
    pairs: dict[str, pl.DataFrame] = field(default_factory=dict)

    def rows(self, other: str, **more: pl.Series) -> pl.DataFrame:
        """Count the rows of ids and another column's values, in one spelling each."""
        cells = self.columns.cells
        return spell_rows(cells(self.who), cells(other), self.columns.mapping, **more)

    def beside(self, other: str) -> pl.DataFrame:
        """Pair the ids with another column's values; see `segkit.intake.customers.pair_cells`."""
        if other not in self.pairs:
            self.pairs[other] = pair_rows(self.rows(other))
        return self.pairs[other]

    def ask(self, others: list[tuple[str, int]], doubt: Doubt) -> list[Finding]:
        """Ask for the customer: another column, an e-mail address, or the one that is kept."""
        text, kept, rows = doubt
        for found in other_customers(self.columns, self.columns.raw.height, MOST_OF)[:1]:
            if found not in others and "email" in concepts(found[0])[0]:
                others = [*others, found]
        lines = [f'"{other}" ({counted(people, "customer")})' for other, people in others]
        answers = (f"[orders.columns] customer_id = {x}" for x in (*lines, f'"{self.who}", {kept}'))
        return _finding("block", text, rows, *answers)


def doubt_customers(
    columns: Columns,
    taken: Intake,
    counts: pl.DataFrame,
    *,
    named: bool,
    no_customer: bool,
    is_file: bool = False,
) -> list[Finding]:
    """List the doubts about who the customer is.

    ``counts`` are the clean lines as `segkit.intake.counts.count_lines` counts them. Where the
    mapping as given names the customer (``named``), doubts are warnings; where it says which ids
    are nobody's (``no_customer``), guests are not looked for. The account of a till is asked about
    all the same, unless that mapping is complete (``is_file``) and no mere answer to a question.
    """
    each = counts.group_by("customer").agg(
        pl.col("rows", "micro").sum(), pl.col("order").n_unique(), pl.col("is_return").all()
    )
    guests = _doubt_guests(columns, each, is_given=named or no_customer)
    returns = _warn_returns(columns, each)
    who = columns.source("customer_id")
    shown = columns.profile(who)
    if who is None or shown is None:
        return guests + returns
    customers = _Customers(columns, who, shown)
    rows, orders = columns.raw.height, counts["order"].n_unique()
    doubts = _doubt_single_orders(customers, counts) + _doubt_missing(customers, taken)
    if not _asks(doubts):
        doubts += _doubt_beside(customers, _judge_masks, MOST, orders) or _doubt_beside(
            customers, _judge_splits, MOST_OF, rows
        )
    if _asks(doubts) and not named:  # whose ids are nobody's is asked once it is settled
        return doubts + returns
    till = [] if no_customer else _doubt_counter(customers) or _doubt_shared(customers)
    if till:
        guests = _warnings(till) if named and is_file else till
    if not _asks(doubts + guests):
        doubts += (
            _doubt_beside(customers, _judge_names, MOST, 2 * rows)
            or _doubt_beside(customers, _judge_namesakes, MOST, rows)
            or _doubt_spellings(customers)
        )
    doubts = _warnings(doubts) if named else doubts
    return doubts + guests + returns


def _asks(findings: list[Finding]) -> bool:
    return any(item.severity == "block" for item in findings)


def _warnings(findings: list[Finding]) -> list[Finding]:
    return [replace(item, severity="warn") for item in findings]


def _finding(severity: str, text: str, rows: int, *answers: str) -> list[Finding]:
    """Return one finding about the customer, with the mapping lines that settle it."""
    answer = "; or ".join(line for line in answers if line)
    return [Finding(severity, "orders", "customer_id", text, rows, answer=answer)]


def write_customer_line(others: list[str]) -> str:
    """Return the mapping line that takes one of the columns as the customer; empty without any."""
    if not others:
        return ""
    also = ", ".join(f'"{name}"' for name in others[1:4])
    return f'[orders.columns] customer_id = "{others[0]}"' + (f" (or {also})" if also else "")


def _doubt_single_orders(customers: _Customers, counts: pl.DataFrame) -> list[Finding]:
    """Ask whether customers who all bought once are customers at all."""
    bought = counts.filter(~pl.col("is_return"))
    orders, people = bought.select("customer", "order").n_unique(), bought["customer"].n_unique()
    if people < ENOUGH or people < 0.98 * orders:
        return []
    others = other_customers(customers.columns, orders)
    if not others and plain(customers.who) == "customer_id":
        return []
    text = (
        f"Nobody bought twice: {counted(orders, 'order')} of {counted(people, 'customer')} in "
        f"{customers.who!r}. Is that the customer, or the order?"
    )
    lines = int(counts["rows"].sum())
    return customers.ask(others[:2], (text, "if nobody did buy twice", lines))


def _doubt_beside(
    customers: _Customers, judge: Callable[[_Customers, str], Doubt | None], least: float, rows: int
) -> list[Finding]:
    """Ask by the other columns that a judge doubts the ids by; see `other_customers`."""
    others = other_customers(customers.columns, rows, least)
    doubts = {other: doubt for other in others if (doubt := judge(customers, other[0]))}
    return customers.ask([*doubts][:2], next(iter(doubts.values()))) if doubts else []


def _judge_masks(customers: _Customers, other: str) -> Doubt | None:
    """Judge whether addresses of a domain that are another one on each order hide who ordered.

    Marketplaces mask addresses so. Where they do, another column names the same persons again.
    """
    if customers.shown.emails < ENOUGH / 100:
        return None
    columns, order = customers.columns, customers.columns.source("order_id")
    rows = pl.int_range(columns.raw.height, eager=True)
    orders = columns.cells(order) if order else rows
    at = pl.col("id").str.extract(r"@([^@\s]+)$").alias("domain")
    each = customers.beside(other).group_by(at).agg(pl.col("id", "other").n_unique())
    masked = each.filter(pl.col("other") < MASKED / MOST * pl.col("id") + 1)
    if masked.is_empty() and not orders.null_count():  # no need to look at each order
        return None
    domains = (
        customers.rows(other, order=orders)
        .with_columns(at)
        .drop_nulls()
        .group_by("domain")
        .agg(pl.col("id", "order", "other").n_unique(), pl.col("rows").sum())
        .filter(
            pl.col("order") >= ENOUGH,
            pl.col("id") >= MOST * pl.col("order"),
            pl.col("other") <= MASKED * pl.col("order"),
        )
    )
    if domains.is_empty():
        return None
    domain, addresses, masks, persons, lines = (
        domains.select("domain", "id", "order", "other", "rows").sort("order").row(-1)
    )
    text = (
        f"Addresses at {domain} are another one on nearly each order ({number(addresses)} on "
        f"{counted(masks, 'order')}), where {other!r} names "
        f"{counted(persons, 'person', 'people')}: a marketplace's masks?"
    )
    return text, "if they are customers", lines


def _judge_splits(customers: _Customers, other: str) -> Doubt | None:
    """Judge whether several ids beside one address, number or card are one customer.

    Guests get a new number with each order, and names are written in several ways. Each id has
    one such value, or nearly; where ids have several, too, neither tells persons apart.
    """
    if not (concepts(other)[0] & {"email", "phone", "loyalty"} or is_personal_number(other)):
        return None
    pairs = customers.beside(other)
    split = pairs.filter(pl.col("ids") > 1)
    accounts, people, several = (
        n.n_unique() for n in (pairs["id"], pairs["other"], split["other"])
    )
    if pairs.height > accounts / MOST or several < max(FEWEST_SPLIT, FEW_SPLIT * people):
        return None
    text = (
        f"Beside {counted(several, 'value')} of {other!r} stand several of {customers.who!r} "
        f"({number(accounts)} for {number(people)}): which of them is the customer?"
    )
    return text, "if they are different customers", int(split["rows"].sum())


def _judge_names(customers: _Customers, other: str) -> Doubt | None:
    """Judge whether ids that stand beside several names are customers.

    Numbers that begin again in each branch are many such ids; addresses that a shop writes where it
    has none are few, with many names each. Where most names stand beside several ids as well, names
    tell nobody apart.
    """
    if names_person(customers.who) or not names_person(other):
        return None
    pairs = customers.beside(other)
    names, each = pairs.unique("other"), sum_by_id(pairs)
    if each.height < ENOUGH or 2 * (names["ids"] > 1).sum() > names.height:
        return None
    doubted, many = (each.filter(pl.col("others") >= least) for least in (2, MANY_NAMES))
    if doubted.height <= MANY_SHARED * each.height:
        share = float(many["rows"].sum()) / float(each["rows"].sum())
        if share <= FEW_PER_CENT or doubted.height >= 2 * many.height + 3:
            return None
        doubted = many
    text = (
        f"Beside {counted(doubted.height, 'value')} of {customers.who!r} "
        f"({counted(each.height, 'customer')}) stand several names in {other!r} "
        f"({counted(names.height, 'name')}): who is the customer?"
    )
    return text, "if it is the customer", int(doubted["rows"].sum())


def _judge_namesakes(customers: _Customers, other: str) -> Doubt | None:
    """Judge whether names that stand beside several telephone numbers are several customers."""
    if "phone" not in concepts(other)[0] or not holds_names(customers.shown):
        return None
    each = sum_by_id(customers.beside(other))
    several = each.filter(pl.col("others") > 1)
    if several.height <= FEW_PER_CENT * each.height:
        return None
    text = (
        f"{customers.who!r} holds names, and {counted(several.height, 'name')} of "
        f"{number(each.height)} stand beside several values of {other!r}: namesakes?"
    )
    return text, "if it is the customer", int(several["rows"].sum())


def _doubt_spellings(customers: _Customers) -> list[Finding]:
    """Ask about telephone numbers with and without a country's code, where no data tell which."""
    if "phone" not in concepts(customers.who)[0]:
        return []
    columns = customers.columns
    cells = columns.cells(customers.who)
    spellings = spell_cells(cells.unique(), columns.mapping).drop_nulls().unique()
    phones = spellings.str.tail(LOCAL).n_unique()
    if spellings.len() - phones <= FEW_PER_CENT * phones:
        return []
    text = (
        f"{customers.who!r} writes {counted(phones, 'telephone number')} in "
        f"{number(spellings.len())} ways (with and without a country's code), each of which is a "
        "customer."
    )
    others = [name for name, _ in other_customers(columns, columns.raw.height, MOST)]
    kept = f'[orders.columns] customer_id = "{customers.who}", if they are customers'
    told = 'phone_country = "..." (at the top of the mapping), whose numbers have no code'
    return _finding("block", text, columns.raw.height, write_customer_line(others), told, kept)


def _doubt_shared(customers: _Customers) -> list[Finding]:
    """Ask about an address beside the telephone numbers or names of many, as a shop's own.

    All other addresses have few.
    """
    if customers.shown.emails < MASKED:
        return []
    for other in customers.columns.raw.columns:
        is_phone = "phone" in concepts(other)[0]
        if other == customers.who or not (is_phone or names_person(other)):
            continue
        each = sum_by_id(customers.beside(other)).sort("others", "id", descending=[True, False])
        most, usual = (*each["others"].head(2), 0, 0)[:2]
        if most >= 2 * MANY_NAMES and most >= GUEST_TIMES * usual:
            beside = counted(most, "telephone number" if is_phone else "name")
            text = (
                f"One value of {customers.who!r} stands beside {beside} in {other!r}: the shop's "
                "own, for orders without an address?"
            )
            phone = _phones_of_all(customers, each["id"][0])
            return _ask_nobody(customers, text, [each["id"][0]], int(each["rows"][0]), phone)
    return []


def _phones_of_all(customers: _Customers, account: str) -> str:
    """Return a column of telephones that tells the people of an account, and nearly all others."""
    columns = customers.columns
    of_them = columns.cells(customers.who).cast(pl.String).str.to_lowercase() == account.lower()
    for name in columns.raw.columns:
        cells = columns.cells(name)
        told = cells.filter(of_them & cells.is_not_null())
        is_filled = cells.count() >= MOST * cells.len() and told.len() >= MOST * int(of_them.sum())
        if "phone" in concepts(name)[0] and is_filled and told.n_unique() >= 2 * MANY_NAMES:
            return name
    return ""


def _ask_nobody(
    customers: _Customers, text: str, accounts: list[str], rows: int, phone: str = ""
) -> list[Finding]:
    """Ask whether accounts are no customer; the answer holds whoever is the customer then.

    Where ``phone`` names a column that tells who these are, it is offered first.
    """
    are = "it is a customer" if len(accounts) == 1 else "they are customers"
    answers = (
        f"[orders] no_customer = [{', '.join(listed)}], if {so}"
        for sign, so in (("=", "these are nobody's"), ("!=", are))
        if (listed := [quote_text(f"{customers.who} {sign} {each}") for each in accounts])
    )
    columns = customers.columns
    of_them = columns.cells(customers.who).cast(pl.String).is_in(accounts)
    worth = counted_money(columns, counted_rows(columns) & of_them)
    lost = say_rows(rows, None if worth is None else float(worth.sum()))
    if not phone:
        text += (
            f" The first answer (=) leaves these rows out ({lost}), the second (!=) counts them."
        )
        return _finding("block", text, rows, *answers)
    text += (
        f" The first answer takes each number in {phone!r} as a customer, the second (=) leaves "
        f"these rows out ({lost}), the third (!=) counts them as one customer."
    )
    somebody = f" with [orders] no_customer = [{quote_text(f'{customers.who} != {accounts[0]}')}]"
    by_phone = f"{write_customer_line([phone])}{somebody}, if its numbers are the customers"
    return _finding("block", text, rows, by_phone, *answers)


def _doubt_missing(customers: _Customers, taken: Intake) -> list[Finding]:
    """Ask whether a column without a value on many rows that count is the customer."""
    columns, rows = customers.columns, customers.columns.raw.height
    lost = taken.ledger.reasons().get("missing_customer_id", 0)
    counted_too = counted_rows(columns, ("customer_id",))
    unnamed = columns.raw.select(columns.id("customer_id")).to_series().is_null() & counted_too
    share = min(int(unnamed.sum()), lost) / max(int(counted_too.sum()), 1)
    worth = counted_money(columns, counted_too)
    unpaid = None if worth is None else float(worth.filter(unnamed).sum())
    total = 0.0 if worth is None else float(worth.sum())
    if unpaid is not None and lost and total > 0:
        share = max(share, unpaid / total)
    if rows < ENOUGH or share <= FEW_UNNAMED:  # links may tell who they are
        return []
    others, covered = [], []
    for name, _ in other_customers(columns, rows, least=0.0):
        filled = columns.cells(name).filter(unnamed).drop_nulls()
        # More than "walk-in" on all of them, and a person rather than a card; all, where few are.
        least, fewest = FEW_MISSING * int(counted_too.sum()), FEWEST_OTHERS
        if share <= FEW_MISSING:
            is_key = not names_person(name) and columns.cells(name).count() >= MOST * rows
            least, fewest = (MOST * int(unnamed.sum()), 2) if is_key else (rows, fewest)
        many = filled.n_unique() >= max(fewest, FEW_MISSING * filled.len())
        if many and filled.len() > least and "card" not in concepts(name)[0]:
            others.append(name)
            covered.append(say_people(name, filled))
    if not others and (lost <= 0.5 * rows or plain(customers.who) == "customer_id"):
        return []
    text = f"{percent(lost / rows)} of the rows have no customer in {customers.who!r}; they are "
    text += f"left out ({say_rows(int(unnamed.sum()), unpaid)} of sales)."
    text += f" Of these rows, {' and '.join(covered[:3])}." * bool(covered)
    kept = f'[orders.columns] customer_id = "{customers.who}", if these are guests'
    nobody = split_nobody(columns.option("no_customer"))[1].get(customers.who, {})
    listed = [quote_text(f"{customers.who} != {one}") for one, is_one in nobody.items() if is_one]
    if listed and others:  # whose rows count then
        also = f" with [orders] no_customer = [{', '.join(listed)}]"
        return _finding("block", text, lost, write_customer_line(others[:1]) + also, kept)
    return _finding("block", text, lost, write_customer_line(others), kept)


def _doubt_counter(customers: _Customers) -> list[Finding]:
    """Ask about the accounts of sales without a customer, which another column names as nobody."""
    columns = customers.columns
    ids = columns.cells(customers.who).cast(pl.String)
    asked = columns.raw.select(columns.id("customer_id")).to_series().is_not_null()
    for rows in columns.told_nobody().values():
        asked &= ~(rows[True] | rows[False])
    for name in columns.raw.columns:
        meant = concepts(name)[0]
        is_email = "email" in meant  # of which only those of tests are nobody's by themselves
        of_person = is_email or ({"name", "customer"} & meant and not {"type", "group"} & meant)
        if name == customers.who or not of_person:
            continue
        named = columns.cells(name).cast(pl.String)
        unnamed = names_nobody(named) & named.str.contains(r"\p{L}{2}|^\S{8}")  # no account "0"
        if is_email:
            unnamed = is_no_customer(named) & named.str.contains(f"^{_TEST}").fill_null(value=False)
        accounts = (
            pl.DataFrame({"id": ids, "name": named, "unnamed": unnamed})
            .filter(asked)
            .drop_nulls("id")
            .group_by("id")
            .agg(pl.col("unnamed").all(), pl.col("name").first(), rows=pl.len())
            .filter(pl.col("unnamed") & (pl.col("rows") > (not is_email)))
            .sort("rows", "id", descending=[True, False])
        )
        if accounts.height > 1:  # guests with an address each
            accounts = accounts.filter(~pl.col("id").str.contains("@", literal=True))
        if not 1 <= accounts.height <= MOST_TILLS:
            continue
        account, _, word, _ = accounts.row(0)
        if word.casefold() in account.casefold().split():  # Nan O'Connell is a person
            continue
        one = accounts.height == 1
        has = "One customer id has" if one else f"{number(accounts.height)} customer ids have"
        is_test = re.match(_TEST, word) is not None
        what = "test orders" if is_test else "sales without a customer, as at a till"
        text = f"{has} {word!r} in {name!r}: {what}?"
        return _ask_nobody(customers, text, [*accounts["id"]], int(accounts["rows"].sum()))
    return []


def _doubt_guests(columns: Columns, each: pl.DataFrame, *, is_given: bool) -> list[Finding]:
    """Ask whether an id with a large part of the lines stands for guests."""
    people, height = each.height, int(each["rows"].sum())
    asked = not is_given and height >= ENOUGH
    if people == 1:
        text = "All lines are of one customer: nothing to segment."
        answers = _keep_or_replace(columns, each) if asked else []
        return _finding("block" if asked else "warn", text, height, *answers)
    # A till's sales are many and short.
    ties = ["rows", "micro", "customer"]
    top, most = each.top_k(2, by=ties), each.top_k(2, by=["order", *ties])
    if most["order"][0] >= max(GUEST_TIMES * most["order"][1], GUEST_ORDERS):
        top = most
    rows, next_rows = int(top["rows"][0]), int(top["rows"][1])
    half = asked and rows > 0.5 * height
    stands_out = top is most or rows >= max(GUEST_TIMES * next_rows, GUEST_LINES)
    if not half and (people <= 5 or not (rows >= GUEST_SHARE * height or stands_out)):
        return _doubt_few(columns, each) if asked else []
    who, account = columns.source("customer_id"), _account_of(columns, top["customer"][0])
    # One word is no person's name or address, and can be written into an answer.
    is_phone = "phone" in concepts(str(who))[0]
    is_plain = re.fullmatch(r"[\w-]{2,20}", account) and not is_phone
    shown = account if is_plain else mask_cell(f"+{account}" if is_phone else account)
    if split_nobody(columns.option("no_customer"))[1].get(str(who), {}).get(shown.lower()) is False:
        return []  # it is a customer, as the answer says
    text = (
        f"One customer id{f' ({shown})' * bool(account)} has {percent(rows / height)} of the lines "
        f"({money(top['micro'][0] / MICRO)}): a guest account{', or the shop itself' * half}?"
    )
    stays = f" with [orders] no_customer = [{quote_text(f'{who} != {shown}')}]" * bool(account)
    answers = _keep_or_replace(columns, each, stays)
    is_one = bool(account) and not half and _is_one_person(columns, str(who), account)
    answers = answers[::-1] if is_one else answers
    if is_plain:
        nobody = quote_text(f"{who} = {account}")
        answers.insert(is_one, f"[orders] no_customer = [{nobody}], if it is no customer")
    else:
        answers.append("[orders] no_customer with that id, if it is no customer")
    large = rows >= max(GUEST_SHARE * height, GUEST_TIMES * next_rows)
    is_question = half or (large and people >= ENOUGH and height >= GUEST_LINES and asked)
    return _finding("block" if is_question else "warn", text, rows, *answers)


def _is_one_person(columns: Columns, who: str, account: str) -> bool:
    """Return whether the rows of an account hold one name, number or address, of somebody."""
    own = columns.raw.filter(columns.cells(who).cast(pl.String) == account)
    told = [own[name].drop_nulls() for name in own.columns if name != who and tells_persons(name)]
    told = [spell_cells(cells.unique()).drop_nulls() for cells in told]
    told = [cells.filter(~names_nobody(cells)) for cells in told]
    return {cells.n_unique() for cells in told if cells.len()} == {1}


def _account_of(columns: Columns, customer: int) -> str:
    """Return the id that is counted under a hash; empty where another table names the customers."""
    who = columns.source("customer_id")
    if who is None:
        return ""
    read = columns.raw.select(columns.id("customer_id")).to_series()
    ids = columns.cells(who).filter(read.hash() == customer)
    return str(ids[0]) if ids.len() else ""


def _doubt_few(columns: Columns, each: pl.DataFrame) -> list[Finding]:
    """Ask whether a handful of ids with many orders each are the customers or the shop's staff."""
    people, orders = each.height, int(each["order"].sum())
    usual = float(each["order"].median() or 0.0)  # type: ignore[arg-type]
    many = any(people <= few and usual > least for few, least in FEW_PEOPLE.items())
    if not many or orders < MANY_ORDERS:
        return []
    text = (
        f"{columns.source('customer_id')!r} names {counted(people, 'customer')} for "
        f"{counted(orders, 'order')}: the customers, or the shop's own accounts and staff?"
    )
    return _finding("block", text, int(each["rows"].sum()), *_keep_or_replace(columns, each))


def _keep_or_replace(columns: Columns, each: pl.DataFrame, also: str = "") -> list[str]:
    """Return the mapping lines that take another column as the customer, or this one after all."""
    others = [name for name, _ in other_customers(columns, int(each["order"].sum()))]
    stays = f'[orders.columns] customer_id = "{columns.source("customer_id")}"'
    return [write_customer_line(others), f"{stays}{also}, if it is the customer"]


def _warn_returns(columns: Columns, each: pl.DataFrame) -> list[Finding]:
    """Warn of customers who have returns and no sale, where these are more than a per cent."""
    only = each.filter("is_return")
    back = abs(int(only["micro"].sum()))
    if only.height == each.height or back <= FEW_RETURNED * int(each["micro"].sum()):
        return []
    text = (
        f"{counted(only.height, 'customer has', 'customers have')} returns and no sale "
        f"({money(-back / MICRO)}): the shop itself, or suppliers?"
    )
    who = columns.source("customer_id")
    answer = f"[orders.columns] customer_id, if {who!r} is not the customer"
    return _finding("warn", text, int(only["rows"].sum()), answer)
