"""Doubts about ids: damaged by a spreadsheet, or of one customer in several spellings."""

from __future__ import annotations

from collections.abc import Mapping as Map

import polars as pl

from segkit.display import counted, number
from segkit.ids import INVISIBLE, LOOK_ALIKE, fold_ids, mangled_ids, read_ids
from segkit.intake.cells import DECISIVE, is_text
from segkit.intake.country import tell_country
from segkit.intake.customers import pair_cells
from segkit.intake.headers import concepts
from segkit.intake.mapping import Mapping
from segkit.intake.questions import Finding
from segkit.intake.spellings import (
    are_telephones,
    country_of,
    read_telephones,
    spell_cells,
    spell_ids,
)
from segkit.intake.tried import names_person
from segkit.schema import CONTRACTS

AGREE, MOSTLY_TOLD = 0.95, 0.5  # of numbers told by what stands beside; and of all, so many are
FEW_OF_ONE = 3  # customers with one address or name; a shop's own has more


def settle_spellings(
    raw: Map[str, pl.DataFrame], mapping: Mapping
) -> tuple[Mapping, list[Finding]]:
    """Complete a mapping by how ids are spelled; ask about damaged and similar ones.

    Telephone numbers are read by the country that they, or else the data, tell, if numbers stand
    there with its code and without. Zeros before numbers are left out if the same e-mail address,
    telephone number or name stands beside nearly all numbers that differ in them.
    """
    found, questions = _read_ids(raw, mapping)
    if not found:
        return mapping, questions
    ids, first = pl.concat(found.values()).unique(), next(iter(found))
    if are_telephones(mapping) and mapping.option("orders", "phone_country") is None:
        country = country_of(ids, _likely_country(raw, mapping))
        if read_telephones(ids, country).n_unique() < read_telephones(ids).n_unique():
            mapping = mapping.with_option(None, "phone_country", country)
    ids = spell_ids(ids, mapping).unique()
    if mapping.option("orders", "leading_zeros") is None:
        mapping, zeros = _settle_zeros(first, ids, raw, mapping)
        questions += zeros
    if mapping.option("orders", "similar_ids") is None:
        questions += _about_similar(first, ids)
    return mapping, questions


def _read_ids(
    raw: Map[str, pl.DataFrame], mapping: Mapping
) -> tuple[dict[str, pl.Series], list[Finding]]:
    """Read each table's customer ids, and ask about ids of all kinds that are damaged."""
    questions: list[Finding] = []
    found: dict[str, pl.Series] = {}
    for table, frame in raw.items():
        named = mapping.tables[table].columns
        for field in CONTRACTS[table]:
            raw_column = named.get(field.name)
            if field.kind != "id" or raw_column not in frame.columns:
                continue
            kind = frame.schema[raw_column]
            if kind.is_nested() or kind in (pl.Binary, pl.Object):
                continue
            questions += _about_mangled(table, field.name, frame[raw_column], mapping)
            if field.name == "customer_id":
                found[table] = read_ids(frame[raw_column].unique()).drop_nulls().alias("id")
    return found, questions


def _likely_country(raw: Map[str, pl.DataFrame], mapping: Mapping) -> str | None:
    """Return the country that a column of countries tells, or else the currency and language."""
    columns = {table: mapping.tables[table].columns.get("country") for table in raw}
    named = {t: raw[t][name] for t, name in columns.items() if name in raw[t].columns}
    return tell_country(named, mapping, mapping.option("orders", "currency")).code


def _about_mangled(table: str, name: str, cells: pl.Series, mapping: Mapping) -> list[Finding]:
    lost = mangled_ids(cells)
    if not lost.any() or mapping.option(table, "mangled_ids") is not None:
        return []
    rows, kinds = int(lost.sum()), cells.filter(lost).n_unique()
    text = (
        f"{counted(rows, 'id', 'ids')} in {cells.name!r} ({number(kinds)} different) are mangled "
        "by a spreadsheet: written as 1.23457E+12, or as decimals too long to be exact, many ids "
        "have become one."
    )
    answer = "the ids exported as text; or, to count these as missing, "
    answer += f'[{table}] mangled_ids = "reject"'
    return [Finding("block" if name in DECISIVE else "warn", table, name, text, rows, "", answer)]


