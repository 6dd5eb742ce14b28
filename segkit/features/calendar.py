"""Days of a customer table: windows, and the seasons and occasions of a calendar."""

from __future__ import annotations

import calendar as _calendar
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.display import counted
from segkit.errors import ParameterError, SourceError, unknown
from segkit.intake.country import propose_country

if TYPE_CHECKING:
    from segkit.intake import Intake

EPOCH = date(1970, 1, 1)


def day_number(day: date) -> int:
    """Count the days since 1970-01-01.

    Examples
    --------
    >>> day_number(date(1970, 1, 31))
    30
    """
    return (day - EPOCH).days


def day_date(number: int) -> date:
    """Turn a count of days since 1970-01-01 back into a date.

    Examples
    --------
    >>> day_date(30)
    datetime.date(1970, 1, 31)
    """
    return EPOCH + timedelta(days=number)


@dataclass(frozen=True, slots=True)
class Window:
    """Window of days after ``after``, up to and including ``until``.

    Attributes
    ----------
    suffix : str
        What ends the names of its features and sums: "" or "_30d".
    after : int or None
        Day number before the first day; ``None`` for the whole history.
    until : int
        Day number of the last day.
    words : str
        Description of the window for readers.
    """

    suffix: str
    after: int | None
    until: int
    words: str


def whole(as_of: int) -> Window:
    """Return the window of the whole history up to ``as_of``."""
    return Window("", None, as_of, "whole history")


def last(days: int, as_of: int) -> Window:
    """Return the window of the last ``days`` days, ``as_of`` included.

    Examples
    --------
    >>> last(30, 100)
    Window(suffix='_30d', after=70, until=100, words='last 30 days')
    """
    return Window(f"_{days}d", as_of - days, as_of, f"last {counted(days, 'day')}")


def before(days: int, as_of: int) -> Window:
    """Return the window of the ``days`` days that lie before the last ``days`` days.

    Examples
    --------
    >>> before(30, 100)
    Window(suffix='_before_30d', after=40, until=70, words='the 30 days before')
    """
    return Window(
        f"_before_{days}d", as_of - 2 * days, as_of - days, f"the {counted(days, 'day')} before"
    )


def check_days(days: Iterable[int], what: str) -> tuple[int, ...]:
    """Return the lengths of windows, sorted and each once.

    Raises
    ------
    ParameterError
        If one is not a whole number of at least one day.

    Examples
    --------
    >>> check_days((365, 30, 30), "windows")
    (30, 365)
    """
    lengths = (days,) if isinstance(days, int) else tuple(days)
    for length in lengths:
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ParameterError(f"{what} are whole numbers of days, 1 or more; got {length!r}")
    return tuple(sorted(set(lengths)))


