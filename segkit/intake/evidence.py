"""Profiles of raw columns: what their values show, from a sample of whole blocks of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import polars as pl

from segkit.intake.cells import NO as NO_WORDS
from segkit.intake.cells import YES, is_text, present
from segkit.intake.dates import date_words, formats, in_english, numeric_format
from segkit.intake.headers import concepts, pattern, plain
from segkit.intake.numbers import CODES, CURRENCY_UNITS, TRADED, code_of, read_numbers, seen_dialect
from segkit.intake.statuses import stem

BLOCKS, BLOCK = 3, 4_000  # rows next to each other, so that orders stay whole
FEW_STEMS = 6  # words that numbers follow
FEW = 40  # a column of words has at most so many
ONE_A_DAY = 0.9  # of the customers' days with several rows have one order
FEWEST_GROUPS, SAME = 5, 0.98  # orders of several rows, and how sure a column numbers them
ENOUGH = 20  # from so many rows on, values weigh against a name
_DATE = pattern("day")
_CODE = (
    r"^\S*\d\S*$|^[a-z]{2,4}_\w*(?:[a-z][A-Z]|[A-Z][a-z])\w*$"  # some of tr_pKdYVNkMfE lack digits
)
_NUMBER = r"^[^\p{L}@]*\d[^\p{L}@]*$|^\D{0,4}\d[\d.,'’\s]*\D{0,4}$"
_NUMBERED = r"^\p{L}{4,}.*\d"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_COUNTED_PERSONS = re.compile(pattern("counted_persons"))
_FLAGS = frozenset((*YES, *NO_WORDS)) - {"0.0", "1.0", "x"}
# Dates that stand for none: of a day or year zero, of the year one or 9999 (programs, databases),
# and the first days that systems count from, which are none where all other dates are far later.
# Months are in figures or English.
_GAP = r"[-/. ,年月년월]+"
_JAN, _DEC = "[Jj][Aa][Nn][A-Za-z]*", "[Dd][Ee][Cc][A-Za-z]*"
_FIRST = rf"(?:0?1{_GAP}(?:0?1|{_JAN})|{_JAN}{_GAP}0?1)"
_LAST = rf"(?:3[01]{_GAP}(?:12|{_DEC})|(?:12|{_DEC}){_GAP}3[01])"
NO_DATE = (
    r"^0{1,4}[-/.]0{1,2}[-/.]0{1,4}(?:\D|$)|^0{8}$|^(?:00010101|99991231)(?:\D|$)"
    rf"|^-?(?:000[01]|9999){_GAP}\d\d?{_GAP}\d\d?(?:\D|$)"
    rf"|^(?:(?:\d\d?|[A-Za-z]+){_GAP}){{2}}(?:000[01]|9999)(?:\D|$)"
    rf"|^(?:00?{_GAP}(?:0?1|{_JAN})|(?:0?1|{_JAN}){_GAP}00?){_GAP}(?:1900|00)(?:\D|$)"
    rf"|^1900{_GAP}0?1{_GAP}00?(?:\D|$)"
)
FIRST_DAY = (
    rf"^(?:[A-Za-z]{{2,}}[., ]+)?(?:{_FIRST}{_GAP}(?:1753|1900|(?:19)?70)"
    rf"|{_LAST}{_GAP}(?:1899|(?:19)?69))(?:\D|$)"
    rf"|^(?:1753|1900|1970){_GAP}0?1{_GAP}0?1(?:\D|$)|^(?:1899|1969){_GAP}12{_GAP}3[01](?:\D|$)"
    r"|^(?:17530101|19000101|19700101|1899123[01]|19691231)(?:\D|$)"
)
_SHORT_YEAR = r"^\D*\d{1,2}\D+(?:\d{1,2}\D+)?(\d\d)(?:\D|$)"
FAR = 20  # years


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What a raw column's values show.

    Attributes
    ----------
    name : str
        The column.
    cells : polars.Series
        The sample's cells, trimmed, null where they hold no value.
    filled : float
        Share of the sample's rows with a value.
    numbers : polars.Series or None
        The cells as numbers, if most of them are.
    dated, emails, codes : float
        Share of the values that are dates, e-mail addresses, or codes (figures, perhaps with
        letters, no blanks).
    distinct : int
        Number of different values.
    words : tuple of str
        All different values, if they are few texts.
    """

    name: str
    cells: pl.Series
    filled: float
    numbers: pl.Series | None
    dated: float
    emails: float
    codes: float
    distinct: int
    words: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Number of the sample's rows."""
        return self.cells.len()

    @property
    def is_flag(self) -> bool:
        """Whether the values are yes and no."""
        if self.cells.dtype == pl.Boolean:
            return True
        if self.numbers is not None:
            return self.distinct == 2 and {*self.numbers.drop_nulls().unique()} == {0.0, 1.0}
        return 0 < len(self.words) <= 2 and {w.lower() for w in self.words} <= _FLAGS

    @property
    def counts_persons(self) -> bool:
        """Whether the values are small numbers of persons, rooms or nights, as of a booking."""
        if self.numbers is None or not _COUNTED_PERSONS.search(plain(self.name)):
            return False
        return self.share_whole == 1 and float(self.numbers.max() or 0) < FEW  # type: ignore[arg-type]

    @property
    def is_money(self) -> bool:
        """Whether the values are numbers with decimals or signs of a currency."""
        return self.numbers is not None and (self.share_whole < 0.98 or self._has_unit)

    @property
    def share_whole(self) -> float:
        """Share of whole numbers among the numbers."""
        values = None if self.numbers is None else self.numbers.drop_nulls()
        return 0.0 if values is None or not values.len() else float((values % 1 == 0).mean())  # type: ignore[arg-type]

    @property
    def _has_unit(self) -> bool:
        return bool(is_text(self.cells.dtype) and self.cells.head(50).str.contains(r"\p{Sc}").any())

    @property
    def currency(self) -> bool:
        """Whether the values are codes of currencies; those that are words, by the header."""
        codes = {code_of(word) for word in self.words}
        known = CODES if "currency" in concepts(self.name)[0] else TRADED
        return bool(codes & known) and None not in codes


