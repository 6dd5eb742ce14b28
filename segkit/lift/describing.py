"""Changes from before to after a campaign that was not randomised: descriptions, not lift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, ParameterError, require_choice, require_range, unknown
from segkit.lift.outcomes import Outcomes
from segkit.lift.wording import gap
from segkit.result import Figure, Result
from segkit.stats.intervals import ci_words, mean_difference, mean_skewed

Array = npt.NDArray[np.float64]
Pair = Literal["conversion", "revenue", "orders"]
PAIRS = {
    "conversion": ("converted", "share"),
    "revenue": ("revenue", "mean"),
    "orders": ("orders", "mean"),
}
LABEL = "A description, not a lift"
BOTH = "difference in differences"
NOW, EARLIER, BEYOND = "before and after", "the same weeks a year before", "beyond the year before"


@dataclass(frozen=True, slots=True, eq=False)
class Change(Result):
    """Changes of contacted customers from before to after a campaign.

    Attributes
    ----------
    table : DataFrame
        One row per group and comparison: group (an arm, or "difference in differences"), comparison
        ("before and after"; with orders that reach back a year also "the same weeks a year before"
        and "beyond the year before", the difference of the two), customers, before, after, change,
        low, high (per customer), change_per_day (per customer; null for conversion).
    metric, kind : str
    level : float
    days : float
        Length of every period.
    """

    table: pl.DataFrame
    metric: str
    kind: str
    level: float
    days: float

    @property
    def text(self) -> str:
        """Finding: the change, that of the year before, and why it is not the campaign's effect."""
        group = self.table["group"][-1]
        rows = {row["comparison"]: row for row in self.table.filter(group=group).to_dicts()}
        row, both = rows[NOW], group == BOTH
        daily = row["change_per_day"]
        per_day = "" if daily is None else f"; {number(daily)} a day"
        days, who = counted(self.days, "day"), "more than the others'" if both else "per customer"
        sentence = (
            f"{LABEL}: the contacted customers' {self.metric} changed by "
            f"{gap(row['change'], self.kind)} {who} from the {days} before to the {days} after "
            f"({self._limits(row)}{per_day})."
        )
        season = "The orders do not reach back a year, so the season is not taken out."
        if BEYOND in rows:
            before, beyond = rows[EARLIER], rows[BEYOND]
            season = (
                f"In the same weeks a year before it was {gap(before['change'], self.kind)}: "
                f"{gap(beyond['change'], self.kind)} are beyond the season "
                f"({self._limits(beyond)})."
            )
        why = (
            "It would be the campaign's doing only if both groups had gone the same way without "
            "it, which nothing here can show."
            if both
            else "Sales and customers' usual ups and downs change it too: whoever was chosen for a "
            "high or low figure falls back towards the mean."
        )
        return f"{sentence} {season} {why} To know, assign the next campaign at random."

    def _limits(self, row: dict[str, Any]) -> str:
        return ci_words(row["low"], row["high"], self.level, lambda v: gap(v, self.kind))

    def plot(self) -> Figure:
        """Draw the changes with their intervals."""
        from segkit.plot import intervals

        several = self.table["comparison"].n_unique() > 1
        return intervals(
            self.table,
            "group",
            "change",
            percent=self.kind == "share",
            group="comparison" if several else None,
            title=f"{LABEL}: change in {self.metric} from before to after",
            y_label=f"change per customer in {counted(self.days, 'day')}",
        )


