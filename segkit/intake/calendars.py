"""Days of other calendars, written as those of the Gregorian one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from segkit.intake.cells import is_text
from segkit.intake.headers import concepts

_SEEN = 500  # cells that tell a column's calendar
_ALL = 0.9  # share of the cells that are of one calendar
_FIRST = date(622, 3, 21)  # first day of the Persian calendar
# Years that eras began, less one.
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "R": 2018, "H": 1988, "S": 1925}
_PATTERNS = {
    "era": r"^(令和|平成|昭和|[RHS]) ?(\d{1,2}|元)([年./-]) ?(\d{1,2})[月./-] ?(\d{1,2})日?",
    "first": r"^(民國|民国|中華民國)? ?(\d{2,4})([-/.年]) ?(\d{1,2})[-/.月] ?(\d{1,2})日?(?:\D|$)",
    "last": r"^()(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4}|\d{2})(?:\D|$)",
    "compact": r"^()(\d{3,4})()(\d{2})(\d{2})$",
}
_ANY = "|".join(_PATTERNS.values())
_NO_ORDER = frozenset(["updated", "age"])  # a birth date with a year of two figures


@dataclass(frozen=True, slots=True)
class Calendar:
    """A calendar that a column of dates is written in.

    Its ``place`` is the way to write a date: "era", "first", "last" or "compact". The ``offset`` is
    what a year has more than the Gregorian one, where the months are the same.
    """

    name: str
    place: str
    offset: int | None = None

    @property
    def pattern(self) -> str:
        """The way to write a date."""
        return _PATTERNS[self.place]


def find_calendar(cells: pl.Series) -> Calendar | None:
    """Find the calendar that a column's dates are written in; None if Gregorian, or no dates.

    Years of three figures, of two and without signs between are dates only where the header says
    so.

    Examples
    --------
    >>> find_calendar(pl.Series("date", ["1403/05/12", "1402/11/01"])).name
    'Persian'
    >>> find_calendar(pl.Series("date", ["2024/05/12"])) is None
    True
    """
    part = cells.drop_nulls().head(_SEEN)
    if not (is_text(part.dtype) or part.dtype.is_integer()) or not part.len():
        return None
    texts = part.cast(pl.String).str.strip_chars()
    if not texts.str.contains(_ANY).any():
        return None
    for place, pattern in _PATTERNS.items():
        dated = texts.filter(texts.str.contains(pattern))
        calendar = _name_calendar(place, dated, cells.name) if dated.len() else None
        if calendar is not None and dated.len() >= _ALL * part.len():
            return calendar
    return None


def _name_calendar(place: str, texts: pl.Series, header: str) -> Calendar | None:
    """Name the calendar of dates by their years."""
    meant = concepts(header)[0]
    is_date = bool({"date", "created"} & meant) and not _NO_ORDER & meant
    parts = texts.str.extract_groups(_PATTERNS[place]).struct.unnest()
    if place == "era":
        return Calendar("Japanese", place)
    figures = parts["5" if place == "last" else "2"]
    years, digits = figures.cast(pl.Int32), figures.str.len_chars()
    low, high = (int(year) for year in (years.min(), years.max()))  # type: ignore[arg-type]
    this = datetime.now(tz=UTC).year
    if place != "compact" or is_date:
        if 2540 <= low <= high <= this + 544:
            return Calendar("Buddhist", place, 543)
        if 1300 <= low <= high <= this - 620:
            return Calendar("Persian", place)
        if 1400 <= low <= high <= 1460:
            return Calendar("Islamic", place)
    if place != "last" and low >= 80 and 100 <= high <= this - 1910:
        is_named = parts["1"].drop_nulls().len() == parts.height
        return Calendar("Minguo", place, -1911) if is_date or is_named else None
    if place == "last" and is_date and (digits == 2).all() and low >= 54:
        return Calendar("Buddhist", place, -1957) if high <= (this + 544) % 100 else None
    return None


def find_calendars(frame: pl.DataFrame) -> dict[str, Calendar]:
    """Find the columns of dates that can be written as Gregorian ones, with their calendars."""
    part = frame.select(
        pl.col(name)
        .drop_nulls()
        .head(_SEEN)
        .cast(pl.String)
        .str.strip_chars()
        .str.contains(_ANY)
        .any()
        for name, kind in frame.schema.items()
        if is_text(kind) or kind.is_integer()
    )
    likely = [name for name in part.columns if part[name].any()]
    found = {name: find_calendar(frame[name]) for name in likely}
    return {name: one for name, one in found.items() if one is not None and one.name != "Islamic"}


def write_gregorian(
    frame: pl.DataFrame, calendars: Mapping[str, Calendar] | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """Write the dates of other calendars as Gregorian ones, and say which.

    ``calendars`` are those of the whole table, where the frame is a part of it.

    Years of the Buddhist era (Thailand), of Minguo (Taiwan) and of Japanese eras have the same
    months; days of the Persian calendar (Solar Hijri) are counted, by its cycle of 33 years.

    Examples
    --------
    >>> frame = pl.DataFrame({"date": ["1403/05/12 10:15", "1403/12/30"], "n": [1, 2]})
    >>> write_gregorian(frame)[0]["date"].to_list()
    ['2024/08/02 10:15', '2025/03/20']
    """
    notes = []
    for name, calendar in (find_calendars(frame) if calendars is None else calendars).items():
        texts = frame[name].cast(pl.String).str.strip_chars().alias("text")
        written = texts.to_frame().select(_written(calendar)).to_series()
        changed = written.is_not_null()
        frame = frame.with_columns(written.fill_null(texts).alias(name))
        if changed.any():
            notes.append(
                f"{name!r} holds dates of the {calendar.name} calendar: "
                f"{texts.filter(changed)[0]} is read as {written.filter(changed)[0]}"
            )
    return frame, notes


def _written(calendar: Calendar) -> pl.Expr:
    """Write a text's date as a Gregorian one, with the signs that it has; null if it is none."""
    text = pl.col("text")
    groups = text.str.extract_groups(calendar.pattern)
    era, first, sign, month, last = (groups.struct.field(str(place)) for place in range(1, 6))
    year, day = (last, first) if calendar.place == "last" else (first, last)
    sign = pl.when(sign == "年").then(pl.lit("-")).otherwise(sign)
    rest = text.str.replace(calendar.pattern.replace(r"(?:\D|$)", ""), "")
    if calendar.name == "Persian":
        days = _persian_days(*(part.cast(pl.Int32, strict=False) for part in (year, month, day)))
        form = "%Y\0%m\0%d" if calendar.place != "last" else "%d\0%m\0%Y"
        return days.dt.strftime(form).str.replace_all("\0", sign, literal=True) + rest
    count = year.replace("元", "1").cast(pl.Int32, strict=False)
    if calendar.offset is None:
        count = count + era.replace_strict(_ERAS, default=None, return_dtype=pl.Int32)
    else:
        count = count - calendar.offset
    ours = count.cast(pl.String)
    parts = [first, month, ours] if calendar.place == "last" else [ours, month, day]
    return pl.concat_str([parts[0], sign, parts[1], sign, parts[2]]) + rest


def _persian_days(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Turn days of the Persian calendar into dates; null if there is no such day.

    Eight years in 33 are leap years: the cycle holds from 1178 to 1633. Source: K. M. Borkowski
    (1996), The Persian calendar for 3000 years, Earth, Moon, and Planets 74.
    """
    leaps, after = (8 * year + 21) // 33, (8 * year + 29) // 33
    before = 365 * (year - 1) + leaps
    months = 31 * (month - 1) - (month - 7).clip(lower_bound=0)
    length = pl.when(month < 7).then(31).when(month < 12).then(30).otherwise(29 + after - leaps)
    is_day = month.is_between(1, 12) & day.is_between(1, length)
    ordinal = before + months + day - 1
    start = (_FIRST - date(1970, 1, 1)).days
    return pl.when(is_day).then((ordinal + start).cast(pl.Date))