def profile_columns(frame: pl.DataFrame, nulls: Sequence[str]) -> dict[str, ColumnProfile]:
    """Profile every column that holds a value; lists have no evidence."""
    part = sample(frame)
    cells = _present(part, nulls)
    missing = cells.null_count().row(0, named=True) if cells.width else {}
    empty = [name for name, rows in missing.items() if rows == cells.height]
    if empty and frame.height > part.height:  # filled outside the sample only: look at those rows
        full = frame.select(pl.col(name).drop_nulls().head(1).len() for name in empty).row(0)
        empty = [name for name, rows in zip(empty, full, strict=True) if not rows]
    counts = (
        cells.select(pl.all().drop_nulls().n_unique()).row(0, named=True) if cells.width else {}
    )
    texts = [name for name, kind in cells.schema.items() if kind == pl.String]
    few = cells.select(
        pl.col(name).drop_nulls().unique(maintain_order=True).head(300).implode() for name in texts
    )
    shares = _match(few, (_DATE, _EMAIL, _CODE, _NUMBER, _NUMBERED))
    nothing = pl.Series([], dtype=pl.String)
    profiles = {}
    for name in frame.columns:
        if name in empty and frame.height:
            continue
        profile = ColumnProfile(name, nothing.alias(name), 1.0, None, 0.0, 0.0, 0.0, 0, ())
        if name in counts:
            filled = 1 - missing[name] / cells.height if cells.height else 0.0
            profile = replace(profile, cells=cells[name], filled=filled, distinct=counts[name])
        if name in shares:
            profile = _with_texts(profile, few[name][0], shares[name])
        elif profile.cells.dtype.is_numeric():
            profile = _with_numbers(profile)
        elif profile.cells.dtype.is_temporal():
            profile = replace(profile, dated=1.0)
        profiles[name] = profile
    return profiles


