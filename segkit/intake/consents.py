"""Consent to marketing: columns that say who agreed and who refused, by channel.

A column's name says whether yes is a consent or a refusal. That nobody refused is no consent, and a
cell that cannot be read counts as a refusal until the shop says what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Mapping as Map
from dataclasses import replace
from itertools import product

import polars as pl

from segkit.display import counted
from segkit.intake.answers import quote_text
from segkit.intake.cells import NO, NO_MARKS, YES, is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import FIRST_DAY, NO_DATE
from segkit.intake.headers import (
    WORDS,
    bare,
    language_of,
    pattern,
    regex,
    without_accents,
    without_number,
)
from segkit.intake.mapping import TableMapping
from segkit.intake.people import WHO
from segkit.intake.privacy import show_state
from segkit.intake.questions import MOST_KINDS, Finding
from segkit.intake.statuses import spelt

REFUSED, NOT_REFUSED, AGREED = 0, 1, 2
CONSENTS = ("marketing_consent", "email_consent", "sms_consent", "phone_consent", "post_consent")
_CONTACTED = dict(
    zip(CONSENTS, ("sent marketing", "e-mailed", "texted", "phoned", "sent letters"), strict=True)
)
_ANSWERS = {
    AGREED: "yes",
    REFUSED: "no",
    NOT_REFUSED: "not recorded",
    None: "not understood and taken as no",
}
MOST_SHOWN = 3  # words of one meaning
MOST_WORDS = 12  # of a column that is told by its words alone
_YES, _NO = {*YES, "✓", "✔", "☑", "✅", "*"}, {*NO, *NO_MARKS, "×", "✖", "❌", "不", "無", "无"}
_NEVER = re.compile(rf"{NO_DATE}|{FIRST_DAY}|^(?:1899|1900|1970)")  # as systems write it
(_REFUSAL, _CONSENT, _GRANTED, _DENIED, _HARMLESS, _UNSETTLED, _ENDED, _MARKETING, _THIRD,
 _OTHER_PURPOSE, _NO_CONSENT, _NO_GRANT, _ALL, _AGREEING, _MAILINGS, _MAYBE) = (
    re.compile(without_accents(pattern(name)))
    for name in ("refusal", "consent", "granted", "denied", "harmless", "unsettled", "ended",
                 "marketing", "third", "other_purpose", "no_consent", "no_grant", "all_channels",
                 "agreeing", "mailings", "maybe_consent")
)  # fmt: skip
_GRANT = re.compile(f"(?:{_GRANTED.pattern})[a-zа-яёіїєα-ωא-תء-ي]*")  # with its ending
_CHANNELS = {name: re.compile(without_accents(text)) for name, text in WORDS["channels"].items()}


def consent_meaning(header: str) -> tuple[str, int, int] | None:
    """Return the consent that a header names, and what yes and no say of it; None if it names none.

    Examples
    --------
    >>> consent_meaning("Do not contact?"), consent_meaning("Newsletter abgemeldet")
    (('marketing_consent', 0, 1), ('email_consent', 0, 1))
    >>> consent_meaning("Accepts SMS Marketing"), consent_meaning("Contact name")
    (('sms_consent', 2, 0), None)
    """
    name = bare(without_number(header))
    if _NO_CONSENT.search(name) or _THIRD.search(name):
        return None
    is_consent = bool(_CONSENT.search(name)) or _agrees_to_mailings(name)
    is_marketing = is_consent or _MARKETING.search(name)
    is_over = is_marketing and (_DENIED.search(name) or _ENDED.search(name))
    if _REFUSAL.search(name) or (is_over and not _NO_GRANT.search(name)):
        return _channel(name, "email_consent"), REFUSED, NOT_REFUSED
    if not is_consent or _NO_GRANT.search(name):
        return None
    yes = NOT_REFUSED if _OTHER_PURPOSE.search(name) else AGREED
    return _channel(name, "marketing_consent"), yes, REFUSED


def _agrees_to_mailings(name: str) -> bool:
    """Return whether one word of a header means to agree or to receive, and another mailings.

    Examples
    --------
    >>> _agrees_to_mailings("marketing_aceptado"), _agrees_to_mailings("subscribed_product")
    (True, False)
    """
    agreeing = [match.span() for match in _AGREEING.finditer(name)]
    mailings = [match.span() for match in _MAILINGS.finditer(name)]
    return any(a[1] <= m[0] + 1 or m[1] <= a[0] + 1 for a in agreeing for m in mailings)


def _channel(name: str, default: str) -> str:
    """Return the consent of the one channel that a header names; of all if it names several."""
    named = [role for role, words in _CHANNELS.items() if words.search(name)]
    is_of_all = _ALL.search(name) and not re.search(r"e_?mail", name)
    if len(named) == 1 and (named[0] != "email_consent" or not is_of_all):
        return named[0]
    return "marketing_consent" if named or is_of_all else default


def word_meaning(word: str, yes: int = AGREED, no: int = REFUSED) -> int | None:
    """Return what a cell says of a consent; None if it is not understood.

    A word for agreed counts only where all that stands beside it is known to change nothing.

    Examples
    --------
    >>> [word_meaning(word) for word in ("subscribed", "Never subscribed", "désinscrit", "weekly")]
    [2, 0, 0, None]
    >>> word_meaning("2024-05-01", REFUSED, NOT_REFUSED), word_meaning("N", REFUSED, NOT_REFUSED)
    (0, 1)
    """
    low, name = word.strip().lower(), bare(word)
    if regex("consent_date").fullmatch(low):
        return no if _NEVER.match(low) else yes
    if low in _YES or low in _NO:
        return yes if low in _YES else no
    if _REFUSAL.search(name) or _DENIED.search(name):
        return REFUSED
    tokens = [token for token in name.split("_") if token] or [""]
    says_yes, says_no = tokens[0] in _YES, not _NO.isdisjoint(tokens)
    granting = [match.group().strip("_") for match in _GRANT.finditer(name)]
    if granting and (says_no or regex("negated").search(spelt(word))):
        return REFUSED
    other = {*_HARMLESS.sub("", _GRANT.sub("", name)).split("_")} - {"", *_YES}
    if says_no:
        settled = other <= _NO or (yes == AGREED and tokens[0] in _NO)
        return no if settled and _YES.isdisjoint(tokens) else None
    if yes == REFUSED:
        return REFUSED if says_yes else None
    settled = not other and "?" not in word and not any(map(_UNSETTLED.fullmatch, granting))
    return yes if settled and (granting or says_yes) else None


def read_consents(columns: Columns) -> dict[str, pl.Series]:
    """Read each consent that a table of orders or customers states, row by row.

    Levels are ``REFUSED``, ``NOT_REFUSED``, ``AGREED``, null where a row says nothing. Of several
    columns of one channel a refusal holds.
    """
    parts: dict[str, list[pl.Series]] = {}
    for header, (role, yes, no) in consent_columns(columns).items():
        cells = _texts(columns, header)
        levels = _levels(columns, cells, role, yes, no)
        read = {word: REFUSED if level is None else level for word, level in levels.items()}
        parts.setdefault(role, []).append(
            cells.replace_strict(read, default=None, return_dtype=pl.Int8)
        )
    return {
        role: pl.select(worst_of(pl.concat_list(series))).to_series()
        for role, series in parts.items()
    }


def worst_of(levels: pl.Expr) -> pl.Expr:
    """Return what lists of levels say together: a refusal holds, else the clearest does."""
    return (levels.list.max() * (levels.list.min() > REFUSED)).cast(pl.Int8)


def as_consent(levels: pl.Series) -> pl.Series:
    """Turn levels into a consent: true, false, or null where none is recorded."""
    return levels.replace_strict(
        {REFUSED: False, AGREED: True}, default=None, return_dtype=pl.Boolean
    )


def consents_of_orders(
    columns: Columns, orders: pl.DataFrame, rejects: pl.DataFrame
) -> pl.DataFrame:
    """Return each customer's consents as the latest order states them; at one time a refusal holds.

    Of rejected lines, such as those of cancelled orders, refusals alone count.
    """
    stated = read_consents(columns)
    levels = pl.DataFrame(stated).with_row_index("source_row").cast({"source_row": pl.Int64})
    rows = orders.select("customer_id", "order_time", "source_row").join(levels, on="source_row")
    if stated and rejects.height:
        time, _, _ = replace(columns, notes=[]).time("order_time")
        refusals = levels.select(
            pl.when(pl.col(role) == REFUSED).then(role).alias(role) for role in stated
        ).with_columns(levels["source_row"], columns.raw.select(order_time=time).to_series())
        rejected = rejects.select("source_row", customer_id=WHO).drop_nulls()
        rejected = rejected.join(refusals, on="source_row").filter(
            pl.any_horizontal(pl.col(*stated).is_not_null())
        )
        latest = rows["order_time"].max()  # a refusal without a time is the latest
        rejected = rejected.with_columns(pl.col("order_time").fill_null(latest))
        rows = pl.concat([rows, rejected.select(rows.columns)], how="vertical_relaxed")
    return (
        rows.group_by("customer_id", "order_time")
        .agg((pl.col(role).max() * (pl.col(role).min() > REFUSED)).cast(pl.Int8) for role in stated)
        .sort("order_time")
        .group_by("customer_id")
        .agg(pl.col(role).drop_nulls().last() for role in stated)
        .with_columns(
            pl.col(role).map_batches(as_consent, return_dtype=pl.Boolean) for role in stated
        )
    )


def add_refusals(
    columns: Columns, orders: pl.DataFrame, rejects: pl.DataFrame, clean: Map[str, pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """Return the table of customers, if any, with the refusals that their order lines state.

    A refusal holds whatever the table says; a box that was left empty does where it says nothing.
    Where the table states no consent at all, those of the order lines hold.
    """
    customers = clean.get("customers")
    if customers is None:
        return {}
    stated = consents_of_orders(columns, orders, rejects)
    is_silent = not {*CONSENTS} & {*customers.columns}
    roles = [role for role in stated.columns if role != "customer_id"]
    roles = [role for role in roles if is_silent or not stated[role].all()]
    consents = customers.select("customer_id").join(
        stated, on="customer_id", how="left", maintain_order="left"
    )
    certain = {role for role, yes, _ in consent_columns(columns).values() if yes == REFUSED}
    blank = pl.Series([None], dtype=pl.Boolean).new_from_index(0, customers.height)
    added = []
    for role in roles:
        own = customers.get_column(role, default=blank)
        refused = (~consents[role]).fill_null(value=False) & ((role in certain) | own.is_null())
        own = consents[role] if is_silent else own
        added.append(own.set(refused, value=False).alias(role))
    return {"customers": customers.with_columns(added)}


def about_consents(columns: Columns) -> list[Finding]:
    """Ask what the words of a consent mean that are not understood."""
    findings = []
    if columns.table not in ("orders", "customers"):
        return []
    consents = consent_columns(columns)
    roles = [role for role, _, _ in consents.values()]
    for header, (role, yes, no) in consents.items():
        cells = _texts(columns, header)
        levels = _levels(columns, cells, role, yes, no)
        unread = [word for word, level in levels.items() if level is None]
        if not unread:
            continue
        rows = int(cells.is_in(unread).sum())
        masked = {word: show_state(word, cells) for word in unread[:MOST_KINDS]}
        shown = ", ".join(map(repr, masked.values()))
        text = (
            f"{header!r} may say who agreed to marketing and who refused, but {shown} is not "
            f"understood ({counted(rows, 'row')}): true for agreed, false for refused? Until it is "
            "answered these customers count as refusing, and no mailing list is written."
        )
        offered = ", ".join(f"{quote_text(word)} = false" for word in masked.values())
        column = role if roles.count(role) == 1 else quote_text(header)  # each its own words
        answer = (
            f"[customers.values.{column}] {offered} (or true); or [customers] "
            f"not_consents = [{quote_text(header)}], if it says neither"
        )
        findings.append(Finding("warn", "customers", role, text, rows, "", answer, "consent"))
    return findings + _about_likely(columns)


def _about_likely(columns: Columns) -> list[Finding]:
    """Ask about columns of yes and no that name marketing, and are not read as a consent."""
    read, used = consent_columns(columns), columns.mapping.tables[columns.table].columns.values()
    skipped = columns.mapping.option("customers", "not_consents")
    findings = []
    for header in columns.raw.columns:
        name, shown = bare(without_number(header)), columns.profile(header)
        if header in {*read, *used, *skipped} or not _MAYBE.search(name) or shown is None:
            continue
        few = _texts(columns, header).drop_nulls().unique().head(MOST_WORDS).to_list()
        words = {word.lower() for word in few}
        if not words or not words <= _YES | _NO or _THIRD.search(name) or _NO_CONSENT.search(name):
            continue
        text = (
            f"{header!r} holds yes and no and may say who agreed to marketing: until it is "
            "answered no mailing list is written."
        )
        answer = (
            f"[customers.columns] marketing_consent = {quote_text(header)}, if it does; or "
            f"[customers] not_consents = [{quote_text(header)}], if not"
        )
        findings.append(
            Finding("warn", "customers", "marketing_consent", text, 0, "", answer, "consent")
        )
    return findings


def say_consents(tables: Iterable[Columns], people: pl.DataFrame) -> str:
    """Say who may be contacted by which channel, and by which columns and words; empty if none.

    ``people`` has one row per buyer, with the consents as read.
    """
    stated: dict[str, list[str]] = {}
    for columns in tables:
        for header, (role, yes, no) in consent_columns(columns).items():
            cells = _texts(columns, header)
            words: dict[int | None, list[str]] = {level: [] for level in _ANSWERS}
            for word, level in _levels(columns, cells, role, yes, no).items():
                words[level].append(repr(show_state(word, cells)))
            said = ", ".join(
                f"{' and '.join(listed[:MOST_SHOWN])}{' ...' if len(listed) > MOST_SHOWN else ''} "
                f"{_ANSWERS[level]}"
                for level, listed in words.items()
                if listed
            )
            stated.setdefault(role, []).append(f"{header!r}: {said}")
    texts = []
    for role, named in stated.items():
        answers = people.get_column(role, default=pl.Series(dtype=pl.Boolean))
        counts = {AGREED: answers.sum(), REFUSED: (~answers).sum()}
        counts[NOT_REFUSED] = people.height - sum(counts.values())
        shown = ", ".join(
            f"{counted(people_of, 'person', 'people')} {_ANSWERS[level]}"
            for level, people_of in counts.items()
            if people_of
        )
        texts.append(f"May be {_CONTACTED[role]}: {shown} (by {'; '.join(named)}).")
    return " ".join(texts)


def consent_columns(columns: Columns) -> dict[str, tuple[str, int, int]]:
    """Find the columns that state a consent: mapped as one, named so, or of words that say so."""
    part = columns.mapping.tables[columns.table]
    of_people = columns.mapping.tables.get("customers", TableMapping()).columns
    mapped = {header: role for role, header in of_people.items() if role in CONSENTS}
    mapped |= {raw_column: ours for ours, raw_column in part.columns.items()}
    skipped = columns.mapping.option("customers", "not_consents")
    consents = {}
    for header, kind in columns.raw.schema.items():
        role = mapped.get(header)
        if role is None and (_THIRD.search(bare(header)) or _is_of_partners(columns, header)):
            continue
        if header in skipped or kind.is_nested() or (role is not None and role not in CONSENTS):
            continue
        meaning = None if role is None and _is_address(columns, header) else consent_meaning(header)
        if role is not None:
            meaning = (role, *(meaning[1:] if meaning is not None else (AGREED, REFUSED)))
        if meaning is None and is_text(kind) and _words_refuse(columns, header):
            meaning = (_channel(bare(header), "email_consent"), AGREED, REFUSED)
        if meaning is not None and columns.cells(header).drop_nulls().len():
            consents[header] = meaning
    return consents


def _is_of_partners(columns: Columns, header: str) -> bool:
    """Return whether a header is "optin" beside "newsletter": offers of partners in PrestaShop."""
    stem = header.lower().removesuffix("optin")
    beside = [name for name in columns.raw.columns if name.lower() == f"{stem}newsletter"]
    return stem != header.lower() and any(columns.cells(name).count() for name in beside)


def is_consent(columns: Columns, header: str) -> bool:
    """Return whether a column states a consent, to others too, by its header or words alone."""
    name = bare(without_number(header))
    is_of_others = _THIRD.search(name) and (_CONSENT.search(name) or _REFUSAL.search(name))
    is_named = is_of_others or consent_meaning(header) is not None
    return bool(is_named and not _is_address(columns, header)) or _words_refuse(columns, header)


def _is_address(columns: Columns, header: str) -> bool:
    """Return whether a column holds addresses, as that of a recipient's e-mail does."""
    shown = columns.profile(header)
    return shown is not None and shown.emails > 0.3