def _settle_zeros(
    table: str, ids: pl.Series, raw: Map[str, pl.DataFrame], mapping: Mapping
) -> tuple[Mapping, list[Finding]]:
    """Join numbers that differ in zeros before them, or warn, by what stands beside them."""
    figures = ids.filter(ids.str.contains(r"^\d+$"))
    bare = figures.str.strip_chars_start("0")
    alike = figures.filter(bare.is_duplicated())
    if not alike.len():
        return mapping, []
    pairs = _persons_beside(raw, mapping, alike)
    told = pairs.filter(pl.col("id").n_unique().over("bare", "kind") > 1)
    same = told.filter(pl.col("id").n_unique().over("bare", "kind", "other") > 1)
    numbers, agreeing = told["bare"].n_unique(), same["bare"].n_unique()
    text = (
        f"{counted(alike.len(), 'customer id')} differ from another one only in zeros before them, "
        "which a spreadsheet takes off; "
    )
    if numbers >= MOSTLY_TOLD * alike.len() / 2 and agreeing >= AGREE * numbers:
        mapping = mapping.with_option(None, "leading_zeros", "join")
        text += f"they are read as one, since {number(agreeing)} of {number(numbers)} such numbers "
        text += "have one address, telephone number or name."
        answer = 'leading_zeros = "apart" (at the top of the mapping), if not'
    else:
        text += "they count as different customers."
        answer = 'leading_zeros = "join" (at the top of the mapping), if they are the same'
    return mapping, [Finding("warn", table, "customer_id", text, alike.len(), answer=answer)]


def _persons_beside(raw: Map[str, pl.DataFrame], mapping: Mapping, ids: pl.Series) -> pl.DataFrame:
    """Pair customer ids with the addresses, telephone numbers and names beside them.

    What stands beside more customers than a few, as a shop's own address does, is left out.
    """
    pairs = [pair_cells(ids.clear(), ids.clear()).with_columns(kind=pl.lit(""))]
    for table, frame in raw.items():
        who = mapping.tables[table].columns.get("customer_id")
        if who not in frame.columns:
            continue
        keys = spell_ids(read_ids(frame[who]), mapping)
        rows = keys.is_in(ids.implode())
        for header, dtype in frame.schema.items():
            named = concepts(header)[0] & {"email", "phone"} or {"name"}
            if header != who and is_text(dtype) and (named != {"name"} or names_person(header)):
                found = pair_cells(keys.filter(rows), spell_cells(frame[header].filter(rows)))
                pairs.append(found.with_columns(kind=pl.lit(min(named))))
    beside = pl.concat(pairs).with_columns(bare=pl.col("id").str.strip_chars_start("0"))
    return beside.filter(pl.col("bare").n_unique().over("kind", "other") <= FEW_OF_ONE)


def _about_similar(table_of: str, ids: pl.Series) -> list[Finding]:
    """Ask whether ids that differ in case, width, accents or look-alike letters are the same."""
    table = ids.to_frame().with_columns(one=fold_ids(pl.col("id")))
    alike = table.filter(pl.len().over("one") > 1)
    if not alike.height:
        return []
    customers = alike["one"].n_unique()
    letters = "[" + "".join(LOOK_ALIKE) + "]"
    plain = pl.col("id").str.normalize("NFC")
    wide = plain.str.normalize("NFKC")
    low, shown = wide.str.to_lowercase(), wide.str.replace_all(INVISIBLE, "")
    kinds = {
        "case": low.n_unique() < wide.n_unique(),
        "composition of accents": plain.n_unique() < pl.len(),
        "width": wide.n_unique() < plain.n_unique(),
        "invisible characters": (shown != wide).any(),
        "letters of other alphabets that look alike": low.str.contains(letters).any(),
    }
    differs = alike.select(**kinds).row(0, named=True)
    differences = ", ".join(kind for kind, differ in differs.items() if differ) or "spelling"
    text = (
        f"{counted(alike.height, 'customer id')} differ from another one only in {differences}; "
        f"joined, these {number(alike.height)} are {counted(customers, 'customer')}."
    )
    answer = 'similar_ids = "join" if they are the same customers, similar_ids = "apart" if not '
    answer += "(at the top of the mapping)"
    return [Finding("block", table_of, "customer_id", text, alike.height, answer=answer)]