def _present(part: pl.DataFrame, nulls: Sequence[str]) -> pl.DataFrame:
    """Return the cells of all columns but lists, null where they hold no value."""
    cells = part.select(
        present(pl.col(name), kind, nulls).alias(name)
        for name, kind in part.schema.items()
        if not kind.is_nested() and kind not in (pl.Binary, pl.Object)
    )
    texts = [name for name, kind in cells.schema.items() if kind == pl.String]
    first = (_are_days(pl.col(name).drop_nulls().head(1000)).mean() for name in texts)
    dated = cells.select(first).row(0, named=True) if texts else {}
    others = [name for name in cells.columns if name not in dated or (dated[name] or 0.0) > 0.5]
    return cells.with_columns(without_zero_dates(cells[name]) for name in others)


def _are_days(texts: pl.Expr) -> pl.Expr:
    """Mark texts that begin like a date, or that stand for none."""
    return texts.str.contains(_DATE) | texts.str.contains(NO_DATE)


def sample(frame: pl.DataFrame) -> pl.DataFrame:
    """Take blocks from the beginning, the middle and the end of a long table."""
    if frame.height <= BLOCKS * BLOCK:
        return frame
    step = (frame.height - BLOCK) // (BLOCKS - 1)
    return pl.concat([frame.slice(i * step, BLOCK) for i in range(BLOCKS)])


