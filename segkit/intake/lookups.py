"""Proposal of a mapping for the tables other than orders, from their headers."""

from __future__ import annotations

import polars as pl

from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import is_dated
from segkit.intake.factors import EXACT, LEAST, Scores
from segkit.intake.headers import SMALL, WORDS, concepts, names_companion, plain
from segkit.intake.mapping import Mapping, TableMapping
from segkit.intake.questions import Finding, about_rivals
from segkit.intake.roles import assign_roles, close_rivals, holds_addresses, name_score
from segkit.schema import CONTRACTS, EVENT_TYPES

# The other tables have roles of orders, and columns of their own by literal headers.
_SHARED: dict[str, list[str]] = WORDS["shared_roles"]
_ADDRESS, LEAST_ADDRESSES = r"[^@\s,;]@[^@\s,;]+\.\w", 0.3
EVENT_WORDS = {word: kind for kind, words in WORDS["events"].items() for word in words.split()}


def propose_by_header(
    table: str, frame: pl.DataFrame, given: Mapping
) -> tuple[TableMapping, list[Finding]]:
    """Propose the columns of a table other than orders from its headers and filled cells.

    Returned are columns and words, and the questions where several columns are possible.
    """
    fixed = given.tables.get(table, TableMapping()).columns
    nulls = {"", *map(str, given.option(table, "nulls"))}
    filled = _filled(frame, frame.columns, nulls) if frame.height else frame.columns
    scores = _scores(table, filled)
    used = set(fixed.values())
    columns = assign_roles(scores, used, fixed)
    used |= {*columns.values()}
    time = next((f.name for f in CONTRACTS[table] if f.kind == "time" and f.required), None)
    if time and time not in {*columns, *fixed}:
        dated = [n for n in filled if n not in used and is_dated(frame[n])]
        if len(dated) == 1:
            columns[time] = dated[0]
    if table == "survey":
        columns = {o: t for o, t in columns.items() if o in ("customer_id", "nps", "csat")}
    questions = []
    for role, rivals in close_rivals(
        scores, columns, used, lambda _, one, other: frame[one].equals(frame[other])
    ):
        must = role in ("customer_id", "event_time", "event_type")
        answer = f'[{table}.columns] {role} = "{rivals[0]}"'
        questions.append(about_rivals(table, role, map(repr, rivals), answer, must))
    return TableMapping(columns, {}, _words(table, frame, columns)), questions


def email_column(columns: Columns) -> str | None:
    """Return the column of order lines that states the customer's e-mail address."""
    named, who = columns.source("email"), columns.source("customer_id")
    if named is None and who is not None and holds_addresses(columns.profile(who)):
        return who
    if named is None:
        named = propose_by_header("customers", columns.raw, Mapping())[0].columns.get("email")
    others = sorted(columns.raw.columns, key=names_companion)
    return named or next((n for n in others if _holds_addresses(columns, n)), None)


def _holds_addresses(columns: Columns, header: str) -> bool:
    """Return whether a column of customers other than their id has addresses beside others."""
    is_who = "customer" in concepts(header)[0] and header != columns.source("customer_id")
    if not is_who or not is_text(columns.raw.schema[header]):
        return False
    cells = columns.cells(header).drop_nulls().cast(pl.String)
    return bool((cells.str.contains(_ADDRESS).mean() or 0.0) >= LEAST_ADDRESSES)  # type: ignore[operator]


def _scores(table: str, filled: list[str]) -> Scores:
    """Score the filled columns for each role of the table by their headers."""
    scores: Scores = {}
    for role in _SHARED.get(table, ()):
        scores[role] = {n: s for n in filled if (s := name_score(role, n)) >= LEAST}
        if role == "email":  # a participant's or recipient's only where there is no other one
            scores[role] = {n: s - names_companion(n) for n, s in scores[role].items()}
        if role == "customer_id" and not scores[role]:  # a list of customers may call it id alone
            scores[role] = {n: 1.7 for n in filled if squeezed(plain(n)) == "id"}
    for role, words in WORDS["tables"].get(table, {}).items():
        listed = [squeezed(word) for word in (role, *words.split())]
        ranks = {n: listed.index(w) for n in filled if (w := squeezed(plain(n))) in listed}
        scores[role] = {
            n: EXACT if plain(n) == role else 3.4 - 0.1 * rank for n, rank in ranks.items()
        }
    return scores


def find_attributes(frame: pl.DataFrame, used: set[str]) -> dict[str, str]:
    """Find the columns of order lines that state country, region, company or brand.

    Examples
    --------
    >>> find_attributes(pl.DataFrame({"Billing Country": ["DE"], "Vendor": ["Leaf"]}), set())
    {'country': 'Billing Country', 'brand': 'Vendor'}
    """
    filled = _filled(frame, [n for n in frame.columns if n not in used], {""})
    columns: dict[str, str] = {}
    for role, ranked in _scores("orders", filled).items():
        unused = {n: s for n, s in ranked.items() if n not in columns.values()}
        if unused:
            columns[role] = max(unused, key=lambda name: unused[name])
    spare = [n for n in filled if n not in columns.values() and concepts(n)[0] <= _OF_COUNTRY]
    named = [n for n in spare if "country" in concepts(n)[0]]
    return {"country": named[0], **columns} if named else columns


_OF_COUNTRY = frozenset(["country", "customer", "shipping", "payment", "order", "buy", "name"])


def _words(
    table: str, frame: pl.DataFrame, columns: dict[str, str]
) -> dict[str, dict[str, object]]:
    """Return the meanings of the words of events that are known by another name."""
    if table != "events" or "event_type" not in columns:
        return {}
    cells = frame[columns["event_type"]].drop_nulls().cast(pl.String).unique().to_list()
    event_types = {cell: plain(cell) for cell in sorted(cells)}
    words: dict[str, object] = {
        cell: word
        for cell, spelt in event_types.items()
        if (word := spelt if spelt in EVENT_TYPES else EVENT_WORDS.get(spelt)) not in (None, cell)
    }
    return {"event_type": words} if words else {}


def _filled(frame: pl.DataFrame, names: list[str], nulls: set[str]) -> list[str]:
    """Return the columns that hold a value: of text one that is not a word for none."""
    first = frame.head(1).select(names).to_dict(as_series=False)  # most columns show it there
    empty = [
        name
        for name, cells in first.items()
        if all(str(cell or "").strip() in nulls for cell in cells)
    ]
    for rows in (frame.head(1_000), frame):
        is_blank = rows.select(_is_empty(name, frame.schema[name], nulls) for name in empty)
        empty = [name for name in empty if is_blank[name].item()]
    return [name for name in names if name not in empty]


def _is_empty(name: str, kind: pl.DataType, nulls: set[str]) -> pl.Expr:
    if not is_text(kind):
        return pl.col(name).is_null().all()
    words = pl.col(name).cast(pl.String).str.strip_chars()
    return words.is_in(list(nulls)).fill_null(value=True).all()


def squeezed(spelt: str) -> str:
    """Drop underscores and small words, so that 'belegnr' is 'beleg_nr'.

    Examples
    --------
    >>> squeezed("date_de_la_commande") == squeezed("date_commande")
    True
    """
    return "".join(word for word in spelt.split("_") if word not in SMALL) or spelt
