"""Features as data: name, unit, source, formula in words, and when one is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from segkit.errors import ParameterError, unknown
from segkit.features.windows import Window

# From a sum's name to its column for the window at hand.
Pick = Callable[[str], pl.Expr]

MAX_LEVELS = 12


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of the customer table, before it is bound to a window.

    Attributes
    ----------
    name : str
        Column name for the whole history; windows add "_30d".
    group : str
        The group by which a user may ask for it ("core", "rhythm", ...).
    unit : str
        "days", "orders", "money", "share", ...
    source : str
        The table it is computed from.
    formula : str
        The computation in words.
    empty : str
        When it is null, when zero.
    value : callable
        From the sums of a window to the feature, a polars expression.
    trend : bool
        Whether it sets a window beside the one before, and so has a length of its own.
    whole_only : bool
        Whether it is made for the whole history alone: a rate over a customer's own time.
    """

    name: str
    group: str
    unit: str
    source: str
    formula: str
    empty: str
    value: Callable[[Pick], pl.Expr]
    trend: bool = False
    whole_only: bool = False

    def sums(self) -> set[str]:
        """Name the sums that the feature is made from."""
        return set(self.value(pl.col).meta.root_names())

    def column(self, window: Window) -> pl.Expr:
        """Give the feature for one window, as an expression over its sums."""
        return self.value(lambda name: pl.col(name + window.suffix))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The features that a source's tables allow, and those that they do not.

    Attributes
    ----------
    features : tuple of Feature
        In the order of the table's columns.
    skipped : tuple of (str, str)
        Feature or family, and what is missing for it.
    """

    features: tuple[Feature, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Catalogue) -> Catalogue:
        return Catalogue(self.features + other.features, self.skipped + other.skipped)

    def choose(self, wanted: Sequence[str] | None) -> Catalogue:
        """Keep the features asked for by name or by group.

        Raises
        ------
        ParameterError
            If a name is neither a feature nor a group; says why where the source lacks it.
        """
        if wanted is None:
            return self
        names = {feature.name for feature in self.features}
        groups = {feature.group for feature in self.features}
        reasons = dict(self.skipped)
        for name in wanted:
            if name in reasons:
                raise ParameterError(f"feature {name!r} cannot be computed: {reasons[name]}")
            if name not in names | groups:
                known = [*sorted(groups), *(feature.name for feature in self.features)]
                raise ParameterError(unknown("feature or group", name, known))
        kept = tuple(f for f in self.features if f.name in wanted or f.group in wanted)
        return Catalogue(kept, ())


def ratio(top: pl.Expr, bottom: pl.Expr) -> pl.Expr:
    """Divide where there is something to divide by; null elsewhere."""
    return pl.when(bottom > 0).then(top / bottom)


def counted(column: pl.Expr) -> pl.Expr:
    """Hand out a count or a number of days as a whole number (sums are kept as floats)."""
    return column.round().cast(pl.Int64)


# Added to the time a customer is known, so that a new one's rate does not run away.
CREDIT_DAYS = 60


def per_year(name: str, source: str, what: str, count: str, as_of: int) -> Feature:
    """Define a yearly rate of a count over the time since a customer's first purchase."""
    formula = (
        f"{what} over the days since the first purchase plus {CREDIT_DAYS} (so that a new "
        "customer's rate does not run away), times 365"
    )
    return Feature(
        name, "rates", "per year", source, formula, "null without a purchase",
        lambda c: c(count) * 365.0 / (as_of - c("orders.first_day") + CREDIT_DAYS),
        whole_only=True,
    )  # fmt: skip


def slugs(levels: Iterable[str]) -> dict[str, list[str]]:
    """Turn names as they stand in the data into endings of feature names.

    Names that differ only in case, spaces or signs fall together.

    Examples
    --------
    >>> slugs(["Web shop", "web-shop", "store"])
    {'web_shop': ['Web shop', 'web-shop'], 'store': ['store']}
    """
    found: dict[str, list[str]] = {}
    for level in levels:
        slug = re.sub(r"\W+", "_", level.strip().lower()).strip("_") or "blank"
        found.setdefault(slug, []).append(level)
    return found
