"""What cannot be seen in the data, and must be asked? The gate before intake."""

from __future__ import annotations

import polars as pl

from segkit.display import counted
from segkit.ingest.answers import doubted_answers, read_item
from segkit.ingest.columns import Columns
from segkit.ingest.doubts import about_currencies, about_dates, about_decimals, about_no_value
from segkit.ingest.findings import Finding
from segkit.ingest.mapping import Mapping, TableMapping, lacks
from segkit.ingest.parse import flag, is_text
from segkit.masking import mask_word
from segkit.schema import CONTRACTS, Field

# Words for a document that gives money back, in six languages.
CREDIT = (
    r"\b(avoir|credit[ _-]?note|credit[ _-]?memo|refund|return|returned|retour|gutschrift|retoure"
    r"|storno|abono|devoluci[oó]n|reembolso|creditnota|nota di credito|reso)\b"
)
MOST_KINDS = 20


def open_questions(
    table: str, frame: pl.DataFrame, mapping: Mapping, *, with_fx: bool
) -> list[Finding]:
    """List what must be answered before this table's numbers can be trusted."""
    part = mapping.tables[table]
    columns = Columns(table, frame, mapping)
    asked = [
        Finding(
            "block",
            table,
            name,
            f"No column of {table} could be recognised as {name}; "
            f"there are: {', '.join(frame.columns) or 'none'}.",
            answer=f'[{table}.columns] {name} = "{_likely(name, part, frame)}"',
        )
        for name in lacks(table, part)
    ]
    for field in CONTRACTS[table]:
        theirs = part.columns.get(field.name)
        if theirs is None or not frame.height:
            continue
        unfit = _about_type(table, field, frame[theirs])
        asked += unfit
        if field.kind in ("time", "date") and not unfit:
            asked += about_dates(columns, field.name)
        elif field.kind in ("money", "number") and not unfit:
            asked += about_decimals(columns, field.name) or about_no_value(columns, field.name)
    if table == "survey":
        asked += _about_answers(frame, mapping)
    if table == "orders":
        asked += _about_returns(frame, mapping)
    return asked + about_currencies(columns, with_fx=with_fx)


def _about_answers(frame: pl.DataFrame, mapping: Mapping) -> list[Finding]:
    """Ask whether numbers outside the scale of a survey's items are answers or codes for none."""
    part, nulls = mapping.tables["survey"], mapping.option("survey", "nulls")
    stated = mapping.option("survey", "answers")
    ends = (float(stated[0]), float(stated[1])) if stated else None
    contract = {part.columns.get(field.name) for field in CONTRACTS["survey"]}
    named = {t for ours, t in part.columns.items() if t not in contract}
    found: dict[str, list[tuple[float, int]]] = {}
    for name in frame.columns:
        if name in contract or (named and name not in named):
            continue
        # Where a scale is stated, only what looks like an item of it is held against it.
        item = read_item(frame[name], nulls)
        doubted = doubted_answers(item)
        if ends is not None:
            doubted = [(v, n) for v, n in doubted if not ends[0] <= v <= ends[1]]
        if doubted:
            found[name] = doubted
    if not found:
        return []
    told = "; ".join(
        f"{name} holds "
        + ", ".join(f"{value:g} ({counted(rows, 'time')})" for value, rows in rows_)
        for name, rows_ in list(found.items())[:MOST_KINDS]
    )
    values = sorted({value for rows_ in found.values() for value, _ in rows_})
    codes = ", ".join(f'"{value:g}"' for value in values)
    listed = [str(word) for word in (nulls if mapping.is_set("survey", "nulls") else [""])]
    before = "".join(f'"{word}", ' for word in listed)
    return [
        Finding(
            "block",
            "survey",
            "",
            f"Numbers outside the scale of the items: {told}. Codes for 'no answer', or answers?",
            sum(rows for doubted in found.values() for _, rows in doubted),
            f"{values[-1]:g}",
            f"[survey] nulls = [{before}{codes}] where they are codes, "
            "[survey] answers = [lowest, highest] where they are answers",
        )
    ]


