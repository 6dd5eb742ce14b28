"""Model of customer value: orders, spend per order and season, to be applied to any history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from segkit.errors import ModelError
from segkit.frames import takes_frames
from segkit.predict.histories import check_as_of, count_purchases
from segkit.predict.likelihood import Array
from segkit.predict.purchases import PurchaseModel
from segkit.predict.season import MONTHS_NEEDED, Season, in_season
from segkit.predict.spend import SpendModel
from segkit.result import StoredModel, read_fields

STEPS = 6  # parts of the horizon between which discounting is interpolated
PARTS = 60  # of the horizon, between which the time of the next purchase is interpolated


@dataclass(frozen=True, slots=True, eq=False)
class ValueModel(StoredModel):
    """What `estimate_value` has fitted, to be stored and applied to other or later orders.

    Attributes
    ----------
    purchases : PurchaseModel
    spend : SpendModel
    season : tuple of float
        Purchase intensity of January to December, 1 on average.
    horizon_days : int
    discount_rate : float
        Per year.
    margin : float
        Share of revenue counted as value.
    """

    KIND: ClassVar[str] = "value"

    purchases: PurchaseModel
    spend: SpendModel
    season: tuple[float, ...]
    horizon_days: int
    discount_rate: float
    margin: float

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        season = tuple(float(month) for month in data["season"])
        if len(season) != 12 or not np.isfinite(season).all() or min(season) <= 0:
            raise ModelError("the season of the stored value model is not one of twelve months")
        parts = {
            "purchases": PurchaseModel.from_data(data["purchases"]),
            "spend": SpendModel.from_data(data["spend"]),
            "season": season,
        }
        return read_fields(cls, data, {}, **parts)

    def to_frame(self) -> pl.DataFrame:
        """Return the parameters of both models."""
        parts = {"orders": self.purchases.to_frame(), "spend": self.spend.to_frame()}
        return pl.concat(
            [frame.select(pl.lit(name).alias("model"), "parameter", "estimate", "standard_error")
             for name, frame in parts.items()]
        )  # fmt: skip

    @property
    def text(self) -> str:
        """State what was fitted."""
        return f"{self.purchases.text} {self.spend.text}"

    @takes_frames
    def predict(
        self, orders: pl.DataFrame | pl.LazyFrame, *, as_of: date | None = None
    ) -> pl.DataFrame:
        """Compute the expectations of each customer with a purchase.

        Parameters
        ----------
        orders : polars or pandas frame
            As `count_purchases` takes them; other customers than those fitted, or later orders.
        as_of : date, optional
            Last day of the observation, inclusive; by default the last day in the data.

        Returns
        -------
        polars.DataFrame
            customer_id, p_alive, p_order, expected_orders, spend_per_order, expected_value (see
            `Value`), next_date: the day by which half of those like the customer who order within
            the horizon will have ordered.
        """
        end = check_as_of(orders, as_of)
        history = count_purchases(orders, as_of=end)
        timed, passed = self.count_time(history, end, PARTS)
        _, (middle,) = self.purchases.predict_times(timed, passed, [0.5])
        days = pl.Series("days", middle * self.horizon_days).ceil()
        return self.expect(history, end).with_columns(
            next_date=pl.lit(end) + pl.duration(days=pl.lit(days))
        )

    @takes_frames
    def count_time(
        self, history: pl.DataFrame, end: date, parts: int
    ) -> tuple[pl.DataFrame, Array]:
        """Return the history in seasonal days, and those passed at equal parts of the horizon."""
        season = Season(np.array(self.season), MONTHS_NEEDED)
        return in_season(history, season, end, self.horizon_days, parts)

    @takes_frames
    def expect(self, history: pl.DataFrame, end: date) -> pl.DataFrame:
        """Return the expectations of customers with a history up to ``end``."""
        timed, passed = self.count_time(history, end, STEPS)
        value = pl.col("expected_orders") * pl.col("spend_per_order")
        return (
            self.purchases.predict(timed, passed[-1])
            .with_columns(
                spend_per_order=pl.Series(self.spend.predict(history)),
            )
            .with_columns(expected_value=value * pl.Series(self.weigh(timed, passed)))
        )

    @takes_frames
    def weigh(self, timed: pl.DataFrame, passed: Array) -> Array:
        """Compute each customer's mean discount factor of the orders to come, times the margin.

        ``passed`` are the seasonal days at the horizon's `STEPS` parts.
        """
        if self.discount_rate == 0:
            return np.full(timed.height, self.margin)
        orders = np.stack([self.purchases.predict(timed, one)["expected_orders"] for one in passed])
        added = np.diff(orders, axis=0, prepend=0.0)
        middle = (np.arange(STEPS) + 0.5) / STEPS * self.horizon_days / 365.25
        factors = (1 + self.discount_rate) ** -middle
        weights: Array = (factors @ added) / orders[-1].clip(1e-300) * self.margin
        return weights
