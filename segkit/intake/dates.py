"""Dates and times of any spelling: names of months, order of day and month, zones, UTC."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import date

import polars as pl

from segkit.display import counted
from segkit.intake.cells import is_text, text
from segkit.intake.headers import WORDS

LANGUAGES = (
    "English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Turkish, Russian and "
    "the Nordic languages"
)
NAMES: dict[str, str] = WORDS["months"]
MONTHS = {name: short for short, names in NAMES.items() for name in names.split()}
IDLE = frozenset(WORDS["dates"]["idle"].split())
WORD = r"\p{L}{2,}"
ZONES: dict[str, str] = WORDS["dates"]["zones"]
# Signs of dates and times that are no words: what tells that they are used, and their meaning.
_SIGNS: dict[str, dict[str, str]] = WORDS["dates"]["signs"]
_AT: str = WORDS["dates"]["between"]  # day and hour
# Spellings that are rewritten as a whole.
_REWRITTEN = {
    spelling.replace("(between)", _AT): new for spelling, new in WORDS["dates"]["rewritten"].items()
}


def date_words(values: pl.Series) -> dict[str, str]:
    """Find the words in a text column of dates that strptime cannot read.

    Empty if the column has no names of months, or only English ones.

    Examples
    --------
    >>> date_words(pl.Series(["lundi 5 août 2024"]))
    {'lundi': '', 'août': 'Aug', 'lundi.': ''}
    >>> date_words(pl.Series(["5 August 2024", "2024-08-05T07:00Z"]))
    {}
    """
    signs_of = rf"{WORD}|[年년(]|[.](?: |$)|[ap][.]|[ .]\d+[.]\d+$| {_AT} \d"
    spelling = pl.col("v").str.contains(signs_of)
    texts = values.cast(pl.String).to_frame("v").filter(spelling).to_series()
    spelt = texts.unique(maintain_order=True)
    if not spelt.len():
        return {}
    signs = {
        sign: meant
        for pattern, meanings in _SIGNS.items()
        if spelt.head(200).str.contains(pattern).any()
        for sign, meant in meanings.items()
    }
    if any(spelt.head(200).str.contains(pattern).any() for pattern in _REWRITTEN):
        signs |= {"\0": ""}  # no cell holds it; `in_english` rewrites the column
    words = spelt.str.extract_all(WORD).explode().drop_nulls().unique(maintain_order=True)
    meanings = {word: _read(word) for word in words.head(200)}
    strange = [  # a date format reads Aug and August as they are
        word
        for word, meant in meanings.items()
        if meant != word and word.lower() not in (meant.lower(), *NAMES.get(meant, "").split()[:1])
    ]
    if not (any(meant in NAMES for meant in meanings.values()) and strange):
        meanings = {word: meant for word, meant in meanings.items() if word in ZONES}
    dotted = {f"{word}.": "" for word, meant in meanings.items() if not meant}
    return signs | meanings | dotted


def in_english(cell: pl.Expr, words: dict[str, str]) -> pl.Expr:
    """Write the dates of a column with the words that `date_words` found for it.

    Examples
    --------
    >>> words = {"lundi": "", "août": "Aug"}
    >>> pl.select(in_english(pl.lit("lundi 5 août 2024"), words)).item()
    '5 Aug 2024'
    """
    if not words:
        return cell
    for pattern, rewritten in _REWRITTEN.items() if "\0" in words else ():
        cell = cell.str.replace(pattern, rewritten)
    longest = sorted(words, key=len, reverse=True)
    # "mar. 5 mars": a word before the day is read as a weekday ("mar." is Tuesday and March).
    bare = cell.str.replace(r"^\p{L}{2,10}[.,]*\s+(\d{1,2}[-. ]+(?:\p{L}{1,3} )?\p{L}{3,})", "${1}")
    put = bare.str.replace_many(longest, [words[word] for word in longest], leftmost=True)
    spaced = put.str.replace_all(r"\s+[àÀaeEA]\s+|\s+", " ")
    spaced = spaced.str.replace(r"(\d) ?[hH] ?(\d\d)$", "${1}:${2}").str.replace(r" [hHr]$", "")
    return spaced.str.strip_chars(" ,.'’-")


def _read(word: str) -> str:
    """Return the replacement of a word: an English month, nothing, or the word itself."""
    if word in ZONES:
        return ZONES[word]
    marked = unicodedata.normalize("NFKD", word.lower().replace("ı", "i").replace("ł", "l"))
    bare = "".join(sign for sign in marked if not unicodedata.combining(sign))
    if bare in MONTHS:
        return MONTHS[bare]
    return "" if bare in IDLE else word


_PARTS = r"^(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4}|\d{2})(?:\D|$)"
# Positions of day, month and year among a date's three numbers.
ORDERS = {"dmy": ("1", "3", "4"), "mdy": ("3", "1", "4"), "ymd": ("4", "3", "1")}
SHORT = {"dmy": ("%d", "%m", "%y"), "mdy": ("%m", "%d", "%y"), "ymd": ("%y", "%m", "%d")}
LIMITS = (date(1900, 1, 1), date(2100, 1, 1))


@dataclass(frozen=True, slots=True)
class DayOrder:
    """Evidence in a text column about the order of day, month and year."""

    # Cells with a year of four figures that have only one reading, as a number is above 12; others.
    day_first: int
    month_first: int
    either: int
    dots: bool  # separate all numbers, which is usual where the day comes first
    # Orders of cells with a year of two figures, the likeliest first (several are a question).
    short: tuple[str, ...] = ()
    example: str = ""

    @property
    def mixed(self) -> bool:
        """Whether both orders occur in one column."""
        return self.day_first > 0 and self.month_first > 0

    @property
    def unsure(self) -> bool:
        """Whether no cell shows which order it is."""
        return not self.day_first and not self.month_first and self.either > 0 and not self.dots

    @property
    def guess(self) -> bool:
        """Whether day first is the likelier order."""
        return self.day_first >= self.month_first


def day_order(values: pl.Series, limits: tuple[date, date] = LIMITS) -> DayOrder:
    """Detect the order of day, month and year in a text column of dates.

    ``limits`` are the first and the last day that a date with a year of two figures can mean.

    Examples
    --------
    >>> day_order(pl.Series(["03/04/2024", "25/04/2024"])).guess
    True
    >>> day_order(pl.Series(["03/04/2024"])).unsure
    True
    >>> day_order(pl.Series(["24-01-05", "24-02-07"])).short
    ('dmy', 'ymd')
    """
    parts = (
        values.cast(pl.String)
        .unique(maintain_order=True)
        .str.strip_chars()
        .to_frame("v")
        .with_columns(pl.col("v").str.extract_groups(_PARTS).alias("g"))
        .unnest("g")
        .drop_nulls("1")
    )
    long = pl.col("4").str.len_chars() == 4
    first, second = pl.col("1").cast(pl.Int32) > 12, pl.col("3").cast(pl.Int32) > 12
    order = DayOrder(
        *parts.select(
            day=(long & first & ~second).sum(),
            month=(long & second & ~first).sum(),
            either=(long & ~first & ~second & (pl.col("1") != pl.col("3"))).sum(),
            dots=(pl.col("2") == ".").all() & (pl.len() > 0),
        ).row(0)
    )
    brief = parts.filter(~long)
    if not brief.height:
        return order
    return replace(order, short=_short_orders(brief, order, limits), example=brief["v"][0])


def _short_orders(
    parts: pl.DataFrame, seen: DayOrder, limits: tuple[date, date]
) -> tuple[str, ...]:
    """List the orders that dates with years of two figures can be in, the likeliest first."""
    read = parts.select(
        pl.concat_str(pl.col(*places[::-1]).str.zfill(2), separator="-")
        .str.to_date("%y-%m-%d", strict=False)
        .alias(order)
        for order, places in ORDERS.items()
    )
    fits = read.select(pl.all().is_between(*limits).fill_null(value=False))
    counts = {order: int(fits[order].sum()) for order in ORDERS}
    most = max(counts.values())
    best = [order for order, count in counts.items() if count == most]
    decided = "dmy" if seen.dots or seen.day_first > seen.month_first else ""
    decided = decided or ("mdy" if seen.month_first > seen.day_first else "")
    # Cells with the same separators and years of four digits, or with dots, decide the order.
    if decided in best:
        best = [decided]
    if len(best) > 1 and all(read[best[0]].equals(read[order]) for order in best[1:]):
        best = best[:1]
    rivals = [
        order
        for order in ORDERS
        if order not in best and bool((fits[order] & ~fits[best[0]]).any()) and not decided
    ]
    return (*best, *rivals)


def formats(values: pl.Series, *, day_first: bool, short: str = "") -> list[str]:
    """Return the strptime formats that the texts are written in, short years first.

    Numbers among the texts are read by `numeric_format`. ``short`` is the order of dates with a
    year of two figures: "dmy", "mdy" or "ymd"; by default as ``day_first`` says (03/04/2024 is the
    third of April).

    Examples
    --------
    >>> formats(pl.Series(["24-01-05"]), day_first=True, short="ymd")
    ['%y-%m-%d']
    >>> formats(pl.Series(["31.12.2024 5:07", "2024-12-31"]), day_first=True)
    ['%d.%m.%Y %H:%M', '%Y-%m-%d']
    >>> formats(pl.Series(["Jan-31-24"]), day_first=True)[0]
    '%b-%d-%y'
    >>> formats(pl.Series(["5 août 2024"]), day_first=True)
    ['%d %b %Y', '%d %B %Y']
    """
    words = date_words(values)
    cells = values.cast(pl.String).to_frame("v")
    plain = in_english(pl.col("v"), words).str.strip_chars()
    shape = plain.str.replace_all(r"[0-9]", "9").str.replace_all(r"[A-Za-z]{3,}", "A").drop_nulls()
    shapes = cells.select(shape).to_series().value_counts(sort=True).to_series(0).head(200)
    order = short or ("dmy" if day_first else "mdy")
    date_formats = dict.fromkeys(
        _format(shape, day_first=day_first, short=order) for shape in shapes
    )
    # %b reads Apr, %B reads April; both have the same shape, so both are tried.
    named = [f.replace("%b", "%B") for f in date_formats if f and "%b" in f]
    date_formats |= dict.fromkeys(named)
    text = pl.col("v").str.strip_chars()
    numbers = cells.select(text.filter(text.str.contains(r"^\d+(\.\d+)?$"))).to_series()
    guess = numeric_format(numbers.cast(pl.Float64, strict=False)) if numbers.len() else None
    if guess and guess != "%Y%m%d":
        date_formats[guess] = None
    return sorted((f for f in date_formats if f), key=lambda f: "%y" not in f)


def _format(shape: str, *, day_first: bool, short: str) -> str | None:
    """Turn a shape ('99/9/9999 9:99') into a strptime format, if it is a date's."""
    match = re.match(
        r"^(?:A,? )?(9999)([-/.])9{1,2}\2(9{1,2})(.*)$|^(?:A,? )?9{1,2}([-/.])9{1,2}\5(9{2,4})(.*)$"
        r"|^99999999(?=\D|$)((?!T9{4,6}).*)$|^9{1,2}([- .]+)A([- .]+)(9{4}|99)(.*)$"
        r"|^A 9{1,2}(,?) 9999(.*)$|^A([-/])9{1,2}\15(9{4}|99)(.*)$",
        shape,
    )
    compact = re.match(r"^9{8}T?(9{4}|9{6})(Z|[+-]99:?99)?$", shape)
    if compact:
        time = "%H%M%S" if len(compact[1]) == 6 else "%H%M"
        zone = {None: "", "Z": "Z"}.get(compact[2], "%z")
        return "%Y%m%d" + ("T" if "T" in shape else "") + time + zone
    if not match:
        return None
    g = match.groups()
    if g[0]:
        day, rest = f"%Y{g[1]}%m{g[1]}%d", g[3]
    elif g[4]:
        pair = ("%d", "%m") if day_first else ("%m", "%d")
        day, rest = g[4].join((*pair, "%Y") if len(g[5]) == 4 else SHORT[short]), g[6]
    elif g[7] is not None:
        day, rest = "%Y%m%d", g[7]
    elif g[8]:
        day, rest = f"%d{g[8]}%b{g[9]}{'%Y' if len(g[10]) == 4 else '%y'}", g[11]
    elif g[14]:  # Jan-31-24
        day, rest = f"%b{g[14]}%d{g[14]}{'%Y' if len(g[15]) == 4 else '%y'}", g[16]
    else:
        day, rest = f"%b %d{g[12]} %Y", g[13]
    clock = _clock(rest or "")
    return None if clock is None else day + clock


