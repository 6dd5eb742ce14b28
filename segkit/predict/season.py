"""Season of purchases by month, and days counted in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from segkit.predict.histories import EPOCH
from segkit.predict.likelihood import Array

MONTHS_NEEDED = 24


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """Purchase intensity by month of the year, 1 on average.

    Attributes
    ----------
    months : ndarray of shape (12,)
        January to December.
    seen : int
        Whole months of data behind it; below 24 the months are all 1.
    empty_month : bool
        Whether a month has no purchase at all; the months are all 1 then.
    """

    months: Array
    seen: int
    empty_month: bool = False

    @property
    def known(self) -> bool:
        """Whether two whole years were seen, each month with a purchase."""
        return self.seen >= MONTHS_NEEDED and not self.empty_month

    def count_days(self, start: date, days: int) -> Array:
        """Return the seasonal days passed from ``start`` after 0, 1, ..., ``days`` days."""
        calendar = np.datetime64(start, "D") + np.arange(1, days + 1)
        month = calendar.astype("datetime64[M]").astype(int) % 12
        return np.concatenate([[0.0], np.cumsum(self.months[month])])


def estimate_season(days: pl.Series, first: date, last: date) -> Season:
    """Estimate the season from purchase days by ratios to a moving average of twelve months.

    Parameters
    ----------
    days : polars.Series
        Day (since 1970-01-01) of each purchase.
    first, last : date
        First and last day observed; only whole months between them count.
    """
    start = first if first.day == 1 else (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    end = (last + timedelta(days=1)).replace(day=1)  # the month after the last whole one
    length = (end.year - start.year) * 12 + end.month - start.month
    flat = Season(np.ones(12), max(length, 0))
    if length < MONTHS_NEEDED:
        return flat
    month = (np.datetime64(EPOCH, "D") + days.to_numpy()).astype("datetime64[M]")
    place = (month - np.datetime64(start, "M")).astype(int)
    counts = np.bincount(place[(place >= 0) & (place < length)], minlength=length).astype(float)
    if (counts == 0).any():
        return Season(np.ones(12), length, empty_month=True)
    weights = np.array([0.5, *[1.0] * 11, 0.5]) / 12
    trend = np.convolve(counts, weights, "valid")
    ratios = counts[6 : length - 6] / trend
    of_year = (np.arange(6, length - 6) + start.month - 1) % 12
    months = np.array([ratios[of_year == one].mean() for one in range(12)])
    return Season(months / months.mean(), length)


def in_season(
    history: pl.DataFrame, season: Season, end: date, horizon_days: int, parts: int
) -> tuple[pl.DataFrame, Array]:
    """Return the history in seasonal days, and those passed at equal parts of the horizon."""
    steps = np.linspace(0, horizon_days, parts + 1)[1:].round().astype(int)
    if np.ptp(season.months) == 0:
        return history, steps.astype(float)
    span = int(history["age_days"].max())  # type: ignore[arg-type]
    clock = season.count_days(end - timedelta(days=span), span + horizon_days)
    first = span - history["age_days"].to_numpy()
    last = first + history["last_purchase_day"].to_numpy()
    timed = history.with_columns(
        last_purchase_day=pl.Series(clock[last] - clock[first]),
        age_days=pl.Series(clock[span] - clock[first]),
    )
    return timed, clock[span + steps] - clock[span]
