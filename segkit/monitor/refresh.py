"""Refreshes: keep the segments, or propose to fit them anew, by a rule with a known false rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

import polars as pl

from segkit.display import counted, join_words, label
from segkit.errors import DataError, require_least
from segkit.frames import takes_frames
from segkit.monitor.drift import Drift, measure_drift
from segkit.monitor.migration import Migration, compare_periods
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.cluster.scorers import SegmentScorer

Action = Literal["keep", "watch", "refit"]

#: Refreshes in a row with the same alarm after which the segments are fitted anew.
IN_A_ROW = 2
WEEKS = 364  # days of 52 weeks


@dataclass(frozen=True, slots=True, eq=False)
class Refresh(Result):
    """One refresh: what has changed since the model was fitted, and what follows.

    Attributes
    ----------
    as_of : datetime.date
        Last day of the data.
    action : {"keep", "watch", "refit"}
        Keep the model and rescore; keep it and look again, because something drifted for the
        first time; or fit it anew, because the same drift is there again.
    reason : str
        Why, in a sentence.
    alarms : tuple of str
        What drifted, as `Drift.alarms` names it.
    drift : Drift
        Between the compared tables.
    migration : Migration
        Since the fit, with the model in force.
    """

    as_of: date
    action: Action
    reason: str
    alarms: tuple[str, ...]
    drift: Drift
    migration: Migration

    def to_frame(self) -> pl.DataFrame:
        """Return the decision in one row."""
        alarms, moved = ", ".join(self.alarms), self.migration.moved
        row = {"as_of": self.as_of, "action": self.action, "alarms": alarms, "moved": moved}
        return pl.DataFrame([row | {"reason": self.reason}])

    @property
    def text(self) -> str:
        """State the decision, its reason and who moved."""
        heads = {
            "keep": "Keep the segments",
            "watch": "Keep the segments and look again",
            "refit": "Fit the segments anew",
        }
        return f"{heads[self.action]}: {self.reason} {self.migration.text}"


@takes_frames
def decide_refresh(
    model: SegmentScorer,
    at_fit: pl.DataFrame,
    now: pl.DataFrame,
    *,
    as_of: date,
    compared: tuple[pl.DataFrame, pl.DataFrame] | None = None,
    earlier: Sequence[Refresh] = (),
    in_a_row: int = IN_A_ROW,
    measures: Sequence[str] = (),
    level: float = 0.05,
    repeats: int = 499,
    seed: int = 0,
) -> Refresh:
    """Decide whether a model still holds for the customers of today.

    The model's features, the shares of its segments and the share of customers who are unlike
    any are compared with those at the fit (`segkit.monitor.measure_drift`: beyond chance *and* of
    a size that matters). A single alarm is watched; one that comes again, in ``in_a_row``
    refreshes one after the other, asks for a new fit.

    Season would alarm each year (days since the last order are fewer after Christmas), and so would
    a longer history (there are more who left long ago). Give ``compared``: two tables from equal
    spans of orders, the earlier one of the same season up to the fit (`find_comparable_day`).

    Parameters
    ----------
    model : segment model
        In force.
    at_fit, now : polars.DataFrame
        Customer tables of the fit and of today.
    as_of : datetime.date
        Last day of today's data.
    compared : pair of polars.DataFrame, optional
        Earlier and later customer table among which drift is measured; by default those of the
        fit and of today.
    earlier : sequence of Refresh
        Decisions since the fit, oldest first.
    in_a_row : int
        Refreshes with the same alarm that ask for a new fit; 1 refits at the first.
    measures : sequence of str
        Columns shown then and now, as for `compare_periods`.
    level, repeats, seed
        As for `measure_drift`.

    Returns
    -------
    Refresh

    Raises
    ------
    DataError
        If the data are not later than those of the refresh before, or of the fit.

    Examples
    --------
    >>> import numpy as np
    >>> from segkit.cluster import cluster_customers
    >>> rng = np.random.default_rng(0)
    >>> table = pl.DataFrame({"customer_id": [str(i) for i in range(200)],
    ...     "spend": np.repeat([10.0, 90.0], 100) + rng.normal(size=200),
    ...     "visits": np.repeat([1.0, 9.0], 100) + rng.normal(size=200)})
    >>> model = cluster_customers(table, features=["spend", "visits"], k=2).model
    >>> decide_refresh(model, table, table, as_of=date(2026, 2, 1)).action
    'keep'
    """
    require_least(in_a_row=(in_a_row, 1))
    last = max((one.as_of for one in earlier), default=getattr(model, "as_of", None))
    if last is not None and as_of <= last:
        raise DataError(
            f"data up to {as_of.isoformat()} are not later than those up to {last.isoformat()}, "
            "on which the model was fitted or refreshed; refreshes go forward in time"
        )
    then, lately = compared or (at_fit, now)
    drift = measure_drift(then, lately, model=model, level=level, repeats=repeats, seed=seed)
    migration = compare_periods(model, at_fit, now, measures=measures)
    alarms = tuple(drift.alarms)
    again = set(alarms)
    for one in list(earlier)[::-1][: in_a_row - 1]:
        again &= set(one.alarms)
    lasting = again if len(earlier) >= in_a_row - 1 else set()
    action: Action = "refit" if lasting else "watch" if alarms else "keep"
    if lasting:
        times = "" if in_a_row == 1 else f" in {counted(in_a_row, 'refresh', 'refreshes')} in a row"
        reason = f"{join_words(sorted(map(label, lasting)))} drifted{times}."
    elif alarms:
        reason = f"{join_words(list(map(label, alarms)))} drifted, for the first time."
    else:
        reason = "nothing drifted beyond chance and by a size that matters."
    return Refresh(as_of, action, reason, alarms, drift, migration)


def find_comparable_day(as_of: date, fitted: date) -> date:
    """Return the last day up to the fit that is whole years of 52 weeks before ``as_of``.

    It has the same weekday and season, so that newsletters, paydays and weekends are comparable.

    Parameters
    ----------
    as_of, fitted : datetime.date
        Last days of the data of a refresh and of the fit.

    Returns
    -------
    datetime.date
        The last day up to ``fitted`` that is a multiple of 364 days before ``as_of``.

    Examples
    --------
    >>> find_comparable_day(date(2026, 3, 31), date(2025, 12, 31))
    datetime.date(2025, 4, 1)
    """
    years = -((fitted - as_of).days // WEEKS)
    return as_of - timedelta(days=max(years, 0) * WEEKS)