def _words_refuse(columns: Columns, header: str) -> bool:
    """Return whether all words of a column are those of consents, and one is a refusal."""
    shown = columns.profile(header)
    words = () if shown is None else shown.words
    names = [bare(word) for word in words if word.lower() not in (_YES | _NO)]
    return (
        0 < len(names) <= MOST_WORDS
        and any(_REFUSAL.search(name) for name in names)
        and all(word_meaning(word) is not None or _GRANTED.search(bare(word)) for word in words)
    )


def _texts(columns: Columns, header: str) -> pl.Series:
    cells = columns.cells(header)
    if cells.dtype.is_temporal():
        return cells.cast(pl.Date, strict=False).cast(pl.String)
    return cells.cast(pl.String)


def _levels(
    columns: Columns, cells: pl.Series, role: str, yes: int, no: int
) -> dict[str, int | None]:
    """Return what each word of a column says of a consent, the most frequent word first."""
    own: dict[str, int] = {}  # the mapping's words for the consent, and for its column
    tables = {"customers", columns.table} & {*columns.mapping.tables}
    for table, name in product(tables, (role, str(cells.name))):
        told = columns.mapping.tables[table].values.get(name, {})
        own |= {str(word).lower(): AGREED if told[word] is True else REFUSED for word in told}
    words = cells.drop_nulls().value_counts(sort=True, name="rows")[cells.name].to_list()
    low = {word.lower() for word in words}
    if low == {"o", "n"} and language_of(columns.raw.columns) == "fr":  # oui, non
        own = {"o": yes} | own
    return {
        word: own[word.lower()] if word.lower() in own else word_meaning(word, yes, no)
        for word in words
    }
