"""When do people buy? Sales, occasions and the year's rhythm as weights of the calendar's days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from segkit.simulate.draws import Floats, Ints

ZONE = "Europe/London"
HORIZON_DAYS = 26 * 7  # days after the campaign's date that can be simulated

# How busy each month and weekday (from Monday) is, the mean being about one.
_MONTHS = np.array([0.85, 0.80, 0.95, 1.00, 1.05, 1.02, 0.96, 0.90, 1.05, 1.06, 1.20, 1.16])
_WEEKDAYS = np.array([1.02, 0.94, 0.93, 0.98, 1.03, 1.07, 1.03])


class Sale(NamedTuple):
    """A sale on the promotions calendar: name, first and last day, money off as a share."""

    name: str
    starts: date
    ends: date
    depth: float


class Occasion(NamedTuple):
    """Days on which gifts are bought: name, first and last day, weight beside the others."""

    name: str
    starts: date
    ends: date
    weight: float


def easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar (Meeus 1991, Jones, Butcher).

    Examples
    --------
    >>> easter(2024), easter(2025)
    (datetime.date(2024, 3, 31), datetime.date(2025, 4, 20))
    """
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def sales(year: int) -> list[Sale]:
    """Return the year's sales in order of date."""
    black_friday = _nth_weekday(year, 11, 3, 4) + timedelta(days=1)
    return [
        Sale("spring", date(year, 4, 10), date(year, 4, 19), 0.20),
        Sale("summer", date(year, 6, 14), date(year, 7, 10), 0.35),
        Sale("autumn", date(year, 9, 25), date(year, 10, 3), 0.20),
        Sale("black_friday", black_friday - timedelta(days=4), black_friday + timedelta(3), 0.30),
        Sale("winter", date(year, 12, 26), date(year + 1, 1, 15), 0.40),
    ]


def occasions(year: int) -> list[Occasion]:
    """Return the year's gift occasions with the days before them on which gifts are bought."""

    def before(name: str, day: date, days: int, weight: float) -> Occasion:
        return Occasion(name, day - timedelta(days=days), day - timedelta(days=1), weight)

    return [
        before("valentine", date(year, 2, 14), 13, 0.17),
        before("mothers_day", easter(year) - timedelta(days=21), 14, 0.20),
        before("fathers_day", _nth_weekday(year, 6, 6, 3), 13, 0.11),
        before("christmas", date(year, 12, 24), 34, 0.52),
    ]


@dataclass(frozen=True, slots=True)
class Calendar:
    """The simulated days, day 0 being the first of history.

    Attributes
    ----------
    start, campaign_date : date
        First day of history, first day after it.
    days : int
        Length of history; the arrays go on for `HORIZON_DAYS` more.
    sums : array, shape (3, days + HORIZON_DAYS + 1)
        Cumulated weight of the days before each for everyday shopping, sales and gifts, in
        years: each gains one over an average year.
    depth : array, shape (days + HORIZON_DAYS,)
        Money off in the sale of that day, as a share; 0 outside sales.
    """

    start: date
    campaign_date: date
    days: int
    sums: Floats
    depth: Floats

    @property
    def sales(self) -> list[Sale]:
        """The sales that begin within the simulated days."""
        years = range(self.start.year - 1, self.campaign_date.year + 2)
        last = self.campaign_date + timedelta(days=HORIZON_DAYS)
        return [sale for y in years for sale in sales(y) if self.start <= sale.starts < last]

    def weight(self, kind: int, first: Ints, last: Ints) -> Floats:
        """Years' worth of shopping of a kind from day ``first`` to before day ``last``."""
        return np.asarray(self.sums[kind][last] - self.sums[kind][first])

    def day_at(self, kind: int, first: Ints, last: Ints, level: Floats) -> Ints:
        """Day at which the share ``level`` of the weight from first to before last is reached."""
        low, high = self.sums[kind][first], self.sums[kind][last]
        day = np.searchsorted(self.sums[kind], low + level * (high - low), side="right") - 1
        return np.asarray(np.clip(day, first, np.maximum(last - 1, first)), dtype=np.int64)


def month_after(start: date, months: int) -> date:
    """Return the day so many months on; the month's last day where it is shorter.

    Examples
    --------
    >>> month_after(date(2024, 1, 31), 1)
    datetime.date(2024, 2, 29)
    """
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    last = (following - timedelta(days=1)).day
    return date(year, month + 1, min(start.day, last))


def make_calendar(start: date, months: int) -> Calendar:
    """Lay out the weights of history's days and of those after the campaign."""
    campaign_date = month_after(start, months)
    days = (campaign_date - start).days
    dates = [start + timedelta(days=k) for k in range(days + HORIZON_DAYS)]
    rhythm = np.array([_MONTHS[d.month - 1] * _WEEKDAYS[d.weekday()] for d in dates])
    depth, gifts = np.zeros(len(dates)), np.zeros(len(dates))
    for year in range(start.year - 1, dates[-1].year + 1):
        for sale in sales(year):
            depth[_between(dates[0], len(dates), sale.starts, sale.ends)] = sale.depth
        for event in occasions(year):
            window = _between(dates[0], len(dates), event.starts, event.ends)
            gifts[window] += event.weight / ((event.ends - event.starts).days + 1)
    everyday = rhythm / (_MONTHS.mean() * _WEEKDAYS.mean() * 365.25)
    # Sales days of one year, weighted by their depth, sum to this in every year.
    yearly = sum(s.depth * ((s.ends - s.starts).days + 1) for s in sales(start.year))
    weights = np.vstack([everyday, depth / yearly, gifts])
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum(weights, axis=1)], axis=1)
    return Calendar(start, campaign_date, days, sums, depth)


def _between(first: date, days: int, starts: date, ends: date) -> slice:
    low, high = (starts - first).days, (ends - first).days + 1
    return slice(max(low, 0), min(max(high, 0), days))