RULES = ("dates", "easter", "nth_weekday", "holiday")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NORTH = {"winter": (12, 1, 2), "spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11)}
SOUTH = {"winter": (6, 7, 8), "spring": (9, 10, 11), "summer": (12, 1, 2), "autumn": (3, 4, 5)}


def easter(year: int) -> date:
    """Return Easter Sunday of the western churches.

    Source: Anonymous (1876), *Nature* 13, 487, as given in J. Meeus (1991), *Astronomical
    Algorithms*, chapter 8.

    Examples
    --------
    >>> easter(2024), easter(2011)
    (datetime.date(2024, 3, 31), datetime.date(2011, 4, 24))
    """
    a, (b, c) = year % 19, divmod(year, 100)
    (d, e), f = divmod(b, 4), (b + 8) // 25
    h = (19 * a + b - d - (b - f + 1) // 3 + 15) % 30
    i, k = divmod(c, 4)
    shift = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * shift) // 451
    month, day = divmod(h + shift - 7 * m + 114, 31)
    return date(year, month, day + 1)


def nth_weekday(year: int, month: int, weekday: str, nth: int) -> date:
    """Return the n-th such weekday of a month; a negative ``nth`` counts from its end.

    Examples
    --------
    >>> nth_weekday(2024, 11, "thursday", 4), nth_weekday(2024, 5, "monday", -1)
    (datetime.date(2024, 11, 28), datetime.date(2024, 5, 27))
    """
    index = WEEKDAYS.index(weekday)
    length = _calendar.monthrange(year, month)[1]
    days = [d for d in range(1, length + 1) if date(year, month, d).weekday() == index]
    return date(year, month, days[nth - 1 if nth > 0 else nth])


@dataclass(frozen=True, slots=True)
class Occasion:
    """Days that recur every year, such as Christmas.

    Attributes
    ----------
    name : str
        Ends the feature's name: ``occasion_share_<name>``.
    rule : {"dates", "easter", "nth_weekday", "holiday"}
        Fixed dates, or days counted from a movable one.
    start, end : str or int
        For "dates" month and day, "12-01"; a range whose end lies before its start runs over the
        new year. Otherwise days from the movable day, -7 and 0; both ends belong to the occasion.
    month, nth : int
        For "nth_weekday": the month (1 to 12) and which of its weekdays (-1: the last).
    weekday : str
        For "nth_weekday": "monday" to "sunday".
    gift : bool
        Whether people buy for others then; ``gift_share`` takes all such occasions together.
    holiday, country : str
        For "holiday": the English name of a public holiday in the library `holidays` (its first
        day is meant), and the code of a country that keeps it.
    """

    name: str
    rule: str = "dates"
    start: str | int = 0
    end: str | int = 0
    month: int = 1
    nth: int = 1
    weekday: str = "sunday"
    gift: bool = False
    holiday: str = ""
    country: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ParameterError(f"an occasion's name is letters, digits and _; got {self.name!r}")
        if self.rule not in RULES:
            raise ParameterError(unknown("rule of an occasion", self.rule, RULES))
        if self.weekday not in WEEKDAYS:
            raise ParameterError(unknown("weekday", self.weekday, WEEKDAYS))
        if self.rule == "dates":
            _month_day(self.start, self.name)
            _month_day(self.end, self.name)
            return
        if not (isinstance(self.start, int) and isinstance(self.end, int)):
            raise ParameterError(f"occasion {self.name}: {self.rule} takes days as start and end")
        if self.rule == "holiday" and not (self.holiday and self.country):
            raise ParameterError(f"occasion {self.name}: a holiday needs its name and a country")
        if self.start > self.end:
            raise ParameterError(f"occasion {self.name}: starts after its end")
        if not (1 <= self.month <= 12 and (1 <= self.nth <= 4 or -4 <= self.nth <= -1)):
            raise ParameterError(
                f"occasion {self.name}: month is 1 to 12 and nth 1 to 4 or -1 to -4; "
                f"got {self.month} and {self.nth}"
            )

    def in_year(self, year: int) -> tuple[date, date] | None:
        """Return the first and the last day of the occasion in a year.

        A range of dates belongs to the year in which it starts; days around a movable day belong to
        the year of that day. None for a holiday whose day is not known in that year.

        Examples
        --------
        >>> Occasion("easter", "easter", -7, 0).in_year(2024)
        (datetime.date(2024, 3, 24), datetime.date(2024, 3, 31))
        """
        if self.rule == "dates":
            first, final = _month_day(self.start, self.name), _month_day(self.end, self.name)
            return _on(year, *first), _on(year + (final < first), *final)
        day: date | None
        if self.rule == "easter":
            day = easter(year)
        elif self.rule == "holiday":
            day = first_day_of(self.holiday, self.country, year)
        else:
            day = nth_weekday(year, self.month, self.weekday, self.nth)
        if day is None:
            return None
        return day + timedelta(days=int(self.start)), day + timedelta(days=int(self.end))


@cache
def first_day_of(holiday: str, country: str, year: int) -> date | None:
    """Return the first day of a public holiday in a year; None where it is not known.

    Source: the library `holidays`, which is imported only here.

    Raises
    ------
    ParameterError
        If the library has no such country.

    Examples
    --------
    >>> first_day_of("Diwali", "IN", 2024)
    datetime.date(2024, 10, 31)
    """
    import holidays

    try:
        days = holidays.country_holidays(country, years=year, language="en_US")
    except NotImplementedError as error:
        raise ParameterError(f"no public holidays are known of the country {country!r}") from error
    names = {day: re.sub(r" \(estimated\)", "", name).split("; ") for day, name in days.items()}
    return min((day for day, own in names.items() if holiday in own), default=None)


def _month_day(text: str | int, name: str) -> tuple[int, int]:
    try:
        day = date.fromisoformat(f"2024-{text}")
    except ValueError as error:
        raise ParameterError(
            f'occasion {name}: expected month and day such as "12-01", got {text!r}'
        ) from error
    return day.month, day.day


def _on(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, _calendar.monthrange(year, month)[1]))


