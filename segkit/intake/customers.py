"""Choice of the customer of proposed orders: an account, a card, an address or a number."""

from __future__ import annotations

import polars as pl

from segkit.display import counted, number
from segkit.ids import is_no_customer, read_ids
from segkit.intake.cells import is_text
from segkit.intake.evidence import ENOUGH, FEW, ColumnProfile
from segkit.intake.headers import concepts, is_personal_number
from segkit.intake.questions import Finding
from segkit.intake.roles import EXACT, Scores

EQUAL, ONCE = 0.95, 0.9


def choose_customer(
    frame: pl.DataFrame, columns: dict[str, str], whole: dict[str, str], scores: Scores
) -> list[Finding]:
    """Take the e-mail address as the customer where no id tells customers apart."""
    email, who, card = (columns.get(n) for n in ("email", "customer_id", "loyalty_id"))
    if who is None and card is not None:  # not all who have a card leave an address
        cards = read_ids(frame[card])
        if (
            email is None
            or (~is_no_customer(cards)).sum() - cards.null_count() > frame[email].count()
        ):
            columns["customer_id"] = columns.pop("loyalty_id")
            return []
    if email is None:
        return []
    findings = []
    order = whole.get("order_id")
    if who is not None:
        rows = frame.select(list(dict.fromkeys([who, email])))
        if order:
            rows = rows.filter(frame[order].hash().is_first_distinct())
        emails = read_ids(rows[email]).drop_nulls()
        ids = read_ids(rows[who]).drop_nulls()
        ids = ids.filter(~is_no_customer(ids))
        named = scores["customer_id"][who] >= EXACT
        once = ids.n_unique() >= 0.98 * ids.len() and not named
        again = emails.n_unique() < 0.9 * emails.len()
        fewer = ids.len() < 0.8 * emails.len()
        # Two people may have one name; a firm has more addresses than these.
        is_name = not named and "id" not in concepts(who)[0] and not ids.str.contains(r"\d").any()
        few = ids.n_unique() <= emails.n_unique() <= 1.2 * ids.n_unique()
        names = is_name and few and emails.len() >= ids.len()
        fewer |= not named and ids.len() < 0.95 * emails.len() and _are_same(rows, who, email)
        if (
            not named
            and rows.height >= ENOUGH
            and _splits_people(rows, who, email, is_name=is_name)
        ):
            people, accounts = emails.n_unique(), ids.n_unique()
            text = (
                f"{email!r} is read as the customer: {counted(people, 'address', 'addresses')} "
                f"stand beside {number(accounts)} values of {who!r}, as where each order of a "
                "guest gets a new one."
            )
            answer = f'[orders.columns] customer_id = "{who}", if these are the customers'
            findings = [Finding("warn", "orders", "customer_id", text, answer=answer)]
            scores["customer_id"].pop(who)
            who = None
        elif rows.height >= ENOUGH and ((once and again) or fewer or names):
            if fewer and _are_same(rows, who, email):  # the address is there for guests, too
                scores["customer_id"].pop(who)
            who = None
    if who is None:
        columns["customer_id"] = columns.pop("email")
    return findings


def take_personal_number(
    columns: dict[str, str], profiles: dict[str, ColumnProfile], taken: set[str]
) -> None:
    """Take the number of a person, as of an identity card, before its name."""
    shown = profiles.get(columns.get("customer_id", ""))
    if shown is None or not is_text(shown.cells.dtype) or shown.rows < ENOUGH:
        return
    if shown.cells.cast(pl.String).str.contains(r"[\d@]").mean() > 1 - EQUAL:  # type: ignore[operator]
        return
    numbers = [
        header
        for header, other in profiles.items()
        if header not in {*taken, *columns.values()} and is_personal_number(header)
        and other.filled >= EQUAL * shown.filled and other.distinct > FEW
    ]  # fmt: skip
    if numbers:
        columns["customer_id"] = numbers[0]


def _splits_people(rows: pl.DataFrame, who: str, email: str, *, is_name: bool) -> bool:
    """Return whether each id has one address, and addresses have several ids, as of guests.

    Guests get an id with each order, so that all ids of an address but one have a single order;
    members of a household do not. Names are only written in several ways.
    """
    emails = read_ids(rows[email]).str.to_lowercase()
    both = pl.DataFrame({"who": read_ids(rows[who]), "email": emails})
    both = both.filter(both["who"].is_not_null() & ~is_no_customer(both["who"]))
    pairs = both.drop_nulls().group_by("who", "email").len()
    accounts, people = pairs["who"].n_unique(), pairs["email"].n_unique()
    full = both["email"].count() >= EQUAL * both.height
    if not full or pairs.height > accounts / EQUAL or people > EQUAL * accounts:
        return False
    shared = pairs.filter(pl.len().over("email") > 1)
    guests = shared.height - shared["email"].n_unique()
    return is_name or (shared["len"] == 1).sum() >= ONCE * guests


def _are_same(rows: pl.DataFrame, who: str, email: str) -> bool:
    """Return whether each id has one address and each address one id, where both are there."""
    emails = read_ids(rows[email]).str.to_lowercase()
    both = pl.DataFrame({"who": read_ids(rows[who]), "email": emails}).drop_nulls()
    both = both.filter(~is_no_customer(both["who"]))
    people = min(both["who"].n_unique(), both["email"].n_unique())
    return 0 < both.unique().height <= 1.02 * people