def _clock(rest: str) -> str | None:
    """Turn the part of a shape after the date into the rest of a strptime format."""
    if not rest:
        return ""
    match = re.match(
        r"^(T|,? +)9{1,2}:99(:99)?([.,]9+)?( ?[AaPp][Mm])?( ?A| ?Z| ?[+-]99:?(?:99)?)?$", rest
    )
    if not match:
        return None
    gap, seconds, fraction, half, zone = match.groups()
    # A twelve-hour clock is only one where the letters are AM or PM.
    hour = "%I" if half else "%H"
    clock_format = f"{gap}{hour}:%M" + (":%S" if seconds else "") + ("%.f" if fraction else "")
    for part, form in ((half, "%p"), (zone, "%z")):
        if part:
            clock_format += part[: part.startswith(" ")] + ("Z" if part.strip() == "Z" else form)
    return clock_format


def numeric_format(values: pl.Series) -> str | None:
    """Detect how numbers encode dates: 20240131, Unix seconds (or parts of them), Excel days.

    Examples
    --------
    >>> numeric_format(pl.Series([19970101, 19980630]))
    '%Y%m%d'
    """
    finite = values.drop_nulls().cast(pl.Float64)
    finite = finite.filter(finite.is_finite() & (finite != 0))  # zeros are no dates
    if not finite.len():
        return None
    low, high = (float(x) for x in (finite.quantile(0.01) or 0, finite.quantile(0.99) or 0))
    ranges = (
        (19000101, 21001231, "%Y%m%d"),
        (3e8, 4e9, "epoch_s"),
        (3e11, 4e12, "epoch_ms"),
        (3e14, 4e15, "epoch_us"),
        (15000, 75000, "excel"),
    )
    return next((name for least, most, name in ranges if least <= low and high <= most), None)


