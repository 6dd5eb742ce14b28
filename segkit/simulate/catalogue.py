"""The retailer's calendar with its sales and occasions, its products, prices and exchange rates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from segkit.simulate.archetypes import CATEGORIES
from segkit.simulate.draws import Draws, Floats, Ints, spread_out

ZONE = "Europe/London"
HORIZON_DAYS = 26 * 7  # days after the campaign's date that can be simulated

# Relative number of orders per month and weekday (from Monday); the mean is about one.
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


CURRENCY, FOREIGN = "GBP", "EUR"
_STYLES = ("linen", "cotton", "wool", "silk", "denim", "velvet", "leather", "jersey", "satin")
_COLOURS = ("navy", "ivory", "black", "olive", "coral", "grey", "sand", "teal", "plum", "white")
_CHANGES = 4  # price changes of a product over a history of three years
_STEP = 0.13  # standard deviation of the log price about the product's usual one


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Products sorted by category and, within it, by usual price.

    Attributes
    ----------
    category : array of int, shape (products,)
    price : array, shape (products, days + HORIZON_DAYS)
        List price in pounds on each day.
    lowest : array, shape (products,)
        The lowest list price of each product; demand is highest there.
    first, size : arrays of int, shape (categories,)
        First product of each category and their number.
    rate : array, shape (days + HORIZON_DAYS,)
        Pounds for one euro.
    products, prices, fx : DataFrame
        The raw tables.
    """

    category: Ints
    price: Floats
    lowest: Floats
    first: Ints
    size: Ints
    rate: Floats
    products: pl.DataFrame
    prices: pl.DataFrame
    fx: pl.DataFrame

    @property
    def ids(self) -> pl.Series:
        """The products' ids."""
        return self.products.get_column("product_id")

    def pick(self, category: Ints, level: Floats) -> Ints:
        """Return the product at a level from 0 (cheapest) to 1 (dearest) of a category."""
        place = np.floor(level * self.size[category]).astype(np.int64)
        return np.asarray(self.first[category] + np.minimum(place, self.size[category] - 1))

    def keeping(self, product: Ints, day: Ints, elasticity: Floats) -> Floats:
        """Return the share of full demand that is left at the day's price: (p / lowest) ** -e."""
        return np.asarray((self.price[product, day] / self.lowest[product]) ** -elasticity)

    def mean_keeping(self, elasticity: Floats) -> Floats:
        """Return `keeping` averaged over products and days, interpolated in the elasticity."""
        grid = np.linspace(0.0, 6.0, 25)
        ratio = self.price[:, ::15] / self.lowest[:, None]
        return np.interp(elasticity, grid, [float((ratio**-e).mean()) for e in grid])


def _usual_prices(draws: Draws, category: Ints) -> Floats:
    middle = np.array([float(row["price"]) for row in CATEGORIES])[category]
    spread = np.array([float(row["log_sd"]) for row in CATEGORIES])[category]
    return np.asarray(middle * np.exp(spread * np.clip(draws.normal("price"), -2, 2)))


def _rounded(price: Floats) -> Floats:
    """Prices end in .00, .50 or .99 as on a tag: here to 50 pence, less a penny."""
    return np.maximum(np.round(price * 2) / 2 - 0.01, 2.99)


def make_catalogue(root: np.uint64, calendar: Calendar) -> Catalogue:
    """Make the products, their price list and the euro's rate for one simulated retailer."""
    size = np.array([int(row["products"]) for row in CATEGORIES])
    first = np.cumsum(size) - size
    category = np.repeat(np.arange(len(size)), size)
    draws = Draws.of(root, np.arange(len(category))).child(np.arange(len(category)), 0, "product")
    usual = _usual_prices(draws, category)
    order = np.lexsort((usual, category))
    draws, usual = draws.rows(order), usual[order]
    changes = _price_changes(draws, usual, calendar)
    price = _daily(changes, len(category), calendar.days + HORIZON_DAYS)
    products = _describe(draws, category, price[:, 0])
    rate, fx = _exchange(root, calendar)
    day = changes.get_column("day").to_list()
    prices = pl.DataFrame(
        {
            "product_id": products.get_column("product_id").gather(changes.get_column("product")),
            "valid_from": [calendar.start + timedelta(days=k) for k in day],
            "unit_price": changes.get_column("price"),
        }
    )
    return Catalogue(category, price, price.min(axis=1), first, size, rate, products, prices, fx)


def _price_changes(draws: Draws, usual: Floats, calendar: Calendar) -> pl.DataFrame:
    """One row per product and price: product, first day, price; staggered product by product."""
    number = max(1, round(_CHANGES * calendar.days / 1096))
    product, step = spread_out(np.full(len(usual), number + 1))
    each = draws.child(product, step, "price change")
    stretch = calendar.days / (number + 1)
    day = np.where(step == 0, 0, (step - 0.5 + each.uniform("day")) * stretch).astype(np.int64)
    inflation = 1.03 ** (day / 365.25)
    price = _rounded(usual[product] * inflation * np.exp(_STEP * each.normal("step")))
    frame = pl.DataFrame({"product": product, "day": day, "price": price})
    return frame.unique(["product", "day"], keep="first").sort("product", "day")


def _daily(changes: pl.DataFrame, products: int, days: int) -> Floats:
    price = np.zeros((products, days))
    for product, day, value in changes.iter_rows():
        price[product, day:] = value
    return price


def _describe(draws: Draws, category: Ints, price: Floats) -> pl.DataFrame:
    style = draws.choice("style", np.ones(len(_STYLES)))
    colour = draws.choice("colour", np.ones(len(_COLOURS)))
    nouns = [row["noun"] for row in CATEGORIES]
    names = [
        f"{_STYLES[s].capitalize()} {nouns[c]}, {_COLOURS[k]}"
        for s, c, k in zip(style, category, colour, strict=True)
    ]
    return pl.DataFrame(
        {
            "product_id": [f"P{k:04d}" for k in range(1, len(category) + 1)],
            "category": [CATEGORIES[k]["category"] for k in category],
            "name": names,
            "list_price": price,
        }
    )


def _exchange(root: np.uint64, calendar: Calendar) -> tuple[Floats, pl.DataFrame]:
    """Pounds for one euro: a new rate every 30 days, wandering about 0.86."""
    days = calendar.days + HORIZON_DAYS
    number = -(-days // 30)
    draws = Draws.of(root, np.arange(number)).child(np.arange(number), 0, "exchange rate")
    monthly = np.round(0.86 + 0.015 * draws.normal("rate").clip(-2.5, 2.5), 4)
    starts = [calendar.start + timedelta(days=30 * k) for k in range(number)]
    fx = pl.DataFrame({"currency": FOREIGN, "valid_from": starts, "rate": monthly})
    pound = pl.DataFrame({"currency": CURRENCY, "valid_from": starts[:1], "rate": [1.0]})
    return np.repeat(monthly, 30)[:days], pl.concat([pound, fx])
