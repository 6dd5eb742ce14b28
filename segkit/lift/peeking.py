"""Effects day by day, with confidence limits that are valid at all looks together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, require_choice, require_columns, require_range
from segkit.frames import takes_frames
from segkit.lift.outcomes import Outcomes
from segkit.lift.requirements import frame_of
from segkit.result import Figure, Result
from segkit.stats.intervals import always_valid, share_difference

COUNTS = ("arm", "day", "customers", "converted")


@dataclass(frozen=True, slots=True, eq=False)
class DailyLift(Result):
    """Difference in conversion by day since the assignment.

    Attributes
    ----------
    table : DataFrame
        day, value_arm, value_control (converted so far), difference, low, high (valid at all looks
        together), fixed_low, fixed_high (valid only at one look that is fixed beforehand).
    arm, control : str
    planned_rate : float
        Conversion expected at the end; the limits are narrowest near it.
    level : float
    """

    table: pl.DataFrame
    arm: str
    control: str
    planned_rate: float
    level: float

    @property
    def first_day(self) -> int | None:
        """First day on which the always-valid interval excludes zero; None if there is none."""
        limited = self.table.filter(pl.col("low").is_finite())  # NaN counts as large
        out = limited.filter((pl.col("low") > 0) | (pl.col("high") < 0))
        return None if out.is_empty() else int(out["day"][0])

    @property
    def text(self) -> str:
        """Finding: the first day on which the test could have been stopped."""
        last = self.table.row(-1, named=True)
        if not math.isfinite(last["low"]):
            return (
                f"After {counted(last['day'], 'day')} {self.arm} and {self.control} stand at "
                f"{percent(last['value_arm'])} and {percent(last['value_control'])} conversion: "
                "where nobody, or everybody, has converted in both, there is no always-valid "
                "interval yet, and on no day could one have stopped."
            )
        when = (
            "On no day could one have stopped"
            if self.first_day is None
            else f"From day {number(self.first_day)} on one could have stopped"
        )
        return (
            f"{when}, however often one looked: after {counted(last['day'], 'day')} the difference "
            f"in conversion between {self.arm} and {self.control} is "
            f"{number(100 * last['difference'])} points, always-valid "
            f"{percent(self.level, places=0)} interval {number(100 * last['low'])} to "
            f"{number(100 * last['high'])}. The price of looking is a wider interval than the "
            f"{number(100 * last['fixed_low'])} to {number(100 * last['fixed_high'])} of a single "
            "look; a conversion still to come may change either."
        )

    def plot(self) -> Figure:
        """Draw the difference and its always-valid limits by day."""
        from segkit.plot import lines

        return lines(
            self.table,
            "day",
            "difference",
            band=("low", "high"),
            percent=True,
            markers=False,
            title=f"Conversion of {self.arm} less {self.control}, with limits that hold at "
            "every look",
            x_label="days since the assignment",
            y_label="difference in conversion",
        )


@takes_frames
def measure_daily_lift(
    outcomes: Outcomes | pl.DataFrame,
    *,
    arm: str,
    control: str,
    planned_rate: float,
    days: int | None = None,
    level: float = 0.95,
) -> DailyLift:
    """Compute the difference in conversion day by day, with always-valid confidence limits.

    All customers count from their assignment; each day counts the customers who have converted so
    far. The limits are Robbins' mixture (`segkit.stats.intervals.always_valid`): they are valid for
    all days together.

    Parameters
    ----------
    outcomes : Outcomes or DataFrame
        One row per customer: arm, conversion_day (1 is the first day; null without a conversion).
        Or counts, one row per arm and day: arm, day, customers (of the arm), converted (first
        conversions on that day).
    arm, control : str
    planned_rate : float
        Conversion expected at the end, in (0, 1), declared beforehand.
    days : int, optional
        Number of looks; by default the window's days, or the last day with a conversion.
    level : float

    Returns
    -------
    DailyLift

    Raises
    ------
    ParameterError
        If an arm is unknown or the planned rate not in (0, 1).
    DataError
        If nobody converted and no number of days is given.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["a"] * 4 + ["b"] * 4, "conversion_day": [1, 2] + [None] * 6})
    >>> daily = measure_daily_lift(rows, arm="a", control="b", planned_rate=0.2)
    >>> daily.table["difference"].to_list()
    [0.25, 0.5]
    """
    frame = frame_of(outcomes)
    require_range("(0, 1)", planned_rate=planned_rate)
    window = outcomes.window_days if isinstance(outcomes, Outcomes) else None
    if "conversion_day" not in frame.columns and {*COUNTS} <= {*frame.columns}:
        sizes, seen = _read_counts(frame)
    else:
        require_columns(frame.columns, ["arm", "conversion_day"], "the outcomes")
        sizes = dict(frame.group_by("arm").len().iter_rows())
        seen = frame.drop_nulls("conversion_day").group_by("arm", day="conversion_day").len("new")
    for name in (arm, control):
        require_choice("arm", name, sorted(map(str, sizes)))
    if days is None and window is None and seen.is_empty():
        raise DataError("nobody converted; give the number of days")
    last = days or window or seen["day"].to_numpy().max()
    looks = np.arange(1, int(last) + 1)
    counts = []
    for name in (arm, control):
        own = seen.filter(pl.col("arm") == name).sort("day")
        so_far = np.concatenate([[0], np.cumsum(own["new"].to_numpy())])
        counts.append(so_far[np.searchsorted(own["day"].to_numpy(), looks, side="right")])
    (x1, x2), (n1, n2) = counts, (sizes[arm], sizes[control])
    p1, p2 = x1 / n1, x2 / n2
    error = np.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)
    planned = planned_rate * (1 - planned_rate) * (1 / n1 + 1 / n2)
    intervals = always_valid(p1 - p2, error, information=error**2 / planned, level=level)
    fixed = share_difference(x1, n1, x2, n2, level=level)
    table = pl.DataFrame(
        {
            "day": looks,
            "value_arm": p1,
            "value_control": p2,
            "difference": p1 - p2,
            "low": intervals.low,
            "high": intervals.high,
            "fixed_low": fixed.low,
            "fixed_high": fixed.high,
        }
    )
    return DailyLift(table, arm, control, planned_rate, level)


def _read_counts(frame: pl.DataFrame) -> tuple[dict[str, int], pl.DataFrame]:
    """Return each arm's customers, and its first conversions by day, from counts per day."""
    if frame.select(pl.struct("arm", "day").is_duplicated().any()).item():
        raise DataError("arm and day come twice in the counts; add those rows up")
    if frame.select(pl.any_horizontal(pl.col(COUNTS).is_null()).any()).item():
        raise DataError(f"expected {', '.join(COUNTS)} in every row of the counts, got nulls")
    sizes = frame.group_by("arm").agg(
        pl.col("customers").n_unique().alias("kinds"),
        pl.col("customers").first(),
        pl.col("converted").sum(),
    )
    wrong = sizes.filter((pl.col("kinds") > 1) | (pl.col("converted") > pl.col("customers")))
    if wrong.height:
        raise DataError(
            f"arm {wrong['arm'][0]!r}: customers must be the same on each day, and no fewer than "
            f"converted in all ({wrong['converted'][0]:,})"
        )
    people = dict(sizes.select("arm", "customers").iter_rows())
    return people, frame.select("arm", "day", new="converted")