@dataclass(frozen=True, slots=True)
class Calendar:
    """The occasions, seasons and weekend of a market.

    Attributes
    ----------
    name : str
        The market, shown beside every share.
    occasions : tuple of Occasion
        They may overlap: a day can belong to two.
    seasons : mapping of str to tuple of int
        Season to its months.
    weekend : tuple of int
        Days of the weekend, Monday = 0.
    source : str
        Why this calendar was chosen, in words; empty if it was given.
    """

    name: str
    occasions: tuple[Occasion, ...]
    seasons: Mapping[str, tuple[int, ...]]
    weekend: tuple[int, ...] = (5, 6)
    source: str = ""

    def __post_init__(self) -> None:
        names = [occasion.name for occasion in self.occasions]
        if len(set(names)) < len(names):
            raise ParameterError(f"calendar {self.name}: an occasion's name comes twice: {names}")
        months = sorted(month for months in self.seasons.values() for month in months)
        if months != list(range(1, 13)):
            raise ParameterError(
                f"calendar {self.name}: each month of 1 to 12 belongs to one season; got {months}"
            )

    @classmethod
    def of(cls, region: str) -> Calendar:
        """Return a shipped calendar: a country's, by its code of two letters, or seasons alone.

        "uk" and "us", "de", "jp", ...; "north" and "south" are seasons without occasions.

        Examples
        --------
        >>> [occasion.name for occasion in Calendar.of("uk").occasions][:3]
        ['christmas', 'black_friday', 'valentines']
        >>> [occasion.name for occasion in Calendar.of("cn").occasions if occasion.gift]
        ['lunar_new_year', 'mid_autumn']
        """
        shipped = _shipped()
        if region not in shipped:
            raise ParameterError(unknown("calendar", region, shipped))
        return shipped[region]

    @classmethod
    def of_country(cls, code: str | None) -> Calendar:
        """Return the calendar of a country; seasons alone where its occasions are not known.

        Parameters
        ----------
        code : str or None
            ISO 3166 code; None takes the seasons of the northern half of the earth.

        Examples
        --------
        >>> [Calendar.of_country(code).name for code in ("GB", "CL", None)]
        ['uk', 'south', 'north']
        """
        name = "uk" if code == "GB" else (code or "").lower()
        if name in _shipped():
            return _shipped()[name]
        return _shipped()["south" if code in _data()["seasons"]["south"] else "north"]

    @classmethod
    def load(cls, path: str | Path) -> Calendar:
        """Read a calendar from TOML or JSON.

        Raises
        ------
        SourceError
            If the file is not there or is neither.
        ParameterError
            If it names a rule, field or weekday that there is not.
        """
        file = Path(path)
        if not file.is_file():
            raise SourceError(f"no such calendar: {file}")
        text = file.read_text(encoding="utf-8")
        try:
            data = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        except ValueError as error:
            raise SourceError(f"{file.name} is not a readable calendar: {error}") from error
        return cls.from_data(data)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Calendar:
        """Build a calendar from plain data: name, weekend, seasons, and a list of occasions.

        Examples
        --------
        >>> Calendar.from_data({"name": "shop", "occasions": [
        ...     {"name": "fair", "start": "09-20", "end": "10-05"}]}).occasions[0].in_year(2024)
        (datetime.date(2024, 9, 20), datetime.date(2024, 10, 5))
        """
        fields = list(Occasion.__dataclass_fields__)
        for entry in data.get("occasions", ()):
            for field in entry:
                if field not in fields:
                    raise ParameterError(unknown("field of an occasion", field, fields))
        seasons = {name: tuple(months) for name, months in data.get("seasons", NORTH).items()}
        occasions = tuple(Occasion(**entry) for entry in data.get("occasions", ()))
        weekend = tuple(data.get("weekend", (5, 6)))
        return cls(str(data.get("name", "own")), occasions, seasons, weekend)

    def occasion_days(self, first: int, final: int) -> dict[str, list[tuple[int, int]]]:
        """Return each occasion's ranges of day numbers that overlap ``first`` to ``final``."""
        years = range(day_date(first).year - 1, day_date(final).year + 2)
        return {
            o.name: _clip([span for year in years if (span := o.in_year(year))], first, final)
            for o in self.occasions
        }

    def gift_days(self, first: int, final: int) -> list[tuple[int, int]]:
        """Return the ranges of day numbers of all gift occasions, each day once."""
        years = range(day_date(first).year - 1, day_date(final).year + 2)
        gifts = [o for o in self.occasions if o.gift]
        spans = [span for o in gifts for year in years if (span := o.in_year(year))]
        return _clip(spans, first, final)

    def season_days(self, first: int, final: int) -> dict[str, list[tuple[int, int]]]:
        """Return each season's ranges of day numbers that overlap ``first`` to ``final``."""
        years = range(day_date(first).year, day_date(final).year + 1)
        spans: dict[str, list[tuple[date, date]]] = {}
        for name, months in self.seasons.items():
            spans[name] = [
                (date(y, m, 1), date(y, m, _calendar.monthrange(y, m)[1]))
                for y in years
                for m in sorted(months)
            ]
        return {name: _clip(ranges, first, final) for name, ranges in spans.items()}