def describe_change(
    outcomes: Outcomes,
    *,
    contacted: str,
    others: str | None = None,
    metric: Pair = "revenue",
    days: float | None = None,
    level: float = 0.95,
) -> Change:
    """Describe the change around a campaign whose customers were chosen, not assigned at random.

    For each customer, the window after the assignment is compared with an equally long period
    before it. If the orders reach back far enough, the same two periods 52 weeks earlier are
    compared too, and the difference of the two changes is given. With ``others`` the difference of
    the two groups' mean changes (difference in differences) is added.

    Parameters
    ----------
    outcomes : Outcomes
        See `derive_outcomes`. With `read_outcomes`: the metric's column and the same column with
        the prefix ``pre_``, for periods of equal length (optionally ``last_year_`` and
        ``before_last_year_``).
    contacted : str
        Arm of the contacted customers.
    others : str, optional
        Arm of customers who were not contacted.
    metric : {"conversion", "revenue", "orders"}
    days : float, optional
        Only for outcomes from `read_outcomes`: the length of the period after and of the period
        before.
    level : float

    Returns
    -------
    Change

    Raises
    ------
    ParameterError
        If the metric or a group is unknown, or ``days`` is not positive.
    DataError
        If there is no period of equal length before, a group has fewer than two customers, or a
        value is missing.

    Notes
    -----
    Source: Angrist & Pischke (2009), Mostly Harmless Econometrics, section 5.2.

    Examples
    --------
    >>> from segkit.lift.outcomes import read_outcomes
    >>> who = pl.DataFrame({"customer_id": list("abcd"), "arm": ["x", "x", "y", "y"],
    ...     "pre_revenue": [1.0, 2.0, 1.0, 2.0]})
    >>> did = pl.DataFrame({"customer_id": list("abcd"), "revenue": [4.0, 4.0, 1.0, 3.0]})
    >>> both = read_outcomes(who, did, randomised=False)
    >>> found = describe_change(both, contacted="x", others="y", days=28)
    >>> found.table["change"].to_list()
    [2.5, 0.5, 2.0]
    """
    require_choice("metric", metric, PAIRS)
    if contacted == others:
        raise ParameterError(f"the arm {others!r} cannot be compared with itself")
    column, kind = PAIRS[metric]
    before, length = _equal_period(outcomes, column, days)
    frame = outcomes.frame
    columns = [column, f"{before}{column}"]
    earlier = [f"last_year_{column}", f"before_last_year_{column}"]
    columns += earlier if set(earlier) <= set(frame.columns) else []
    arms = [contacted] if others is None else [contacted, others]
    values: list[Array] = []
    for name in arms:
        part = frame.filter(pl.col("arm") == name)
        if part.is_empty():
            raise ParameterError(unknown("arm", name, frame["arm"].unique().sort()))
        values.append(_values(part, name, columns, kind))
    per_day = length if kind != "share" else None
    comparisons = [NOW, EARLIER, BEYOND] if len(columns) > 2 else [NOW]
    groups = {name: [table] for name, table in zip(arms, values, strict=True)}
    groups |= {BOTH: values} if others is not None else {}
    rows = [
        {"group": group, "comparison": comparison}
        | _change([_periods(table, place) for table in tables], level, per_day)
        for group, tables in groups.items()
        for place, comparison in enumerate(comparisons)
    ]
    table = pl.DataFrame(rows, schema_overrides={"change_per_day": pl.Float64})
    return Change(table, metric, kind, level, length)


def _equal_period(outcomes: Outcomes, column: str, days: float | None) -> tuple[str, float]:
    """Return the prefix of the equally long period before, and its length in days."""
    have = set(outcomes.frame.columns)
    require_range("(0, inf)", days=days)
    if outcomes.window_days is not None:
        length = outcomes.window_days
        if days is not None and days != length:
            raise ParameterError(
                f"the outcomes' window is {counted(length, 'day')}; derive them with "
                f"window_days={days}"
            )
        if {column, f"before_{column}"} <= have:
            return "before_", length
        since = (
            "" if outcomes.data_from is None else f" (they begin on {outcomes.data_from:%Y-%m-%d})"
        )
        raise DataError(
            f"a change needs a period of {counted(length, 'day')} before the first assignment, as "
            f"long as the window after it; the orders do not reach back so far{since}. Give "
            "earlier orders, or a shorter window_days"
        )
    if not {column, f"pre_{column}"} <= have:
        raise DataError(
            f"a change needs {column} and pre_{column}; got {', '.join(outcomes.frame.columns)}"
        )
    if days is None:
        raise DataError(
            f"{column} and pre_{column} must cover periods of equal length: give that length as "
            "days="
        )
    return "pre_", days


def _values(part: pl.DataFrame, name: str, columns: list[str], kind: str) -> Array:
    if part.height < 2:
        raise DataError(f"{name} has {part.height} customer; a change needs two")
    values = part.select(pl.col(columns).cast(pl.Float64))
    table = values.fill_null(float("nan")).to_numpy()
    if not np.isfinite(table).all():
        lost = int((~np.isfinite(table)).any(axis=1).sum())
        raise DataError(
            f"{', '.join(columns)}: missing or not finite for {counted(lost, 'customer')}"
        )
    if kind == "share" and not np.isin(table, (0.0, 1.0)).all():
        raise DataError(f"{', '.join(columns)} must be 0 or 1 (or Boolean) for each customer")
    return np.asarray(table)


def _periods(values: Array, place: int) -> tuple[Array, Array]:
    """Return the earlier and the later value of a comparison; for the third, the two changes."""
    if place < 2:
        return values[:, 2 * place + 1], values[:, 2 * place]
    return values[:, 2] - values[:, 3], values[:, 0] - values[:, 1]


def _change(groups: list[tuple[Array, Array]], level: float, days: float | None) -> dict[str, Any]:
    """Return the mean change of a group, or the first group's less the second's."""
    means = [(before.mean(), after.mean(), (after - before).mean()) for before, after in groups]
    middle = np.array(means[0]) - (np.array(means[1]) if len(means) > 1 else 0.0)
    parts = [
        (change.mean(), change.std(ddof=1), len(change))
        for change in (after - before for before, after in groups)
    ]
    if len(parts) > 1:
        interval = mean_difference(*parts[0], *parts[1], level=level)
    else:
        interval = mean_skewed(*parts[0], 0.0, level=level)
    return {
        "customers": sum(n for _, _, n in parts),
        "before": float(middle[0]),
        "after": float(middle[1]),
        "change": float(middle[2]),
        "low": interval.low,
        "high": interval.high,
        "change_per_day": None if days is None else float(middle[2]) / days,
    }
