"""Did it pay: added revenue, cost, profit and return per assigned customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import money, number, percent
from segkit.errors import ParameterError, require_columns, unknown
from segkit.frames import takes_frames
from segkit.lift.design import check_arms, refuse_later_segments, refuse_twice, refuse_unrandomised
from segkit.lift.outcomes import Outcomes
from segkit.lift.sums import Sums, sum_up
from segkit.lift.verdicts import ALL
from segkit.result import Result
from segkit.stats.intervals import z_value
from segkit.stats.sparse import resampled_means

if TYPE_CHECKING:
    from segkit.plot import Figure

Floats = npt.NDArray[np.float64]
ROUNDING = 1e-12  # of the cost a customer: a smaller difference of costs is none


@dataclass(frozen=True, slots=True, eq=False)
class Money(Result):
    """What the campaign earned, by arm and segment.

    Attributes
    ----------
    table : DataFrame
        One row an arm and segment ("all customers" first): arm, control, segment, customers,
        buyers (with revenue that is not zero), revenue_arm and revenue_control (per assigned
        customer), added_revenue, added_cost (per assigned customer), added_profit, each profit and
        revenue with _low and _high; total_revenue, total_cost, total_profit with _low and _high
        (over the arm's customers), roi with _low and _high (null where nothing was spent more), and
        profit_chance (share of resamples with a profit).
    control : str
    margin : float
        Share of revenue that is profit.
    cost_per_contact : dict of str to float
        By arm.
    fixed_cost : float
        Of every arm but the control, over all its customers.
    level : float
    repeats : int
        Bootstrap resamples.
    currency : str or None
    """

    table: pl.DataFrame
    control: str
    margin: float
    cost_per_contact: dict[str, float]
    fixed_cost: float
    level: float
    repeats: int
    currency: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return the money, one row an arm and segment."""
        return self.table

    @property
    def text(self) -> str:
        """What was earned per assigned customer and in all, with its uncertainty."""
        rows = self.table.filter(pl.col("segment") == ALL).to_dicts()
        each = "; ".join(_per_customer(row, self.currency) for row in rows)
        whole = "; ".join(_in_all(row, self.currency) for row in rows)
        head = (
            f"Added profit per assigned customer against {self.control}, with its "
            f"{percent(self.level, places=0)} interval: {each}."
        )
        return (
            f"{head} In all: {whole}. Revenue is net of returns within the window, "
            f"{percent(self.margin)} of it profit; limits by a bootstrap within segments "
            f"({number(self.repeats)} draws)."
        )

    def plot(self) -> Figure:
        """Draw the added profit per assigned customer by segment."""
        from segkit.plot import intervals

        several = self.table["arm"].n_unique() > 1
        return intervals(
            self.table,
            "segment",
            "added_profit",
            interval=("added_profit_low", "added_profit_high"),
            group="arm" if several else None,
            title=f"Added profit per assigned customer against {self.control}, "
            f"{self.level:.0%} intervals",
            x_label="",
            y_label="added profit per assigned customer, "
            f"{self.currency or 'currency of the data'}",
        )


def _per_customer(row: Mapping[str, Any], currency: str | None) -> str:
    low, high = row["added_profit_low"], row["added_profit_high"]
    verdict = "a gain" if low > 0 else "a loss" if high < 0 else "gain or loss undecided"
    return (
        f"{row['arm']} {money(row['added_profit'], currency)} ({number(low)} to {number(high)}), "
        f"{verdict}"
    )


def _in_all(row: Mapping[str, Any], currency: str | None) -> str:
    roi = "no more was spent than on the control, so there is no return on it"
    if row["roi"] is not None:
        roi = (
            f"{number(row['roi'])} times the added cost of {_whole(row['total_cost'], currency)} "
            f"({number(row['roi_low'])} to {number(row['roi_high'])})"
        )
    return (
        f"{row['arm']} {_whole(row['total_profit'], currency)} "
        f"({_whole(row['total_profit_low'])} to {_whole(row['total_profit_high'])}); {roi}"
    )


def _whole(value: float | None, currency: str | None = None) -> str:
    return "–" if value is None else money(round(value), currency)


@takes_frames
def campaign_profit(
    outcomes: Outcomes | pl.DataFrame,
    *,
    control: str,
    margin: float,
    cost_per_contact: float | Mapping[str, float],
    fixed_cost: float = 0.0,
    arms: list[str] | None = None,
    segment: str | None = "segment",
    repeats: int = 10_000,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    randomised: bool = True,
    currency: str | None = None,
) -> Money:
    """Did the campaign pay: what did it add per assigned customer, and in all?

    Added revenue is the difference of the arms' mean revenue over *assigned* customers, buyers or
    not; over all customers segments are weighted by their size in the arm. Added profit is
    ``margin x added revenue - added cost``, the return ``added profit / added cost``. Limits are
    percentiles of a bootstrap within arm and segment that draws the buyers alone.

    Parameters
    ----------
    outcomes : Outcomes or DataFrame
        arm, revenue (net, per customer), optionally segment, and emails_sent (contacts made; else
        every customer of an arm with a cost was contacted once).
    control : str
    margin : float
        Share of revenue that is profit, from 0 to 1.
    cost_per_contact : float or mapping of str to float
        Cost of one contact, for all arms or by arm. A single number is taken as 0 for the control,
        unless emails_sent tells otherwise.
    fixed_cost : float
        Spent once on each arm but the control.
    arms : list of str, optional
        Arms to compare; by default all but the control.
    segment : str or None
        Column of the segments.
    repeats : int
        Resamples.
    level : float
    seed : int or numpy Generator
    randomised : bool
        False is refused, as in `measure_lift`.
    currency : str, optional
        Of the revenue, for texts.

    Returns
    -------
    Money

    Raises
    ------
    DataError
        As `measure_lift`; also if revenue is not finite.
    ParameterError
        If the margin lies outside [0, 1], a cost is negative or of an unknown arm.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["mail"] * 50 + ["none"] * 50,
    ...     "revenue": [40.0] * 10 + [0.0] * 40 + [40.0] * 5 + [0.0] * 45})
    >>> found = campaign_profit(rows, control="none", margin=0.5, cost_per_contact=0.2)
    >>> round(found.table["added_profit"][0], 2), round(found.table["roi"][0], 2)
    (1.8, 9.0)
    """
    known = isinstance(outcomes, Outcomes)
    frame = outcomes.frame if isinstance(outcomes, Outcomes) else outcomes
    refuse_unrandomised(randomised and (not isinstance(outcomes, Outcomes) or outcomes.randomised))
    if not known:
        refuse_twice(frame)
    refuse_later_segments(frame)
    require_columns(frame.columns, ["arm", "revenue"], "the outcomes")
    by = segment if segment in frame.columns else None
    mailed = ["emails_sent"] if "emails_sent" in frame.columns else []
    sums = sum_up(frame, ["revenue", *mailed], segment=by)
    places, base = check_arms(sums, control, arms, by is not None), sums.arms.index(control)
    costs = _costs(sums, control, cost_per_contact, bool(mailed))
    if not 0 <= margin <= 1 or fixed_cost < 0:
        raise ParameterError(f"expected a margin from 0 to 1 and costs >= 0, got {margin}")
    draws = _draw(frame, sums, by, repeats, seed)
    spent = _spent(sums, costs, bool(mailed))
    rows: list[dict[str, Any]] = []
    for place in places:
        both = [i for i in range(len(sums.segments)) if min(sums.n[i, [place, base]]) > 0]
        groups = [(ALL, both), *((sums.segments[i], [i]) for i in both)] if by else [(ALL, both)]
        for name, which in groups:
            fixed = fixed_cost if name == ALL else 0.0
            rows.append(
                _row(sums, draws, spent, (place, base), name, which, (margin, fixed, level))
            )
    table = pl.DataFrame(rows, infer_schema_length=None)
    return Money(table, control, margin, costs, fixed_cost, level, repeats, currency)


def _costs(
    sums: Sums, control: str, given: float | Mapping[str, float], mailed: bool
) -> dict[str, float]:
    if isinstance(given, Mapping):
        for name in given:
            if name not in sums.arms:
                raise ParameterError(unknown("arm", name, sums.arms))
        costs = {name: float(given.get(name, 0.0)) for name in sums.arms}
    else:
        costs = {name: 0.0 if name == control and not mailed else float(given)
                 for name in sums.arms}  # fmt: skip
    if min(costs.values()) < 0:
        raise ParameterError(f"a cost per contact is negative: {costs}")
    return costs


def _spent(sums: Sums, costs: Mapping[str, float], mailed: bool) -> Floats:
    """Return the cost of contacts by segment and arm."""
    contacts = sums.totals[..., sums.columns.index("emails_sent")] if mailed else sums.n
    return np.asarray(contacts * np.array([costs[name] for name in sums.arms]))


def _draw(
    frame: pl.DataFrame, sums: Sums, by: str | None, repeats: int, seed: Any
) -> Floats:  # fmt: skip
    """Resample mean revenue by segment and arm, shape (repeats, segments, arms)."""
    keys = [by, "arm"] if by else ["arm"]
    some = (
        frame.lazy().filter(pl.col("revenue") != 0).group_by(keys).agg(pl.col("revenue"))
        .with_columns(pl.col(keys).cast(pl.String)).collect()
    )  # fmt: skip
    values = {
        (row[by] if by else "all", row["arm"]): row["revenue"] for row in some.iter_rows(named=True)
    }
    cells = [
        (i, j) for i in range(len(sums.segments)) for j in range(len(sums.arms)) if sums.n[i, j] > 0
    ]
    drawn = resampled_means(
        [values.get((sums.segments[i], sums.arms[j]), []) for i, j in cells],
        [int(sums.n[i, j]) for i, j in cells],
        repeats=repeats,
        seed=seed,
    )
    table = np.zeros((repeats, len(sums.segments), len(sums.arms)))
    for column, (i, j) in enumerate(cells):
        table[:, i, j] = drawn[:, column]
    return table


def _row(
    sums: Sums, draws: Floats, spent: Floats, arms: tuple[int, int], name: str, which: list[int],
    terms: tuple[float, float, float],
) -> dict[str, Any]:  # fmt: skip
    (arm, base), (margin, fixed, level) = arms, terms
    n = sums.n[which, arm]
    weights = n / n.sum()
    revenue = sums.totals[which, :, sums.columns.index("revenue")] / sums.n[which]
    cost = spent[which] / sums.n[which]
    added_cost = float(weights @ (cost[:, arm] - cost[:, base])) + fixed / n.sum()
    # Equal costs differ by rounding alone; a return on that would be astronomical.
    added_cost = 0.0 if abs(added_cost) <= ROUNDING * cost[:, [arm, base]].max() else added_cost
    added = float(weights @ (revenue[:, arm] - revenue[:, base]))
    drawn = (draws[:, which, arm] - draws[:, which, base]) @ weights
    z_value(level)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    profit = [margin * value - added_cost for value in (added, low, high)]
    total = float(n.sum())
    roi = [value / added_cost if added_cost > 0 else None for value in profit]
    return {
        "arm": sums.arms[arm],
        "control": sums.arms[base],
        "segment": name,
        "customers": int(total),
        "buyers": int(sums.nonzero[which, arm, sums.columns.index("revenue")].sum()),
        "revenue_arm": float(weights @ revenue[:, arm]),
        "revenue_control": float(weights @ revenue[:, base]),
        "added_revenue": added,
        "added_revenue_low": float(low),
        "added_revenue_high": float(high),
        "added_cost": added_cost,
        **dict(zip(("added_profit", "added_profit_low", "added_profit_high"), profit, strict=True)),
        "total_revenue": added * total,
        "total_cost": added_cost * total,
        "total_profit": profit[0] * total,
        "total_profit_low": profit[1] * total,
        "total_profit_high": profit[2] * total,
        **dict(zip(("roi", "roi_low", "roi_high"), roi, strict=True)),
        "profit_chance": float((margin * drawn > added_cost).mean()),
    }
