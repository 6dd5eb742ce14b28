"""Choice of the customer of proposed orders: an account, a card, an address or a number."""

from __future__ import annotations

import polars as pl

from segkit.display import counted, number
from segkit.ids import names_nobody
from segkit.intake.cells import is_text
from segkit.intake.evidence import ENOUGH, FEW, ColumnProfile
from segkit.intake.factors import EXACT, Scores
from segkit.intake.headers import concepts, is_personal_number, names_recipient
from segkit.intake.mapping import Mapping
from segkit.intake.questions import Finding
from segkit.intake.spellings import spell_cells

EQUAL, NEARLY, ONCE = 0.95, 0.99, 0.9


def pair_cells(ids: pl.Series, others: pl.Series) -> pl.DataFrame:
    """Pair customer ids with the addresses, numbers or names beside them, where both are there.

    One row per pair: ``id``, ``other``, ``rows``; ``others`` is how many the id has, and ``ids``
    how many ids the other one has.

    Examples
    --------
    >>> pairs = pair_cells(pl.Series(["1", "2", "2"]), pl.Series(["a@x.org", "a@x.org", None]))
    >>> pairs.sort("id").rows()
    [('1', 'a@x.org', 1, 1, 2), ('2', 'a@x.org', 1, 1, 2)]
    """
    pairs = pl.DataFrame({"id": ids, "other": others}).drop_nulls().group_by("id", "other")
    return _with_sizes(pairs.len("rows"))


