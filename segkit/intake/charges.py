"""Charges and tests among order lines, and amounts in hundredths of a currency."""

from __future__ import annotations

import re

import polars as pl

from segkit.display import counted, money
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import sample
from segkit.intake.headers import plain
from segkit.intake.mapping import TableMapping
from segkit.intake.questions import Finding

MINOR = {"cent", "cents", "minor", "pence", "centimes", "centavos", "centesimi"}
_CHARGE = re.compile(
    r"\bshipping\b|\bdelivery\b|freight|postage|handling|\btax(?:es)?\b|\bvat\b|mwst|\bust\b|steuer|\btva\b|\biva\b|\bfees?\b"
    r"|commission|surcharge|\btips?\b|gratuit|versand|porto|livraison|frais|env[ií]o|spedizion|verzend"
    r"|运费|税|送料|手数料|배송|세금|доставк|налог"
)
_TEST = re.compile(r"tests?|testing|sandbox|staging")
_REAL = re.compile(r"live|prod(uction)?|real|normal|standard|actual")
# A column with more different words is no kind of row; a charge beside goods in so many orders.
MOST_KINDS, BESIDE = 12, 0.9
# A kind of row stands on nearly every row; what stands on an order's first line only is none.
MOSTLY = 0.95


def about_kinds(frame: pl.DataFrame, columns: Columns) -> tuple[TableMapping, list[Finding]]:
    """Find the column whose words mark lines as charges (shipping, tax, fees) or as tests.

    Charges are told by their words and because they stand beside other lines of the same order.
    Tests are rejected; whether charges are revenue is asked.

    Returns
    -------
    tuple of (TableMapping, list of Finding)
        The column and values of ``row_kind`` where they are sure, and what to say.
    """
    amount = columns.source("amount")
    if amount is None or columns.has("row_kind"):
        return TableMapping(), []
    part = sample(frame)
    used = set(columns.mapping.tables["orders"].columns.values())
    for name, dtype in part.schema.items():
        if name in used or not is_text(dtype):
            continue
        words = part[name].cast(pl.String).str.strip_chars()
        known = words.drop_nulls()
        if known.len() < MOSTLY * words.len() or not 2 <= known.n_unique() <= MOST_KINDS:
            continue
        kinds = _kinds(words, part, columns)
        if kinds:
            return _asked(name, kinds, frame, columns)
    return TableMapping(), []


def _kinds(words: pl.Series, part: pl.DataFrame, columns: Columns) -> dict[str, str]:
    """Return the words that mark charges or tests; empty if the column does not tell them."""
    distinct = [word for word in words.unique().sort().to_list() if word]
    low = {word: word.lower() for word in distinct}
    charges = [word for word in distinct if _CHARGE.search(low[word])]
    order = columns.source("order_id")
    if charges and len(charges) < len(distinct) and order is not None:
        is_charge = words.is_in(charges).fill_null(value=False)
        lines = pl.DataFrame({"order": part[order], "charge": is_charge})
        with_charge = lines.group_by("order").agg(pl.col("charge").sum(), rows=pl.len())
        with_charge = with_charge.filter(pl.col("charge") > 0)
        beside = with_charge.filter(pl.col("rows") > pl.col("charge")).height
        if beside >= BESIDE * with_charge.height:
            return dict.fromkeys(charges, "charge")
    tests = [word for word in distinct if _TEST.fullmatch(low[word])]
    real = [word for word in distinct if _REAL.fullmatch(low[word])]
    return dict.fromkeys(tests, "test") if tests and real else {}


def _asked(
    name: str, kinds: dict[str, str], frame: pl.DataFrame, columns: Columns
) -> tuple[TableMapping, list[Finding]]:
    """Write the proposal, with the rows and the money of each word."""
    words = frame[name].cast(pl.String).str.strip_chars()
    worth = pl.DataFrame({"word": words, "money": columns.numbers("amount")})
    shown, rows = [], 0
    for word in kinds:
        lines = worth.filter(pl.col("word") == word)
        rows += lines.height
        shown.append(f"{word!r} ({counted(lines.height, 'row')}, {money(lines['money'].sum())})")
    values = [f'[orders.values.row_kind] "{word}" = "{kind}"' for word, kind in kinds.items()]
    answer = " and ".join([f'[orders.columns] row_kind = "{name}"', *values])
    if "test" in kinds.values():
        part = TableMapping({"row_kind": name}, {}, {"row_kind": dict(kinds)})
        text = f"{name!r} marks tests: {', '.join(shown)}; they are rejected."
        change = f'[orders.values.row_kind] "{next(iter(kinds))}" = "line"'
        return part, [Finding("warn", "orders", "row_kind", text, rows, answer=change)]
    text = (
        f"{name!r} marks lines that are no goods: {', '.join(shown)}. Left out, or part of the "
        "revenue?"
    )
    answer += '; "line" instead of "charge" keeps them as revenue'
    # Not proposed: a proposal that is saved would count as an answer.
    return TableMapping(), [Finding("block", "orders", "row_kind", text, rows, answer=answer)]


def about_minor_units(columns: Columns) -> tuple[dict[str, object], list[Finding]]:
    """Find amounts that are in hundredths, by names such as ``amount_cents``.

    Returns
    -------
    tuple of (dict of str to value, list of Finding)
        The option ``minor_units``, and what to say.
    """
    if columns.mapping.is_set("orders", "minor_units"):
        return {}, []
    names = [n for n in ("amount", "unit_price", "refund") if columns.source(n) is not None]
    said = [n for n in names if MINOR & set(plain(str(columns.source(n))).split("_"))]
    whole = [n for n in said if bool((columns.numbers(n).drop_nulls() % 1 == 0).all())]
    if not whole:
        return {}, []
    listed = ", ".join(repr(columns.source(name)) for name in whole)
    if whole != names:
        text = f"{listed} is in hundredths by its name, other amounts are not."
        answer = "[orders] minor_units = true (or false), with columns in one unit"
        return {}, [Finding("block", "orders", "amount", text, None, answer=answer)]
    text = f"{listed} is read in hundredths of the currency, as its name says."
    answer = "[orders] minor_units = false"
    return {"minor_units": True}, [Finding("info", "orders", "amount", text, None, answer=answer)]
