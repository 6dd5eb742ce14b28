"""Windows: the days over which a feature is computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from segkit.errors import ParameterError

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
    """The days after ``after`` up to and including ``until``.

    Attributes
    ----------
    suffix : str
        What ends the names of its features and sums: "" or "_30d".
    after : int or None
        Day number before the first day; ``None`` for the whole history.
    until : int
        Day number of the last day.
    words : str
        The window as a reader is told of it.
    """

    suffix: str
    after: int | None
    until: int
    words: str


def whole(as_of: int) -> Window:
    """Give the window of the whole history up to ``as_of``."""
    return Window("", None, as_of, "whole history")


def last(days: int, as_of: int) -> Window:
    """Give the window of the last ``days`` days, ``as_of`` included.

    Examples
    --------
    >>> last(30, 100)
    Window(suffix='_30d', after=70, until=100, words='last 30 days')
    """
    return Window(f"_{days}d", as_of - days, as_of, f"last {days} days")


def before(days: int, as_of: int) -> Window:
    """Give the window of the ``days`` days that lie before the last ``days`` days.

    Examples
    --------
    >>> before(30, 100)
    Window(suffix='_before_30d', after=40, until=70, words='the 30 days before')
    """
    return Window(f"_before_{days}d", as_of - 2 * days, as_of - days, f"the {days} days before")


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
