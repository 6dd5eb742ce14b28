"""Customer table as a result: its columns, their definitions, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import counted, money, number, percent
from segkit.features.calendar import Calendar
from segkit.features.products import TEXT
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure


@dataclass(frozen=True, slots=True, eq=False)
class CustomerTable(Result):
    """Customer table: one row per customer, as of a date.

    Attributes
    ----------
    frame : polars.DataFrame
        ``customer_id`` and one column per feature, sorted by ``customer_id``.
    definitions : polars.DataFrame
        One row per feature: name, group, unit, source, window, description (the formula in words),
        empty (when it is null, when zero), exposure (of a rate: the column that counts what it
        rests on; `segkit.transform` shrinks the rate to the average by it before clustering).
    skipped : polars.DataFrame
        Features that cannot be computed from the tables, with the reason.
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

    @property
    def text(self) -> str:
        """Number of customers and features, the typical customer, and what was left out."""
        n, k = self.frame.height, self.definitions.height
        described = f"described by {counted(k, 'feature')}"
        parts = [f"{counted(n, 'customer')} as of {self.as_of}, {described}."]
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
        parts.append(self._calendar_words())
        if self.skipped.height:
            names = ", ".join(self.skipped["feature"].to_list())
            parts.append(f"Not computed: {names} (reasons in .skipped).")
        parts += [f"{note[:1].upper()}{note[1:]}." for note in self.notes]
        return " ".join(parts)

    def _written(self, name: str) -> str:
        """Write a feature's median, money with its currency."""
        value = _median(self.frame[name])
        return money(value, self.currency) if name == "monetary" else number(value)

    def _calendar_words(self) -> str:
        """Say whose seasons and occasions are meant, and what spoke for them."""
        named = "Seasons and occasions" if self.calendar.occasions else "Seasons, no occasions,"
        why = f", {self.calendar.source}" if self.calendar.source else ""
        return (
            f"{named} are those of the calendar {self.calendar.name!r}{why}; change with calendar=."
        )

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
            One row per feature, in its own unit.
        """
        rows = []
        for name, unit, window in self.definitions.select("name", "unit", "window").iter_rows():
            n = max(self.frame.height, 1)
            if unit == TEXT:
                missing = self.frame[name].null_count() / n
                rows.append((name, unit, window, missing, *(None for _ in range(8))))
                continue
            values = self.frame[name].cast(pl.Float64)
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
            self.frame,
            features,
            log=skewed,
            units=units,
            title=f"{counted(self.frame.height, 'customer')} as of {self.as_of}",
        )

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