def _clip(spans: list[tuple[date, date]], first: int, final: int) -> list[tuple[int, int]]:
    """Clip ranges to the period and join adjacent ones."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted((day_number(a), day_number(b)) for a, b in spans):
        if end < first or start > final:
            continue
        if joined and start <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "calendars.toml").read_text(encoding="utf-8"))


@cache
def _shipped() -> dict[str, Calendar]:
    data = _data()
    calendars: dict[str, Calendar] = {}
    for code, names in data["countries"].items():
        entries = [{"name": name} | data["occasions"][name] for name in names]
        name = "uk" if code == "GB" else code.lower()
        calendars[name] = Calendar(
            name,
            tuple(Occasion(**entry) for entry in entries),
            SOUTH if code in data["seasons"]["south"] else NORTH,
            tuple(data["weekends"].get(code, (5, 6))),
        )
    return calendars | {
        "north": Calendar("north", (), NORTH),
        "south": Calendar("south", (), SOUTH),
    }


def choose_calendar(taken: Intake, wanted: Calendar | str = "") -> Calendar:
    """Choose the calendar of seasons and occasions for clean data.

    Parameters
    ----------
    taken : Intake
        As `segkit.clean_data` returns it.
    wanted : Calendar or str
        A calendar of your own or a shipped one (`Calendar.of`); if empty, that of the country found
        in the data (`segkit.intake.country.propose_country`). If no country is found, the calendar
        has seasons and no occasions, because no gift season is better than a wrong one.

    Returns
    -------
    Calendar
        Its ``source`` says why it was chosen.
    """
    if isinstance(wanted, Calendar):
        return wanted
    if wanted:
        return Calendar.of(wanted)
    country = propose_country(taken)
    calendar = Calendar.of_country(country.code)
    source = f"proposed from {country.why}" if country.code else f"as {country.why}"
    return replace(calendar, source=source)
