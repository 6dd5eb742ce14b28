"""The customer table: one row a customer, each column with its definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import money, number, percent
from segkit.features.calendar import Calendar
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure


@dataclass(frozen=True, slots=True, eq=False)
class CustomerTable(Result):
    """One row a customer, as of a date.

    Attributes
    ----------
    frame : polars.DataFrame
        ``customer_id`` and one column a feature, sorted by ``customer_id``.
    definitions : polars.DataFrame
        One row a feature: name, group, unit, source, window, description (the formula in words),
        empty (when it is null, when zero).
    skipped : polars.DataFrame
        Features that the tables do not allow, with the reason.
    as_of : date
        The last day that is used.
    monetary : str
        "net" or "gross": whether returns are deducted from money.
    calendar : Calendar
        The seasons and occasions that the shares refer to.
    notes : tuple of str
        What was assumed, cut off or left out.
    currency : str or None
        Of money, where it is known.
    """

    frame: pl.DataFrame
    definitions: pl.DataFrame
    skipped: pl.DataFrame
    as_of: date
    monetary: str
    calendar: Calendar
    notes: tuple[str, ...] = ()
    currency: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return one row a customer."""
        return self.frame

    @property
    def text(self) -> str:
        """How many customers and features, the typical customer, and what was left out."""
        n, k = self.frame.height, number(self.definitions.height)
        who = "customer" if n == 1 else "customers"
        parts = [f"{number(n)} {who} as of {self.as_of}, described by {k} features."]
        typical = [
            phrase.format(self._written(name))
            for name, phrase in _TYPICAL.items()
            if name in self.frame.columns and self.frame[name].count()
        ]
        if typical:
            parts.append(f"The median customer {', '.join(typical)}.")
        parts += self._concentration()
        policy = "net of returns" if self.monetary == "net" else "gross: returns are not deducted"
        unit = f"in {self.currency}" if self.currency else "in the currency of the data"
        parts.append(f"Money is {unit}, {policy}.")
        if self.skipped.height:
            names = ", ".join(self.skipped["feature"].to_list())
            parts.append(f"Not computed: {names} (reasons in .skipped).")
        parts += [f"{note[:1].upper()}{note[1:]}." for note in self.notes]
        return " ".join(parts)

    def _written(self, name: str) -> str:
        """Write a feature's median, money with its currency."""
        value = _median(self.frame[name])
        return money(value, self.currency) if name == "monetary" else number(value)

    def _concentration(self) -> list[str]:
        if "monetary" not in self.frame.columns or self.frame.height < 10:
            return []
        spent = self.frame["monetary"].sort(descending=True).to_numpy()
        if not spent.sum() > 0:
            return []
        share = float(spent[: -(-len(spent) // 10)].sum() / spent.sum())
        return [f"The tenth that spends most brings {percent(share)} of the money."]

    def describe(self) -> pl.DataFrame:
        """Summarise each feature: share missing and zero, mean, spread and quartiles.

        Returns
        -------
        polars.DataFrame
            One row a feature, in its own unit.
        """
        rows = []
        for name, unit, window in self.definitions.select("name", "unit", "window").iter_rows():
            values = self.frame[name].cast(pl.Float64)
            n = max(values.len(), 1)
            quartiles = [values.quantile(q, "linear") for q in _QUARTILES.values()]
            rows.append(
                (name, unit, window, values.null_count() / n, (values == 0).sum() / n,
                 values.mean(), values.std(), *quartiles)
            )  # fmt: skip
        words = [(name, pl.String) for name in ("feature", "unit", "window")]
        numbers = ("missing_share", "zero_share", "mean", "sd", *_QUARTILES)
        schema = dict([*words, *((name, pl.Float64) for name in numbers)])
        return pl.DataFrame(rows, schema=schema, orient="row")

    def plot(self, features: Sequence[str] | None = None) -> Figure:
        """Draw the distributions of features (by default the main ones), a panel each."""
        from segkit.plot import histograms

        if features is None:
            features = [name for name in _MAIN if name in self.frame.columns] or self.names[:6]
        named = {"money": self.currency or "currency of the data"}
        units = {
            name: named.get(unit, unit)
            for name, unit in self.definitions.select("name", "unit").iter_rows()
        }
        skewed = [name for name in features if name in _SKEWED]
        return histograms(
            self.frame, features, log=skewed, units=units,
            title=f"{number(self.frame.height)} customers as of {self.as_of}",
        )  # fmt: skip

    @property
    def names(self) -> list[str]:
        """The features' names, in the order of the columns."""
        return self.definitions["name"].to_list()


def _median(values: pl.Series) -> float:
    return float(np.median(values.drop_nulls().to_numpy()))


_QUARTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}
_TYPICAL = {
    "frequency": "has {} order(s)",
    "monetary": "has spent {}",
    "recency_days": "bought last {} days before that date",
    "visits": "visited the site {} time(s)",
}
_SKEWED = ("monetary", "order_value_mean", "frequency")
_MAIN = ("recency_days", "frequency", "monetary", "tenure_days", "order_value_mean",
         "gap_days_mean", "return_share", "discount_share", "visits", "open_rate",
         "abandonment_rate", "engagement_recency_days")  # fmt: skip