def _match(texts: pl.DataFrame, patterns: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Return the share of each column's texts, listed in one row, that match each pattern."""
    if not texts.width:
        return {}
    matched = texts.select(
        pl.col(name).explode().str.contains(one).mean().fill_null(0.0).alias(f"{name}\0{k}")
        for name in texts.columns
        for k, one in enumerate(patterns)
    ).row(0)
    shares = iter(matched)
    return {name: tuple(islice(shares, len(patterns))) for name in texts.columns}


def _with_texts(profile: ColumnProfile, few: pl.Series, shares: tuple[float, ...]) -> ColumnProfile:
    """Add what a column's texts show: the first of them, and the shares of dates, codes, ..."""
    like_dates, emails, codes, numeric, numbered = shares
    profile = replace(profile, emails=emails, codes=codes)
    if like_dates > 0.9 and formats(few, day_first=True):  # told at once; formats take longer
        return replace(profile, dated=1.0)
    numbers = _numbers(profile.cells) if numeric > 0.5 else None
    words: tuple[str, ...] = ()
    if numbers is None and profile.distinct <= FEW:
        words = tuple(few.to_list())
    elif numbers is None and numbered == 1:
        words = tuple(stem(few).unique(maintain_order=True).head(FEW_STEMS + 1))
        words = words if 2 <= len(words) <= FEW_STEMS else ()  # "Denied 184", "Denied 190"
    return replace(profile, numbers=numbers, words=words)


def _with_numbers(profile: ColumnProfile) -> ColumnProfile:
    """Add what a column of numbers shows: whether they are whole, or dates as 20240131."""
    numbers = profile.cells.cast(pl.Float64)
    whole = float((numbers.drop_nulls() % 1 == 0).mean() or 0.0)  # type: ignore[arg-type]
    dated = 1.0 if is_dated(profile.cells.drop_nulls()) else 0.0
    return replace(profile, numbers=numbers, codes=whole, dated=dated)


def _numbers(texts: pl.Series) -> pl.Series | None:
    """Read texts as numbers in their dialect; None if fewer than six in ten are."""
    read = read_numbers(texts, seen_dialect(texts)[0], CURRENCY_UNITS | {"%"})
    values = texts.len() - texts.null_count()
    if read.len() - read.null_count() < 0.6 * values:
        return None
    return read.cast(pl.Float64)


def is_dated(cells: pl.Series) -> bool:
    """Return whether a column's values are dates.

    Examples
    --------
    >>> is_dated(pl.Series(["2024-01-31", "2024-02-29"])), is_dated(pl.Series(["12.5", "3.4"]))
    (True, False)
    """
    if cells.dtype.is_temporal():
        return cells.dtype != pl.Time
    if not is_text(cells.dtype):
        return cells.dtype.is_integer() and numeric_format(cells) == "%Y%m%d"
    part = cells.drop_nulls().cast(pl.String).head(1000)
    if not part.len() or part.str.contains(_DATE).sum() <= 0.9 * part.len():
        return False  # told at once; formats take longer
    return bool(formats(part, day_first=True))


def without_zero_dates(cells: pl.Series) -> pl.Series:
    """Turn the dates that stand for "no date" into nulls, in a column of dates.

    Examples
    --------
    >>> without_zero_dates(pl.Series(["2024-01-31 10:15:00", "0000-00-00 00:00:00"])).to_list()
    ['2024-01-31 10:15:00', None]
    >>> without_zero_dates(pl.Series(["31.01.24", "01.01.70"])).to_list()
    ['31.01.24', None]
    >>> without_zero_dates(pl.Series([20240131, 0])).to_list()
    [20240131, None]
    >>> without_zero_dates(pl.Series(["1970-01-01", "1981-05-17"])).to_list()  # days of birth
    ['1970-01-01', '1981-05-17']
    """
    if cells.dtype.is_integer():
        if not is_dated(cells):
            return cells
        texts = cells.cast(pl.String).str.zfill(8)
    elif is_text(cells.dtype):
        texts = cells.cast(pl.String)
        seen = texts.drop_nulls().head(1000)
        if seen.to_frame("v").select(_are_days(pl.col("v")).sum()).item() <= 0.5 * seen.len():
            return cells
        words = date_words(seen)
        if words:
            ways = texts.drop_nulls().unique()
            in_words = ways.to_frame("way").select(in_english(pl.col("way"), words)).to_series()
            texts = texts.replace(ways, in_words)
    elif cells.dtype == pl.Date or isinstance(cells.dtype, pl.Datetime):
        texts = cells.dt.strftime("%Y-%m-%d")
    else:
        return cells
    none = texts.str.contains(NO_DATE).fill_null(value=False)
    first = texts.str.contains(FIRST_DAY).fill_null(value=False)
    others = cells.filter(~(none | first)).drop_nulls()
    if first.any() and others.len():
        start, years = (_years(texts.filter(rows)) for rows in (first, ~(none | first)))
        none |= first & ((years.min() or 0) >= start.max() + FAR)  # type: ignore[operator]
    if not none.any() or (others.len() and not is_dated(others)):
        return cells
    return cells.set(none, None)


def _years(dates: pl.Series) -> pl.Series:
    """Return the year of each date; of two figures, from 1951 on."""
    years, short = (dates.str.extract(one).cast(pl.Int32) for one in (r"(\d{4})", _SHORT_YEAR))
    return years.fill_null(short + 1900 + 100 * (short <= 50).cast(pl.Int32))


def same_groups(frame: pl.DataFrame, one: str, other: str) -> bool:
    """Return whether two columns part the rows in the same way.

    Examples
    --------
    >>> same_groups(pl.DataFrame({"a": [1, 1, 2], "b": ["x", "x", "y"]}), "a", "b")
    True
    """
    pairs = frame.select(a=one, b=other)
    if pairs["a"].equals(pairs["b"]):
        return True
    if pairs["a"].null_count() != pairs["b"].null_count():
        return False
    together = pairs.unique().height
    return bool(pairs["a"].n_unique() == together == pairs["b"].n_unique())


def constant_within(keys: pl.Series, cells: pl.Series) -> float | None:
    """Return the share of groups of several rows with one value only; None if there are none.

    Examples
    --------
    >>> constant_within(pl.Series([1, 1, 2, 2]), pl.Series(["a", "a", "b", "c"]))
    0.5
    """
    groups = (
        pl.DataFrame({"key": keys, "cell": cells})
        .drop_nulls()
        .group_by("key")
        .agg(rows=pl.len(), kinds=pl.col("cell").n_unique())
        .filter(pl.col("rows") > 1)
    )
    return float((groups["kinds"] == 1).mean()) if groups.height else None  # type: ignore[arg-type]


def repeats_in_orders(orders: pl.Series, values: pl.Series) -> bool:
    """Return whether money off, of several sizes, stands alike on every line of each order.

    Examples
    --------
    >>> orders = pl.Series([i // 2 for i in range(20)])
    >>> repeats_in_orders(orders, orders + 1), repeats_in_orders(orders, pl.Series(range(20)))
    (True, False)
    """
    rows = pl.DataFrame({"order": orders, "off": values.abs().fill_null(0)}).drop_nulls("order")
    of_orders = rows.group_by("order").agg(
        pl.len(), pl.col("off").max(), kinds=pl.col("off").n_unique()
    )
    several = of_orders.filter((pl.col("len") > 1) & (pl.col("off") > 0))
    return bool((several["kinds"] == 1).all() and several["off"].n_unique() >= FEWEST_GROUPS)


def find_order_numbers(
    profiles: dict[str, ColumnProfile], who: ColumnProfile, when: ColumnProfile, used: set[str]
) -> str | None:
    """Return the column that is one on all rows of a customer at a time, and another on others.

    Examples
    --------
    >>> rows = pl.DataFrame({"who": list("aabb") * 6, "when": [i // 2 for i in range(24)],
    ...     "xyz": [f"Z{i // 2}" for i in range(24)], "line": [f"L{i}" for i in range(24)]})
    >>> shown = profile_columns(rows, ())
    >>> find_order_numbers(shown, shown["who"], shown["when"], {"who", "when"})
    'xyz'
    """
    both = pl.DataFrame({"who": folded(who), "when": when.cells.cast(pl.String)})
    keys = both.select(pl.concat_str("who", "when", separator="\0")).to_series()
    groups = keys.drop_nulls().value_counts()
    if (groups["count"] > 1).sum() < FEWEST_GROUPS:
        return _only_number(profiles, used) if groups.height >= SAME * keys.len() else None
    for header, shown in profiles.items():
        if header in used or shown.codes < SAME or shown.is_money or shown.dated:
            continue
        if shown.filled < SAME or shown.distinct <= who.distinct:
            continue
        shares = constant_within(keys, shown.cells), constant_within(shown.cells, keys)
        # Where a day is all that is known of the time, some customers order twice on one.
        least = ONE_A_DAY, SAME
        if all(share is not None and share >= at for share, at in zip(shares, least, strict=True)):
            return header
    return None


def _only_number(profiles: dict[str, ColumnProfile], used: set[str]) -> str | None:
    """Return the only column of codes that is another on each row, where a row is an order."""
    found = [
        header
        for header, shown in profiles.items()
        if header not in used and shown.codes >= SAME and not shown.is_money and not shown.dated
        and shown.rows >= ENOUGH and shown.distinct == shown.cells.len() - shown.cells.null_count()
        and shown.filled >= SAME and not shown.emails
    ]  # fmt: skip
    return found[0] if len(found) == 1 else None


def are_sums(values: pl.Series) -> bool:
    """Return whether numbers are rounded as sums of money are, and as no numbers of persons.

    Examples
    --------
    >>> are_sums(pl.Series([658000, 0, 1566000] * 20)), are_sums(pl.Series(range(100, 200)))
    (True, False)
    """
    filled = values.drop_nulls().filter(values.drop_nulls() != 0).abs()
    is_round = (filled % 100 == 0) & (filled >= 1000)
    return filled.len() >= ENOUGH and float(is_round.mean() or 0) >= SAME  # type: ignore[arg-type]


def folded(shown: ColumnProfile) -> pl.Series:
    """Return a column's cells as text, e-mail addresses in lower case."""
    texts = shown.cells.cast(pl.String)
    return texts.str.to_lowercase() if shown.emails else texts