DATE_LIKE = (
    r"^\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}|^\d{8}(\D|$)|^\d{1,2}[-/. ]{0,2}\p{L}{3,10}"
    r"|^\p{L}{2,10}(?:[.,]* |[-/])\d{1,2}\D"
)
# Numbers as times, and what they are called.
NUMERIC = {
    "epoch_s": "seconds since 1970 in UTC",
    "epoch_ms": "milliseconds since 1970 in UTC",
    "epoch_us": "microseconds since 1970 in UTC",
    "excel": "days of Excel (45292 is 2024-01-01)",
}
# An offset after a time of day: Z, UTC, GMT, +01:00, -0500.
OFFSET = (
    r"\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?: ?[AaPp][Mm])? ?(Z|UTC|GMT|"
    rf"{'|'.join(ZONES)}|[+-]\d\d:?(?:\d\d)?)$"
    r"|\dT?\d{4,6}(Z|[+-]\d\d:?\d\d)$"
)


@dataclass(frozen=True, slots=True)
class Clock:
    """Rules by which one column's times are read."""

    zone: str = "UTC"  # IANA zone of local times and of the business day
    formats: tuple[str, ...] = ()  # of strptime, or epoch_s, epoch_ms, epoch_us, excel
    nulls: tuple[str, ...] = ("",)  # words for "no value"
    ambiguous: str = "earliest"  # or "latest": of times that the clock shows twice
    missing: str = "shift"  # "shift" (an hour later) or "reject": times that the clock skips
    skips: bool = True  # whether there are such times; False saves a pass over the column
    # Names in other languages, as `date_words` finds them.
    words: dict[str, str] = field(default_factory=dict)

    def utc(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Read a column as points in time (UTC), by the stated policy for clock changes."""
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        if dtype.is_numeric() or is_text(dtype):
            listed = self.formats or (("%Y%m%d",) if dtype.is_numeric() else ())
            read = [self._read(column, dtype, form) for form in listed]
            return pl.coalesce(read) if read else pl.lit(None, dtype=pl.Datetime("us", "UTC"))
        return self.to_utc(self.naive(column, dtype))

    def naive(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Read the local wall-clock times of a column; null where they carry an offset."""
        nothing = pl.lit(None, dtype=pl.Datetime("us"))
        if isinstance(dtype, pl.Datetime):
            return nothing if dtype.time_zone else column.dt.cast_time_unit("us")
        if dtype == pl.Date:
            return column.cast(pl.Datetime("us"))
        if is_text(dtype):
            cell = in_english(text(column, self.nulls), self.words)
            local = [_local(cell, form) for form in self.formats if not is_absolute(form)]
            return pl.coalesce(local) if local else nothing
        return nothing

    def day(self, utc: pl.Expr) -> pl.Expr:
        """Return the business calendar's day of points in time, as days since 1970-01-01."""
        local = utc if self.zone == "UTC" else utc.dt.convert_time_zone(self.zone)
        return local.dt.date().cast(pl.Int32)

    def _read(self, column: pl.Expr, dtype: pl.DataType, form: str) -> pl.Expr:
        if form in NUMERIC:
            number = column if dtype.is_numeric() else text(column, self.nulls)
            naive = _numeric(number.cast(pl.Float64, strict=False), form)
            return self.to_utc(naive) if form == "excel" else naive.dt.replace_time_zone("UTC")
        if dtype.is_numeric():
            whole = column.cast(pl.Int64, strict=False) if dtype.is_float() else column
            return self.to_utc(_local(whole.cast(pl.String), form))
        cell = in_english(text(column, self.nulls), self.words)
        if is_absolute(form):
            offset = form[:-1] + "%z" if form.endswith("Z") else form
            ended = cell.str.replace(r"( ?)(?:Z|UTC|GMT)$", "${1}+00:00")
            return ended.str.to_datetime(offset, time_unit="us", strict=False)
        return self.to_utc(_local(cell, form))

    def to_utc(self, naive: pl.Expr) -> pl.Expr:
        """Turn local wall-clock times into UTC."""
        if self.zone == "UTC":
            return naive.dt.replace_time_zone("UTC")
        local = self._localised(naive)
        if self.missing == "shift" and self.skips:
            local = pl.coalesce(local, self._localised(naive + pl.duration(hours=1)))
        return local.dt.convert_time_zone("UTC")

    def _localised(self, naive: pl.Expr, ambiguous: str | None = None) -> pl.Expr:
        choice: str = ambiguous or self.ambiguous
        return naive.dt.replace_time_zone(
            self.zone, ambiguous="latest" if choice == "latest" else "earliest", non_existent="null"
        )

    def note_changes(self, naive: pl.Series, where: str) -> tuple[list[str], bool]:
        """Count the times that the clock shows twice, and skips; tell whether it skips any."""
        # Clock changes happen at night in all zones, so only those times are checked.
        small = naive.drop_nulls().to_frame("t").filter(pl.col("t").dt.hour() < 4)
        local = self._localised(pl.col("t"), "earliest")
        twice = local != self._localised(pl.col("t"), "latest")
        rows, counts = pl.col("len"), small.group_by("t").len()
        sums = counts.select(two=rows.filter(twice).sum(), none=rows.filter(local.is_null()).sum())
        two, none = sums.row(0)
        notes = []
        if two:
            notes.append(
                f"{counted(two, 'time')} {where}, when the clock goes back in {self.zone}, can be "
                f"read as two moments; the {self.ambiguous} is taken (ambiguous_time)"
            )
        if none:
            treatment = "an hour is added" if self.missing == "shift" else "they are rejected"
            notes.append(
                f"{counted(none, 'time')} {where} never shown in {self.zone} (the clock goes "
                f"forward); {treatment} (missing_time)"
            )
        return notes, none > 0


def stated_offsets(cells: pl.Series) -> tuple[list[str], int]:
    """List the zones or offsets that a column of times carries, and count the times with none.

    Examples
    --------
    >>> stated_offsets(pl.Series(["2024-01-01T10:00:00+01:00", "2024-01-01 10:00"]))
    (['+01:00'], 1)
    >>> stated_offsets(pl.Series(["2024-01-01 10:00"]))
    ([], 1)
    """
    full, dtype = cells.drop_nulls(), cells.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return [dtype.time_zone], 0
    if not is_text(dtype):
        return [], full.len()
    stated = pl.coalesce(pl.col("t").str.extract(OFFSET, 1), pl.col("t").str.extract(OFFSET, 2))
    texts = full.cast(pl.String).to_frame("t")
    if not texts.unique().select(stated.is_not_null().any()).item():
        return [], full.len()
    offsets = texts.select(stated).to_series()
    return sorted(offsets.drop_nulls().unique().to_list()), offsets.null_count()


def is_absolute(form: str) -> bool:
    """Return whether a format reads points in time: with an offset, or counted since 1970."""
    return "%z" in form or form.endswith("Z") or form in NUMERIC


def _local(cell: pl.Expr, form: str) -> pl.Expr:
    if "%H" in form or "%I" in form:
        return cell.str.to_datetime(form, time_unit="us", strict=False)
    return cell.str.to_date(form, strict=False).cast(pl.Datetime("us"))


def _numeric(number: pl.Expr, form: str) -> pl.Expr:
    if form == "excel":  # Excel counts days from 1899-12-30; 25569 is 1970-01-01
        scaled = (number - 25569) * 86_400_000_000.0
    else:
        scaled = number * {"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1.0}[form]
    return scaled.round(0).cast(pl.Int64, strict=False).cast(pl.Datetime("us"))
