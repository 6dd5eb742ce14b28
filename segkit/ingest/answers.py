"""Answers to a survey's items: codes for "no answer", and words that are no numbers."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from segkit.ingest.numbers import read_numbers, seen_dialect
from segkit.ingest.parse import is_text, null_numbers, text

YES_NO = {"yes": 1.0, "no": 0.0}
# A rating scale: it begins at 1 or below, and has no more answers than 0 to 10.
LOWEST_START, HIGHEST_START, MOST_ANSWERS = -5, 1, 11
# Numbers that surveys write for "no answer", "don't know" and "does not apply".
HIGH_CODES = (8, 9, *(11 * k for k in range(1, 10)), 96, 97, 98, *(111 * k for k in range(1, 10)))
HIGH_CODES += (996, 997, 998, 9996, 9997, 9998, 9999)
# Tops of scales with a middle that begin at 1: a 0 below them is rather a code than an answer.
ODD_TOPS = (5, 7)


def read_item(item: pl.Series, nulls: Sequence[object]) -> pl.Series:
    """Read a survey item: numbers as they are, yes and no as 1 and 0, words for no value as null.

    Examples
    --------
    >>> read_item(pl.Series("q1", [1, 5, -999]), ["", "-999"]).to_list()
    [1, 5, None]
    >>> read_item(pl.Series("q1", ["Yes", "no", "k.A."]), ["k.A."]).to_list()
    [1.0, 0.0, None]
    """
    codes = null_numbers(nulls)
    if is_text(item.dtype):
        words = [str(word) for word in nulls]
        spelt = item.to_frame("item").select(text(pl.col("item"), words)).to_series()
        held = spelt.drop_nulls().str.to_lowercase().unique()
        if held.len() and held.is_in(list(YES_NO)).all():
            spelt = spelt.str.to_lowercase().replace_strict(YES_NO, return_dtype=pl.Float64)
        else:
            spelt = _read_numbers(spelt)
        item = spelt.alias(item.name)
    if not codes or not item.dtype.is_numeric():
        return item
    known = item.cast(pl.Float64).is_in(codes)
    return item.to_frame().select(pl.when(~known).then(pl.first())).to_series()


def _read_numbers(texts: pl.Series) -> pl.Series:
    """Read texts as numbers in the dialect that they show."""
    return read_numbers(texts, seen_dialect(texts)[0]).cast(pl.Float64)


def count_unreadable(item: pl.Series, read: pl.Series, nulls: Sequence[object]) -> int:
    """Count the cells of a text item that hold something, and could not be read.

    Examples
    --------
    >>> raw = pl.Series(["1", "five", "", "99"])
    >>> count_unreadable(raw, read_item(raw, ["99"]), ["99"])
    1
    """
    if not is_text(item.dtype):
        return 0
    blank = item.to_frame("item").select(text(pl.col("item"), [str(n) for n in nulls]).is_null())
    lost = _read_numbers(item.cast(pl.String).str.strip_chars()).is_null()
    return int((read.is_null() & lost & ~blank.to_series()).sum())


def doubted_answers(
    item: pl.Series, answers: tuple[float, float] | None = None
) -> list[tuple[float, int]]:
    """List the values of an item that look like codes for 'no answer' outside its scale.

    Without a stated scale, the item must look like one apart from such codes: whole numbers that
    begin between -5 and 1 and span at most 11 answers. Doubted are then numbers that surveys use
    as codes (-9, 9, 99, 998, …) and that do not continue the scale: a high one that leaves a gap,
    a negative one where the scale is not symmetric around 0, and a 0 below a scale to 5 or 7.

    Parameters
    ----------
    item : polars.Series
        Answers as numbers; missing ones as null or NaN.
    answers : (float, float), optional
        Lowest and highest possible answer; every value outside is then doubted.

    Returns
    -------
    list of (float, int)
        Each doubted value and how often it occurs, ascending.

    Examples
    --------
    >>> doubted_answers(pl.Series([1, 2, 3, 4, 5, 99, 99, -9, 0]))
    [(-9.0, 1), (0.0, 1), (99.0, 2)]
    >>> doubted_answers(pl.Series([-2, -1, 0, 1, 2])), doubted_answers(pl.Series([0, 4, 5]), (0, 5))
    ([], [])
    """
    if not item.dtype.is_numeric():
        return []
    values = item.cast(pl.Float64).fill_nan(None).drop_nulls()
    counts = dict(values.value_counts().sort(values.name).iter_rows())
    if answers is not None:
        return [(v, n) for v, n in counts.items() if not answers[0] <= v <= answers[1]]
    if any(value != round(value) for value in counts):
        return []
    doubted = _codes_among(list(counts))
    return [(value, counts[value]) for value in doubted]


def _codes_among(values: list[float]) -> list[float]:
    """Return those of an item's ascending values that are codes rather than answers."""
    scale = [v for v in values if v >= 0 and v not in HIGH_CODES]
    for value in [v for v in values if v in HIGH_CODES]:
        if scale and value <= scale[-1] + 1:
            scale = sorted([*scale, value])
    if len(scale) < 2:
        return []
    top = scale[-1]
    negative = [v for v in values if v < 0]
    if negative and -negative[0] == top:
        scale, negative = [*negative, *scale], []
    if not LOWEST_START <= scale[0] <= HIGHEST_START or top - scale[0] + 1 > MOST_ANSWERS:
        return []
    high = [v for v in values if v not in scale and v not in negative]
    zero = [0.0] if scale[0] == 0 and top in ODD_TOPS and len(scale) > 3 else []
    return [*negative, *zero, *high]
