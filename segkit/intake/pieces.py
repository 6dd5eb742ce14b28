"""Pieces that came back, counted beside the quantity: what they take off the money of a line."""

from __future__ import annotations

import polars as pl

from segkit.display import money, number
from segkit.intake.columns import Columns
from segkit.intake.evidence import ColumnProfile
from segkit.intake.headers import concepts
from segkit.intake.mapping import TableMapping
from segkit.intake.questions import Finding
from segkit.intake.sums import counted_rows

MOST_PIECES = 100  # that usually come back of a line; larger numbers are money
NO_DIFFERENCE, NET = 0.02, 0.95  # amounts that already lack the pieces that came back


def counts_returns(header: str, shown: ColumnProfile) -> bool:
    """Return whether a column counts pieces that came back."""
    meant = concepts(header)[0]
    is_count = "refund" in meant and bool({"quantity", "unit", "product"} & meant)
    if not is_count or meant & {"price", "amount", "id", "date"}:
        return False
    if shown.numbers is None or shown.share_whole < 1:
        return False
    usual = shown.numbers.filter(shown.numbers > 0).median()
    return usual is not None and float(usual) <= MOST_PIECES  # type: ignore[arg-type]


def returned_pieces(columns: Columns) -> tuple[str, pl.Series] | None:
    """Return the unused column that counts the pieces that came back, with its numbers."""
    used = columns.mapping.tables["orders"].columns.values()
    for header, shown in columns.profiles.items():
        if header not in used and counts_returns(header, shown):
            cells = columns.cells(header).cast(pl.Float64, strict=False)
            return header, cells.fill_null(0.0)
    return None


def take_pieces_off(columns: Columns, *, own: bool = False) -> tuple[TableMapping, list[Finding]]:
    """Take pieces that came back off their lines, where price and amount show that they are in.

    Lines of as many pieces or more than came back, whose amount is quantity times price, or is
    made of both, hold the money of all pieces. Elsewhere, and where the mapping is the shop's
    ``own``, it is asked.
    """
    part = columns.mapping.tables["orders"]
    returned = None
    if not {"refund", "is_return", "row_kind"} & {*part.columns, *part.constants}:
        returned = returned_pieces(columns)
    if returned is None:
        return TableMapping(), []
    header, back = returned
    counts = counted_rows(columns)
    worth = _worth_of_pieces(columns, back, counts)
    named = repr(header)
    text = f"{named} counts {number(int(back.filter(counts).sum()))} pieces that came back"
    text += f", {money(worth)} by their price" if worth is not None else ""
    pieces = f'[orders.columns] refund = "{header}" with [orders] refund_is = "pieces"'
    kept = "[orders.constants] refund = 0, if the orders keep their money"
    rows = int((back > 0).sum())
    fits = _holds_pieces(columns, back)
    if fits is not None and not fits:  # net of them already
        return TableMapping(), []
    if fits and not own:
        text += "; their part of the lines' money is taken off."
        taken = TableMapping({"refund": header}, options={"refund_is": "pieces"})
        return taken, [Finding("warn", "orders", "refund", text, rows, answer=kept)]
    text += ". Do the orders keep their money?"
    answer = f"{kept}; or {pieces}"
    return TableMapping(), [Finding("block", "orders", "refund", text, rows, answer=answer)]


def _worth_of_pieces(columns: Columns, back: pl.Series, counts: pl.Series) -> float | None:
    if not columns.source("unit_price"):
        return None
    return float((columns.numbers("unit_price") * back).filter(counts).sum())


def _holds_pieces(columns: Columns, back: pl.Series) -> bool | None:
    """Return whether the lines' money holds the pieces that came back; None if it is not known."""
    if not columns.has("quantity", "unit_price"):
        return None
    units, price, came = columns.numbers("quantity"), columns.numbers("unit_price"), back > 0
    if (units.filter(came) < back.filter(came)).any():
        return None
    if not columns.source("amount"):
        return True
    worth = columns.numbers("amount")
    for pieces, holds in ((units, True), (units - back, False)):
        fits = ((pieces * price - worth).abs() < NO_DIFFERENCE).filter(came)
        if float(fits.fill_null(value=False).mean() or 0) >= NET:  # type: ignore[arg-type]
            return holds
    return None
