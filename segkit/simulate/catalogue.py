"""What is sold, and at what price? Products, staggered price changes, exchange rates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from segkit.simulate.archetypes import CATEGORIES
from segkit.simulate.draws import Draws, Floats, Ints, spread_out
from segkit.simulate.seasons import HORIZON_DAYS, Calendar

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
        The lowest list price of each product; demand is at its fullest there.
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
    """One row a product and price: product, first day, price; staggered product by product."""
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