def _with_sizes(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.with_columns(others=pl.len().over("id"), ids=pl.len().over("other"))


def spell_rows(
    ids: pl.Series, others: pl.Series, mapping: Mapping | None = None, **more: pl.Series
) -> pl.DataFrame:
    """Count rows alike as ``id``, ``other``, ``rows``, spelled by `spell_cells`, nobody as null.

    Each different row is spelled once, before ids and others that are spelled alike are joined.
    """
    rows = pl.DataFrame({"id": ids, "other": others, **more}).group_by(pl.all()).len("rows")
    return rows.with_columns(
        id=spell_cells(rows["id"].alias(ids.name), mapping),
        other=spell_cells(rows["other"].alias(others.name)),
    )


def pair_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Pair the ids of `spell_rows` with what stands beside them, as `pair_cells` does."""
    pairs = rows.drop_nulls(["id", "other"]).group_by("id", "other")
    return _with_sizes(pairs.agg(pl.col("rows").sum()))


def sum_by_id(pairs: pl.DataFrame) -> pl.DataFrame:
    """Sum up pairs by customer id: ``id``, ``others``, ``rows``."""
    return pairs.group_by("id").agg(pl.col("others").first(), pl.col("rows").sum())


def choose_customer(
    frame: pl.DataFrame, columns: dict[str, str], whole: dict[str, str], scores: Scores
) -> list[Finding]:
    """Take the e-mail address as the customer where no id tells customers apart."""
    email, who, card = (columns.get(n) for n in ("email", "customer_id", "loyalty_id"))
    if card is not None and _is_masked(frame[card]) and any(map(_tells_person, frame.columns)):
        scores["loyalty_id"].pop(columns.pop("loyalty_id"), None)
        card = None
    if who is None and card is not None:  # not all who have a card leave an address
        addresses = 0 if email is None else frame[email].count()
        if email is None or spell_cells(frame[card]).count() > addresses:
            columns["customer_id"] = columns.pop("loyalty_id")
            return []
    if email is None:
        return []
    findings: list[Finding] = []
    if who is not None:
        rows, order = frame.select(list(dict.fromkeys([who, email]))), whole.get("order_id")
        if order:
            rows = rows.filter(frame[order].hash().is_first_distinct())
        if rows.height < ENOUGH or not _takes_email(rows, who, email, scores, findings):
            return []
    fuller = _fuller_number(frame, email) if who is None else None
    columns["customer_id"] = fuller or columns.pop("email")
    if fuller:
        text = f"{fuller!r} is read as the customer: it tells those of {email!r}, on more rows."
        answer = f'[orders.columns] customer_id = "{email}"'
        findings.append(Finding("info", "orders", "customer_id", text, answer=answer))
    return findings


def _is_masked(cards: pl.Series) -> bool:
    """Return whether only the last figures of cards are shown, which several people share."""
    masked = cards.cast(pl.String).str.contains(r"[Xx*•#]{2,}[\s-]*\d{2,6}$").mean()
    return bool(masked and float(masked) >= EQUAL)  # type: ignore[arg-type]


def _tells_person(header: str) -> bool:
    """Return whether a header is of addresses, telephones or names of the customer."""
    meant = concepts(header)[0]
    return bool({"email", "phone", "customer"} & meant) and not names_recipient(header)


def _fuller_number(frame: pl.DataFrame, email: str) -> str | None:
    """Return the telephone that tells the same customers as the address, on more rows."""
    for header in frame.columns:
        meant = concepts(header)[0]
        if "phone" not in meant or names_recipient(header) or header == email:
            continue
        rows = spell_rows(frame[header], frame[email])
        numbers, emails = (rows.drop_nulls(name)["rows"].sum() for name in ("id", "other"))
        if emails > NEARLY * frame.height:
            return None
        is_fuller = numbers >= max(EQUAL * frame.height, emails) and rows["id"].n_unique() > FEW
        if is_fuller and are_same(pair_rows(rows)):
            return header
    return None


def are_same(pairs: pl.DataFrame) -> bool:
    """Return whether each id has one address, number or name, and each of these one id."""
    return 0 < pairs.height <= 1.02 * min(pairs["id"].n_unique(), pairs["other"].n_unique())


def _takes_email(
    rows: pl.DataFrame, who: str, email: str, scores: Scores, findings: list[Finding]
) -> bool:
    """Return whether the address tells customers apart rather than the id; warn where it splits.

    A column named customer id stays, unless addresses stand on many more orders.
    """
    ids, emails = spell_cells(rows[who]), spell_cells(rows[email])
    pairs = pair_cells(ids, emails)
    named = (ids.is_not_null() & ~names_nobody(rows[who].cast(pl.String))).sum()
    ids, emails = ids.drop_nulls(), emails.drop_nulls()
    accounts, people = ids.n_unique(), emails.n_unique()
    is_named = scores["customer_id"][who] >= EXACT
    is_name = "id" not in concepts(who)[0] and not ids.str.contains(r"\d").any()
    if not is_named and _splits_people(pairs, ids.len(), is_name=is_name):
        text = (
            f"{email!r} is read as the customer: {counted(people, 'address', 'addresses')} "
            f"stand beside {number(accounts)} values of {who!r}, as where each order of a "
            "guest gets a new one."
        )
        answer = f'[orders.columns] customer_id = "{who}", if these are the customers'
        findings.append(Finding("warn", "orders", "customer_id", text, answer=answer))
        del scores["customer_id"][who]
        return True
    # Each id has one address and each address one id: the address is there for guests, too.
    is_same = are_same(pairs)
    least = 0.95 if is_same and not is_named else 0.8
    if ids.len() < least * emails.len():
        if is_same:
            del scores["customer_id"][who]
        return True
    bought_once = accounts >= 0.98 * ids.len() and people < 0.9 * emails.len()
    # Two people may have one name; a firm has more addresses than these. Tests have a name alone.
    is_full = emails.len() >= NEARLY * int(named)
    takes_name = is_name and is_full and (is_same or accounts <= people <= 1.2 * accounts)
    return not is_named and (bought_once or takes_name)


def _splits_people(pairs: pl.DataFrame, orders: int, *, is_name: bool) -> bool:
    """Return whether each id has one address, and addresses have several ids, as of guests.

    Guests get an id with each order, so that all ids of an address but one have a single order;
    members of a household do not. Names are only written in several ways.
    """
    accounts, people = pairs["id"].n_unique(), pairs["other"].n_unique()
    full = pairs["rows"].sum() >= EQUAL * orders
    if not full or pairs.height > accounts / EQUAL or people > EQUAL * accounts:
        return False
    shared = pairs.filter(pl.col("ids") > 1)
    guests = shared.height - shared["other"].n_unique()
    return is_name or (shared["rows"] == 1).sum() >= ONCE * guests


def take_personal_number(
    columns: dict[str, str], profiles: dict[str, ColumnProfile], taken: set[str]
) -> None:
    """Take the number of a person, as of an identity card, before its name."""
    shown = profiles.get(columns.get("customer_id", ""))
    if shown is None or shown.rows < ENOUGH or not holds_names(shown):
        return
    numbers = [
        header
        for header, other in profiles.items()
        if header not in {*taken, *columns.values()} and is_personal_number(header)
        and other.filled >= EQUAL * shown.filled and other.distinct > FEW
    ]  # fmt: skip
    if numbers:
        columns["customer_id"] = numbers[0]


def holds_names(shown: ColumnProfile) -> bool:
    """Return whether nearly all values of a column are neither numbers nor addresses."""
    texts = shown.cells.cast(pl.String)
    numbered = float(texts.str.contains(r"[\d@]").mean() or 0.0)  # type: ignore[arg-type]
    return is_text(shown.cells.dtype) and numbered <= 1 - EQUAL