def _about_returns(frame: pl.DataFrame, mapping: Mapping) -> list[Finding]:
    """Ask which words mean a return, where a column seems to say so and nothing reads it."""
    part = mapping.tables["orders"]
    theirs = part.columns.get("is_return")
    if theirs is not None and is_text(frame.schema[theirs]):
        words = part.values.get("is_return", {})
        cells = frame.select(pl.col(theirs).cast(pl.String).str.strip_chars().alias("word"))
        read = flag(pl.col("word"), pl.String(), (), words)
        known = {str(word) for word in words}
        odd = cells.filter(read.is_null() & ~pl.col("word").is_in(["", *known]))
        if odd.height:
            listed = _some(odd["word"])
            return [_return_question(theirs, f"holds {listed}, neither yes nor no.", odd)]
        return []
    if theirs is not None or part.constants.get("is_return") is not None:
        return []
    if mapping.option("orders", "return_prefix"):
        return []
    return _credit_notes(frame, part)


def _credit_notes(frame: pl.DataFrame, part: TableMapping) -> list[Finding]:
    """Find unused columns whose words name credit notes on lines that are not negative."""
    signs = [part.columns[n] for n in ("quantity", "amount") if n in part.columns]
    minus = pl.any_horizontal(
        pl.col(name).cast(pl.String).str.strip_chars().str.contains(r"^[-−(]|-$") for name in signs
    ) if signs else pl.lit(value=False)  # fmt: skip
    used = set(part.columns.values())
    texts = [n for n, kind in frame.schema.items() if n not in used and is_text(kind)]
    kinds = frame.head(10_000).select(pl.col(texts).n_unique())
    few = [column.name for column in kinds if column[0] <= MOST_KINDS]
    says = pl.col(few).cast(pl.String).str.to_lowercase().str.contains(CREDIT).any()
    for name in [column.name for column in frame.select(says) if column[0]]:
        kind = pl.col(name).cast(pl.String).str.strip_chars()
        credited = kind.str.to_lowercase().str.contains(CREDIT).fill_null(value=False)
        notes = frame.filter(credited & ~minus).select(word=kind)
        if notes.height:
            return [_return_question(name, f"holds {_some(notes['word'])}: returns?", notes)]
    return []


def _return_question(column: str, what: str, rows: pl.DataFrame) -> Finding:
    named = rows.filter(pl.col("word").str.to_lowercase().str.contains(CREDIT))
    word = mask_word((named if named.height else rows)["word"][0], rows["word"])
    return Finding(
        "block",
        "orders",
        "is_return",
        f"{column!r} {what} It decides the sign of {counted(rows.height, 'row')}.",
        rows.height,
        word,
        f'[orders.columns] is_return = "{column}" with [orders.values.is_return] "{word}" = true '
        "(and each other word = true or false)",
    )


def _some(words: pl.Series) -> str:
    found = words.drop_nulls().unique().sort().head(4).to_list()
    return ", ".join(repr(mask_word(word, words)) for word in found)


def _likely(name: str, part: TableMapping, frame: pl.DataFrame) -> str:
    """Name the column that could fill a gap: a price, or the one number that is left."""
    if name != "amount":
        return "..."
    if "unit_price" in part.columns:
        return part.columns["unit_price"]
    free = [n for n in frame.columns if n not in part.columns.values()]
    numbers = [n for n in free if frame.schema[n].is_numeric()]
    return numbers[0] if len(numbers) == 1 else "..."


def _about_type(table: str, field: Field, cells: pl.Series) -> list[Finding]:
    """Ask for another column where this one's type cannot hold what is wanted."""
    dtype = cells.dtype
    number_like = dtype.is_numeric() or is_text(dtype) or dtype == pl.Null
    fits = {
        "time": dtype.is_temporal() or number_like,
        "date": dtype.is_temporal() or number_like,
        "money": number_like,
        "number": number_like,
    }
    nested = dtype.is_nested() or dtype in (pl.Binary, pl.Object)
    if fits.get(field.kind, True) and not nested:
        return []
    return [
        Finding(
            "block",
            table,
            field.name,
            f"{cells.name!r} holds {dtype}, which cannot be read as {field.name} ({field.kind}).",
            answer=f'[{table}.columns] {field.name} = "..."',
        )
    ]
