"""Questions about ids: mangled by a spreadsheet, or different in little."""

from __future__ import annotations

from collections.abc import Mapping as Map

import polars as pl

from segkit.display import counted, number
from segkit.ids import INVISIBLE, LOOK_ALIKE, fold_ids, mangled_ids, read_ids
from segkit.ingest.findings import Finding
from segkit.ingest.identifiers import DECISIVE
from segkit.ingest.mapping import Mapping
from segkit.schema import CONTRACTS


def about_ids(raw: Map[str, pl.DataFrame], mapping: Mapping) -> list[Finding]:
    """Ask about ids that a spreadsheet has mangled, and about those that differ in little."""
    asked: list[Finding] = []
    seen: list[pl.Series] = []
    first = ""
    for table, frame in raw.items():
        named = mapping.tables[table].columns
        for field in CONTRACTS[table]:
            theirs = named.get(field.name)
            if field.kind != "id" or theirs not in frame.columns:
                continue
            if frame.schema[theirs].is_nested() or frame.schema[theirs] in (pl.Binary, pl.Object):
                continue
            asked += _about_mangled(table, field.name, frame[theirs], mapping)
            if field.name == "customer_id":
                first = first or table
                seen.append(read_ids(frame[theirs].unique()).drop_nulls().alias("id"))
    if seen and mapping.options.get("similar_ids") is None:
        asked += _about_similar(first, pl.concat(seen).unique())
    return asked


def _about_mangled(table: str, name: str, cells: pl.Series, mapping: Mapping) -> list[Finding]:
    lost = mangled_ids(cells)
    if not lost.any() or mapping.option(table, "mangled_ids") is not None:
        return []
    rows, kinds = int(lost.sum()), cells.filter(lost).n_unique()
    return [
        Finding(
            "block" if name in DECISIVE else "warn",
            table,
            name,
            f"{counted(rows, 'id', 'ids')} in {cells.name!r} ({number(kinds)} different) are "
            "mangled by a spreadsheet: written as 1.23457E+12, or as decimals too long to be "
            "exact, many ids have become one.",
            rows,
            answer="the ids exported as text; or, to count these as missing, "
            f'[{table}] mangled_ids = "reject"',
        )
    ]


def _about_similar(table_of: str, ids: pl.Series) -> list[Finding]:
    """Ask whether ids that differ in case, width, accents, invisible or like letters are one."""
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
    found = alike.select(**kinds).row(0, named=True)
    told = ", ".join(kind for kind, there in found.items() if there) or "spelling"
    return [
        Finding(
            "block",
            table_of,
            "customer_id",
            f"{counted(alike.height, 'customer id')} differ from another one only in {told}; "
            f"taken for one each, they would be {counted(customers, 'customer')}.",
            alike.height,
            answer='similar_ids = "join" if they are the same customers, similar_ids = "apart" if '
            "not (at the top of the mapping)",
        )
    ]
